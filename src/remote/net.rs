//! How hosts are found and whom we trust, alike for the browser and for direct downloads.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Once};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::RemoteError;

/// One `PATTERN=ADDR:PORT`: hosts that match go to that address instead of where DNS says.
/// `*` stands for any characters, as in Chromium's `--host-resolver-rules`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolveRule {
    pattern: String,
    to: SocketAddr,
}

impl ResolveRule {
    /// The rule as Chromium spells it.
    pub fn chromium(&self) -> String {
        format!("MAP {} {}", self.pattern, self.to)
    }

    pub(crate) fn matches(&self, host: &str) -> bool {
        glob(self.pattern.as_bytes(), host.to_ascii_lowercase().as_bytes())
    }
}

fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut wanted) = (0, 0);
    // Where the last star stands, and what it covers at least: only that one is ever tried again.
    let mut star: Option<(usize, usize)> = None;
    while at < text.len() {
        match (pattern.get(wanted), star) {
            (Some(b'*'), _) => {
                star = Some((wanted, at));
                wanted += 1;
            }
            (Some(c), _) if *c == text[at] => (at, wanted) = (at + 1, wanted + 1),
            (_, Some((place, covers))) => {
                star = Some((place, covers + 1));
                (at, wanted) = (covers + 1, place + 1);
            }
            _ => return false,
        }
    }
    pattern[wanted..].iter().all(|c| *c == b'*')
}

impl FromStr for ResolveRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (pattern, to) =
            text.split_once('=').ok_or_else(|| format!("`{text}` is not of the form PATTERN=ADDR:PORT"))?;
        let pattern = pattern.trim().to_ascii_lowercase();
        let known = |b: u8| b.is_ascii_alphanumeric() || b"*.-_".contains(&b);
        if pattern.is_empty() || pattern.len() > 253 || !pattern.bytes().all(known) {
            return Err(format!("`{pattern}` is not a host name or a pattern with *"));
        }
        let to = to
            .trim()
            .parse()
            .map_err(|_| format!("`{}` is not ADDR:PORT, for example 127.0.0.1:8443", to.trim()))?;
        Ok(Self { pattern, to })
    }
}

impl fmt::Display for ResolveRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.pattern, self.to)
    }
}

struct Rules(Vec<ResolveRule>);

impl Resolve for Rules {
    fn resolve(&self, name: Name) -> Resolving {
        if let Some(rule) = self.0.iter().find(|rule| rule.matches(name.as_str())) {
            let addrs: Addrs = Box::new(std::iter::once(rule.to));
            return Box::pin(std::future::ready(Ok(addrs)));
        }
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addrs: Addrs = Box::new(found.collect::<Vec<_>>().into_iter());
            Ok(addrs)
        })
    }
}

/// Makes ring the process's TLS implementation; harmless when called again.
pub fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if rustls::crypto::ring::default_provider().install_default().is_err() {
            tracing::debug!("a TLS implementation was installed already");
        }
    });
}

/// Reads a PEM file of one or more certificates to be trusted besides the system's.
pub fn read_ca(path: &Path) -> Result<Vec<reqwest::Certificate>, RemoteError> {
    let bad = |why: String| RemoteError::Environment(format!("--ca {}: {why}", path.display()));
    let pem = std::fs::read(path).map_err(|e| bad(e.to_string()))?;
    let found = reqwest::Certificate::from_pem_bundle(&pem)
        .map_err(|e| bad(format!("not a PEM certificate: {e}")))?;
    if found.is_empty() {
        return Err(bad("holds no certificate".into()));
    }
    Ok(found)
}

/// Redirects of one download.
const MOST_REDIRECTS: usize = 5;

/// Within the hosts of signed addresses a redirect is followed; elsewhere it says that a browser is wanted.
fn redirects() -> reqwest::redirect::Policy {
    reqwest::redirect::Policy::custom(|attempt| {
        let url = attempt.url();
        let near = url.host_str().is_some_and(|host| host.ends_with(".googleusercontent.com"));
        if url.scheme() == "https" && near && attempt.previous().len() <= MOST_REDIRECTS {
            attempt.follow()
        } else {
            attempt.stop()
        }
    })
}

/// The client for signed addresses: no cookies, no redirects to other hosts, no decompression, HTTP/1.1 (which measured
/// twice as fast as HTTP/2 on large files).
pub fn http_client(
    resolve: &[ResolveRule],
    ca: Option<&PathBuf>,
    stall: Duration,
) -> Result<reqwest::Client, RemoteError> {
    install_tls();
    let mut builder = reqwest::Client::builder()
        .dns_resolver(Arc::new(Rules(resolve.to_vec())))
        .redirect(redirects())
        .referer(false)
        .no_proxy()
        .http1_only()
        .connect_timeout(stall)
        .read_timeout(stall)
        .pool_idle_timeout(Duration::from_secs(60))
        .user_agent(concat!("Mozilla/5.0 (compatible; shoebox/", env!("CARGO_PKG_VERSION"), ")"));
    if let Some(path) = ca {
        builder = builder.tls_certs_merge(read_ca(path)?);
    }
    builder.build().map_err(|e| RemoteError::Environment(format!("cannot set up TLS: {}", e.without_url())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn patterns_match_like_chromiums() {
        let rule: ResolveRule = "*.googleusercontent.com=127.0.0.1:8443".parse().unwrap();
        assert!(rule.matches("Video-Downloads.googleusercontent.com"));
        assert!(!rule.matches("googleusercontent.com"));
        assert!(!rule.matches("x.googleusercontent.com.evil"));
        assert_eq!(rule.chromium(), "MAP *.googleusercontent.com 127.0.0.1:8443");
        let all: ResolveRule = "* = [::1]:1".parse().unwrap();
        assert!(all.matches("anything.at.all"));
    }

    #[test]
    fn bad_rules_say_what_is_wrong() {
        for (bad, word) in [("x", "form"), ("a b=127.0.0.1:1", "host"), ("a=localhost:1", "ADDR:PORT")] {
            assert!(bad.parse::<ResolveRule>().unwrap_err().contains(word), "{bad}");
        }
    }
}
