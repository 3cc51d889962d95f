//! The view of a very large archive: how soon it is there, how much memory it takes, how fast it lists, beside
//! native directories of the same shape. `MILLION=n` changes the number of items.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::Offset;
use shoebox::index::{Index, pack};
use shoebox::model::{
    ArchivedItem, ArchivedPart, CaptureTime, ItemState, MediaKey, PartRole, Sha256, SystemClock, TimeSource,
};
use shoebox::store::{RealDisk, Store};

use super::google::{Ended, program, wait_for};
use super::view::mounted;
use super::{median, number, walk};

/// One of ten years of photos: some 8,300 in each month of a million.
fn item(n: u64, random: &mut fastrand::Rng) -> ArchivedItem {
    let signed = i64::try_from(n).unwrap();
    let then = Timestamp::from_millisecond(1_600_000_000_000 + signed * 100_000).unwrap();
    let taken = Timestamp::from_second(1_262_304_000 + signed * 315).unwrap();
    let name = format!("IMG_{:04}.jpg", n % 10_000);
    let mut part = |role, name: String, size| {
        let mut hash = [0; 32];
        random.fill(&mut hash);
        ArchivedPart { role, version: 1, name: name.into(), sha256: Sha256::new(hash), size }
    };
    let mut parts = vec![part(PartRole::Original, name.clone(), 3_000_000 + n)];
    if n % 10 == 3 {
        parts.push(part(PartRole::Motion, name.replace("jpg", "mov"), 1000));
    }
    let town = (n % 331) as f64;
    ArchivedItem {
        change: n,
        ordinal: n,
        key: MediaKey::new(&key(n)).unwrap(),
        formerly: None,
        account: "1001".into(),
        state: ItemState::Present,
        since: then,
        added: then,
        name: name.into(),
        taken: CaptureTime {
            local: Offset::UTC.to_datetime(taken),
            offset_s: Some(3600),
            source: TimeSource::Exif,
        },
        make: Some("Maker".into()),
        model: Some(format!("Model {}", n % 30).into()),
        lens: n.is_multiple_of(4).then(|| format!("Lens {}", n % 20).into()),
        origin: None,
        date_conflict: false,
        media_type: Some(if n.is_multiple_of(20) { "video/mp4" } else { "image/jpeg" }.into()),
        position: n.is_multiple_of(2).then_some((40.0 + town / 40.0, 2.0 + town / 60.0)),
        favourite: n % 20 == 1,
        archived: n % 50 == 1,
        foreign: false,
        creation: None,
        owner: None,
        description: None,
        parts,
    }
}

fn key(n: u64) -> String {
    format!("AF1QipBench{n:033}")
}

fn insert(conn: &rusqlite::Connection, item: &ArchivedItem) {
    let ordinal = i64::try_from(item.ordinal).unwrap();
    conn.prepare_cached(
        "INSERT INTO item (ordinal, key, seq, record, account, state, name, since_ms, added_ms, remote)
         VALUES (?1, ?2, 1, randomblob(32), '1001', 'present', ?3, ?4, ?4,
             '{\"favourite\":false,\"archived\":false,\"quality\":\"original\"}')",
    )
    .unwrap()
    .execute(rusqlite::params![ordinal, item.key.as_str(), item.name, item.since.as_millisecond()])
    .unwrap();
    conn.prepare_cached("INSERT INTO feed (ordinal, change, doc) VALUES (?1, ?1, ?2)")
        .unwrap()
        .execute(rusqlite::params![ordinal, pack(item).unwrap()])
        .unwrap();
    for (position, part) in (0_i64..).zip(&item.parts) {
        conn.prepare_cached(
            "INSERT INTO part (ordinal, position, role, version, latest, name, sha256, sha1, size, verdict)
             VALUES (?1, ?2, ?3, 1, 1, ?4, ?5, randomblob(20), ?6, 'unproven')",
        )
        .unwrap()
        .execute(rusqlite::params![
            ordinal,
            position,
            part.role.code(),
            part.name,
            part.sha256.bytes().as_slice(),
            i64::try_from(part.size).unwrap()
        ])
        .unwrap();
    }
}

/// An archive whose index tells of items that were never fetched: listing them needs no bytes.
fn fill(data: &Path, items: u64) {
    let id = Store::init(data, Arc::new(RealDisk), Arc::new(SystemClock)).unwrap();
    let path = data.join("index.sqlite");
    Index::create(&path, &id).unwrap();
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA synchronous = OFF; BEGIN").unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    for n in 1..=items {
        insert(&conn, &item(n, &mut random));
    }
    // Albums of 500, one for each 2,500 items.
    for album in 0..items / 2500 {
        let keys: Vec<String> = (0..500).map(|n| format!("\"{}\"", key(album * 2500 + n * 3 + 1))).collect();
        let key = format!("AF1QipAlbum{album}");
        conn.execute(
            "INSERT INTO album (key, change, seq, record, account, state, kind, title)
             VALUES (?1, ?2, 1, randomblob(32), '1001', 'present', 'own', ?3)",
            rusqlite::params![key, i64::try_from(album).unwrap() + 1, format!("Album {album}")],
        )
        .unwrap();
        let doc = format!(
            "{{\"since\":\"2020-01-01T00:00:00Z\",\"state\":\"present\",\"kind\":\"own\",\"title\":\"Album {album}\",\
             \"owner\":null,\"items\":[{}]}}",
            keys.join(",")
        );
        conn.execute("INSERT INTO album_revision (album, seq, doc) VALUES (?1, 1, ?2)", [key, doc]).unwrap();
    }
    conn.execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
}

pub fn memory_kb(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn folders(dir: &Path, found: &mut Vec<PathBuf>) {
    let mut leaf = true;
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            leaf = false;
            folders(&entry.path(), found);
        } else {
            break;
        }
    }
    if leaf {
        found.push(dir.to_owned());
    }
}

fn shell(command: &str) -> Duration {
    let began = Instant::now();
    let status = Command::new("sh").args(["-c", command]).stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command}");
    began.elapsed()
}

fn drop_caches() {
    rustix::fs::sync();
    // Without the right to it, cold figures are warm ones, for both sides.
    let _ = fs::write("/proc/sys/vm/drop_caches", "3");
}

/// The whole figure.
pub fn million(dir: &Path) {
    let items = number("MILLION", 1_000_000);
    let (data, view, native) = (dir.join("archive"), dir.join("view"), dir.join("native"));
    fill(&data, items);
    let began = Instant::now();
    let mount = Command::new(program("shoebox"))
        .arg("mount")
        .arg(&view)
        .env("SHOEBOX_DATA", &data)
        .env("SHOEBOX_LOG", "warn")
        .spawn()
        .unwrap();
    let pid = mount.id();
    let mount = Ended(mount);
    wait_for(|| fs::read_dir(&view).is_ok());
    println!(
        "million {items} items in {} views: ready after {:.2} s",
        fs::read_dir(&view).unwrap().count(),
        began.elapsed().as_secs_f64()
    );
    println!("million memory when ready: {} MB", memory_kb(pid) / 1000);

    let mut leaves = Vec::new();
    folders(&view, &mut leaves);
    // Empty views are leaves here; the slowest first listing counts, whole.
    let slowest = leaves
        .iter()
        .map(|folder| {
            let began = Instant::now();
            let files = fs::read_dir(folder).unwrap().count();
            (began.elapsed(), files, folder)
        })
        .max()
        .unwrap();
    println!(
        "million slowest first listing of {} folders: {:.1} ms ({} files, {})",
        leaves.len(),
        slowest.0.as_secs_f64() * 1e3,
        slowest.1,
        slowest.2.strip_prefix(&view).unwrap().display()
    );
    println!("million memory after every folder was listed: {} MB", memory_kb(pid) / 1000);
    visible(&data, &view, items);
    named(&data, &view, items);

    // Native directories of the same shape and names, empty files.
    let shape = view.join("by-date");
    let mut months = Vec::new();
    folders(&shape, &mut months);
    for month in months {
        let own = native.join(month.strip_prefix(&shape).unwrap());
        fs::create_dir_all(&own).unwrap();
        for entry in fs::read_dir(&month).unwrap() {
            fs::File::create(own.join(entry.unwrap().file_name())).unwrap();
        }
    }
    let bind = mounted(dir, "bindfs", Command::new("bindfs").arg("-f").arg(&native), |at| {
        fs::read_dir(at).is_ok_and(|mut entries| entries.next().is_some())
    });
    let rounds = number("ROUNDS", 3);
    for (what, command, cold) in [
        ("find -type f, cold", "find DIR -type f", true),
        ("find -type f, warm", "find DIR -type f", false),
        ("du -s, cold", "du -s DIR", true),
        ("du -s, warm", "du -s DIR", false),
        ("ls -lR, cold", "ls -lR DIR", true),
    ] {
        let (mut ours, mut theirs, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..rounds {
            let one = |dir: &Path, times: &mut Vec<Duration>| {
                let command = command.replace("DIR", dir.to_str().unwrap());
                if cold {
                    drop_caches();
                } else if round == 0 {
                    shell(&command);
                }
                times.push(shell(&command));
            };
            one(&shape, &mut ours);
            one(&native, &mut theirs);
            // Slow enough that once will do.
            if let (Some(bind), 0) = (&bind, round) {
                one(bind.at(), &mut others);
            }
        }
        let (ours, theirs) = (median(ours), median(theirs));
        if let Some(other) = others.first() {
            let ratio = theirs.as_secs_f64() / other.as_secs_f64();
            println!("million {what}: bindfs {:.2} s, ratio {ratio:.2}", other.as_secs_f64());
        }
        println!(
            "million {what}: view {:.2} s, native {:.2} s, ratio {:.2}",
            ours.as_secs_f64(),
            theirs.as_secs_f64(),
            theirs.as_secs_f64() / ours.as_secs_f64()
        );
    }
    stat_known(&shape, &native, rounds);
    drop(mount);
    shoebox::view::mountpoint::release(&view).unwrap();
}

/// Looks at files whose paths are known, as programs do that keep a list: at most 100,000 of them.
fn stat_known(shape: &Path, native: &Path, rounds: u64) {
    let known = |dir: &Path| walk(dir).into_iter().take(100_000).collect::<Vec<_>>();
    let (seen, own) = (known(shape), known(native));
    let stat = |paths: &[PathBuf]| {
        let began = Instant::now();
        assert!(paths.iter().all(|path| fs::symlink_metadata(path).is_ok()));
        began.elapsed()
    };
    stat(&seen);
    stat(&own);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds.max(5) {
        ours.push(stat(&seen));
        theirs.push(stat(&own));
    }
    let (ours, theirs) = (median(ours).as_secs_f64(), median(theirs).as_secs_f64());
    println!(
        "million stat of {} known paths, warm: view {ours:.3} s, native {theirs:.3} s, ratio {:.2}",
        seen.len(),
        theirs / ours
    );
}

/// How soon an added item is seen.
fn visible(data: &Path, view: &Path, items: u64) {
    let conn = rusqlite::Connection::open(data.join("index.sqlite")).unwrap();
    let new = items + 1;
    let folder = view.join("by-date/2030/2030-01");
    let began = Instant::now();
    let local = "2030-01-01T00:00:00".parse().unwrap();
    let one = item(new, &mut fastrand::Rng::with_seed(2));
    conn.execute_batch("BEGIN").unwrap();
    insert(&conn, &ArchivedItem { name: "new.jpg".into(), taken: CaptureTime { local, ..one.taken }, ..one });
    conn.execute_batch("COMMIT").unwrap();
    wait_for(|| folder.join("new.jpg").exists());
    println!("million an added item is visible after {:.2} s", began.elapsed().as_secs_f64());
}

/// How long an account that gets a name, the folders of which all have it in their paths, keeps others waiting.
fn named(data: &Path, view: &Path, items: u64) {
    let conn = rusqlite::Connection::open(data.join("index.sqlite")).unwrap();
    let folder = view.join("by-account/Anna");
    let elsewhere = view.join("by-date/2030/2030-01/new.jpg");
    let began = Instant::now();
    conn.execute(
        "INSERT INTO album (key, change, seq, record, account, state, kind, title)
         VALUES ('library-00', ?1, 1, randomblob(32), '1001', 'present', 'library', 'Anna')",
        [i64::try_from(items).unwrap() + 2],
    )
    .unwrap();
    conn.execute(
        "INSERT INTO album_revision (album, seq, doc) VALUES ('library-00', 1,
         '{\"since\":\"2020-01-01T00:00:00Z\",\"state\":\"present\",\"kind\":\"library\",\"title\":\"Anna\",\"owner\":\"1001\",\"items\":[]}')",
        [],
    )
    .unwrap();
    let mut longest = Duration::ZERO;
    wait_for(|| {
        let asked = Instant::now();
        // The kernel remembers what it was told; a name that is not there it asks for again.
        let _none = fs::symlink_metadata(elsewhere.with_extension("none"));
        longest = longest.max(asked.elapsed());
        folder.exists()
    });
    println!(
        "million an account is named: seen after {:.2} s; a look elsewhere waited {:.2} s at most",
        began.elapsed().as_secs_f64(),
        longest.as_secs_f64()
    );
}
