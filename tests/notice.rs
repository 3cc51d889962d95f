//! What people are told, against servers that are as strict as the real ones; mail and MQTT against real ones.

mod appliance;
mod broker;
pub mod desk;
mod home;
mod mail;
mod services;
