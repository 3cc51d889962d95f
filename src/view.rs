//! The archive as a read-only file system.

pub mod tree;

pub use tree::Tree;
