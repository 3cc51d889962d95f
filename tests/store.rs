//! The store: what is on disk, whatever goes wrong.

#![allow(clippy::unwrap_used)]

mod blobs;
mod opening;
mod records;
mod scrub;
pub mod support;
