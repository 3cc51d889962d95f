//! `shoebox migrate`: records what is known better now than when it was archived, and shows first which paths move.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Write as _, stdout};
use std::path::Path;

use crate::archive::{Archive, index_path};
use crate::exit;
use crate::model::ArchivedItem;
use crate::model::name::printable;
use crate::upkeep::facts;
use crate::view::source::load;
use crate::view::tree::Tree;
use crate::view::{IndexSource, ViewError};

/// Records it, or only prints what would move.
pub fn migrate(data: &Path, views: Option<&Path>, dry_run: bool) -> anyhow::Result<u8> {
    let archive = if dry_run { super::open_to_read(data)? } else { super::open(data)? };
    let now = super::clock().now();
    let (mut moving, mut others, mut revised) = (Vec::new(), 0_usize, 0_usize);
    facts::all(&archive, now, &mut |better| {
        if better.moves() {
            moving.push(better.after);
        } else {
            others += 1;
            revised += usize::from(!dry_run && facts::apply(&archive, &better)?);
        }
        Ok(())
    })?;
    let moves = moves(&archive, data, views, &moving)?;
    let mut out = stdout().lock();
    for (from, to) in &moves {
        writeln!(out, "{} -> {}", printable(from), printable(to))?;
    }
    let (paths, items) = (counted(moves.len(), "path"), counted(moving.len(), "item"));
    if dry_run {
        writeln!(out, "{paths} of {items} would move. Of {others} others more is known, and nothing moves.")?;
        writeln!(out, "`shoebox migrate` records it; inodes and all that was recorded earlier stay.")?;
        return Ok(exit::OK);
    }
    // What was shown first; the others are recorded already.
    facts::all(&archive, now, &mut |better| {
        revised += usize::from(facts::apply(&archive, &better)?);
        Ok(())
    })?;
    facts::settled(&archive, now)?;
    writeln!(out, "{} got a further revision; {paths} moved.", counted(revised, "item"))?;
    Ok(exit::OK)
}

fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// Where the views would show other paths, the old and the new one.
fn moves(
    archive: &Archive,
    data: &Path,
    views: Option<&Path>,
    moving: &[ArchivedItem],
) -> anyhow::Result<Vec<(String, String)>> {
    if moving.is_empty() {
        return Ok(Vec::new());
    }
    let views = super::views::read(views)?;
    let mut source = IndexSource::new(index_path(data), archive.store.id().clone());
    let mut tree = load(&mut source, &views).map_err(ViewError::Source)?;
    let ordinals: BTreeSet<u64> = moving.iter().map(|item| item.ordinal).collect();
    let names: Vec<&str> = views.iter().map(|view| view.name.as_str()).collect();
    let before = paths(&tree, &names, &ordinals);
    tree.apply(moving.iter().cloned());
    let after = paths(&tree, &names, &ordinals);
    let mut moves = Vec::new();
    for (inode, old) in before {
        let new = after.get(&inode).cloned().unwrap_or_default();
        let (left, come) = (old.difference(&new), new.difference(&old));
        moves.extend(left.zip(come).map(|(from, to)| (from.clone(), to.clone())));
    }
    Ok(moves)
}

/// The paths of these items' files, by view and inode: neither changes.
fn paths(tree: &Tree, views: &[&str], ordinals: &BTreeSet<u64>) -> BTreeMap<(usize, u64), BTreeSet<String>> {
    let mut paths: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for (number, view) in views.iter().enumerate() {
        for leaf in tree.leaves(view) {
            if tree.ordinal(leaf.attr.ino).is_some_and(|ordinal| ordinals.contains(&ordinal)) {
                paths.entry((number, leaf.attr.ino)).or_default().insert(leaf.path);
            }
        }
    }
    paths
}
