//! What consumers may write: sidecars, where an overlay is set up. All else is refused as on any read-only file
//! system.

use std::ffi::OsStr;
use std::io;

use super::errno::FsError;
use super::fs::Fs;
use super::overlay::{Overlay, is_ours};
use super::tree::{Attr, Realm};

impl<B> Fs<B> {
    /// Whether there is an overlay.
    pub fn is_writable(&self) -> bool {
        self.overlay().is_some()
    }

    /// The path of a directory whose files may be overlaid; not of those of the past.
    fn place(&self, directory: u64) -> Option<(&Overlay, String)> {
        let overlay = self.overlay()?;
        if Realm::of_ino(directory).is_some() {
            return None;
        }
        Some((overlay, self.tree().path(directory)?))
    }

    /// The overlaid file of that name.
    pub(super) fn overlaid(&self, directory: u64, name: &str) -> Option<Attr> {
        let (overlay, path) = self.place(directory)?;
        overlay.attr(overlay.find(&path, name)?).ok()
    }

    /// All overlaid files of a directory.
    pub(super) fn overlaid_in(&self, directory: u64) -> Vec<(String, u64)> {
        self.place(directory).map(|(overlay, path)| overlay.list(&path)).unwrap_or_default()
    }

    /// When the overlaid files of a directory changed.
    pub(super) fn overlay_changed(&self, directory: u64) -> Option<jiff::Timestamp> {
        let (overlay, path) = self.place(directory)?;
        overlay.changed(&path)
    }

    /// A directory with the time at which its overlaid files changed, if that is later.
    pub(super) fn with_overlay(&self, attr: Attr) -> Attr {
        let changed = if attr.is_dir { self.overlay_changed(attr.ino) } else { None };
        Attr { mtime: changed.map_or(attr.mtime, |changed| changed.max(attr.mtime)), ..attr }
    }

    /// Makes a sidecar.
    ///
    /// # Errors
    /// [`FsError::ReadOnly`] for anything else.
    pub fn create(&self, parent: u64, name: &OsStr) -> Result<Attr, FsError> {
        let (overlay, path, name) = self.writable(parent, name)?;
        Ok(overlay.attr(overlay.create(&path, name)?)?)
    }

    /// Makes a generated sidecar one that can be written: with the same content, under another inode.
    ///
    /// # Errors
    /// [`FsError::ReadOnly`] if it is not one; [`FsError::Stale`] if it is: who asked must look its name up again.
    pub fn copy_up(&self, ino: u64) -> Result<(), FsError> {
        let overlay = self.overlay().ok_or(FsError::ReadOnly)?;
        let places = self.tree().sidecar_places(ino);
        if places.is_empty() {
            return Err(FsError::ReadOnly);
        }
        self.open(ino, |_| None)?;
        let size = usize::try_from(self.getattr(ino)?.size).unwrap_or(0);
        let bytes = self.read(ino, 0, size);
        self.release(ino);
        let bytes = bytes?;
        for (directory, name) in places {
            let made = overlay.create(&directory, &name)?;
            overlay.write(made, 0, &bytes)?;
        }
        Err(FsError::Stale)
    }

    /// Writes to a sidecar.
    ///
    /// # Errors
    /// What prevents it.
    pub fn write(&self, ino: u64, offset: u64, bytes: &[u8]) -> Result<(), FsError> {
        let overlay = self.overlay().filter(|_| Overlay::has(ino)).ok_or(FsError::ReadOnly)?;
        Ok(overlay.write(ino, offset, bytes)?)
    }

    /// Cuts or lengthens a sidecar.
    ///
    /// # Errors
    /// What prevents it.
    pub fn resize(&self, ino: u64, size: u64) -> Result<Attr, FsError> {
        let overlay = self.overlay().ok_or(FsError::ReadOnly)?;
        if !Overlay::has(ino) {
            self.copy_up(ino)?;
        }
        overlay.resize(ino, size)?;
        Ok(overlay.attr(ino)?)
    }

    /// Gives a sidecar another name.
    ///
    /// # Errors
    /// What prevents it.
    pub fn rename(&self, from: (u64, &OsStr), to: (u64, &OsStr)) -> Result<(), FsError> {
        let (overlay, old, old_name) = self.writable(from.0, from.1)?;
        let (_, new, new_name) = self.writable(to.0, to.1)?;
        if overlay.find(&old, old_name).is_none() {
            return Err(FsError::ReadOnly);
        }
        Ok(overlay.rename((&old, old_name), (&new, new_name))?)
    }

    /// Takes a written sidecar away; a generated one shows again.
    ///
    /// # Errors
    /// What prevents it.
    pub fn unlink(&self, parent: u64, name: &OsStr) -> Result<(), FsError> {
        let (overlay, path, name) = self.writable(parent, name)?;
        if overlay.find(&path, name).is_none() {
            return Err(FsError::ReadOnly);
        }
        Ok(overlay.remove(&path, name)?)
    }

    fn writable<'a>(&self, parent: u64, name: &'a OsStr) -> Result<(&Overlay, String, &'a str), FsError> {
        let (overlay, path) = self.place(parent).ok_or(FsError::ReadOnly)?;
        let name = name.to_str().filter(|name| is_ours(name)).ok_or(FsError::ReadOnly)?;
        // Beside photos, not in the root or among the views.
        if self.tree().is_leaf(parent) { Ok((overlay, path, name)) } else { Err(FsError::ReadOnly) }
    }
}

impl From<io::Error> for FsError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            io::ErrorKind::NotFound => Self::NotFound,
            _ => Self::Io(error),
        }
    }
}
