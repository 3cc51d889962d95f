//! One pass over a library.

pub mod browser;
mod everything;
mod faults;
mod histories;
mod people;
mod plain;
pub mod support;
mod viewer;
