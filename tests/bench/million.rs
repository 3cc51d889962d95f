//! The view of a very large archive: how soon it is there, how much memory it takes, how fast it lists, beside
//! native directories of the same shape. `MILLION=n` changes the number of items.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shoebox::index::Index;
use shoebox::model::SystemClock;
use shoebox::store::{RealDisk, Store};

use super::google::{Ended, program, wait_for};
use super::median;

/// Ten years of photos: some 8,300 in each month of a million.
const FILL: &str = "
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
    INSERT INTO item (ordinal, key, change, seq, record, account, state, name, taken_local, taken_offset_s,
        taken_source, make, model, lens, media_type, latitude, longitude, favourite, archived, foreign_item,
        since_ms, added_ms, remote)
    SELECT i, printf('AF1QipBench%033d', i), i, 1, randomblob(32), '1001', 'present',
        printf('IMG_%04d.jpg', i % 10000),
        strftime('%Y-%m-%dT%H:%M:%S', 1262304000 + i * 315, 'unixepoch'),
        3600, 'exif', 'Maker', printf('Model %d', i % 30), CASE WHEN i % 4 = 0 THEN printf('Lens %d', i % 20) END,
        CASE WHEN i % 20 = 0 THEN 'video/mp4' ELSE 'image/jpeg' END,
        CASE WHEN i % 2 = 0 THEN 40 + (i % 331) / 40.0 END, CASE WHEN i % 2 = 0 THEN 2 + (i % 331) / 60.0 END,
        i % 20 = 1, i % 50 = 1, 0,
        1600000000000 + i * 100000, 1600000000000 + i * 100000, '{\"favourite\":false,\"archived\":false,\"quality\":\"original\"}'
    FROM n";
const PARTS: &str = "
    INSERT INTO part (ordinal, position, role, version, latest, name, sha256, sha1, size, verdict)
    SELECT ordinal, 0, 0, 1, 1, name, randomblob(32), randomblob(20), 3000000 + ordinal, 'matches-upload' FROM item
    UNION ALL
    SELECT ordinal, 1, 2, 1, 1, replace(name, 'jpg', 'mov'), randomblob(32), randomblob(20), 1000, 'unproven'
    FROM item WHERE ordinal % 10 = 3";

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |n| n.parse().unwrap())
}

/// An archive whose index tells of items that were never fetched: listing them needs no bytes.
fn fill(data: &Path, items: u64) {
    let id = Store::init(data, Arc::new(RealDisk), Arc::new(SystemClock)).unwrap();
    let path = data.join("index.sqlite");
    Index::create(&path, &id).unwrap();
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA synchronous = OFF; BEGIN").unwrap();
    conn.execute(FILL, [i64::try_from(items).unwrap()]).unwrap();
    conn.execute(PARTS, []).unwrap();
    // Albums of 500, one for each 2,500 items.
    for album in 0..items / 2500 {
        let keys: Vec<String> =
            (0..500).map(|n| format!("\"AF1QipBench{:033}\"", album * 2500 + n * 3 + 1)).collect();
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

fn memory_kb(pid: u32) -> u64 {
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
    let rounds = number("ROUNDS", 3);
    for (what, command, cold) in [
        ("find -type f, cold", "find DIR -type f", true),
        ("find -type f, warm", "find DIR -type f", false),
        ("du -s, cold", "du -s DIR", true),
        ("du -s, warm", "du -s DIR", false),
        ("ls -lR, cold", "ls -lR DIR", true),
    ] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
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
        }
        let (ours, theirs) = (median(ours), median(theirs));
        println!(
            "million {what}: view {:.2} s, native {:.2} s, ratio {:.2}",
            ours.as_secs_f64(),
            theirs.as_secs_f64(),
            theirs.as_secs_f64() / ours.as_secs_f64()
        );
    }
    drop(mount);
    shoebox::view::mountpoint::release(&view).unwrap();
}

/// How soon an added item is seen.
fn visible(data: &Path, view: &Path, items: u64) {
    let conn = rusqlite::Connection::open(data.join("index.sqlite")).unwrap();
    let new = items + 1;
    let folder = view.join("by-date/2030/2030-01");
    let began = Instant::now();
    conn.execute_batch(&format!(
        "BEGIN;
         INSERT INTO item SELECT {new}, 'AF1QipNew', {new}, 1, record, account, state, 'new.jpg',
             '2030-01-01T00:00:00', taken_offset_s, taken_source, make, model, lens, media_type, latitude, longitude,
             favourite, archived, foreign_item, creation, owner, description, since_ms, added_ms, remote, dedup
             FROM item WHERE ordinal = 1;
         INSERT INTO part SELECT {new}, position, role, version, latest, name, randomblob(32), sha1, size, verdict
             FROM part WHERE ordinal = 1;
         COMMIT"
    ))
    .unwrap();
    wait_for(|| folder.join("new.jpg").exists());
    println!("million an added item is visible after {:.2} s", began.elapsed().as_secs_f64());
}
