//! Signed addresses on hosts that take no cookies, streamed without the browser.

mod resume;

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};

use super::{Body, Claim, Download, RemoteError};

/// Hosts whose signed addresses need no cookies (contract 4.1). All others are the browser's business.
const COOKIELESS: [&str; 1] = ["video-downloads.googleusercontent.com"];

/// The host of an `https` address.
pub fn host_of(url: &str) -> Option<&str> {
    let host = url.strip_prefix("https://")?.split(['/', '?', '#']).next()?;
    (!host.is_empty() && !host.contains('@')).then_some(host)
}

/// Whether the address can be fetched without the browser.
pub fn is_cookieless(url: &str) -> bool {
    host_of(url).is_some_and(|host| COOKIELESS.contains(&host))
}

/// Starts the transfer. The address is secret: no error repeats it.
pub async fn fetch(client: &reqwest::Client, url: &str) -> Result<Download, RemoteError> {
    let host = host_of(url).unwrap_or_default().to_owned();
    let response = client.get(url).send().await.map_err(|e| transport(&e))?;
    accept(&response)?;
    let claim = Claim {
        length: response.content_length(),
        media_type: text(response.headers(), CONTENT_TYPE),
        name: text(response.headers(), CONTENT_DISPOSITION).as_deref().and_then(disposition_name),
        head: Some(head(&response)),
    };
    let body = resume::whole(client, url, response);
    Ok(Download { claim, via: "direct", host, body: Body::Stream(body), seen: None })
}

fn accept(response: &Response) -> Result<(), RemoteError> {
    let status = response.status();
    let said = || format!("status {}", status.as_u16());
    if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE {
        let after = text(response.headers(), RETRY_AFTER).as_deref().and_then(retry_after);
        return Err(RemoteError::Throttled { reason: said(), after });
    }
    if status.is_redirection() || matches!(status.as_u16(), 401 | 403) {
        return Err(RemoteError::Refused(said()));
    }
    if matches!(status.as_u16(), 404 | 410) {
        return Err(RemoteError::Transient(format!("the signed address has expired ({})", said())));
    }
    if status != StatusCode::OK {
        return Err(RemoteError::Transient(format!("the download was answered with {}", said())));
    }
    let kind = text(response.headers(), CONTENT_TYPE).unwrap_or_default();
    if kind.starts_with("text/html") {
        return Err(RemoteError::Refused("a web page instead of the file".into()));
    }
    Ok(())
}

fn transport(error: &reqwest::Error) -> RemoteError {
    let what = if error.is_timeout() {
        "the transfer stalled"
    } else if error.is_connect() {
        "no connection to the download server"
    } else {
        "the transfer was cut"
    };
    RemoteError::Transient(what.into())
}

fn text(headers: &HeaderMap, name: reqwest::header::HeaderName) -> Option<String> {
    Some(String::from_utf8_lossy(headers.get(name)?.as_bytes()).into_owned())
}

/// What of an answer may be shown to anybody: cookies, addresses and tokens are not in these headers.
fn head(response: &Response) -> String {
    const HARMLESS: [&str; 9] = [
        "accept-ranges",
        "age",
        "cache-control",
        "content-disposition",
        "content-length",
        "content-type",
        "date",
        "expires",
        "server",
    ];
    let mut head = format!("{:?} {}", response.version(), response.status());
    for name in HARMLESS {
        if let Some(value) = response.headers().get(name) {
            let value: String = String::from_utf8_lossy(value.as_bytes()).chars().take(300).collect();
            head.push_str(&format!("\n{name}: {value}"));
        }
    }
    head
}

/// `Retry-After`: seconds, or a date.
pub fn retry_after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(value.trim()).ok()?.timestamp();
    Some(at.duration_since(Timestamp::now()).try_into().unwrap_or(Duration::ZERO))
}

/// The file name of a `Content-Disposition`; evidence only, never used to bind bytes to an item.
pub(crate) fn disposition_name(value: &str) -> Option<String> {
    let lower = value.to_ascii_lowercase();
    if let Some(at) = lower.find("filename*=utf-8''") {
        let rest = value[at + "filename*=utf-8''".len()..].split(';').next()?;
        return percent_encoding::percent_decode_str(rest.trim()).decode_utf8().ok().map(Into::into);
    }
    let rest = value[lower.find("filename=")? + "filename=".len()..].trim();
    match rest.strip_prefix('"') {
        Some(quoted) => Some(quoted.split('"').next()?.to_owned()),
        None => Some(rest.split(';').next()?.trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_cookieless_host_itself_goes_direct() {
        assert!(is_cookieless("https://video-downloads.googleusercontent.com/ADGPM2x?authuser=0"));
        for no in [
            "http://video-downloads.googleusercontent.com/x",
            "https://photos.fife.usercontent.google.com/pw/x",
            "https://video-downloads.googleusercontent.com.evil/x",
            "https://video-downloads.googleusercontent.com@evil/x",
        ] {
            assert!(!is_cookieless(no), "{no}");
        }
    }

    #[test]
    fn retry_after_reads_both_forms() {
        assert_eq!(retry_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(retry_after("soon"), None);
    }

    #[test]
    fn names_are_read_from_every_spelling() {
        for (value, name) in [
            ("attachment; filename=\"a b.jpg\"", "a b.jpg"),
            ("attachment;filename=\"a;b.jpg\"", "a;b.jpg"),
            ("attachment; filename=\"x\"; filename*=UTF-8''%C3%BC.jpg", "ü.jpg"),
            ("attachment; filename=plain.jpg; size=5", "plain.jpg"),
        ] {
            assert_eq!(disposition_name(value).as_deref(), Some(name));
        }
    }
}
