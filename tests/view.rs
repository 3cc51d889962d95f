//! The view: the tree alone, then real mounts.

mod mounted;
mod support;
mod tree;
