//! One pass over a library.

pub mod browser;
mod everything;
mod faults;
mod histories;
mod plain;
pub mod support;
mod viewer;
