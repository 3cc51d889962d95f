//! Pings for a dead man's switch by the Healthchecks protocol: somebody else notices when no run comes any more.

use std::fmt;
use std::time::Duration;

use super::Trouble;
use super::http::{Client, Request};

/// Where the hosted service is.
pub const HOST: &str = "https://hc-ping.com";
/// Longest body that the server keeps, bytes.
const LONGEST_BODY: usize = 100_000;
/// Waits between attempts.
const WAITS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(20)];

/// The check that is pinged.
#[derive(Clone, PartialEq, Eq)]
pub struct Check {
    base: String,
    create: bool,
}

/// What a ping says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A run begins.
    Start,
    /// It went well.
    Success,
    /// It did not.
    Fail,
    /// It ended with this code; 0 is well.
    Exit(u8),
    /// A note that changes no state.
    Log,
}

impl Check {
    /// A check by its UUID, or by `PING_KEY/SLUG`, at the hosted service or a server of one's own. A slug that does not exist
    /// is created.
    pub fn new(host: Option<&str>, id: &str) -> Result<Self, String> {
        // Some paste the whole address.
        if let Some((scheme, rest)) = id.trim().split_once("://")
            && let Some((at, id)) = rest.split_once('/')
        {
            // `https://HOST/ping/UUID`: the last piece is the id, or the last two where the last is a slug.
            let (before, last) = id.trim_end_matches('/').rsplit_once('/').unwrap_or(("", id));
            let (path, id) = match before.rsplit_once('/').unwrap_or(("", before)) {
                (path, key) if !is_uuid(last) => (path, format!("{key}/{last}")),
                _ => (before, last.to_owned()),
            };
            let host = format!("{scheme}://{at}/{path}");
            return Self::new(Some(&host), id.trim_start_matches('/'));
        }
        let host = host.filter(|host| !host.is_empty()).unwrap_or(HOST).trim_end_matches('/');
        if !host.starts_with("http://") && !host.starts_with("https://") {
            return Err(format!("`{host}` is no address of a Healthchecks server: it begins with https://"));
        }
        let id = id.trim().trim_matches('/');
        let fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let pieces: Vec<&str> = id.split('/').collect();
        if pieces.len() > 2 || pieces.iter().any(|piece| piece.is_empty() || !piece.chars().all(fine)) {
            return Err("the id of a check is a UUID, or a ping key and a slug: `KEY/slug`".into());
        }
        Ok(Self { base: format!("{host}/{id}"), create: pieces.len() == 2 })
    }

    fn request(&self, signal: Signal, run: &str, body: &str) -> Request {
        let what = match signal {
            Signal::Start => "/start".to_owned(),
            Signal::Success => String::new(),
            Signal::Fail => "/fail".to_owned(),
            Signal::Exit(code) => format!("/{code}"),
            Signal::Log => "/log".to_owned(),
        };
        let create = if self.create { "&create=1" } else { "" };
        // The end of a log tells how it ended.
        let from = body.ceil_char_boundary(body.len().saturating_sub(LONGEST_BODY));
        Request {
            url: format!("{}{what}?rid={run}{create}", self.base),
            kind: "text/plain; charset=utf-8",
            heads: Vec::new(),
            body: body[from..].to_owned(),
        }
    }

    /// Pings once.
    pub async fn ping_once(
        &self,
        client: &Client,
        signal: Signal,
        run: &str,
        body: &str,
    ) -> Result<(), Trouble> {
        client.send(self.request(signal, run, body)).await
    }

    /// Pings, with a few attempts; what fails is logged and forgotten.
    pub async fn ping(&self, client: &Client, signal: Signal, run: &str, body: &str) {
        let request = self.request(signal, run, body);
        let mut waits = WAITS.into_iter();
        while let Err(trouble) = client.send(request.clone()).await {
            let Some(wait) = waits.next().filter(|_| trouble.may_pass) else {
                tracing::warn!("the Healthchecks server could not be pinged: {}", trouble.why);
                return;
            };
            tokio::time::sleep(wait).await;
        }
    }
}

/// The address is all that is needed to ping: it is not printed.
impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Check")
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}

/// A new id for one run, as a UUID of version 4.
pub fn run_id() -> String {
    let mut bytes = fastrand::u128(..).to_be_bytes();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = data_encoding::HEXLOWER.encode(&bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ID: &str = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";

    #[test]
    fn a_check_is_known_by_its_id_its_slug_or_its_whole_address() {
        let url =
            |host: Option<&str>, id: &str, signal| Check::new(host, id).unwrap().request(signal, "r", "").url;
        assert_eq!(url(None, ID, Signal::Start), format!("https://hc-ping.com/{ID}/start?rid=r"));
        assert_eq!(
            url(Some("http://nas:8000/ping/"), ID, Signal::Exit(3)),
            format!("http://nas:8000/ping/{ID}/3?rid=r")
        );
        let whole = format!("https://hc.example/ping/{ID}");
        assert_eq!(url(None, &whole, Signal::Fail), format!("{whole}/fail?rid=r"));
        assert_eq!(
            url(None, &format!("https://hc-ping.com/{ID}"), Signal::Success),
            format!("https://hc-ping.com/{ID}?rid=r")
        );
        assert_eq!(url(None, "KEY/photos", Signal::Log), "https://hc-ping.com/KEY/photos/log?rid=r&create=1");
        assert_eq!(
            url(None, "https://hc.example/ping/KEY/photos", Signal::Success),
            "https://hc.example/ping/KEY/photos?rid=r&create=1"
        );
        for bad in ["", "a/b/c", "a b", "ü", "../x", "https://"] {
            assert!(Check::new(None, bad).is_err(), "{bad}");
        }
        assert!(Check::new(Some("nas"), ID).is_err());
    }

    #[test]
    fn the_end_of_a_long_log_is_sent_whole_characters_only() {
        let log = format!("x{}", "ü".repeat(60_000));
        let body = Check::new(None, ID).unwrap().request(Signal::Exit(0), "r", &log).body;
        assert!(body.len() <= LONGEST_BODY && body.len() > LONGEST_BODY - 4 && body.ends_with('ü'));
    }

    #[test]
    fn ids_of_runs_are_uuids() {
        let id = run_id();
        assert!(is_uuid(&id) && &id[14..15] == "4" && "89ab".contains(&id[19..20]), "{id}");
        assert_ne!(id, run_id());
    }
}
