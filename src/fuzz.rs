//! Doors to private parsers: `tests/fuzz` and the tests hand them bytes as their callers would. Behind the
//! feature `fuzz`, so that nothing else comes to rely on them.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::Deserializer;
use tokio_util::sync::CancellationToken;

use crate::adopt::candidates::candidates;
use crate::adopt::source::Survey;
use crate::adopt::{takeout, tape};
use crate::cli;
use crate::index::packed;
use crate::media;
use crate::media::kind::Kind;
use crate::media::said::Found;
use crate::media::tag::{iptc, xmp};
use crate::model::MediaFacts;
use crate::notice::mqtt::packet;
use crate::remote::browser::tab::Landing;
use crate::remote::viewer::{locale, names, photo};
use crate::remote::{direct, net, session};
use crate::store::archive_json;

/// Where the library's page has landed, then what its globals show: two JSON values.
pub fn session(bytes: &[u8]) {
    let landing = Deserializer::from_slice(bytes).into_iter::<Landing>().next();
    let Some(Ok(landing)) = landing else { return };
    let mut second = Deserializer::from_slice(bytes).into_iter::<serde_json::Value>();
    second.next();
    let rest = bytes.get(second.byte_offset()..).unwrap_or_default();
    if let Some(Ok(evidence)) = Deserializer::from_slice(rest).into_iter::<session::Evidence>().next() {
        session::judge(&landing, &evidence);
    }
}

/// What the info panel of a photo's page says, in a language.
pub fn panel(language: &str, bytes: &[u8]) {
    if let Ok(fields) = serde_json::from_slice::<photo::Fields>(bytes) {
        photo::seen(locale::words(language), fields);
    }
}

/// A download's suggested name beside the name that its page tells.
pub fn names_agree(suggested: &str, named: &str) -> bool {
    names::agree(suggested, named)
}

/// A `Content-Disposition` header.
pub fn disposition(value: &str) -> Option<String> {
    direct::disposition_name(value)
}

/// `--resolve`, and whether it concerns a host.
pub fn resolve_rule(text: &str, host: &str) -> bool {
    text.parse::<net::ResolveRule>().is_ok_and(|rule| rule.matches(host))
}

/// Times and rates of the command line.
pub fn options(text: &str) -> bool {
    cli::duration(text).is_ok() || cli::remote::rate(text).is_ok()
}

/// Bytes as a JSON of a Takeout, as a tar, and as a zip whose files are then read and paired.
pub fn takeout(bytes: &[u8]) {
    let _ = takeout::read(bytes);
    let mut sink = Vec::new();
    let _ = tape::each(bytes, &mut |_, content| {
        sink.clear();
        content.take(1 << 16).read_to_end(&mut sink)?;
        Ok(true)
    });
    let mut survey = Survey::default();
    let here = Path::new("takeout.zip");
    let _ = survey.zip(here, "", Arc::new(bytes.to_vec()), &CancellationToken::new());
    for file in &survey.files {
        sink.clear();
        let _ = survey.open(file, |content| content.take(1 << 16).read_to_end(&mut sink));
    }
    candidates(&survey);
}

/// Bytes as XMP, as IPTC, and as what Photoshop puts around that.
pub fn tags(bytes: &[u8]) -> MediaFacts {
    let mut found = Found::default();
    xmp::read(bytes, &mut found);
    iptc::read(bytes, &mut found);
    if let Some(datasets) = iptc::of_photoshop(bytes) {
        iptc::read(datasets, &mut found);
    }
    media::facts(Kind::Jpeg, &found, "")
}

/// `archive.json`.
pub fn archive_json(bytes: &[u8]) -> bool {
    archive_json::parse(Path::new("/"), bytes).is_ok()
}

/// A row of the index as the view reads it.
pub fn index_row(bytes: &[u8]) -> bool {
    packed::unpack(1, 1, bytes).is_some()
}

/// What a broker sends: the number of packets that were taken before it ended or was refused.
pub fn broker(bytes: &[u8]) -> usize {
    let mut come = bytes::BytesMut::from(bytes);
    std::iter::from_fn(|| packet::take(&mut come).ok().flatten()).count()
}
