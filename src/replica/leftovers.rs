//! What a replication that was killed left in a directory: files that never got their name.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::store::Group;

/// Somebody else may be sending right now.
const OLD: Duration = Duration::from_secs(24 * 3600);

/// Removes unfinished files that nobody has written to for a day. What cannot be removed stays.
pub(super) fn clear(directory: &Path) {
    for group in Group::blobs().chain(Group::records()) {
        let Ok(entries) = fs::read_dir(directory.join(group.path())) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if !name.to_str().is_some_and(is_unfinished) {
                continue;
            }
            let age = entry
                .metadata()
                .and_then(|meta| meta.modified())
                .map(|at| SystemTime::now().duration_since(at));
            if age.is_ok_and(|age| age.is_ok_and(|age| age > OLD)) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// `….part`, and `…#1` as the library calls what it is writing.
fn is_unfinished(name: &str) -> bool {
    let numbered =
        name.rsplit_once('#').is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    numbered || name.ends_with(".part")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_old_unfinished_files_go() {
        let dir = tempfile::tempdir().unwrap();
        let shard = dir.path().join("blobs/ab");
        fs::create_dir_all(&shard).unwrap();
        let old = SystemTime::now() - 2 * OLD;
        for (name, time) in [
            ("x", old),
            ("x#1", old),
            ("x.part", old),
            ("x.part#12", old),
            ("y#1", SystemTime::now()),
            ("z#a", old),
        ] {
            fs::File::create(shard.join(name)).unwrap().set_modified(time).unwrap();
        }
        clear(dir.path());
        let mut left: Vec<_> =
            fs::read_dir(&shard).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["x", "y#1", "z#a"]);
    }
}
