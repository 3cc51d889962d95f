//! shoebox archives every original of a Google Photos library, proves it, and serves it as a read-only file
//! system. This page is the tour: the words, how the bytes flow, what can go wrong, where to look.
//!
//! # Words
//! An **item** is one entry of a library, named by its media key. A **part** is one file of an item: the
//! original, Google's edited rendition, the video half of a Live Photo. A **blob** is the bytes of a part,
//! named by their SHA-256. A **record** is an immutable JSON document about one revision of an item. An
//! **account** is one person's library, with its login; an archive may hold several.
//! *Records are the truth; the SQLite index is a disposable view of them.* A **run** is one pass over the
//! library, the **view** is the tree that people browse. ([`model`])
//!
//! # How bytes flow
//! ```text
//! remote library ──pages──▶ plan ──▶ fetch ──▶ ingest ──▶ store (blob, then record) ──▶ index ──▶ view
//!  (browser session)                  │   hash while streaming, verify, fsync            (FUSE, web)
//!                                     └── set aside with evidence when it does not verify
//! ```
//! Files that people have already come by [`adopt`], through the same store. Types make another order impossible: `PartialBlob` → `VerifiedBlob` →
//! `StoredBlob` → `StoredRecord` → index; each is proof that the step before it was done.
//!
//! # The house
//! | part | what it does |
//! | --- | --- |
//! | [`model`] | the vocabulary: pure types |
//! | [`remote`] | the far side behind one trait; the real one drives Chromium and calls Google's own RPCs inside the page |
//! | [`media`] | what a file says about itself and what of that is believed, whether it is whole, and a small picture of it |
//! | [`store`] | blobs and records on disk; `store/FORMAT.md` is the specification |
//! | [`index`] | what the records say, in SQLite |
//! | [`archive`] | lock, store and index opened together; recovery is every start |
//! | [`plan`], [`ingest`], [`sync`] | decide, take in, drive one pass |
//! | [`adopt`] | Takeout zips, other programs' folders, plain folders: found, paired, taken in, recorded |
//! | [`proof`] | is everything there: Google's counts beside the archive's, one hash over all |
//! | [`upkeep`] | everything read again within a month, damage mended, the index copied, facts read anew by a later version |
//! | [`replica`] | a second copy in object storage or on another disk: sent, verified, drilled, restored, or mounted from there |
//! | [`doctor`] | do the volume and the machine keep what all else relies on |
//! | [`view`], [`export`] | views as templates over facts, mounted (`view/SEMANTICS.md` lists what that promises); the same tree as plain files, with what is known of them beside, and a catalogue |
//! | [`schedule`], [`notice`] | when the next run is due; what people and their homes are told without asking, and the ways to them |
//! | [`login`] | is somebody signed in to Google, who must be told, and the browser in which they sign in |
//! | [`serve`] | the page: what is safe, photos, runs, settings, the sign-in; and what programs are told |
//! | [`telemetry`], [`signals`] | logs and progress; stop, stop at once, read the settings again |
//! | [`app`], [`cli`], [`exit`] | put it together, parse, end with a documented code |
//! | `small_file`, `token_bucket` | what all of these keep in small files, replaced whole or not at all; so many a second |
//! | `fuzz` | feature `fuzz`: doors to private parsers, for those who feed them hostile bytes |
//! | `sim` | feature `sim`: the simulated Google Photos that tests and the demo run against |
//!
//! Dependencies run one way; `tests/architecture.rs` holds the rules, with the reason beside each.
//!
//! # What can go wrong
//! Every error has a [`model::ErrorClass`]: it decides whether to try again, to go on without one item, to ask
//! for a person, or to end the run. One bad item never stops a run. A failed flush poisons the store, because
//! trying again would lie. Cookies and tokens stay in the browser: code outside the page sees their names at
//! most. No code path deletes or rewrites a blob or a record; a damaged one changes places with what it should be, and
//! is kept.

pub mod adopt;
pub mod app;
pub mod archive;
pub mod cli;
pub mod doctor;
pub mod exit;
pub mod export;
#[cfg(feature = "fuzz")]
pub mod fuzz;
pub mod index;
pub mod ingest;
pub mod login;
pub mod media;
pub mod model;
pub mod notice;
pub mod plan;
pub mod proof;
pub mod remote;
pub mod replica;
pub mod schedule;
pub mod serve;
pub mod signals;
#[cfg(feature = "sim")]
pub mod sim;
mod small_file;
pub mod store;
pub mod sync;
pub mod telemetry;
mod token_bucket;
pub mod upkeep;
pub mod view;
