//! One pass over a library.

mod browser;
mod faults;
mod histories;
mod plain;
mod random;
pub mod support;
