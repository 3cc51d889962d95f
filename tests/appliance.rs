//! The real program, as a person or a container starts it.

mod chrome;
mod doctor;
mod errors;
mod login;
mod pages;
mod people;
mod person;
pub mod sign_in;
pub mod support;
mod tls;
mod upkeep;
mod whole;
