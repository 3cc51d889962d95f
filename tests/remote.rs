//! The far side: a real Chromium.

mod browser;
