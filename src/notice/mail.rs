//! Mail.

use std::time::Duration;

use lettre::message::Mailbox as Address;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use super::{Notice, Trouble};

/// Time that a mail server has.
const LIMIT: Duration = Duration::from_secs(30);

/// Who sends mail to whom, by which server.
#[derive(Clone, PartialEq, Eq)]
pub struct Mailbox {
    host: String,
    port: u16,
    encrypted: bool,
    login: Option<(String, String)>,
    from: Address,
    to: Vec<Address>,
}

impl Mailbox {
    /// `host` may end with a port; without one it is 465 with encryption and 25 without. On port 465 encryption is from the
    /// start, on every other by STARTTLS. `to` may be several, separated by commas.
    pub fn new(
        host: &str,
        encrypted: bool,
        login: Option<(String, String)>,
        from: &str,
        to: &str,
    ) -> Result<Self, String> {
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) => {
                (host, port.parse().map_err(|_| format!("`{port}` is no port of a mail server"))?)
            }
            None => (host, if encrypted { 465 } else { 25 }),
        };
        let address = |text: &str| {
            text.trim().parse::<Address>().map_err(|e| format!("`{text}` is no mail address: {e}"))
        };
        let to = to.split(',').map(address).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { host: host.to_owned(), port, encrypted, login, from: address(from)?, to })
    }
}

/// Sends one mail to all of them.
pub async fn send(mailbox: &Mailbox, notice: &Notice) -> Result<(), Trouble> {
    let lasting = |why: String| Trouble { why, may_pass: false, wait: None };
    let mut mail =
        Message::builder().from(mailbox.from.clone()).subject(format!("shoebox: {}", notice.title));
    for to in &mailbox.to {
        mail = mail.to(to.clone());
    }
    let text = match &notice.link {
        Some(link) => format!("{}\n\n{link}\n", notice.text),
        None => format!("{}\n", notice.text),
    };
    let mail = mail.header(ContentType::TEXT_PLAIN).body(text).map_err(|e| lasting(e.to_string()))?;
    let tls = if mailbox.encrypted {
        let parameters = TlsParameters::new(mailbox.host.clone()).map_err(|e| lasting(e.to_string()))?;
        if mailbox.port == 465 { Tls::Wrapper(parameters) } else { Tls::Required(parameters) }
    } else {
        Tls::None
    };
    let mut server = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&mailbox.host)
        .port(mailbox.port)
        .timeout(Some(LIMIT))
        .tls(tls);
    if let Some((user, password)) = &mailbox.login {
        server = server.credentials(Credentials::new(user.clone(), password.clone()));
    }
    match tokio::time::timeout(LIMIT * 2, server.build().send(mail)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(e)) => Err(Trouble { may_pass: !e.is_permanent(), why: e.to_string(), wait: None }),
        Err(_) => {
            Err(Trouble { may_pass: true, why: "the mail server did not answer in time".into(), wait: None })
        }
    }
}
