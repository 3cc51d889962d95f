//! All integration tests in one binary.

mod index;
mod store;
