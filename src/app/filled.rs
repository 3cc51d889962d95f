//! Which archive a profile has filled. A volume that is not mounted, or the wrong one, shall never be taken for a
//! new beginning: everything would be fetched once more, into the wrong place.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::model::ArchiveId;
use crate::remote::RemoteError;

fn note(profile: &Path) -> PathBuf {
    profile.join("shoebox-archive")
}

/// The archive that the profile has filled; none if it has filled none, or nobody can say.
fn filled(profile: &Path) -> Option<String> {
    let text = fs::read_to_string(note(profile)).ok()?;
    text.split_whitespace().next().map(str::to_owned)
}

/// Whether somebody has signed in on the profile and filled an archive.
pub fn has_filled(profile: &Path) -> bool {
    filled(profile).is_some()
}

/// Refuses to make an archive for a profile that has filled one already.
pub fn refuse_second(profile: &Path, data: &Path) -> Result<(), RemoteError> {
    let Some(before) = filled(profile) else { return Ok(()) };
    Err(RemoteError::Environment(format!(
        "{} is empty, but the profile {} has filled the archive {before} before: its volume is not mounted. To begin \
         a second archive all the same, make it with `shoebox init` and remove {}",
        data.display(),
        profile.display(),
        note(profile).display()
    )))
}

/// Refuses an archive other than the one that the profile has filled before.
pub fn refuse_other(profile: &Path, id: &ArchiveId, data: &Path) -> Result<(), RemoteError> {
    match filled(profile) {
        Some(before) if before != id.as_str() => Err(RemoteError::Environment(format!(
            "{} is the archive {id}, but the profile {} has filled the archive {before} before: mount the right volume. \
             To go on with this one, remove {}",
            data.display(),
            profile.display(),
            note(profile).display()
        ))),
        _ => Ok(()),
    }
}

/// Remembers the archive, once somebody is signed in.
pub fn remember(profile: &Path, id: &ArchiveId) -> Result<(), RemoteError> {
    if filled(profile).is_some() {
        return Ok(());
    }
    let write = || {
        let mut file = fs::File::create(note(profile))?;
        writeln!(file, "{id}")?;
        file.sync_all()
    };
    write().map_err(|e| RemoteError::Environment(format!("cannot write {}: {e}", note(profile).display())))
}
