//! The view: the tree alone, then real mounts.

mod support;
mod tree;
