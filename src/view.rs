//! The read-only view: what people browse.
//!
//! [`tree`] says what is where (pure), [`fs`] answers what an operating system asks, [`fuse`] carries the
//! questions of Linux, and [`mount`] brings all that to a mount point and keeps it fresh while syncs go on.

pub mod fs;
pub mod fuse;
pub mod history;
pub mod layout;
pub mod mount;
pub mod mountpoint;
pub mod open_directories;
pub mod open_files;
pub mod places;
pub mod sidecar;
pub mod source;
pub mod tree;

pub use mount::{Mounted, ViewOptions};
pub use mountpoint::ViewError;
pub use source::{IndexSource, News, Rest, Source};
pub use tree::Tree;
