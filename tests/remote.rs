//! The far side: a real Chromium, and direct transfers.

pub mod browser;
mod resume;
