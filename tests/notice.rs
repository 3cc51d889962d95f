//! What people are told, against servers that are as strict as the real ones; mail against a real one.

mod appliance;
mod desk;
mod mail;
mod services;
