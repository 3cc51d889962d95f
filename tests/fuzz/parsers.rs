//! All targets in one program: `FUZZ_TARGET` says which of `entries.rs` it tries. See `docker/fuzz`.

#![no_main]

mod entries;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

fn wanted() -> &'static entries::Target {
    static WANTED: OnceLock<&entries::Target> = OnceLock::new();
    WANTED.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let known = || entries::TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(" ");
        let found = entries::TARGETS.iter().find(|target| target.name == name);
        found.unwrap_or_else(|| panic!("FUZZ_TARGET is one of: {}", known()))
    })
}

fuzz_target!(|bytes: &[u8]| {
    let target = wanted();
    if bytes.len() <= target.longest {
        (target.eat)(bytes);
    }
});
