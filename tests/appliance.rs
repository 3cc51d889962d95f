//! The real program, as a person or a container starts it.

mod errors;
mod kills;
pub mod support;
mod whole;
