//! shoebox archives every original of a Google Photos library.

pub mod app;
pub mod archive;
pub mod cli;
pub mod exit;
pub mod export;
pub mod index;
pub mod ingest;
pub mod media;
pub mod model;
pub mod plan;
pub mod remote;
pub mod serve;
pub mod signals;
#[cfg(feature = "sim")]
pub mod sim;
pub mod store;
pub mod sync;
pub mod telemetry;
pub mod view;
