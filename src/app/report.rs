//! Commands that read the archive and tell about it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytesize::ByteSize;
use serde_json::json;
