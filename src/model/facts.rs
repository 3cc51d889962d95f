//! What a file says about itself.

use serde::{Deserialize, Serialize};

use super::CaptureTime;
use super::origin::Origin;
use super::record::is_false;

/// Facts read from the bytes of one part; every one may be unknown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MediaFacts {
    /// Version of the extractor that read them; a later one may know more.
    pub extractor: u32,
    /// Media type by content, for example `image/jpeg`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// When it was taken, by the file's own word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken: Option<CaptureTime>,
    /// What else the file and its name say of that, the better first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_dates: Vec<CaptureTime>,
    /// Camera maker as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub make: Option<String>,
    /// Camera model as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Lens as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lens: Option<String>,
    /// What made it, where that is no camera.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Width in pixels as stored, before orientation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height in pixels as stored, before orientation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Exif orientation, 1 to 8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orientation: Option<u8>,
    /// Length of a video, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Apple's identifier, which a still shares with its video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_id: Option<String>,
    /// A video is inside the file (Motion Photo); it stays there.
    #[serde(skip_serializing_if = "is_false")]
    pub embedded_motion: bool,
    /// Degrees north.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latitude: Option<f64>,
    /// Degrees east.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longitude: Option<f64>,
}
