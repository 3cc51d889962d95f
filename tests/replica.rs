//! Second copies: in a real server of object storage and in directories.

mod appliance;
mod elsewhere;
mod line;
mod refusals;
mod restoring;
mod sealed;
mod sending;
mod server;
mod support;
