//! The index: derived, disposable, and never ahead of the records.

#![allow(clippy::unwrap_used)]

pub mod archive;
mod facts;
mod queries;
