//! Exit codes: part of the interface, documented in `--help` and the README.

use crate::adopt::AdoptError;
use crate::archive::ArchiveError;
use crate::export::ExportError;
use crate::index::IndexError;
use crate::ingest::IngestError;
use crate::model::ErrorClass;
use crate::remote::RemoteError;
use crate::replica::ReplicaError;
use crate::store::StoreError;
use crate::sync::report::Outcome;
use crate::upkeep::UpkeepError;
use crate::view::ViewError;

/// All went well.
pub const OK: u8 = 0;
/// It failed.
pub const FAILURE: u8 = 1;
/// It went through, but some items were set aside.
pub const PARTIAL: u8 = 2;
/// A person must sign in.
pub const SIGN_IN: u8 = 3;
/// Wrong usage.
pub const USAGE: u8 = 4;
/// Another shoebox holds the archive or the profile.
pub const LOCKED: u8 = 11;
/// Stopped by a signal.
pub const INTERRUPTED: u8 = 130;

/// The code of an error class.
pub fn code(class: ErrorClass) -> u8 {
    match class {
        ErrorClass::NeedsHuman => SIGN_IN,
        ErrorClass::Usage => USAGE,
        ErrorClass::Locked => LOCKED,
        ErrorClass::Transient
        | ErrorClass::RemoteChanged
        | ErrorClass::Damaged
        | ErrorClass::Environment
        | ErrorClass::Bug => FAILURE,
    }
}

/// The code of an error that reached the top.
pub fn code_of(error: &anyhow::Error) -> u8 {
    let class = error.chain().find_map(|cause| {
        let class = |c: &(dyn std::error::Error + 'static)| {
            c.downcast_ref::<StoreError>()
                .map(StoreError::class)
                .or_else(|| c.downcast_ref::<RemoteError>().map(RemoteError::class))
                .or_else(|| c.downcast_ref::<ArchiveError>().map(ArchiveError::class))
                .or_else(|| c.downcast_ref::<IndexError>().map(IndexError::class))
                .or_else(|| c.downcast_ref::<IngestError>().map(IngestError::class))
                .or_else(|| c.downcast_ref::<ExportError>().map(ExportError::class))
                .or_else(|| c.downcast_ref::<ViewError>().map(ViewError::class))
                .or_else(|| c.downcast_ref::<UpkeepError>().map(UpkeepError::class))
                .or_else(|| c.downcast_ref::<AdoptError>().map(AdoptError::class))
                .or_else(|| c.downcast_ref::<ReplicaError>().map(ReplicaError::class))
        };
        class(cause)
    });
    class.map_or(FAILURE, code)
}

/// The code of a sync.
pub fn code_of_sync(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Complete => OK,
        Outcome::Partial => PARTIAL,
        Outcome::Interrupted => INTERRUPTED,
        Outcome::SignInNeeded(_) => SIGN_IN,
        Outcome::DiskFull { .. } | Outcome::Failed(_) => FAILURE,
    }
}
