//! A second copy of many small photos and of a few large ones, beside `cp` and `sha256sum`. `REPLICA=n` changes the
//! number of small ones.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::google::{Ended, program, run_measured, wait_for};
use super::{fill, number, rate};

/// Each figure once: what counts is how memory and time grow with the number of files.
pub fn against_cp(dir: &Path) {
    let small = usize::try_from(number("REPLICA", 20_000)).unwrap();
    for (name, items, size) in [("small", small, 3_000), ("large", 20, 100_000_000)] {
        let place = dir.join(name);
        let (data, copy, plain) = (place.join("archive"), place.join("copy"), place.join("plain"));
        fs::create_dir_all(&place).unwrap();
        fill(&data, &[(items, size)]);
        let bytes = items as u64 * size;
        let shoebox = |args: &[&str]| {
            let mut command = Command::new(program("shoebox"));
            command.args(args).env("SHOEBOX_DATA", &data).env("SHOEBOX_LOG", "warn");
            let began = Instant::now();
            let (said, most) = run_measured(command);
            (began.elapsed(), most / 1_000_000, said)
        };
        let to = copy.to_str().unwrap();
        // Files that are written, on the medium, and read back.
        let shell = |script: &str| {
            let began = Instant::now();
            let mut command = Command::new("sh");
            command.args(["-ec", script]).env("DATA", &data).env("COPY", &copy).env("PLAIN", &plain);
            assert!(command.stdout(Stdio::null()).status().unwrap().success(), "{script}");
            began.elapsed()
        };
        let figure = |what: &str, (ours, memory, _): (Duration, u64, String), theirs: Duration| {
            println!(
                "replica, {items} photos of {size} bytes, {what}: {:.1} s, {:.0} MB/s, {memory} MB at most; beside it {:.1} s, ratio {:.2}",
                ours.as_secs_f64(),
                rate(bytes, ours),
                theirs.as_secs_f64(),
                theirs.as_secs_f64() / ours.as_secs_f64(),
            );
        };
        const HASH: &str = "find \"$PLAIN\" -type f -print0 | xargs -0 sha256sum";
        let copied =
            format!("mkdir \"$PLAIN\"; cp -r \"$DATA/blobs\" \"$DATA/records\" \"$PLAIN\"; sync; {HASH}");
        let sent = shoebox(&["replicate", to]);
        assert!(sent.2.contains("everything that is archived is there"), "{}", sent.2);
        figure("replicate beside cp and sha256sum", sent, shell(&copied));
        let listed = "find \"$DATA\" \"$COPY\" -type f -size +0 -printf '%P %s\\n'";
        figure("nothing new beside two finds", shoebox(&["replicate", to]), shell(listed));
        figure("verify --replica beside sha256sum", shoebox(&["verify", "--replica", to]), shell(HASH));
        let (view, cache) = (place.join("view"), place.join("cache"));
        let began = Instant::now();
        let mut mount = Command::new(program("shoebox"));
        mount.args(["mount", "--from", to, "--cache"]).arg(&cache).arg(&view).env("SHOEBOX_LOG", "warn");
        let mount = Ended(mount.env("SHOEBOX_DATA", place.join("none")).spawn().unwrap());
        wait_for(|| fs::read_dir(view.join("by-date")).is_ok_and(|mut years| years.next().is_some()));
        println!(
            "replica, {items} photos of {size} bytes: mount --from is there after {:.1} s with {} MB",
            began.elapsed().as_secs_f64(),
            super::million::memory_kb(mount.0.id()) / 1000,
        );
        drop(mount);
        shoebox::view::mountpoint::release(&view).unwrap();
        fs::remove_dir_all(&place).unwrap();
    }
}
