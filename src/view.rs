//! The read-only view: what people browse.
//!
//! [`tree`] says what is where (pure), [`fuse`] answers the kernel, [`mount`] brings both to a mount point
//! and keeps them fresh while syncs go on.

pub mod fuse;
pub mod mount;
pub mod tree;

pub use mount::{Mounted, Update, ViewError, ViewOptions};
