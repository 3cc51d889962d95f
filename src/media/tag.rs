//! The languages in which files speak of themselves, whatever container they lie in.

pub mod apple;
pub mod exif;
pub mod iptc;
pub mod xmp;
