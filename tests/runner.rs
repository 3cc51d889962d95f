//! The one integration binary: one link, one place to look.
#![allow(clippy::unwrap_used)]

mod architecture;
mod index;
mod remote;
mod store;
mod sync;
