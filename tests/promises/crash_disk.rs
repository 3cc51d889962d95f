//! A disk that remembers what has been flushed and what has not, and shows every state in which a cut of the
//! power may leave it: what was flushed is there, and of all else any part, in any combination.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use shoebox::store::{Disk, Entry, Pending, RealDisk, Space, TmpPath};

/// Number of a file, through all its names.
type FileNo = usize;

/// What changes the disk.
#[derive(Clone, Debug)]
enum Step {
    Write(FileNo, Vec<u8>),
    Sync(FileNo),
    Name(PathBuf, FileNo),
    Unname(PathBuf),
    /// The file takes over the first name; the file that had it goes on under the second.
    Replace(PathBuf, FileNo, PathBuf, FileNo),
    Dir(PathBuf),
    SyncDir(PathBuf),
    /// Something was reported as done.
    Acknowledge(String),
}

/// The real disk, with a log of what changed it. Paths in the log are below the archive.
pub struct CrashDisk {
    root: PathBuf,
    /// Whether pending files have names from the start.
    named: bool,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    steps: Vec<Step>,
    files: usize,
    by_inode: HashMap<u64, FileNo>,
    by_name: HashMap<PathBuf, FileNo>,
}

impl CrashDisk {
    pub fn new(root: &Path, named: bool) -> Self {
        Self { root: root.to_owned(), named, log: Mutex::default() }
    }

    /// Notes that something was reported as done.
    pub fn acknowledge(&self, what: &str) {
        self.log.lock().unwrap().steps.push(Step::Acknowledge(what.to_owned()));
    }

    /// Every state that a cut may leave, with what had been acknowledged before it.
    pub fn states(&self) -> Vec<(State, Vec<String>)> {
        let steps = &self.log.lock().unwrap().steps;
        let mut states = Vec::new();
        for cut in 0..=steps.len() {
            let model = Model::after(&steps[..cut]);
            states.extend(model.states().map(|state| (state, model.acknowledged.clone())));
        }
        states
    }

    fn below(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).unwrap().to_owned()
    }

    fn begun(&self, file: &Pending) {
        let mut log = self.log.lock().unwrap();
        let number = log.files;
        log.files += 1;
        log.by_inode.insert(file.file().metadata().unwrap().ino(), number);
        if let Some(name) = file.name() {
            let name = self.below(name.path());
            log.by_name.insert(name.clone(), number);
            log.steps.push(Step::Name(name, number));
        }
    }

    fn note(&self, file: &Pending, step: impl FnOnce(FileNo) -> Step) {
        let mut log = self.log.lock().unwrap();
        let number = log.by_inode[&file.file().metadata().unwrap().ino()];
        log.steps.push(step(number));
    }
}

/// What is certain after some steps, and what is not.
#[derive(Default)]
struct Model {
    /// Flushed bytes of each file, then those written since.
    files: BTreeMap<FileNo, (Vec<u8>, Vec<Vec<u8>>)>,
    names: BTreeMap<PathBuf, FileNo>,
    dirs: Vec<PathBuf>,
    /// Changes of names that are not flushed: each may have happened or not.
    loose: Vec<Step>,
    acknowledged: Vec<String>,
}

impl Model {
    fn after(steps: &[Step]) -> Self {
        let mut model = Self::default();
        for step in steps {
            match step {
                Step::Write(file, bytes) => model.files.entry(*file).or_default().1.push(bytes.clone()),
                Step::Sync(file) => {
                    let (flushed, written) = model.files.entry(*file).or_default();
                    flushed.extend(std::mem::take(written).concat());
                }
                Step::SyncDir(dir) => {
                    let (kept, loose): (Vec<_>, Vec<_>) =
                        std::mem::take(&mut model.loose).into_iter().partition(|change| {
                            matches!(change, Step::Name(path, _) | Step::Unname(path) | Step::Dir(path)
                                | Step::Replace(path, ..) if path.parent() == Some(dir))
                        });
                    model.loose = loose;
                    kept.iter().for_each(|change| model.apply(change));
                }
                Step::Acknowledge(what) => model.acknowledged.push(what.clone()),
                change => model.loose.push(change.clone()),
            }
        }
        model
    }

    fn apply(&mut self, change: &Step) {
        match change {
            Step::Name(path, file) => {
                self.names.insert(path.clone(), *file);
            }
            Step::Unname(path) => {
                self.names.remove(path);
            }
            Step::Replace(path, new, aside, old) => {
                self.names.insert(path.clone(), *new);
                self.names.insert(aside.clone(), *old);
            }
            Step::Dir(path) => self.dirs.push(path.clone()),
            _ => unreachable!(),
        }
    }

    /// Every subset of the loose changes, and for each file that has a name then, every extent of what was
    /// written and not flushed.
    fn states(&self) -> impl Iterator<Item = State> + '_ {
        assert!(self.loose.len() <= 12, "too many loose changes for all subsets: {:?}", self.loose);
        (0..1_u32 << self.loose.len()).flat_map(|subset| {
            let mut model = Self { names: self.names.clone(), dirs: self.dirs.clone(), ..Self::default() };
            let chosen = self.loose.iter().enumerate().filter(|(n, _)| subset >> n & 1 == 1);
            chosen.for_each(|(_, change)| model.apply(change));
            let mut states = vec![State { dirs: model.dirs, files: Vec::new() }];
            for (path, file) in model.names {
                let contents = self.contents(file);
                states = states
                    .into_iter()
                    .flat_map(|state| {
                        let path = &path;
                        contents.iter().map(move |bytes| {
                            let mut state = state.clone();
                            state.files.push((path.clone(), bytes.clone()));
                            state
                        })
                    })
                    .collect();
            }
            states
        })
    }

    fn contents(&self, file: FileNo) -> Vec<Vec<u8>> {
        let Some((flushed, written)) = self.files.get(&file) else { return vec![Vec::new()] };
        let mut contents = vec![flushed.clone()];
        for bytes in written {
            let mut longer = contents[contents.len() - 1].clone();
            longer.extend(bytes);
            contents.push(longer);
        }
        if !written.is_empty() {
            // The length came through, the bytes did not.
            let mut zeros = flushed.clone();
            zeros.resize(contents[contents.len() - 1].len(), 0);
            contents.push(zeros);
        }
        contents
    }
}

/// What is on the disk after a cut, beyond the archive as it was before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    dirs: Vec<PathBuf>,
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl State {
    /// Makes it so, below the directory of an archive that is as it was before.
    pub fn lay_out(&self, root: &Path) {
        for dir in &self.dirs {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        for (path, bytes) in &self.files {
            let path = root.join(path);
            // A directory that is not there takes its files with it.
            if path.parent().unwrap().is_dir() {
                fs::write(&path, bytes).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).unwrap();
            }
        }
    }
}

impl Disk for CrashDisk {
    fn create(&self, tmp: &Path) -> io::Result<Pending> {
        let file = if self.named { RealDisk.create_named(tmp)? } else { RealDisk.create(tmp)? };
        self.begun(&file);
        Ok(file)
    }

    fn adopt(&self, path: &TmpPath) -> io::Result<Pending> {
        let file = RealDisk.adopt(path)?;
        self.begun(&file);
        // What another program wrote is flushed by nobody yet.
        let bytes = fs::read(path.path())?;
        self.note(&file, |number| Step::Write(number, bytes));
        Ok(file)
    }

    fn allocate(&self, file: &Pending, size: u64) -> io::Result<()> {
        RealDisk.allocate(file, size)
    }

    fn append(&self, file: &Pending, bytes: &[u8]) -> io::Result<()> {
        RealDisk.append(file, bytes)?;
        self.note(file, |number| Step::Write(number, bytes.to_owned()));
        Ok(())
    }

    fn seal(&self, file: &Pending) -> io::Result<()> {
        RealDisk.seal(file)
    }

    fn sync(&self, file: &Pending) -> io::Result<()> {
        RealDisk.sync(file)?;
        self.note(file, Step::Sync);
        Ok(())
    }

    fn publish(&self, file: &Pending, to: &Path) -> io::Result<()> {
        RealDisk.publish(file, to)?;
        let to = self.below(to);
        self.note(file, |number| Step::Name(to, number));
        Ok(())
    }

    fn replace_damaged(&self, file: &Pending, damaged: &Path, aside: &Path) -> io::Result<()> {
        let bytes = fs::read(damaged)?;
        RealDisk.replace_damaged(file, damaged, aside)?;
        let (damaged, aside) = (self.below(damaged), self.below(aside));
        let mut log = self.log.lock().unwrap();
        let new = log.by_inode[&file.file().metadata().unwrap().ino()];
        let old = log.files;
        log.files += 1;
        // What is damaged was flushed long ago. Until the names are exchanged, the new file has the second one.
        log.steps.extend([Step::Write(old, bytes), Step::Sync(old), Step::Name(aside.clone(), new)]);
        log.steps.push(Step::Replace(damaged, new, aside, old));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)?;
        self.log.lock().unwrap().steps.push(Step::SyncDir(self.below(dir)));
        Ok(())
    }

    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        let is_new = !dir.exists();
        RealDisk.make_dir(dir)?;
        if is_new {
            self.log.lock().unwrap().steps.push(Step::Dir(self.below(dir)));
        }
        Ok(())
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        RealDisk.open(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        RealDisk.list(dir)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        RealDisk.space(path)
    }

    fn set_aside(&self, from: &TmpPath, to: &Path) -> io::Result<()> {
        RealDisk.set_aside(from, to)?;
        let (from, to) = (self.below(from.path()), self.below(to));
        let mut log = self.log.lock().unwrap();
        let Some(number) = log.by_name.remove(&from) else { return Ok(()) };
        log.steps.extend([Step::Name(to, number), Step::Unname(from)]);
        Ok(())
    }

    fn discard(&self, path: &TmpPath) -> io::Result<()> {
        RealDisk.discard(path)?;
        let path = self.below(path.path());
        let mut log = self.log.lock().unwrap();
        if log.by_name.remove(&path).is_some() {
            log.steps.push(Step::Unname(path));
        }
        Ok(())
    }
}
