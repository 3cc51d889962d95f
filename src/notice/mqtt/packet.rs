//! The packets of MQTT 3.1.1, as far as somebody needs them who announces things: what we send is put together, what
//! comes is taken apart. What comes is hostile: it is bounded in length, and anything unexpected ends the connection.
//!
//! The numbers of tables and sections are those of the OASIS standard of 2014.

use bytes::{Buf as _, BufMut as _, BytesMut};

/// Longest packet that is taken, bytes. Brokers answer with four; the one message that we ask for is a word.
pub const LONGEST: usize = 16 << 10;
/// The question whether the other side is there (3.12).
pub const PING: [u8; 2] = [0xc0, 0];
/// The end, after which the broker keeps the last will to itself (3.14).
pub const LEAVE: [u8; 2] = [0xe0, 0];
/// The clean session of a connection, and no will yet (3.1.2.3).
const CLEAN: u8 = 0x02;
/// A will that is retained and acknowledged.
const WILL: u8 = 0x04 | 0x08 | 0x20;
const PASSWORD: u8 = 0x40;
const USER: u8 = 0x80;

/// What a connection begins with.
#[derive(Clone, Copy)]
pub struct Greeting<'a> {
    /// Our name; a broker ends the older of two connections of the same name.
    pub client: &'a str,
    /// User, and password if there is one.
    pub login: Option<(&'a str, Option<&'a str>)>,
    /// Topic and text that the broker publishes, retained, when we are gone without a word.
    pub will: Option<(&'a str, &'a str)>,
    /// Longest silence of ours, seconds; after half as much again the broker takes us for gone.
    pub silence: u16,
}

/// What a broker sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// The answer to a greeting: 0 is welcome (table 3.1).
    Welcome(u8),
    /// A message that needs no acknowledgement.
    Message {
        /// Its topic.
        topic: String,
        /// Its bytes.
        payload: Vec<u8>,
    },
    /// A message of ours has arrived.
    Acknowledged(u16),
    /// The answer to a subscription.
    Subscribed {
        /// Which.
        id: u16,
        /// Whether each topic was granted.
        granted: bool,
    },
    /// The broker is there.
    Pong,
}

/// A text with its length before it (1.5.3). Whoever makes one keeps it below 64 KiB; what is longer is cut.
fn put(packet: &mut BytesMut, text: &str) {
    let text = &text[..text.floor_char_boundary(usize::from(u16::MAX))];
    packet.put_u16(text.len() as u16);
    packet.put_slice(text.as_bytes());
}

/// A packet: its kind, the length of the rest, the rest (2.2).
fn whole(kind: u8, rest: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind];
    let mut length = rest.len();
    loop {
        let seven = (length % 128) as u8;
        length /= 128;
        packet.push(if length > 0 { seven | 0x80 } else { seven });
        if length == 0 {
            break;
        }
    }
    packet.extend_from_slice(rest);
    packet
}

/// The greeting (3.1).
pub fn connect(greeting: Greeting<'_>) -> Vec<u8> {
    let mut flags = CLEAN;
    if greeting.will.is_some() {
        flags |= WILL;
    }
    if let Some((_, password)) = greeting.login {
        flags |= USER | if password.is_some() { PASSWORD } else { 0 };
    }
    let mut rest = BytesMut::new();
    put(&mut rest, "MQTT");
    rest.put_u8(4);
    rest.put_u8(flags);
    rest.put_u16(greeting.silence);
    put(&mut rest, greeting.client);
    if let Some((topic, text)) = greeting.will {
        put(&mut rest, topic);
        put(&mut rest, text);
    }
    if let Some((user, password)) = greeting.login {
        put(&mut rest, user);
        if let Some(password) = password {
            put(&mut rest, password);
        }
    }
    whole(0x10, &rest)
}

/// A message that the broker acknowledges by `id`, which is not 0 (3.3).
pub fn publish(id: u16, topic: &str, text: &str, retained: bool) -> Vec<u8> {
    let mut rest = BytesMut::new();
    put(&mut rest, topic);
    rest.put_u16(id);
    rest.put_slice(text.as_bytes());
    whole(0x32 | u8::from(retained), &rest)
}

/// Asks for messages, which come once at most (3.8).
pub fn subscribe(id: u16, topics: &[String]) -> Vec<u8> {
    let mut rest = BytesMut::new();
    rest.put_u16(id);
    for topic in topics {
        put(&mut rest, topic);
        rest.put_u8(0);
    }
    whole(0x82, &rest)
}

/// Takes the first packet out of what has come; nothing if it is not whole yet.
///
/// # Errors
/// When it is too long, or none that we wait for: the connection is of no use any more.
pub fn take(come: &mut BytesMut) -> Result<Option<Incoming>, &'static str> {
    let Some((kind, head, length)) = head(come)? else { return Ok(None) };
    if come.len() < head + length {
        return Ok(None);
    }
    come.advance(head);
    let rest = come.split_to(length);
    parse(kind, &rest).map(Some)
}

/// Kind, length of the head, length of the rest.
fn head(come: &[u8]) -> Result<Option<(u8, usize, usize)>, &'static str> {
    let Some((kind, digits)) = come.split_first() else { return Ok(None) };
    let mut length = 0;
    for (place, digit) in digits.iter().take(4).enumerate() {
        length |= usize::from(digit & 0x7f) << (7 * place);
        if length > LONGEST {
            return Err("it sends packets that are too long");
        }
        if digit & 0x80 == 0 {
            return Ok(Some((*kind, place + 2, length)));
        }
    }
    if digits.len() >= 4 { Err("what it sends is not MQTT") } else { Ok(None) }
}

fn parse(kind: u8, rest: &[u8]) -> Result<Incoming, &'static str> {
    let number = |bytes: [u8; 2]| u16::from_be_bytes(bytes);
    match (kind, rest) {
        (0x20, [_, code]) => Ok(Incoming::Welcome(*code)),
        // Whether it was retained says nothing to us. One that must be acknowledged was not asked for.
        (0x30 | 0x31, [a, b, rest @ ..]) => {
            let (topic, payload) =
                rest.split_at_checked(usize::from(number([*a, *b]))).ok_or("what it sends is cut short")?;
            let topic = std::str::from_utf8(topic).map_err(|_| "what it sends is not MQTT")?;
            Ok(Incoming::Message { topic: topic.to_owned(), payload: payload.to_vec() })
        }
        (0x40, [a, b]) => Ok(Incoming::Acknowledged(number([*a, *b]))),
        (0x90, [a, b, codes @ ..]) if !codes.is_empty() => {
            Ok(Incoming::Subscribed { id: number([*a, *b]), granted: codes.iter().all(|code| *code <= 2) })
        }
        (0xd0, []) => Ok(Incoming::Pong),
        _ => Err("what it sends is not MQTT"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn taken(bytes: &[u8]) -> Result<Option<Incoming>, &'static str> {
        take(&mut BytesMut::from(bytes))
    }

    #[test]
    fn what_we_send_is_what_the_standard_says() {
        let login = Some(("ann", Some("pw")));
        let greeting = Greeting { client: "c", login, will: Some(("t", "gone")), silence: 30 };
        let rest = b"\x00\x04MQTT\x04\xee\x00\x1e\x00\x01c\x00\x01t\x00\x04gone\x00\x03ann\x00\x02pw";
        assert_eq!(connect(greeting), [&[0x10, rest.len() as u8], &rest[..]].concat());
        let bare = Greeting { login: None, will: None, ..greeting };
        assert_eq!(connect(bare), b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x1e\x00\x01c");
        let nameless = Greeting { login: Some(("ann", None)), ..bare };
        assert_eq!(connect(nameless)[9], 0x82, "a user without a password");
        assert_eq!(publish(7, "a/b", "x", true), b"\x33\x08\x00\x03a/b\x00\x07x");
        assert_eq!(publish(7, "a/b", "x", false)[0], 0x32);
        assert_eq!(subscribe(1, &["s".into(), "t".into()]), b"\x82\x0a\x00\x01\x00\x01s\x00\x00\x01t\x00");
    }

    #[test]
    fn lengths_are_written_as_the_standards_examples() {
        for (length, digits) in [
            (0, &[0][..]),
            (127, &[0x7f]),
            (128, &[0x80, 1]),
            (16_383, &[0xff, 0x7f]),
            (16_384, &[0x80, 0x80, 1]),
        ] {
            let packet = whole(0, &vec![0; length]);
            assert_eq!(packet[1..packet.len() - length], *digits, "{length}");
        }
    }

    #[test]
    fn what_comes_is_taken_apart_however_it_is_cut() {
        let mut all =
            b"\x20\x02\x00\x05\x31\x08\x00\x03a/bon\xff\x40\x02\x00\x07\x90\x04\x00\x01\x00\x80\xd0\x00"
                .to_vec();
        let wanted = [
            Incoming::Welcome(5),
            Incoming::Message { topic: "a/b".into(), payload: b"on\xff".to_vec() },
            Incoming::Acknowledged(7),
            Incoming::Subscribed { id: 1, granted: false },
            Incoming::Pong,
        ];
        let (mut come, mut found) = (BytesMut::new(), Vec::new());
        for byte in all.drain(..) {
            come.put_u8(byte);
            found.extend(take(&mut come).unwrap());
        }
        assert_eq!(found, wanted);
        assert!(come.is_empty());
    }

    #[test]
    fn what_is_too_long_is_refused_by_its_head_alone() {
        assert_eq!(head(&[0x30, 0x80, 0x80, 0x01]), Ok(Some((0x30, 4, LONGEST))));
        for bad in
            [&[0x30, 0x81, 0x80, 0x01][..], &[0x30, 0xff, 0xff, 0xff, 0x7f], &[0x30, 0x80, 0x80, 0x80, 0x80]]
        {
            assert!(taken(bad).is_err(), "{bad:?}");
        }
        assert_eq!(taken(&[0x30, 0x80]), Ok(None));
    }

    #[test]
    fn what_nobody_waits_for_is_refused() {
        let acknowledged_twice = b"\x34\x05\x00\x01a\x00\x01";
        let cut_topic = b"\x30\x03\x00\x09a";
        let no_text = b"\x30\x03\x00\x01\xff";
        for bad in [
            &acknowledged_twice[..],
            cut_topic,
            no_text,
            b"\x20\x01\x00",
            b"\x40\x00",
            b"\x90\x02\x00\x01",
            b"\xd0\x01x",
            b"\x00\x00",
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
        ] {
            let mut come = BytesMut::from(bad);
            come.put_bytes(0, 200);
            assert!(take(&mut come).is_err(), "{bad:?}");
        }
    }
}
