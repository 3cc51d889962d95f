//! One pass over a library.

mod browser;
mod faults;
mod plain;
pub mod support;
