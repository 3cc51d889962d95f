//! The far side: a real Chromium, and direct transfers.

mod browser;
mod resume;
