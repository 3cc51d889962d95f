//! The directories that somebody reads, and the listings that the kernel may still be working through.

use std::collections::HashMap;

use jiff::Timestamp;

use super::demand::PROBES;
use super::tree::Listing;

/// Open directories and the versions of their listings.
///
/// A position in a directory (the cookie that the kernel hands back) names a version and an index in it. The
/// kernel keeps listings itself and may serve the first half of one from there and ask us for the rest, on
/// any handle, after the directory has changed; it then gets the rest of the very same version.
#[derive(Default)]
pub struct OpenDirectories {
    last_handle: u64,
    last_version: u32,
    handles: HashMap<u64, u64>,
    directories: HashMap<u64, Versions>,
}

#[derive(Default)]
struct Versions {
    users: usize,
    /// Oldest first.
    listings: Vec<Version>,
    /// What the kernel had forgotten when the latest reading began.
    begun: u64,
    /// Files that were handed out without attributes since the latest reading began.
    bare: usize,
    delivered: Option<Delivered>,
}

/// The listing that the kernel got last.
struct Delivered {
    then: Freshness,
    /// Whether it is of names alone.
    names: bool,
}

struct Version {
    number: u32,
    changed: Timestamp,
    listing: Listing,
}

/// What a listing kept by the kernel depends on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// When the directory changed last.
    pub changed: Timestamp,
    /// How many inodes the kernel had forgotten: after a forgetting, its listing lacks attributes.
    pub forgotten: u64,
}

/// The highest number of a version, so that cookies stay positive as signed numbers.
const MOST_VERSIONS: u32 = i32::MAX as u32;

impl OpenDirectories {
    /// A handle on a directory; also whether the listing that the kernel may have kept is still good. One of names
    /// alone is, if they will do.
    pub fn open(&mut self, ino: u64, now: Freshness, names_will_do: bool) -> (u64, bool) {
        self.last_handle += 1;
        self.handles.insert(self.last_handle, ino);
        let directory = self.directories.entry(ino).or_default();
        directory.users += 1;
        let good = |kept: &Delivered| kept.then == now && (names_will_do || !kept.names);
        (self.last_handle, directory.delivered.as_ref().is_some_and(good))
    }

    /// Closes a handle. When nobody reads the directory any more, only its latest listing is kept: the one
    /// that the kernel may have.
    pub fn close(&mut self, handle: u64) {
        let Some(ino) = self.handles.remove(&handle) else { return };
        if let Some(directory) = self.directories.get_mut(&ino) {
            directory.users -= 1;
            if directory.users == 0 {
                let old = directory.listings.len().saturating_sub(1);
                directory.listings.drain(..old);
            }
        }
    }

    /// Begins reading: the version of this listing, new if the directory changed since the last one.
    pub fn begin(&mut self, ino: u64, now: Freshness, listing: Listing) -> u32 {
        let Freshness { changed, forgotten } = now;
        let directory = self.directories.entry(ino).or_default();
        (directory.begun, directory.bare) = (forgotten, 0);
        if let Some(latest) = directory.listings.last().filter(|version| version.changed == changed) {
            return latest.number;
        }
        self.last_version = self.last_version % MOST_VERSIONS + 1;
        directory.listings.push(Version { number: self.last_version, changed, listing });
        self.last_version
    }

    /// The listing of a version; the latest one if that version is no longer kept. Also when it was true.
    pub fn version(&self, ino: u64, number: u32) -> Option<(u32, Listing, Timestamp)> {
        let listings = &self.directories.get(&ino)?.listings;
        let found = listings.iter().rfind(|version| version.number == number).or(listings.last())?;
        Some((found.number, found.listing.clone(), found.changed))
    }

    /// Notes that so many more files were handed out without attributes.
    pub fn handed_out(&mut self, ino: u64, bare: usize) {
        if let Some(directory) = self.directories.get_mut(&ino) {
            directory.bare += bare;
        }
    }

    /// Notes that the kernel got the listing of a directory that changed then to its end; how many of its files
    /// had no attributes.
    pub fn delivered(&mut self, ino: u64, changed: Timestamp, bare: usize) -> usize {
        self.handed_out(ino, bare);
        let Some(directory) = self.directories.get_mut(&ino) else { return 0 };
        let then = Freshness { changed, forgotten: directory.begun };
        directory.delivered = Some(Delivered { then, names: directory.bare > PROBES });
        directory.bare
    }
}

/// The cookie of an index in a version.
pub const fn cookie(version: u32, index: u32) -> u64 {
    (version as u64) << 32 | index as u64
}

/// Version and index of a cookie.
pub const fn split(cookie: u64) -> (u32, u32) {
    ((cookie >> 32) as u32, (cookie & 0xffff_ffff) as u32)
}
