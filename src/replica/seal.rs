//! Encryption with age: by public keys, so that whoever sends need not hold what opens it.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use age::secrecy::ExposeSecret as _;

/// Somebody to whom files are encrypted: a public key.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient(age::x25519::Recipient);

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Recipient {
    /// Reads `age1…`.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with("AGE-SECRET-KEY-") {
            return Err(
                "this is a secret key; files are encrypted to the public one, which begins with age1".into(),
            );
        }
        let wrong = |why| format!("{text:?} is no public key of age ({why}); one begins with age1");
        text.parse().map(Self).map_err(wrong)
    }
}

/// A secret key: what opens what was encrypted to its [`Recipient`].
#[derive(Clone)]
pub struct Identity(age::x25519::Identity);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.recipient())
    }
}

impl Identity {
    /// The public key that belongs to it.
    pub fn recipient(&self) -> Recipient {
        Recipient(self.0.to_public())
    }

    /// Reads the keys in a file as `age-keygen` and [`make_key`] write it.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn in_file(path: &Path) -> Result<Vec<Self>, String> {
        let wrong = |why: &str| format!("{}: {why}", path.display());
        let text = std::fs::read_to_string(path).map_err(|e| wrong(&e.to_string()))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys: Vec<_> = lines
            .map(|line| line.parse().map(Self).map_err(|_| wrong("a line in it is no secret key of age")))
            .collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(wrong("there is no key in it")) } else { Ok(keys) }
    }
}

/// Makes a key in a new file, for its owner's eyes; returns the public key.
///
/// # Errors
/// Where there is a file already, or the system refuses.
pub fn make_key(path: &Path) -> io::Result<Recipient> {
    let identity = age::x25519::Identity::generate();
    let recipient = Recipient(identity.to_public());
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "# public key: {recipient}\n{}", identity.to_string().expose_secret())?;
    file.sync_all()?;
    Ok(recipient)
}

/// What is written to it comes out encrypted, piece by piece.
pub(super) struct Sealing {
    writer: age::stream::StreamWriter<Drain>,
    out: Arc<Mutex<Vec<u8>>>,
}

/// Where the library writes and we take away.
struct Drain(Arc<Mutex<Vec<u8>>>);

impl Write for Drain {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sealing {
    /// Begins a file that these can open.
    pub(super) fn new(recipients: &[Recipient]) -> io::Result<Self> {
        let out = Arc::new(Mutex::new(Vec::new()));
        let recipients = recipients.iter().map(|recipient| &recipient.0 as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(recipients).map_err(io::Error::other)?;
        Ok(Self { writer: encryptor.wrap_output(Drain(Arc::clone(&out)))?, out })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)
    }

    /// What is encrypted by now and was not taken yet.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut *self.out.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends the file; returns the rest.
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        self.writer.finish()?;
        Ok(std::mem::take(&mut *self.out.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Opens what was encrypted.
pub(super) fn open(
    sealed: impl Read + Send + 'static,
    identities: &[Identity],
) -> io::Result<Box<dyn Read + Send>> {
    Ok(Box::new(Opened(decrypt(sealed, identities)?)))
}

/// What was opened, while it is read.
struct Opened<R>(age::stream::StreamReader<R>);

impl<R: Read> Read for Opened<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.0.read(to).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => altered(&error),
            _ => error,
        })
    }
}

/// Other bytes than were sent: which ones, the words do not say, so that the same words twice prove nothing.
fn altered(why: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(why.to_string())
}

/// Opens what was encrypted, at a position of what it was.
pub(super) fn open_at<'a>(
    sealed: impl Read + Seek + 'a,
    identities: &[Identity],
    at: u64,
) -> io::Result<Box<dyn Read + 'a>> {
    let mut opened = decrypt(sealed, identities)?;
    if let Some(before) = at.checked_sub(1) {
        // To the byte before: at the beginning of a chunk the library would ask for the end of the file first.
        opened.seek(SeekFrom::Start(before))?;
        opened.read_exact(&mut [0])?;
    }
    Ok(Box::new(opened))
}

fn decrypt<R: Read>(sealed: R, identities: &[Identity]) -> io::Result<age::stream::StreamReader<R>> {
    let invalid = |error: age::DecryptError| match error {
        age::DecryptError::Io(error) => error,
        other => altered(&other),
    };
    let decryptor = age::Decryptor::new(sealed).map_err(invalid)?;
    let identities = identities.iter().map(|identity| &identity.0 as &dyn age::Identity);
    decryptor.decrypt(identities).map_err(invalid)
}

/// Bytes that a file of so many may have when it is encrypted: a header for each recipient, one that the library makes
/// up so that nobody relies on there being none, and a tag for each 64 KiB.
pub(super) fn sealed_sizes(plain: u64, recipients: usize) -> std::ops::RangeInclusive<u64> {
    const CHUNK: u64 = 64 * 1024;
    const TAG: u64 = 16;
    const LEAST_HEADER: u64 = 100;
    const MOST_HEADER: u64 = 2048;
    let body = 16 + plain + TAG * plain.div_ceil(CHUNK).max(1);
    body + LEAST_HEADER..=body + MOST_HEADER * (recipients as u64 + 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn seal(recipients: &[Recipient], bytes: &[u8]) -> Vec<u8> {
        let mut sealing = Sealing::new(recipients).unwrap();
        let mut sealed = Vec::new();
        for chunk in bytes.chunks(100_000) {
            sealing.write(chunk).unwrap();
            sealed.extend(sealing.take());
        }
        sealed.extend(sealing.finish().unwrap());
        sealed
    }

    #[test]
    fn what_is_sealed_opens_with_either_key_and_with_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let paths = ["a", "b", "c"].map(|name| dir.path().join(name));
        let recipients: Vec<_> = paths[..2].iter().map(|path| make_key(path).unwrap()).collect();
        make_key(&paths[2]).unwrap();
        assert!(make_key(&paths[0]).is_err(), "a key is overwritten");
        for size in [0, 1, 65_535, 65_536, 65_537, 1_000_000] {
            let bytes: Vec<u8> = (0..size).map(|n: usize| (n * 7 % 251) as u8).collect();
            let sealed = seal(&recipients, &bytes);
            assert!(
                sealed_sizes(size as u64, 2).contains(&(sealed.len() as u64)),
                "{size}: {}",
                sealed.len()
            );
            for path in &paths[..2] {
                let mut opened = Vec::new();
                let keys = Identity::in_file(path).unwrap();
                open(io::Cursor::new(sealed.clone()), &keys).unwrap().read_to_end(&mut opened).unwrap();
                assert!(opened == bytes);
            }
            let other = Identity::in_file(&paths[2]).unwrap();
            assert!(open(io::Cursor::new(sealed), &other).is_err());
        }
    }

    #[test]
    fn the_same_words_twice_do_not_prove_that_the_far_end_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let recipient = make_key(&dir.path().join("key")).unwrap();
        let keys = Identity::in_file(&dir.path().join("key")).unwrap();
        let sound = seal(&[recipient], &[7; 1000]);
        // Altered in the head or in the body, twice on the way, and then not.
        for at in [30, sound.len() - 3] {
            let mut asked = 0;
            let read = crate::replica::check::with_patience(|| {
                asked += 1;
                let mut sealed = sound.clone();
                sealed[at] ^= u8::from(asked < 3);
                let mut opened = Vec::new();
                open(io::Cursor::new(sealed), &keys)?.read_to_end(&mut opened)?;
                Ok(opened)
            });
            assert_eq!((read, asked), (Ok(vec![7; 1000]), 3), "{at}");
        }
    }

    #[test]
    fn one_changed_or_missing_byte_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let recipient = make_key(&dir.path().join("key")).unwrap();
        let keys = Identity::in_file(&dir.path().join("key")).unwrap();
        let sealed = seal(&[recipient], &[5; 200_000]);
        let reads = |bytes: Vec<u8>| {
            open(io::Cursor::new(bytes), &keys)
                .and_then(|mut file| io::copy(&mut file, &mut io::sink()))
                .is_ok()
        };
        assert!(reads(sealed.clone()));
        for at in [3, 60, 300, sealed.len() / 2, sealed.len() - 1] {
            let mut bad = sealed.clone();
            bad[at] ^= 1;
            assert!(!reads(bad), "byte {at}");
        }
        assert!(!reads(sealed[..sealed.len() - 1].to_vec()));
        assert!(!reads(sealed[..sealed.len() - 20_000].to_vec()));
    }

    #[test]
    fn keys_are_read_strictly_and_never_printed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let recipient = make_key(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let secret = text.lines().last().unwrap();
        assert_eq!(Recipient::parse(&recipient.to_string()).unwrap(), recipient);
        assert!(Recipient::parse(secret).unwrap_err().contains("public"));
        assert!(Recipient::parse("age1xyz").is_err());
        let keys = Identity::in_file(&path).unwrap();
        assert!(!format!("{keys:?}").contains(secret));
        std::fs::write(dir.path().join("empty"), "# nothing\n").unwrap();
        std::fs::write(dir.path().join("bad"), "AGE-SECRET-KEY-1\n").unwrap();
        for name in ["empty", "bad", "absent"] {
            let error = Identity::in_file(&dir.path().join(name)).unwrap_err();
            assert!(error.contains(name), "{error}");
        }
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
