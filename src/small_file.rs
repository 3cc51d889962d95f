//! A small file of our own that is replaced whole or not at all, and a handful of bytes that nobody can guess.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::Serialize;

/// Replaces a file by a value as JSON, which only the file's owner can read. After a crash there is either the old or
/// the new one.
///
/// # Errors
/// When the disk refuses.
pub fn replace(file: &Path, value: &impl Serialize) -> io::Result<()> {
    write(file, &serde_json::to_vec(value).map_err(io::Error::other)?)
}

/// Replaces a file by these bytes, likewise.
///
/// # Errors
/// When the disk refuses.
pub fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    let new = Path::new(&name);
    let mut options = fs::OpenOptions::new();
    let mut to = options.write(true).create(true).truncate(true).mode(0o600).open(new)?;
    to.write_all(bytes)?;
    to.sync_all()?;
    fs::rename(new, file)
}

/// Bytes that nobody can guess.
///
/// # Errors
/// When the system has none.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_is_replaced_whole_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("kept.json");
        for value in [&[1, 2, 3][..], &[4]] {
            replace(&file, &value).unwrap();
            assert_eq!(serde_json::from_slice::<Vec<i32>>(&fs::read(&file).unwrap()).unwrap(), value);
        }
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(replace(&dir.path().join("absent/x"), &1).is_err());
    }
}
