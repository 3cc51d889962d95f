//! The store: what is on disk, whatever goes wrong.

#![allow(clippy::unwrap_used)]

mod blobs;
mod disk;
mod opening;
mod records;
mod repair;
mod room;
mod scrub;
pub mod support;
