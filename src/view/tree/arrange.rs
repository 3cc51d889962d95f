//! All items at once into their groups: what a tree begins with. The work of each domain is its own, so domains
//! are shared out among threads.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use jiff::Timestamp;

use super::groups::{Group, Key, Quick};
use super::shape::{Facts, Shape};
use crate::model::PartRole;

/// The groups of one domain.
pub struct Domain {
    /// Its number.
    pub number: u16,
    /// The groups in the order in which their first items came.
    pub groups: Vec<Arranged>,
    /// In how many places each item's original is shown, by where the item is kept.
    pub links: Vec<u8>,
}

/// A group, and which views show some of it.
pub struct Arranged {
    /// What tells it apart.
    pub key: Key,
    /// Its items, with their names dealt.
    pub group: Group,
    /// What each view that shows any shows.
    pub shown: Vec<Shown>,
}

/// What a view shows of a group.
pub struct Shown {
    /// The view.
    pub view: u16,
    /// How many items.
    pub count: u32,
    /// The first of them.
    pub first: u32,
    /// When the latest of them was recorded.
    pub since: Timestamp,
}

/// Puts items, lowest number first, into the groups of all domains.
pub fn arrange(shapes: &[Shape], facts: &Facts<'_>, slots: &[u32]) -> Vec<Domain> {
    let domains = shapes.iter().map(|shape| shape.domain + 1).max().unwrap_or(0);
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let work = || {
        while let Ok(number) = u16::try_from(next.fetch_add(1, Ordering::Relaxed)) {
            if number >= domains {
                break;
            }
            let own: Vec<(u16, &Shape)> =
                (0..).zip(shapes).filter(|(_, shape)| shape.domain == number).collect();
            let (groups, links) = one(&own, facts, slots);
            let domain = Domain { number, groups, links };
            done.lock().unwrap_or_else(PoisonError::into_inner).push(domain);
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(usize::from(domains)).min(8);
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    let mut domains = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    domains.sort_unstable_by_key(|domain| domain.number);
    domains
}

/// The groups of the views of one domain, which differ in their conditions alone.
fn one(shapes: &[(u16, &Shape)], facts: &Facts<'_>, slots: &[u32]) -> (Vec<Arranged>, Vec<u8>) {
    let Some((_, like)) = shapes.first() else { return (Vec::new(), Vec::new()) };
    let mut links = vec![0_u8; slots.iter().max().map_or(0, |last| *last as usize + 1)];
    let mut by_key: HashMap<Key, usize, Quick> = HashMap::default();
    let mut groups: Vec<Arranged> = Vec::new();
    // Neighbours are mostly of one day, and of one camera.
    let mut last: Option<(Key, usize)> = None;
    let mut put = |slot: u32, album: Option<u32>| {
        let mut own = None;
        for &(view, shape) in shapes {
            let shows = shape.shows(slot, album, facts);
            if shape.is_strict && !shows {
                continue;
            }
            let at = *own.get_or_insert_with(|| {
                let key = shape.key(slot, album, facts);
                let at = match last {
                    Some((like, at)) if like == key => at,
                    _ => *by_key.entry(key).or_insert(groups.len()),
                };
                last = Some((key, at));
                if at == groups.len() {
                    groups.push(Arranged { key, group: Group::new(key), shown: Vec::new() });
                }
                groups[at].group.push(slot);
                at
            });
            if shows {
                let counts = u8::from(shape.shows_part(PartRole::Original));
                links[slot as usize] = links[slot as usize].saturating_add(counts);
                let since = facts.since(slot, album);
                match groups[at].shown.iter_mut().find(|known| known.view == view) {
                    Some(known) => {
                        known.count += 1;
                        known.since = known.since.max(since);
                    }
                    None => groups[at].shown.push(Shown { view, count: 1, first: slot, since }),
                }
            }
        }
    };
    for &slot in slots {
        if like.by_album {
            for &album in facts.albums.of(facts.items.get(slot).ordinal) {
                put(slot, Some(album));
            }
        } else {
            put(slot, None);
        }
    }
    for arranged in &mut groups {
        arranged.group.settle();
        if !like.is_positioned {
            arranged.group.deal(facts.items);
        }
    }
    (groups, links)
}
