//! The read-only view: what people browse.
//!
//! [`layout`] is what a view is: a path template, a condition. [`source`] gives what is archived, [`tree`] says what
//! is where (pure), [`history`] what was where, [`sidecar`] makes the files that are not archived, [`overlay`]
//! keeps those that consumers write ([`writing`]). [`fs`] answers what an operating system asks ([`demand`]: how
//! much of it in advance; [`errno`]: or why not), [`fuse`] carries the questions of Linux, [`mountpoint`] guards the
//! place and [`mount`] brings all that there and keeps it fresh while syncs go on. `SEMANTICS.md` lists the promises.

pub mod demand;
pub mod errno;
pub mod fs;
pub mod fuse;
pub mod history;
pub mod layout;
pub mod mount;
pub mod mountpoint;
pub mod open_directories;
pub mod open_files;
pub mod overlay;
pub mod places;
pub mod sidecar;
pub mod source;
pub mod tree;
pub mod writing;

pub use fs::BlobBytes;
pub use mount::{Mounted, ViewOptions};
pub use mountpoint::ViewError;
pub use source::{IndexSource, News, Rest, Source};
pub use tree::Tree;
