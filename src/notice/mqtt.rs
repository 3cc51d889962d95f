//! The way to a home: an MQTT broker, at which somebody who is there keeps what they have to say.
//!
//! Ours, and not a library's: what a presence needs of MQTT 3.1.1 is four packets out and five back, `rumqttc` brings more
//! packages than the lock has room for, and the small codecs bring their own idea of buffers without a connection.

mod connection;
pub(crate) mod packet;
mod presence;

use std::str::FromStr;

pub use connection::Line;
pub use presence::{Role, Saying, keep};

use super::address::Address;
use connection::{Connection, Failure};

/// The form of an address.
const FORM: &str = "mqtt://USER:PASSWORD@HOST:PORT?prefix=homeassistant&base=shoebox (or mqtts://); in a user or password, `%40` \
                    stands for `@`, `%2F` for `/`, `%3F` for `?`";
/// Longest part of a topic that a person chooses, bytes.
const LONGEST_TOPIC: usize = 200;
/// Longest user or password, bytes: tokens are long, and the protocol ends at 64 KiB.
const LONGEST_SECRET: usize = 16 << 10;

/// A broker, and where on it things are said.
#[derive(Clone, PartialEq, Eq)]
pub struct Broker {
    host: String,
    port: u16,
    encrypted: bool,
    user: Option<String>,
    password: Option<String>,
    /// Where Home Assistant looks for what there is; topic without a slash at either end.
    pub prefix: String,
    /// Where what we say is; topic without a slash at either end.
    pub base: String,
}

impl Broker {
    /// Host and port, without secrets.
    pub fn place(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Connects, says one thing that nobody keeps, and leaves.
///
/// # Errors
/// What became of it, in words without secrets.
pub async fn try_out(broker: &Broker, line: &Line, text: &str) -> Result<(), String> {
    // A name of its own: the appliance may be connected by its own at the same time.
    let client = format!("shoebox-tell-{:08x}", fastrand::u32(..));
    let tried = async {
        let mut connection = Connection::open(broker, line, &client, None).await?;
        connection.publish(&format!("{}/tell", broker.base), text, false).await?;
        connection.leave().await
    };
    tried.await.map_err(|failure: Failure| failure.why)
}

/// Secrets are never printed.
impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Broker({})", self.place())
    }
}

/// Host and port, if it is a name or an address and nothing else.
fn host(text: &str, else_port: u16) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let fine = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
    let port = port.map_or(Some(else_port), |port| port.parse().ok().filter(|port| *port > 0))?;
    (!host.is_empty() && host.chars().all(fine)).then(|| (host.to_owned(), port))
}

/// A topic that messages can be sent to (4.7).
fn topic(text: &str) -> Option<String> {
    let bad = |c: char| "+#".contains(c) || c.is_control();
    let fine = !text.is_empty()
        && text.len() <= LONGEST_TOPIC
        && !text.starts_with(['/', '$'])
        && !text.ends_with('/')
        && !text.contains(bad);
    fine.then(|| text.to_owned())
}

impl FromStr for Broker {
    type Err = String;

    /// The errors quote nothing: a slip of the pen puts a password anywhere.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let wrong = |what: &str| format!("{what}; the form is {FORM}");
        let address = Address::parse(text).ok_or_else(|| wrong("an address of a broker has a `://`"))?;
        let encrypted = match address.scheme {
            "mqtt" => false,
            "mqtts" => true,
            _ => return Err(wrong("an address of a broker begins with mqtt:// or mqtts://")),
        };
        if !address.path.is_empty() {
            return Err(wrong("nothing but `?` follows the host of a broker"));
        }
        let Some((host, port)) = host(address.host, if encrypted { 8883 } else { 1883 }) else {
            return Err(wrong("host or port of the broker is none"));
        };
        if address.user.as_ref().is_some_and(String::is_empty) {
            return Err(wrong("a broker wants a user with the password"));
        }
        let secrets = [&address.user, &address.password];
        if secrets.into_iter().flatten().any(|secret| secret.len() > LONGEST_SECRET) {
            return Err(format!("user and password of a broker have {LONGEST_SECRET} bytes at most"));
        }
        let asked = text.split_once('?').map_or(0, |(_, query)| query.split('&').count());
        if asked != address.query.len()
            || address.query.keys().any(|name| !["prefix", "base"].contains(&name.as_str()))
        {
            return Err(wrong("behind the `?` of a broker are `prefix=` and `base=`, each once"));
        }
        let chosen = |name: &str, default: &str| {
            let text = address.query.get(name).map_or(default, String::as_str);
            topic(text).ok_or_else(|| {
                format!("`{name}=` is a topic: without `+`, `#`, a `$` or `/` at its beginning or a `/` at its end, of {LONGEST_TOPIC} bytes at most")
            })
        };
        let (prefix, base) = (chosen("prefix", "homeassistant")?, chosen("base", "shoebox")?);
        Ok(Self { host, port, encrypted, user: address.user, password: address.password, prefix, base })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, place, encrypted) in [
            ("mqtt://broker", "broker:1883", false),
            ("mqtts://broker.example.org", "broker.example.org:8883", true),
            (" mqtt://10.0.0.2:1884/ ", "10.0.0.2:1884", false),
            ("mqtt://core-mosquitto?base=a/b", "core-mosquitto:1883", false),
            ("mqtts://[fe80::1]", "[fe80::1]:8883", true),
            ("mqtts://ann:pw@[::1]:5", "[::1]:5", true),
        ] {
            let broker: Broker = text.parse().unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!((broker.place().as_str(), broker.encrypted), (place, encrypted), "{text}");
        }
        let broker: Broker = "mqtt://a%40b:p%2Fw%3F@h?prefix=ha&base=home/photos".parse().unwrap();
        assert_eq!(broker.user.as_deref(), Some("a@b"));
        assert_eq!(broker.password.as_deref(), Some("p/w?"));
        assert_eq!((broker.prefix.as_str(), broker.base.as_str()), ("ha", "home/photos"));
        let plain: Broker = "mqtt://h".parse().unwrap();
        assert_eq!(
            (plain.prefix.as_str(), plain.base.as_str(), plain.user),
            ("homeassistant", "shoebox", None)
        );
    }

    #[test]
    fn mistakes_are_named_and_never_quoted() {
        for (bad, says) in [
            ("s3cret", "://"),
            ("http://u:s3cret@h", "mqtts://"),
            ("mqtt://u:a/s3cret@h", "%2F"),
            ("mqtt://u:a?s3cret@h", "%3F"),
            ("mqtt://u:a#s3cret", "host or port"),
            ("mqtt://", "host or port"),
            ("mqtt://h:s3cret", "host or port"),
            ("mqtt://h:0", "host or port"),
            ("mqtt://h:70000", "host or port"),
            ("mqtt://[::1", "host or port"),
            ("mqtt://[::1]s3cret", "host or port"),
            ("mqtt://:s3cret@h", "user"),
            ("mqtt://h/s3cret", "host"),
            ("mqtt://h?topic=s3cret", "`base=`"),
            ("mqtt://h?base=a&base=s3cret", "each once"),
            ("mqtt://h?base=", "topic"),
            ("mqtt://h?base=s3cret/%23", "topic"),
            ("mqtt://h?prefix=/s3cret", "topic"),
        ] {
            let why = bad.parse::<Broker>().unwrap_err();
            assert!(why.contains(says) && !why.contains("s3cret"), "{bad}: {why}");
        }
        let long = format!("mqtt://u:{}@h", "x".repeat(LONGEST_SECRET + 1));
        assert!(long.parse::<Broker>().unwrap_err().contains("at most"));
        let good: Broker = "mqtt://u:s3cret@h".parse().unwrap();
        assert_eq!(format!("{good:?}"), "Broker(h:1883)");
    }
}
