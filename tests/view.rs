//! The view: the tree alone, then real mounts. They need root and /dev/fuse, as `docker/test` has them.

mod consumers;
mod lifecycle;
mod listings;
mod programs;
mod reading;
pub mod support;
mod tree;
mod unprivileged;
mod views;
mod writing;
