//! What the view needs to know of one archived part.

use super::{CaptureTime, ItemState, MediaKey, PartRole, Sha1, Sha256, Verdict};

/// One part of the latest revision of an item, as the index hands it to the view.
#[derive(Clone, Debug, PartialEq)]
pub struct ArchivedPart {
    /// Position in the index' sequence of changes; grows with every applied record.
    pub change: u64,
    /// The item's number in the archive.
    pub ordinal: u64,
    /// Which file of the item.
    pub role: PartRole,
    /// The item's key.
    pub key: MediaKey,
    /// The item's file name, as uploaded.
    pub item_name: String,
    /// The part's own file name.
    pub name: String,
    /// Name of the blob.
    pub sha256: Sha256,
    /// The part's SHA-1.
    pub sha1: Sha1,
    /// Bytes.
    pub size: u64,
    /// How far it is proven.
    pub verdict: Verdict,
    /// The item's capture time.
    pub taken: CaptureTime,
    /// Camera maker of the original, as written in the file.
    pub make: Option<String>,
    /// Camera model of the original, as written in the file.
    pub model: Option<String>,
    /// Whether the item is still in the library.
    pub state: ItemState,
}
