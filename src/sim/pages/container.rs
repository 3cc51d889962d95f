//! What a view shows: the library, the archive, an album, a search, the trash.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::sim::google::Google;
use crate::sim::library::SimItem;

/// A set of photos that has an address.
pub(crate) enum Container {
    Library,
    Archive,
    Album {
        key: String,
        number: usize,
        shared: bool,
    },
    /// `/search/<token>`; `_tra_` is recently added, others find nothing.
    Search(String),
    Trash,
}

/// How the page lists a container: which call, and where in its arrays everything is.
pub(crate) struct Listing {
    pub(crate) rpcid: &'static str,
    /// The request with nulls where cursor and start time go.
    pub(crate) request: Value,
    pub(crate) cursor_at: Vec<usize>,
    /// Where a start time goes, if the call takes one.
    pub(crate) start_at: Option<usize>,
    pub(crate) rows_at: usize,
    pub(crate) next_at: usize,
}

impl Listing {
    /// The request of the first page.
    pub(crate) fn first_request(&self) -> Value {
        self.request.clone()
    }
}

/// Rows of one page that the page itself asks for: a screen and some more.
const PAGE: usize = 60;
const DAY: i64 = 86_400_000;

impl Container {
    /// The container at these pieces of a path; none if there is no such place.
    pub(crate) fn read(google: &Google, pieces: &[&str]) -> Option<Self> {
        match pieces {
            [] => Some(Self::Library),
            ["archive"] => Some(Self::Archive),
            ["trash"] => Some(Self::Trash),
            ["search", token] => Some(Self::Search((*token).to_owned())),
            [kind @ ("album" | "share"), key] => {
                let number = albums(google).iter().position(|(known, _)| known == key)?;
                Some(Self::Album { key: (*key).to_owned(), number, shared: *kind == "share" })
            }
            _ => None,
        }
    }

    /// Its path, empty for the library.
    pub(crate) fn path(&self) -> String {
        match self {
            Self::Library => String::new(),
            Self::Archive => "/archive".into(),
            Self::Trash => "/trash".into(),
            Self::Search(token) => format!("/search/{token}"),
            Self::Album { key, shared: false, .. } => format!("/album/{key}"),
            Self::Album { key, shared: true, .. } => format!("/share/{key}"),
        }
    }

    /// What follows the path of every photo in it.
    pub(crate) fn query(&self) -> &'static str {
        if matches!(self, Self::Album { shared: true, .. }) { "?key=c2ltdWxhdGVkLWtleQ" } else { "" }
    }

    pub(crate) fn album_key(&self) -> Option<&str> {
        if let Self::Album { key, .. } = self { Some(key) } else { None }
    }

    /// What stands above the photos.
    pub(crate) fn heading(&self, google: &Google) -> Option<String> {
        let Self::Album { number, .. } = self else { return None };
        let title = albums(google).get(*number)?.1.clone();
        Some(if title.is_empty() { "Untitled".into() } else { title })
    }

    pub(crate) fn listing(&self) -> Listing {
        let timeline = |source| Listing {
            rpcid: "lcxiM",
            request: json!([null, null, PAGE, null, 1, source]),
            cursor_at: vec![0],
            start_at: Some(1),
            rows_at: 0,
            next_at: 1,
        };
        match self {
            Self::Library => timeline(1),
            Self::Archive => timeline(2),
            Self::Album { key, .. } => Listing {
                rpcid: "snAcKc",
                request: json!([key, null, null, null]),
                cursor_at: vec![1],
                start_at: None,
                rows_at: 1,
                next_at: 2,
            },
            Self::Search(token) => Listing {
                rpcid: "EzkLib",
                request: if token == "_tra_" {
                    json!(["", [[4, "ra", 0, 0]], null])
                } else {
                    json!([token, null, null])
                },
                cursor_at: vec![2],
                start_at: None,
                rows_at: 0,
                next_at: 1,
            },
            Self::Trash => Listing {
                rpcid: "zy0IHe",
                request: json!([null]),
                cursor_at: vec![0],
                start_at: None,
                rows_at: 0,
                next_at: 1,
            },
        }
    }

    /// Whether the photo's page exists in this container. The library shows what is in the trash, too.
    pub(crate) fn admits(&self, item: &SimItem) -> bool {
        match self {
            Self::Library | Self::Search(_) => true,
            Self::Archive => item.archived,
            Self::Trash => !item.listed,
            Self::Album { number, .. } => item.albums.contains(number),
        }
    }

    /// What it lists, in its order.
    pub(crate) fn items(&self, google: &Google) -> Vec<Arc<SimItem>> {
        let mut items = match self {
            Self::Trash => return google.library.trash(),
            Self::Album { number, .. } => return google.library.album_contents(*number),
            Self::Search(token) if token != "_tra_" => return Vec::new(),
            _ => google.library.timeline().as_ref().clone(),
        };
        match self {
            Self::Archive => items.retain(|item| item.archived),
            Self::Search(_) => items.sort_by(|a, b| (b.uploaded_ms, &b.key).cmp(&(a.uploaded_ms, &a.key))),
            _ => items.retain(|item| !item.archived),
        }
        items
    }

    /// The index behind the height of the page: days with counts, `[day, count, day, count, …]`, newest
    /// first; or, for a container without days, the count.
    pub(crate) fn index(&self, google: &Google) -> Value {
        let items = self.items(google);
        if self.listing().start_at.is_none() {
            return json!({ "count": items.len() });
        }
        let mut days: Vec<i64> = Vec::new();
        for item in items {
            let day = item.taken_ms.div_euclid(DAY);
            if days.len() >= 2 && days[days.len() - 2] == day {
                if let Some(count) = days.last_mut() {
                    *count += 1;
                }
            } else {
                days.extend([day, 1]);
            }
        }
        json!({ "days": days })
    }

    /// Where in the order a photo is.
    pub(crate) fn position(&self, google: &Google, key: &str) -> Option<usize> {
        self.items(google).iter().position(|item| item.key == key)
    }
}

/// Keys and titles of all albums.
pub(crate) fn albums(google: &Google) -> Vec<(String, String)> {
    let albums = &google.library.albums;
    (0..albums.len()).map(|n| (albums.key(n), albums.title(n))).collect()
}
