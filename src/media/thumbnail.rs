//! Small pictures of large ones, for people who look for a photo.

use std::io::{BufReader, Cursor};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader};

use super::guard;
use super::kind::{self, Kind};
use crate::model::{PositionedReader, ReadAt};

/// Longer sides are made this long, in pixels.
pub const SIDE: u32 = 400;
/// Largest picture that is unpacked, bytes of pixels: 100 megapixels of three bytes.
const MOST_PIXELS: u64 = 300 * 1000 * 1000;
/// Largest file that is read for it, bytes.
const MOST_BYTES: u64 = 200 * 1024 * 1024;
/// Of 100.
const QUALITY: u8 = 80;
/// A slow machine needs seconds for a large one.
const LIMIT: Duration = Duration::from_secs(30);
/// Those that run wild are no reason to archive without facts.
static ABANDONED: AtomicUsize = AtomicUsize::new(0);

/// Whether a file of this kind can be made small.
pub const fn can_be_made(kind: Kind) -> bool {
    matches!(kind, Kind::Jpeg | Kind::Png | Kind::Webp)
}

/// A JPEG whose sides are at most [`SIDE`], turned as the picture says it is to be looked at. `name` is for the log.
///
/// # Errors
/// A sentence that says why there is none: another kind of file, damage, a picture that is too large.
pub fn of(bytes: Arc<dyn ReadAt>, name: &str) -> Result<Vec<u8>, String> {
    let format = match kind::of(&*bytes) {
        Kind::Jpeg => ImageFormat::Jpeg,
        Kind::Png => ImageFormat::Png,
        Kind::Webp => ImageFormat::WebP,
        other => return Err(format!("no small picture is made of {}", other.media_type())),
    };
    let size = bytes.size().map_err(|e| e.to_string())?;
    if size > MOST_BYTES {
        return Err(format!("{size} bytes are too many for a small picture"));
    }
    guard::run(name, LIMIT, &ABANDONED, move || small(bytes, format))?
}

fn small(bytes: Arc<dyn ReadAt>, format: ImageFormat) -> Result<Vec<u8>, String> {
    let reader = BufReader::new(PositionedReader::new(bytes));
    let said = |e: image::ImageError| e.to_string();
    let mut decoder = ImageReader::with_format(reader, format).into_decoder().map_err(said)?;
    if decoder.total_bytes() > MOST_PIXELS {
        return Err(format!("{} bytes of pixels are too many for a small picture", decoder.total_bytes()));
    }
    // A picture without the mark, or with nonsense, stands as it is.
    let turned = decoder.orientation().unwrap_or(image::metadata::Orientation::NoTransforms);
    let picture = DynamicImage::from_decoder(decoder).map_err(said)?;
    let larger = picture.width() > SIDE || picture.height() > SIDE;
    let mut picture = if larger { picture.thumbnail(SIDE, SIDE) } else { picture };
    picture.apply_orientation(turned);
    let mut jpeg = Cursor::new(Vec::new());
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY).encode_image(&picture.to_rgb8()).map_err(said)?;
    Ok(jpeg.into_inner())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use image::{GenericImageView as _, Rgb, RgbImage};

    fn encoded(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let picture = RgbImage::from_fn(width, height, |x, _| {
            if x < width / 2 { Rgb([200, 30, 30]) } else { Rgb([30, 30, 200]) }
        });
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::from(picture).write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn small_of(bytes: Vec<u8>) -> Result<DynamicImage, String> {
        let jpeg = of(Arc::new(bytes), "x")?;
        Ok(image::load_from_memory_with_format(&jpeg, ImageFormat::Jpeg).unwrap())
    }

    /// A JPEG with an Exif segment that says how it is to be turned.
    fn turned(orientation: u8) -> Vec<u8> {
        let jpeg = encoded(600, 300, ImageFormat::Jpeg);
        let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
        let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
        [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
    }

    #[test]
    fn pictures_are_made_small_and_never_large() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
            assert_eq!(small_of(encoded(1000, 500, format)).unwrap().dimensions(), (400, 200), "{format:?}");
        }
        assert_eq!(small_of(encoded(60, 20, ImageFormat::Png)).unwrap().dimensions(), (60, 20));
    }

    #[test]
    fn pictures_are_turned_as_they_say() {
        let upright = small_of(turned(6)).unwrap();
        assert_eq!(upright.dimensions(), (200, 400));
        // Turned to the right, what was on the left is above.
        let (above, below) = (upright.get_pixel(100, 50), upright.get_pixel(100, 350));
        assert!(above[0] > 150 && below[2] > 150, "{above:?} {below:?}");
        assert_eq!(small_of(turned(1)).unwrap().dimensions(), (400, 200));
        assert_eq!(small_of(turned(99)).unwrap().dimensions(), (400, 200));
    }

    #[test]
    fn what_is_damaged_too_large_or_no_picture_has_none() {
        let whole = encoded(600, 300, ImageFormat::Png);
        assert!(small_of(whole[..whole.len() / 2].to_vec()).is_err());
        assert!(small_of(b"GIF89a".to_vec()).unwrap_err().contains("image/gif"));
        assert!(small_of(b"\0\0\0\x18ftypheic".to_vec()).unwrap_err().contains("image/heic"));
        // A header that promises 60,000 by 60,000 pixels.
        let mut bomb = encoded(8, 8, ImageFormat::Png);
        bomb[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
        assert!(small_of(bomb).is_err());
    }
}
