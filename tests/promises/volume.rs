//! A file system for one test: it may be full, cut from its power, or odd.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub fn run(program: &str, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// A file system of its own, in a file.
pub struct Volume {
    dir: tempfile::TempDir,
    options: String,
}

impl Volume {
    /// An ext4 of so many bytes, made and mounted with further options; `None` where this machine cannot.
    pub fn new(bytes: u64, make: &[&str], options: &str) -> Option<Self> {
        Self::made_by("mkfs.ext4", &[&["-q", "-F"], make].concat(), bytes, options)
    }

    /// An xfs, on which files can share their bytes; `None` where this machine cannot.
    pub fn sharing(bytes: u64) -> Option<Self> {
        Self::made_by("mkfs.xfs", &["-q", "-f", "-m", "reflink=1"], bytes, "noatime")
    }

    fn made_by(program: &str, make: &[&str], bytes: u64, options: &str) -> Option<Self> {
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let volume = Self { dir, options: format!("loop,{options}") };
        std::fs::create_dir(volume.at()).unwrap();
        std::fs::File::create(volume.image()).unwrap().set_len(bytes).unwrap();
        let image = volume.image();
        let arguments = [make, &[image.to_str().unwrap()]].concat();
        (run(program, &arguments) && volume.mount()).then_some(volume)
    }

    /// Where it is mounted.
    pub fn at(&self) -> PathBuf {
        self.dir.path().join("volume")
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    /// A program that has just copied the table of mounts (another test's, a container's) keeps the volume alive that was
    /// cut: it is mounted again until it answers.
    pub fn mount(&self) -> bool {
        let until = Instant::now() + Duration::from_secs(30);
        while run(
            "mount",
            &["-o", &self.options, self.image().to_str().unwrap(), self.at().to_str().unwrap()],
        ) {
            let probe = self.at().join("probe");
            match std::fs::File::create(&probe).and_then(|_| std::fs::remove_file(&probe)) {
                Err(error) if error.raw_os_error() == Some(5) && Instant::now() < until => {
                    self.unmount();
                    std::thread::sleep(Duration::from_millis(100));
                }
                _ => return true,
            }
        }
        false
    }

    /// Everything that is not on the medium is lost.
    pub fn cut(&self) {
        assert!(
            run("xfs_io", &["-x", "-c", "shutdown", self.at().to_str().unwrap()]),
            "the volume cannot be cut"
        );
    }

    pub fn unmount(&self) {
        let until = Instant::now() + Duration::from_secs(10);
        while !run("umount", &[self.at().to_str().unwrap()]) {
            assert!(Instant::now() < until, "the volume is still in use");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        run("umount", &["-l", self.at().to_str().unwrap()]);
    }
}
