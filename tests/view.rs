//! The view: the tree alone, then real mounts. They need root and /dev/fuse, as `docker/test` has them.

mod consumers;
mod endurance;
mod lifecycle;
mod listings;
mod programs;
mod reading;
mod support;
mod tree;
mod unprivileged;
mod views;
mod writing;
