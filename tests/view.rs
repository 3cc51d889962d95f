//! The view: the tree alone, then real mounts. They need root and /dev/fuse, as `docker/test` has them.

mod consumers;
mod lifecycle;
mod listings;
mod programs;
mod reading;
mod support;
mod tree;
mod views;
mod writing;
