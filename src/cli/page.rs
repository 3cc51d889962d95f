//! The options of the page.

use std::path::PathBuf;

use clap::Args;

use super::tell::Secret;
use crate::serve::tls::Tls;

/// The page and who may see it.
#[derive(Args, Debug)]
#[command(next_help_heading = "The page")]
pub struct PageArgs {
    /// The page's password. Left out, whoever visits the page first sets it.
    #[arg(long, env = "SHOEBOX_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    pub password: Option<Secret>,
    /// Where noVNC is, which shows the browser in which you sign in to Google.
    #[arg(long, env = "SHOEBOX_NOVNC", default_value = "/usr/share/shoebox/novnc", value_name = "DIR")]
    pub novnc: PathBuf,
    #[command(flatten)]
    pub tls: TlsArg,
}

/// How the page is encrypted.
#[derive(Args, Debug)]
pub struct TlsArg {
    /// Encrypt the page: `self` with a certificate that is made once and kept beside the login, whose fingerprint the
    /// log tells; or `CERTIFICATE.pem,KEY.pem` with one of your own, which may be renewed at any time.
    #[arg(long, env = "SHOEBOX_TLS", value_name = "self|FILES")]
    pub tls: Option<Tls>,
}
