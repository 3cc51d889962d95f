//! The vocabulary: pure types, no input or output, nothing of ours imported.
//!
//! An **item** is one entry of a library, named by its [`MediaKey`]; a **part** is one file of an item
//! ([`PartRole`]); a **blob** is the bytes of a part, named by their [`Sha256`]; a **record**
//! ([`ItemRecord`]) is an immutable document about one revision of an item. Records are the truth.

pub mod album;
pub mod archive_id;
pub mod archived;
pub mod camera;
pub mod capture;
pub mod clock;
pub mod digest;
pub mod error_class;
pub mod facts;
pub mod item;
pub mod key;
pub mod name;
pub mod origin;
pub mod read_at;
pub mod record;
pub mod verdict;

pub use album::{AlbumKind, AlbumRecord, RemoteAlbum};
pub use archive_id::ArchiveId;
pub use archived::{AlbumRevision, ArchivedAlbum, ArchivedItem, ArchivedPart, BorrowedItem, BorrowedPart};
pub use capture::{CaptureTime, TimeSource};
pub use clock::{Clock, FixedClock, SystemClock};
pub use digest::{Digests, Hasher, Sha1, Sha256};
pub use error_class::ErrorClass;
pub use facts::MediaFacts;
pub use item::{Creation, ItemDetails, PartRole, Place, Quality, RemoteItem};
pub use key::{DedupKey, MediaKey};
pub use origin::Origin;
pub use read_at::{PositionedReader, ReadAt};
pub use record::{Adopted, FetchEvidence, ItemRecord, ItemState, LOCAL_ACCOUNT, PartRecord, RemoteFacts};
pub use verdict::Verdict;
