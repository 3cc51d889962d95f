//! The one integration binary: one link, one place to look.
#![allow(clippy::unwrap_used)]

mod adopt;
mod appliance;
mod architecture;
mod export;
mod index;
mod licences;
mod media;
mod notice;

mod promises;
mod proof;
mod remote;
mod replica;
mod sim;
mod store;
mod sync;
mod view;
