//! `VrseUb`: one item and the addresses of its files (contract 5.7).

use serde_json::{Value, json};

use super::fields::Fields;
use super::item::{self, FIELD_LIVE};
use crate::model::{MediaKey, PartRole, RemoteItem};
use crate::remote::{Offer, RemoteError, Through};

/// The call's name.
pub const RPCID: &str = "VrseUb";

/// The arguments for an item of the person's own library, or of an album.
pub fn args(key: &MediaKey, through: Option<&Through>) -> Value {
    let access = through.and_then(|through| through.access.as_deref());
    json!([key, null, access, null, through.map(|through| &through.album)])
}

/// Reads the item itself, as a listing would show it.
pub fn item(key: &MediaKey, payload: &Value) -> Result<RemoteItem, RemoteError> {
    let f = Fields::new(RPCID, payload)?;
    let item = item::item(RPCID, f.field(1).ok_or_else(|| f.drift(1))?)?;
    if item.key != *key {
        return Err(RemoteError::Item(format!("{RPCID}: Google answered for another item")));
    }
    Ok(item)
}

/// Reads the addresses. Field 2 is the rendition with edits, field 8 the untouched upload, absent unless
/// the item was edited; then field 2 is the upload itself.
pub fn decode(key: &MediaKey, payload: &Value) -> Result<Vec<Offer>, RemoteError> {
    let f = Fields::new(RPCID, payload)?;
    let item = f.field(1).ok_or_else(|| f.drift(1))?;
    // Only the key: what the listing said of the item stands already.
    let named = Fields::new(RPCID, item)?;
    match named.text(1)? {
        Some(text) if text == key.as_str() => {}
        Some(text) if text.starts_with("AF1Qip") => {
            return Err(RemoteError::Item(format!("{RPCID}: Google answered for another item")));
        }
        _ => return Err(f.drift(1)),
    }
    let current = address(&f, 2)?;
    let upload = address(&f, 8)?;
    let mut offers = Vec::new();
    match (upload, current) {
        (Some(upload), edited) => {
            offers.push(Offer { role: PartRole::Original, url: upload });
            offers.extend(edited.map(|url| Offer { role: PartRole::Edited, url }));
        }
        (None, Some(url)) => offers.push(Offer { role: PartRole::Original, url }),
        (None, None) => {
            return Err(RemoteError::NotYet(
                "Google offers no download for it yet (a video that is still being processed?)".into(),
            ));
        }
    }
    let clip = named.message(FIELD_LIVE)?.map(|live| address(&live, 4)).transpose()?;
    offers.extend(clip.flatten().map(|url| Offer { role: PartRole::Motion, url }));
    // Image hosts re-encode: their bytes are never the upload (contract 4.1).
    let renditions_only = offers.iter().any(|o| o.role == PartRole::Original && is_rendition(&o.url));
    if renditions_only {
        return Err(RemoteError::Item("Google offers only a re-encoded rendition of it".into()));
    }
    offers.retain(|offer| !is_rendition(&offer.url));
    Ok(offers)
}

fn address(f: &Fields<'_>, number: u32) -> Result<Option<String>, RemoteError> {
    let Some(url) = f.text(number)?.filter(|url| !url.is_empty()) else { return Ok(None) };
    if !url.starts_with("https://") {
        return Err(f.drift(number));
    }
    Ok(Some(url.to_owned()))
}

fn is_rendition(url: &str) -> bool {
    let host = url.trim_start_matches("https://").split(['/', ':', '?']).next().unwrap_or_default();
    let image_host = host.strip_prefix("lh").and_then(|rest| rest.split_once('.'));
    image_host.is_some_and(|(number, domain)| {
        number.bytes().all(|b| b.is_ascii_digit())
            && (domain == "googleusercontent.com" || domain == "google.com")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn row(key: &str, clip: Option<&str>) -> Value {
        json!([key, ["https://lh3/x", 4, 3], 1_600_000_000_000_i64, "", 0, 5, ["o"], [], 2,
            {"146008172": [37, 1500, null, clip]}])
    }

    fn roles(payload: Value) -> Result<Vec<(PartRole, String)>, RemoteError> {
        let offers = decode(&MediaKey::new("k").unwrap(), &payload)?;
        Ok(offers.into_iter().map(|o| (o.role, o.url)).collect())
    }

    #[test]
    fn an_edited_item_offers_both_and_the_upload_is_the_original() {
        use PartRole::{Edited, Motion, Original};
        let clip = "https://video-downloads.googleusercontent.com/c";
        let dense = json!([row("k", Some(clip)), "https://a/e", [], null, null, null, null, "https://a/o"]);
        let sparse = json!([row("k", None), "https://a/e", {"8": "https://a/o"}]);
        let (original, edited) = ((Original, "https://a/o".into()), (Edited, "https://a/e".into()));
        assert_eq!(roles(dense).unwrap(), [original.clone(), edited.clone(), (Motion, clip.into())]);
        assert_eq!(roles(sparse).unwrap(), [original, edited]);
        assert_eq!(
            roles(json!([row("k", None), "https://a/o"])).unwrap(),
            [(Original, "https://a/o".into())]
        );
    }

    #[test]
    fn no_rendition_and_no_foreign_item_passes_for_the_original() {
        for bad in [
            json!([row("k", None), "https://lh3.googleusercontent.com/x=d"]),
            json!([row("AF1QipOther", None), "https://a/o"]),
            json!([row("k", None), null]),
        ] {
            assert!(matches!(roles(bad), Err(RemoteError::Item(_) | RemoteError::NotYet(_))));
        }
        assert!(matches!(roles(json!([row("k", None), "http://a/o"])), Err(RemoteError::Drift { .. })));
    }
}
