//! Views as the tree uses them: which facts tell their directories apart, and which items they show.

use jiff::Timestamp;

use super::albums::Albums;
use super::groups::Key;
use super::items::{Item, Items, flag};
use super::texts::Named;
use crate::model::PartRole;
use crate::model::name::{self, SafeName, fold};
use crate::view::layout::{Field, Filter, Kind, Piece, View, Word};

/// A view, ready to be asked about many items.
pub struct Shape {
    /// The view.
    pub view: View,
    fields: Vec<Field>,
    /// Which groups it uses; views with the same directories share them.
    pub domain: u16,
    /// Whether an item is in a directory of each of its albums.
    pub by_album: bool,
    /// Whether names cannot clash: each has its own position in front.
    pub is_positioned: bool,
    /// Whether groups hold only what the view shows; else names do not depend on the condition.
    pub is_strict: bool,
}

/// Everything that a template or a condition may ask of.
pub struct Facts<'a> {
    /// The items.
    pub items: &'a Items,
    /// The texts.
    pub named: &'a Named,
    /// The albums.
    pub albums: &'a Albums,
}

/// Shapes of views, and the number of domains.
pub fn shapes(views: &[View]) -> Vec<Shape> {
    let mut domains: Vec<(Vec<Vec<Piece>>, bool, Option<Filter>)> = Vec::new();
    let mut shapes = Vec::new();
    for view in views {
        let fields = view.path.fields();
        let is_positioned =
            view.path.prefix().iter().any(|piece| matches!(piece, Piece::Field(Field::Position, _)));
        // Every item has bytes of its own: groups of those that nobody is to see would be as many as items.
        let is_strict = fields.contains(&Field::Content);
        let domain = (view.path.directories().to_vec(), is_positioned, is_strict.then(|| view.show.clone()));
        let at = domains.iter().position(|known| *known == domain).unwrap_or_else(|| {
            domains.push(domain);
            domains.len() - 1
        });
        shapes.push(Shape {
            view: view.clone(),
            by_album: fields.contains(&Field::Album),
            fields,
            domain: u16::try_from(at).unwrap_or(u16::MAX),
            is_positioned,
            is_strict,
        });
    }
    shapes
}

impl Shape {
    /// Whether what is in which album tells where items are, or whether they are shown.
    pub fn follows_albums(&self) -> bool {
        let asks =
            |filter: &Filter| matches!(filter, Filter::Is(Word::InAlbum) | Filter::Text(Field::Album, ..));
        self.by_album || self.view.show.asks(&asks)
    }

    /// Whether the name of an account tells.
    pub fn follows_accounts(&self) -> bool {
        let asks = |filter: &Filter| matches!(filter, Filter::Text(Field::Account, ..));
        self.fields.contains(&Field::Account) || self.view.show.asks(&asks)
    }

    /// What tells an item's directory apart.
    pub fn key(&self, slot: u32, album: Option<u32>, facts: &Facts<'_>) -> Key {
        let mut key = [0; 7];
        for (place, field) in key.iter_mut().zip(&self.fields) {
            *place = facts.number(*field, slot, album);
        }
        if self.is_strict {
            key[5] = facts.content(slot, 4);
        }
        key[6] = album.map_or(0, |album| album + 1);
        key
    }

    /// The directories of an item as (key, shown name) pairs, the view's own first.
    pub fn path(&self, slot: u32, album: Option<u32>, facts: &Facts<'_>) -> Vec<(String, String)> {
        let mut path = vec![(self.view.name.clone(), self.view.name.clone())];
        for pieces in self.view.path.directories() {
            let mut text = String::new();
            for piece in pieces {
                facts.write(piece, slot, album, &mut text);
            }
            let safe = SafeName::new(&text).text();
            let safe = if self.view.portable { name::portable(&safe).into_owned() } else { safe };
            path.push((fold(&safe), safe));
        }
        path
    }

    /// Whether the view shows an item, in an album or by itself.
    pub fn shows(&self, slot: u32, album: Option<u32>, facts: &Facts<'_>) -> bool {
        matches!(self.view.show, Filter::All) || facts.holds(&self.view.show, slot, album)
    }

    /// Whether it shows that file of an item that it shows.
    pub fn shows_part(&self, role: PartRole) -> bool {
        self.view.parts.contains(&role)
    }

    /// Appends what stands in front of an item's name.
    pub fn write_prefix(&self, slot: u32, album: Option<u32>, facts: &Facts<'_>, to: &mut String) {
        for piece in self.view.path.prefix() {
            facts.write(piece, slot, album, to);
        }
    }
}

impl Facts<'_> {
    /// When what an item shows here was recorded.
    pub fn since(&self, slot: u32, album: Option<u32>) -> Timestamp {
        let album = album.map_or(i64::MIN, |album| self.albums.get(album).since);
        Timestamp::from_second(album.max(self.items.get(slot).since.into())).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn number(&self, field: Field, slot: u32, album: Option<u32>) -> u32 {
        let item = self.items.get(slot);
        let unsigned = |number: i64| u32::try_from(number).unwrap_or(0);
        match field {
            Field::Year => item.date.0.unsigned_abs().into(),
            Field::Month => item.date.1.into(),
            Field::Day => item.date.2.into(),
            Field::Hour => unsigned(self.items.local(slot).rem_euclid(86_400) / 3600),
            Field::Minute => unsigned(self.items.local(slot).rem_euclid(3600) / 60),
            Field::Second => unsigned(self.items.local(slot).rem_euclid(60)),
            Field::Added => u32::from_ne_bytes(item.added.to_ne_bytes()),
            Field::Camera => item.camera,
            Field::Lens => item.lens,
            Field::Country | Field::Region | Field::City => {
                let [country, region, city] = self.named.place_ids(item.place);
                match field {
                    Field::Country => country,
                    Field::Region => region,
                    _ => city,
                }
            }
            Field::Type => {
                u32::try_from(Kind::ALL.iter().position(|kind| *kind == item.kind).unwrap_or(0)).unwrap_or(0)
            }
            Field::Owner => item.owner,
            Field::Account => item.account.into(),
            Field::Content => self.content(slot, 0),
            // The album is in the key already.
            Field::Album | Field::Position | Field::Name => album.unwrap_or(0),
        }
    }

    /// Four bytes of the hash of an item's original.
    fn content(&self, slot: u32, from: usize) -> u32 {
        let bytes = self.items.part(slot, PartRole::Original).map(|part| *part.sha256.bytes());
        let bytes = bytes.and_then(|bytes| bytes.get(from..)?.first_chunk().copied());
        bytes.map_or(0, u32::from_be_bytes)
    }

    fn text(&self, field: Field, slot: u32, album: Option<u32>) -> Option<String> {
        let item = self.items.get(slot);
        let [country, region, city] = self.named.place_ids(item.place);
        let number = || self.number(field, slot, album);
        match field {
            Field::Year => Some(format!("{:04}", number())),
            Field::Month | Field::Day | Field::Hour | Field::Minute | Field::Second => {
                Some(format!("{:02}", number()))
            }
            Field::Added => {
                let day = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(item.added));
                day.ok().map(|day| day.to_string())
            }
            Field::Camera => self.named.cameras.get(item.camera).map(str::to_owned),
            Field::Lens => self.named.lenses.get(item.lens).map(str::to_owned),
            Field::Country => self.named.countries.get(country).map(str::to_owned),
            Field::Region => self.named.regions.get(region).map(str::to_owned),
            Field::City => self.named.cities.get(city).map(str::to_owned),
            Field::Type => Some(item.kind.word().to_owned()),
            Field::Album => album.map(|album| self.albums.get(album).title.clone()),
            Field::Position => {
                let position = self.albums.get(album?).position(item.ordinal)?;
                let mut text = String::new();
                position.write(&mut text);
                Some(text)
            }
            Field::Owner => {
                let owner = album.and_then(|album| self.albums.get(album).owner.clone());
                owner.or_else(|| self.named.owners.get(item.owner).map(str::to_owned))
            }
            Field::Account => {
                self.named.accounts.get(item.account.into()).map(|id| self.albums.account(id).to_owned())
            }
            Field::Content => {
                self.items.part(slot, PartRole::Original).map(|part| part.sha256.hex()[..12].to_owned())
            }
            Field::Name => None,
        }
    }

    fn write(&self, piece: &Piece, slot: u32, album: Option<u32>, to: &mut String) {
        match piece {
            Piece::Text(text) => to.push_str(text),
            Piece::Field(field, unknown) => {
                to.push_str(self.text(*field, slot, album).as_deref().unwrap_or(unknown));
            }
        }
    }

    /// Whether a condition holds for an item. In an album, `shared` asks whether others made the album.
    pub fn holds(&self, filter: &Filter, slot: u32, album: Option<u32>) -> bool {
        match filter {
            Filter::All => true,
            Filter::Is(word) => self.is(*word, self.items.get(slot), slot, album),
            Filter::Number(field, compare, number) => {
                compare.holds(i64::from(self.number(*field, slot, album)), *number)
            }
            Filter::Text(field, wanted, text) => {
                let is = match (field, album) {
                    (Field::Album, None) => {
                        let albums = self.albums.of(self.items.get(slot).ordinal);
                        albums.iter().any(|album| fold(&self.albums.get(*album).title) == *text)
                    }
                    // By its name, or by Google's number of it.
                    (Field::Account, _)
                        if self.named.accounts.find(text) == self.number(*field, slot, album) =>
                    {
                        true
                    }
                    _ => self.text(*field, slot, album).is_some_and(|own| fold(&own) == *text),
                };
                is == *wanted
            }
            Filter::Not(inner) => !self.holds(inner, slot, album),
            Filter::And(a, b) => self.holds(a, slot, album) && self.holds(b, slot, album),
            Filter::Or(a, b) => self.holds(a, slot, album) || self.holds(b, slot, album),
        }
    }

    fn is(&self, word: Word, item: &Item, slot: u32, album: Option<u32>) -> bool {
        let has = |flag| item.flags & flag != 0;
        match word {
            Word::Favourite => has(flag::FAVOURITE),
            Word::Archived => has(flag::ARCHIVED),
            Word::Gone => has(flag::GONE),
            Word::Shared => album.map_or(has(flag::FOREIGN), |album| self.albums.get(album).is_shared),
            Word::InAlbum => has(flag::IN_ALBUM),
            Word::Duplicate => has(flag::TWIN),
            Word::Repeat => has(flag::REPEAT),
            Word::Recent => has(flag::RECENT),
            Word::Edited => self.items.part(slot, PartRole::Edited).is_some(),
            Word::Photo => item.kind == Kind::Photo,
            Word::Video => item.kind == Kind::Video,
            Word::Live => item.kind == Kind::Live,
            Word::Raw => item.kind == Kind::Raw,
            Word::Screenshot => item.kind == Kind::Screenshot,
            Word::Animation => item.kind == Kind::Animation,
            Word::Placed => item.place != 0 && self.named.place_ids(item.place)[0] != 0,
            Word::Camera => item.camera != 0 && !has(flag::NO_CAMERA),
            Word::DateConflict => has(flag::DATE_CONFLICT),
            Word::Lens => item.lens != 0,
        }
    }
}
