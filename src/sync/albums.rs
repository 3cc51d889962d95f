//! Albums: the account's own, and those of others that the person wants.

mod keeper;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use self::keeper::{Keeper, keeper, needs_reading};
use super::Pass;
use super::lister::{Lister, Work};
use super::pages::Trail;
use super::report::Outcome;
use crate::index::KnownAlbum;
use crate::ingest;
use crate::model::name;
use crate::model::{AlbumKind, AlbumRecord, ItemState, MediaKey, PartRole, RemoteAlbum};
use crate::remote::{Cursor, RemoteError, RemoteLibrary, Through};
use crate::store::ALBUM_SCHEMA;

/// Which albums of others are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// All of them.
    pub all: bool,
    /// Those with one of these titles or keys; `partner/KEY` names a partner's library.
    pub named: Vec<String>,
}

impl Wanted {
    /// Whether an album is to be read; the account's own always are.
    pub fn wants(&self, album: &RemoteAlbum) -> bool {
        album.kind.is_own() || self.names(album)
    }

    /// Whether what others put into an album is to be archived.
    fn names(&self, album: &RemoteAlbum) -> bool {
        let is = |name: &String| {
            let key = name.rsplit('/').next().unwrap_or(name);
            album.title.as_deref() == Some(name)
                || album.key.as_str() == key
                || album.aliases.iter().any(|alias| alias.as_str() == key)
        };
        self.all || self.named.iter().any(is)
    }

    fn partners(&self) -> impl Iterator<Item = RemoteAlbum> + '_ {
        let keys = self.named.iter().filter_map(|name| MediaKey::of_library(name.strip_prefix("partner/")?));
        keys.map(|key| RemoteAlbum {
            key,
            aliases: Vec::new(),
            access: None,
            kind: AlbumKind::Partner,
            title: Some("Partner".to_owned()),
            count: None,
            cover: None,
            owner: None,
            created_ms: None,
            modified_ms: None,
        })
    }
}

/// Lists albums, records those that changed, and queues what others share and the person wants.
pub(crate) async fn list<R: RemoteLibrary>(
    pass: Arc<Pass<R>>,
    queue: mpsc::Sender<Work>,
) -> Result<(), Outcome> {
    let pass = &pass;
    let mut lister = Lister::new(pass, queue)?;
    let wanted = &pass.options.albums;
    let mut found = match pages(&lister, false).await? {
        Ok(albums) => albums,
        Err(error @ RemoteError::NotThisWay(_)) => {
            tracing::info!("{error}");
            return Ok(());
        }
        // Albums are an order of what is archived anyway: the photos do not suffer.
        Err(error) => {
            tracing::warn!("the list of albums could not be had: {error}");
            pass.progress.add_unreadable(1);
            return Ok(());
        }
    };
    let ours = |album: &KnownAlbum| is_ours_now(album) && album.account == lister.account;
    if found.is_empty() && lister.ask(|index| index.albums()).await?.iter().any(ours) {
        tracing::warn!("Google lists no albums, and there were some: not believed");
        pass.progress.add_unreadable(1);
    }
    if wanted.all || !wanted.named.is_empty() {
        match pages(&lister, true).await? {
            Ok(shared) => shared.into_iter().for_each(|album| fold(&mut found, album)),
            Err(error) => {
                tracing::warn!("what others share could not be listed: {error}");
                pass.progress.add_unreadable(1);
            }
        }
        found.extend(wanted.partners());
    }
    let whole = pass.progress.snapshot().lists_everything;
    for album in &found {
        if let Err(error) = one(&mut lister, album, wanted.wants(album), whole).await? {
            tracing::warn!(
                album = album.title.as_deref().unwrap_or("untitled"),
                "an album could not be read: {error}"
            );
            pass.progress.add_unreadable(1);
        }
    }
    if whole && !found.is_empty() {
        note_gone(&lister, &found).await?;
    }
    Ok(())
}

/// All pages of one of the two lists.
async fn pages<R: RemoteLibrary>(
    lister: &Lister<R>,
    shared: bool,
) -> Result<Result<Vec<RemoteAlbum>, RemoteError>, Outcome> {
    let mut found: Vec<RemoteAlbum> = Vec::new();
    let mut trail = Trail::default();
    let mut from: Option<Cursor> = None;
    loop {
        let page = match lister.try_persist(|| lister.pass.remote.albums(shared, from.as_ref())).await? {
            Ok(page) => page,
            Err(error @ RemoteError::SignedOut { .. }) => {
                return Err(Outcome::from(error));
            }
            Err(error) => return Ok(Err(error)),
        };
        for reason in &page.rejected {
            tracing::warn!("an entry of the album list cannot be read: {reason}");
        }
        lister.pass.progress.add_unreadable(page.rejected.len() as u64);
        let rows = page.albums.len() + page.rejected.len();
        page.albums.into_iter().for_each(|album| fold(&mut found, album));
        match trail.after(page.next, rows) {
            Ok(None) => return Ok(Ok(found)),
            Ok(next) => from = next,
            Err(error) => return Ok(Err(error)),
        }
    }
}

fn is_ours_now(album: &KnownAlbum) -> bool {
    album.kind.is_own() && album.state == ItemState::Present && !album.record.key.is_local()
}

/// Adds an album, or what is new about one that is there: the two lists have ids of their own for the same.
fn fold(found: &mut Vec<RemoteAlbum>, album: RemoteAlbum) {
    let names = |album: &RemoteAlbum| -> Vec<MediaKey> {
        album.aliases.iter().chain([&album.key]).cloned().collect()
    };
    let ours = names(&album);
    let Some(same) = found.iter_mut().find(|other| names(other).iter().any(|key| ours.contains(key))) else {
        found.push(album);
        return;
    };
    same.aliases.extend(ours);
    let key = same.key.clone();
    same.aliases.retain(|alias| *alias != key);
    same.aliases.sort();
    same.aliases.dedup();
    same.access = same.access.take().or(album.access);
    same.title = same.title.take().or(album.title);
    same.count = same.count.or(album.count);
    same.owner = same.owner.take().or(album.owner);
}

/// Brings one album up to date.
async fn one<R: RemoteLibrary>(
    lister: &mut Lister<R>,
    album: &RemoteAlbum,
    wanted: bool,
    whole: bool,
) -> Result<Result<(), RemoteError>, Outcome> {
    let key = album.key.clone();
    let (known, balance, names) = lister
        .ask(move |index| Ok((index.album(&key)?, index.album_balance(&key)?, index.account_names()?)))
        .await?;
    let named = lister.pass.options.albums.names(album);
    let others = &lister.pass.options.others;
    let is_there = |known: &KnownAlbum| names.get(&known.account).is_some_and(|name| others.contains(name));
    // By hand, nobody says who else there is.
    let is_away = !others.is_empty() && known.as_ref().is_some_and(|known| !is_there(known));
    let keeper = keeper(album, known.as_ref(), &lister.account, (named, whole), &balance, is_away);
    match keeper {
        Keeper::Another => return Ok(Ok(())),
        Keeper::Us if !needs_reading(album, known.as_ref(), &balance, (wanted, named), whole) => {
            return Ok(Ok(()));
        }
        Keeper::Us | Keeper::UsNow | Keeper::AnotherWhoLacks => {}
    }
    let mut items = Vec::new();
    let (mut members, mut count, mut cover) = (Vec::new(), album.count, album.cover.clone());
    if wanted {
        let mut from: Option<Cursor> = None;
        let mut trail = Trail::default();
        loop {
            let page =
                match lister.try_persist(|| lister.pass.remote.album_items(album, from.as_ref())).await? {
                    Ok(page) => page,
                    Err(error @ RemoteError::SignedOut { .. }) => {
                        return Err(Outcome::from(error));
                    }
                    Err(error) => return Ok(Err(error)),
                };
            for reason in &page.rejected {
                tracing::warn!("a row of an album cannot be read: {reason}");
            }
            lister.pass.progress.add_unreadable(page.rejected.len() as u64);
            count = page.count.or(count);
            members = page.members;
            let next = match trail.after(page.next, page.items.len() + page.rejected.len()) {
                Ok(next) => next,
                Err(error) => return Ok(Err(error)),
            };
            let own = resolve(lister, album.kind, &page.items).await?;
            if from.is_none() {
                cover = page.cover.map(|key| own.get(&key).cloned().unwrap_or(key)).or(cover);
            }
            let mut others = Vec::new();
            for item in page.items {
                match own.get(&item.key) {
                    Some(key) => items.push(key.clone()),
                    None => {
                        items.push(item.key.clone());
                        if !album.kind.is_own() || item.foreign {
                            others.push(item);
                        }
                    }
                }
            }
            if named {
                let through = Through { album: album.key.clone(), access: album.access.clone() };
                lister.take_shared(others, &through).await?;
            }
            let Some(next) = next else { break };
            from = Some(next);
        }
        if items.is_empty() && album.count.is_some_and(|count| count > 0) {
            return Ok(Err(RemoteError::Nothing(format!("{} items are counted", count.unwrap_or(0)))));
        }
    }
    if keeper == Keeper::AnotherWhoLacks {
        return Ok(Ok(()));
    }
    let album = RemoteAlbum { cover, count, ..album.clone() };
    record(lister, album, known, (items, members)).await.map(Ok)
}

/// Which of these rows are archived items, and under which key: of the account's own library, or of another's.
async fn resolve<R: RemoteLibrary>(
    lister: &Lister<R>,
    kind: AlbumKind,
    items: &[crate::model::RemoteItem],
) -> Result<HashMap<MediaKey, MediaKey>, Outcome> {
    let account = lister.account.clone();
    let items = items.to_vec();
    lister
        .ask(move |index| {
            let keys: Vec<_> = items.iter().map(|item| item.key.clone()).collect();
            let known = index.known(&keys)?;
            let mut own = HashMap::new();
            for item in items {
                if known.contains_key(&item.key) {
                    own.insert(item.key.clone(), item.key);
                    continue;
                }
                let Some(dedup) = &item.dedup_key else { continue };
                if let Some(found) = index.item_by_dedup(&account, dedup)? {
                    own.insert(item.key, found);
                    continue;
                }
                // What others share may be another account's own. Of the own library, the item itself will come.
                if kind.is_own() && !item.foreign {
                    continue;
                }
                let Some(found) = index.item_of_anyone_by_dedup(dedup)? else { continue };
                let theirs = index.known(std::slice::from_ref(&found))?.remove(&found);
                let has_video = theirs
                    .is_some_and(|theirs| theirs.parts.iter().any(|(role, _)| *role == PartRole::Motion));
                if !item.live || has_video {
                    own.insert(item.key, found);
                }
            }
            Ok(own)
        })
        .await
}

type Contents = (Vec<MediaKey>, Vec<String>);

async fn record<R: RemoteLibrary>(
    lister: &Lister<R>,
    album: RemoteAlbum,
    known: Option<KnownAlbum>,
    (items, members): Contents,
) -> Result<(), Outcome> {
    let (pass, account) = (Arc::clone(&lister.pass), lister.account.clone());
    let written = ingest::blocking(move || {
        let store = &pass.archive.store;
        let _turn = pass.archive.turn();
        let now = pass.reader.lock().unwrap_or_else(std::sync::PoisonError::into_inner).album(&album.key)?;
        if now.as_ref().map(|now| &now.record) != known.as_ref().map(|known| &known.record) {
            // Another account's pass has been quicker. What it has seen less of, the next pass tells.
            return Ok(());
        }
        let previous = now.map(|now| store.read_album(&now.record)).transpose()?;
        let formerly = match &previous {
            Some(previous) => previous.record().formerly.clone(),
            None => adopted(&pass, &album, &items)?,
        };
        let mut aliases = album.aliases;
        if let Some(previous) = &previous {
            // An alias that one of the lists does not show now is still a name of the album.
            aliases.extend(previous.record().aliases.iter().cloned());
        }
        aliases.sort();
        aliases.dedup();
        let record = AlbumRecord {
            schema: ALBUM_SCHEMA,
            key: album.key,
            seq: previous.as_ref().map_or(1, |previous| previous.record().seq + 1),
            previous: previous.as_ref().map(|previous| *previous.sha256()),
            account,
            recorded_at: pass.clock.now(),
            state: ItemState::Present,
            kind: album.kind,
            title: album.title.unwrap_or_default(),
            aliases,
            cover: album.cover,
            owner: album.owner,
            members,
            created_ms: album.created_ms,
            modified_ms: album.modified_ms,
            count: album.count,
            items,
            formerly,
            unknown: previous.as_ref().map(|p| p.record().unknown.clone()).unwrap_or_default(),
        };
        if previous.is_some_and(|previous| {
            let previous = previous.record();
            // Who else says the very same of somebody's album is no news.
            let as_before = AlbumRecord {
                account: previous.account.clone(),
                cover: previous.cover.clone(),
                members: previous.members.clone(),
                ..record.clone()
            };
            let is_anothers = previous.account != record.account && previous.kind == record.kind;
            let same = if is_anothers { &as_before } else { &record };
            previous.says_the_same(same) && previous.modified_ms == record.modified_ms
        }) {
            return Ok(());
        }
        pass.archive.index.writer().apply_album(store.put_album(&record)?)?;
        pass.progress.add_album();
        Ok(())
    });
    written.await.map_err(Outcome::from)
}

/// The album of that title that was adopted, where the library's has all of its photos: it is the same one.
fn adopted<R: RemoteLibrary>(
    pass: &Pass<R>,
    album: &RemoteAlbum,
    items: &[MediaKey],
) -> Result<Option<MediaKey>, ingest::IngestError> {
    if !album.kind.is_own() {
        return Ok(None);
    }
    let title = album.title.as_deref().unwrap_or_default();
    let reader = pass.archive.index.reader()?;
    for known in reader.albums()? {
        let is_like = known.record.key.is_local() && name::fold(&known.title) == name::fold(title);
        if is_like && reader.covers(items, &pass.archive.store.read_album(&known.record)?.record().items)? {
            return Ok(Some(known.record.key));
        }
    }
    Ok(None)
}

/// An album that the list does not show and that Google does not find either is gone; it is noted, not removed.
async fn note_gone<R: RemoteLibrary>(lister: &Lister<R>, found: &[RemoteAlbum]) -> Result<(), Outcome> {
    let known = lister.ask(|index| index.albums()).await?;
    for album in known {
        let shown = found
            .iter()
            .any(|other| other.key == album.record.key || other.aliases.contains(&album.record.key));
        let is_adopted = album.record.key.is_local();
        let is_ours = album.kind.is_own() && album.account == lister.account;
        if shown || is_adopted || album.state == ItemState::Gone || !is_ours {
            continue;
        }
        let asked = RemoteAlbum {
            key: album.record.key.clone(),
            aliases: Vec::new(),
            access: None,
            kind: album.kind,
            title: None,
            count: None,
            cover: None,
            owner: None,
            created_ms: None,
            modified_ms: None,
        };
        let answer = lister.try_persist(|| lister.pass.remote.album_items(&asked, None)).await?;
        if !matches!(answer, Err(RemoteError::Item(_))) {
            continue;
        }
        let pass = Arc::clone(&lister.pass);
        let written = ingest::blocking(move || {
            let _turn = pass.archive.turn();
            let previous = pass.archive.store.read_album(&album.record)?;
            let record = AlbumRecord {
                seq: previous.record().seq + 1,
                previous: Some(*previous.sha256()),
                recorded_at: pass.clock.now(),
                state: ItemState::Gone,
                ..previous.record().clone()
            };
            pass.archive.index.writer().apply_album(pass.archive.store.put_album(&record)?)?;
            Ok(())
        });
        written.await.map_err(Outcome::from)?;
    }
    Ok(())
}
