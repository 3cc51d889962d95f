//! shoebox archives every original of a Google Photos library.

pub mod model;
pub mod remote;
pub mod store;
