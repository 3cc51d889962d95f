//! Which albums are read again, and by whom: several accounts of an archive may see the same one.

use crate::index::{Balance, KnownAlbum};
use crate::model::{ItemState, RemoteAlbum};

/// Which account of this archive keeps an album's record up to date, where several see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeper {
    /// This one, as ever.
    Us,
    /// This one from now on: the owner, or whoever first sees what the keeper has not seen.
    UsNow,
    /// Another one.
    Another,
    /// Another one, who cannot have or does not want what this one shall archive of it.
    AnotherWhoLacks,
}

/// Who keeps an album up to date that this account sees; `named`: what others put into it is to be archived, `whole`: this
/// pass lists everything,
/// `is_away`: whoever has recorded it is none of those whose passes are made.
pub(super) fn keeper(
    album: &RemoteAlbum,
    known: Option<&KnownAlbum>,
    account: &str,
    (named, whole): (bool, bool),
    balance: &Balance,
    is_away: bool,
) -> Keeper {
    let Some(known) = known.filter(|known| known.account != account && !known.record.key.is_local()) else {
        return Keeper::Us;
    };
    let lacks = balance.archived < balance.shown || balance.set_aside > 0;
    match (album.kind.is_own(), known.kind.is_own() && !is_away) {
        (true, _) if known.kind.is_own() => Keeper::Us,
        (true, _) => Keeper::UsNow,
        (false, _) if !named => Keeper::Another,
        (false, true) if lacks || whole || has_changed(album, known) => Keeper::AnotherWhoLacks,
        (false, true) => Keeper::Another,
        (false, false) if has_changed(album, known) => Keeper::UsNow,
        // The one who has recorded it does not want what is in it.
        (false, false) if balance.shown == 0 && album.count != Some(0) => Keeper::UsNow,
        (false, false) if lacks => Keeper::AnotherWhoLacks,
        (false, false) => Keeper::Another,
    }
}

/// Whether the list says other things than the record does.
fn has_changed(album: &RemoteAlbum, known: &KnownAlbum) -> bool {
    known.state == ItemState::Gone
        || known.title != album.title.clone().unwrap_or_default()
        || (album.count.is_some() && known.count != album.count)
        || (album.modified_ms.is_some() && known.modified_ms != album.modified_ms)
}

/// Whether an album that this account keeps must be read again.
pub(super) fn needs_reading(
    album: &RemoteAlbum,
    known: Option<&KnownAlbum>,
    balance: &Balance,
    (wanted, named): (bool, bool),
    whole: bool,
) -> bool {
    let Some(known) = known else { return true };
    // Without a time of change only reading tells; and what is wanted and not there is tried again.
    let blind = album.modified_ms.is_none() && (whole || album.count.is_none());
    let lacking =
        named && (balance.missing + balance.set_aside > 0 || (balance.shown == 0 && album.count != Some(0)));
    // Read short of its count once, it may have been a bad moment of Google's.
    let short = whole && album.count.is_some_and(|count| balance.shown < count);
    has_changed(album, known) || (wanted && (blind || lacking || short))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::{AlbumKind, MediaKey, Sha256};
    use crate::store::RecordName;

    #[test]
    fn one_of_several_accounts_keeps_an_album_up_to_date() {
        let key = MediaKey::new("AF1QipAlbum").unwrap();
        let seen = |kind| RemoteAlbum {
            key: key.clone(),
            aliases: Vec::new(),
            access: None,
            kind,
            title: Some("Wedding".into()),
            count: Some(5),
            cover: None,
            owner: None,
            created_ms: None,
            modified_ms: Some(7),
        };
        let record = RecordName { key: key.clone(), seq: 1, sha256: Sha256::new([1; 32]) };
        let known = |account: &str, kind| KnownAlbum {
            record: record.clone(),
            account: account.into(),
            state: ItemState::Present,
            kind,
            title: "Wedding".into(),
            count: Some(5),
            modified_ms: Some(7),
        };
        let has =
            |shown, archived| Balance { shown, archived, missing: shown - archived, ..Balance::default() };
        let (own, shared) = (AlbumKind::Own, AlbumKind::Shared);
        let of = |album: &RemoteAlbum, known: &KnownAlbum, named, balance: Balance| {
            keeper(album, Some(known), "ben", (named, false), &balance, false)
        };
        // Who has it has it.
        assert_eq!(of(&seen(shared), &known("ben", shared), true, has(5, 5)), Keeper::Us);
        assert_eq!(keeper(&seen(own), None, "ben", (false, false), &has(0, 0), false), Keeper::Us);
        // The owner comes to what a guest has recorded.
        assert_eq!(of(&seen(own), &known("anna", shared), false, has(0, 0)), Keeper::UsNow);
        // A guest never records the owner's album, but archives what the owner cannot.
        assert_eq!(of(&seen(shared), &known("anna", own), false, has(5, 3)), Keeper::Another);
        assert_eq!(of(&seen(shared), &known("anna", own), true, has(5, 5)), Keeper::Another);
        assert_eq!(of(&seen(shared), &known("anna", own), true, has(5, 3)), Keeper::AnotherWhoLacks);
        // Two guests: the first one, as long as it sees what there is.
        assert_eq!(of(&seen(shared), &known("anna", shared), true, has(5, 5)), Keeper::Another);
        assert_eq!(of(&seen(shared), &known("anna", shared), false, has(0, 0)), Keeper::Another);
        assert_eq!(of(&seen(shared), &known("anna", shared), true, has(0, 0)), Keeper::UsNow);
        assert_eq!(of(&seen(shared), &known("anna", shared), true, has(5, 4)), Keeper::AnotherWhoLacks);
        let grown = RemoteAlbum { count: Some(6), ..seen(shared) };
        assert_eq!(of(&grown, &known("anna", shared), true, has(5, 5)), Keeper::UsNow);
        assert_eq!(of(&grown, &known("anna", own), true, has(5, 5)), Keeper::AnotherWhoLacks);
        assert_eq!(of(&grown, &known("anna", shared), false, has(5, 5)), Keeper::Another);
        // An owner who is there no more.
        let left = |album| keeper(album, Some(&known("anna", own)), "ben", (true, false), &has(5, 5), true);
        assert_eq!((left(&seen(shared)), left(&grown)), (Keeper::Another, Keeper::UsNow));
    }
}
