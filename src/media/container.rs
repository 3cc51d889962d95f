//! The containers: where a file of each kind keeps what it says. One file per container; none reads more than it needs.

pub mod avi;
pub mod gif;
pub mod heif;
pub mod iso;
pub mod jpeg;
pub mod matroska;
pub mod movie;
pub mod mpeg;
pub mod png;
pub mod raw;
pub mod tiff;
pub mod webp;
