//! Downloads that go wrong in one way, chosen by the test.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{StreamExt, stream};
use shoebox::model::digest::digests_of;
use shoebox::model::{MediaKey, PartRole};
use shoebox::remote::{Body, Download, ListPage, Offer, RemoteError, RemoteLibrary};
use shoebox::sim::fake::FakeLibrary;

use super::other_downloads::Downloads;

/// What is wrong with the downloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoiling {
    /// Ends early, as if it were whole, of an announced length.
    Cut,
    /// The same, of no announced length.
    CutUnannounced,
    /// More bytes than the file has.
    Longer,
    /// One byte is another.
    Altered,
    /// Another length is announced than comes.
    WrongLength,
    /// A page with status 200.
    Page,
    /// Nothing.
    Empty,
    /// A small picture of it.
    Thumbnail,
    /// Another item's file.
    Anothers,
    /// Packed twice on the way.
    Packed,
    /// A byte every nine seconds.
    Drip,
    /// The connection breaks.
    Reset,
    /// It never ends.
    Endless,
}

impl Spoiling {
    pub const ALL: [Self; 13] = [
        Self::Cut,
        Self::CutUnannounced,
        Self::Longer,
        Self::Altered,
        Self::WrongLength,
        Self::Page,
        Self::Empty,
        Self::Thumbnail,
        Self::Anothers,
        Self::Packed,
        Self::Drip,
        Self::Reset,
        Self::Endless,
    ];
}

/// How often it goes wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Often {
    /// The first time.
    Once,
    /// Every time, in the same way.
    Alike,
    /// Every time, in another way.
    Differently,
}

/// Downloads that go wrong.
pub struct Spoilt {
    seed: u64,
    spoiling: Mutex<Option<Spoiling>>,
    /// How often each file was fetched.
    fetches: Mutex<HashMap<(MediaKey, PartRole), u64>>,
    /// Google's hashes are kept from the archiver: it cannot compare with them.
    blind: AtomicBool,
}

impl Spoilt {
    pub fn new(seed: u64) -> Self {
        let (spoiling, fetches) = (Mutex::default(), Mutex::default());
        Self { seed, spoiling, fetches, blind: AtomicBool::new(false) }
    }

    /// From now on this goes wrong; nothing has been fetched.
    pub fn spoil(&self, spoiling: Option<Spoiling>) {
        *self.spoiling.lock().unwrap() = spoiling;
        self.fetches.lock().unwrap().clear();
    }

    /// Takes the comparison with Google's hash out of the archiver that uses this.
    pub fn make_blind(&self) {
        self.blind.store(true, Ordering::Relaxed);
    }

    /// The most that a single file was fetched.
    pub fn most_fetches(&self) -> u64 {
        self.fetches.lock().unwrap().values().copied().max().unwrap_or(0)
    }

    /// Randomness that belongs to an item.
    fn random(&self, key: &MediaKey) -> fastrand::Rng {
        let digest = digests_of(key.as_str().as_bytes()).sha256;
        let own = u64::from_be_bytes(*digest.bytes().first_chunk().unwrap());
        fastrand::Rng::with_seed(self.seed ^ own)
    }

    /// How often the downloads of an item go wrong.
    pub fn often(&self, key: &MediaKey) -> Often {
        [Often::Once, Often::Alike, Often::Differently][self.random(key).usize(..3)]
    }
}

/// The file of another item, of the same format where there is one.
fn anothers(library: &FakeLibrary, key: &MediaKey, random: &mut fastrand::Rng) -> Vec<u8> {
    let sim = library.library();
    let extension = |name: &str| name.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase());
    let ledger = library.ledger().items;
    let own = ledger.iter().find(|item| item.key == key.as_str()).unwrap();
    let alike = ledger.iter().filter(|item| {
        item.key != own.key
            && item.parts[0].sha256 != own.parts[0].sha256
            && extension(&item.name) == extension(&own.name)
    });
    let others: Vec<_> = alike.collect();
    let other = random.choice(&others).copied().unwrap_or(&ledger[0]);
    sim.original(&other.key).unwrap().to_vec()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

impl Downloads for Spoilt {
    fn told(&self, mut page: ListPage) -> ListPage {
        if self.blind.load(Ordering::Relaxed) {
            page.items.iter_mut().for_each(|item| item.dedup_key = None);
        }
        page
    }

    async fn fetch(
        &self,
        library: &FakeLibrary,
        key: &MediaKey,
        offer: &Offer,
    ) -> Result<Download, RemoteError> {
        let mut download = library.fetch(offer).await?;
        let times = {
            let mut fetches = self.fetches.lock().unwrap();
            let times = fetches.entry((key.clone(), offer.role)).or_insert(0);
            *times += 1;
            *times
        };
        let Some(spoiling) = *self.spoiling.lock().unwrap() else { return Ok(download) };
        let mut random = self.random(key);
        match self.often(key) {
            Often::Once if times > 1 => return Ok(download),
            Often::Differently => random.seed(self.seed ^ times),
            _ => {}
        }
        let Body::Stream(stream) = download.body else { panic!("a file") };
        let mut bytes = stream.map(|chunk| chunk.unwrap().to_vec()).concat().await;
        let whole = bytes.len() as u64;
        let at = random.usize(..bytes.len());
        // What comes behind the bytes.
        let mut rest = stream::empty().boxed();
        let mut announced = None;
        match spoiling {
            Spoiling::Cut => {
                bytes.truncate(at);
                announced = Some(whole);
            }
            Spoiling::CutUnannounced => bytes.truncate(at),
            Spoiling::Longer => bytes.extend((0..random.usize(1..500)).map(|_| random.u8(..))),
            Spoiling::Altered => bytes[at] ^= 1 << random.u8(..8),
            Spoiling::WrongLength => {
                announced = Some(if random.bool() { whole + random.u64(1..500) } else { at as u64 });
            }
            Spoiling::Page => {
                let page = format!("<!doctype html><html><title>Sorry</title>{}</html>", random.u64(..));
                bytes = page.into_bytes();
            }
            Spoiling::Empty => bytes.clear(),
            Spoiling::Thumbnail => {
                bytes = shoebox::sim::media::jpeg(random.u64(..), 60, 40, 70, None);
            }
            Spoiling::Anothers => bytes = anothers(library, key, &mut random),
            Spoiling::Packed => bytes = packed(&packed(&bytes)),
            Spoiling::Drip => {
                let bytes = Bytes::from(std::mem::take(&mut bytes));
                announced = Some(whole);
                rest = stream::unfold(bytes, |mut bytes| async move {
                    tokio::time::sleep(Duration::from_secs(9)).await;
                    (!bytes.is_empty()).then(|| (Ok(bytes.split_to(1)), bytes))
                })
                .boxed();
            }
            Spoiling::Reset => {
                bytes.truncate(at);
                announced = Some(whole);
                rest = stream::iter([Err(RemoteError::Transient("the connection broke".into()))]).boxed();
            }
            Spoiling::Endless => {
                // Without an announced length a few are enough: each is a lot of bytes.
                announced = (random.u8(..40) > 0).then_some(whole);
                rest = stream::repeat_with(|| Ok(Bytes::from_static(&[7; 1 << 18]))).boxed();
            }
        }
        let unannounced = matches!(spoiling, Spoiling::CutUnannounced | Spoiling::Endless);
        let sent = Some(bytes.len() as u64).filter(|_| !unannounced);
        download.claim.length = announced.or(sent);
        let sent = stream::iter([Ok(Bytes::from(bytes))]);
        download.body = Body::Stream(sent.chain(rest).boxed());
        Ok(download)
    }
}
