//! Has somebody signed in since? Answered from the dates in the browser's cookie file, without a look at any value.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OpenFlags};

/// Google renews a session's freshness every ten minutes or so while a page of it is open.
const FRESH: SignedDuration = SignedDuration::from_hours(24);
/// From the first day of 1601, from which the browser counts, to that of 1970; microseconds.
const EPOCH: i64 = 11_644_473_600_000_000;

/// When the account's session cookie was made, in the browser's own count; nothing if there is none. Another number than
/// before means another sign-in. A browser that runs writes it down within half a minute.
pub fn signed_in_at(profile: &Path) -> Option<i64> {
    newest(profile, "SELECT max(creation_utc) FROM cookies WHERE name = 'SID' AND host_key = '.google.com'")
}

/// Whether Google has not renewed the session for a day, although the library was visited just now. Accounts without
/// cookies that are renewed are never stale.
pub fn is_stale(profile: &Path, now: Timestamp) -> bool {
    let newest = newest(
        profile,
        "SELECT max(last_update_utc) FROM cookies WHERE name = '__Secure-1PSIDTS' AND host_key = '.google.com'",
    );
    let renewed = newest.and_then(|at| Timestamp::from_microsecond(at - EPOCH).ok());
    renewed.is_some_and(|at| now.duration_since(at) >= FRESH)
}

fn newest(profile: &Path, query: &str) -> Option<i64> {
    let file = profile.join("Default/Cookies");
    // Immutable: the browser holds a lock on the file all the time, and we only look.
    let address = format!("file:{}?immutable=1", percent_encoding::utf8_percent_encode(file.to_str()?, PATH));
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let jar = Connection::open_with_flags(address, flags).ok()?;
    jar.query_row(query, [], |row| row.get(0)).ok().flatten()
}

/// What means something in the address of a database.
const PATH: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS.add(b'%').add(b'?').add(b'#');

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn dates_tell_of_a_new_login_and_of_one_that_is_not_renewed() {
        // A name with what means something in an address.
        let dir = tempfile::tempdir().unwrap();
        let profile = dir.path().join("a?b#c%20d");
        let now: Timestamp = "2026-05-01T12:00:00Z".parse().unwrap();
        assert_eq!(signed_in_at(&profile), None);
        assert!(!is_stale(&profile, now), "no profile");
        std::fs::create_dir_all(profile.join("Default")).unwrap();
        let jar = Connection::open(profile.join("Default/Cookies")).unwrap();
        jar.execute_batch("CREATE TABLE cookies (name, host_key, creation_utc, last_update_utc)").unwrap();
        let bake = |name: &str, host: &str, at: Timestamp| {
            let at = at.as_microsecond() + EPOCH;
            jar.execute("INSERT INTO cookies VALUES (?1, ?2, ?3, ?3)", (name, host, at)).unwrap();
        };
        assert!(!is_stale(&profile, now), "an account without such cookies");
        let hours = |n| SignedDuration::from_hours(n);
        bake("SID", ".example.org", now);
        assert_eq!(signed_in_at(&profile), None, "another site's");
        bake("SID", ".google.com", now - hours(48));
        let first = signed_in_at(&profile).unwrap();
        bake("__Secure-1PSIDTS", ".google.com", now - hours(25));
        assert!(is_stale(&profile, now));
        bake("__Secure-1PSIDTS", ".google.com", now - hours(1));
        assert!(!is_stale(&profile, now));
        bake("SID", ".google.com", now);
        assert!(signed_in_at(&profile).unwrap() > first);
    }
}
