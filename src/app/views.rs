//! `shoebox view`: which views there are, whether a configuration is right, what a view would show.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Write as _, stdout};
use std::path::{Path, PathBuf};

use crate::archive::index_path;
use crate::exit;
use crate::model::PartRole;
use crate::model::name::printable;
use crate::view::layout::{Filter, Template, View, parse, shipped};
use crate::view::source::load;
use crate::view::{IndexSource, ViewError};

/// What is previewed.
#[derive(Clone, Debug)]
pub enum Which {
    /// A view by its name.
    Named(String),
    /// A template and a condition that are in no file.
    Template {
        /// The template.
        path: String,
        /// The condition; empty for all items.
        show: String,
    },
}

/// The views of a file, or those that are shipped.
pub fn read(file: Option<&Path>) -> Result<Vec<View>, ViewError> {
    let Some(file) = file else { return Ok(shipped()) };
    let bad = |why: String| ViewError::Config(file.to_owned(), why);
    let text = fs::read_to_string(file).map_err(|e| bad(e.to_string()))?;
    let views = parse(&text).map_err(|e| bad(e.to_string()))?;
    if views.is_empty() { Err(bad("it leaves no view at all".into())) } else { Ok(views) }
}

/// Lists the views.
pub fn list(file: Option<&Path>) -> anyhow::Result<u8> {
    let views = read(file)?;
    let width = |of: fn(&View) -> usize| views.iter().map(of).max().unwrap_or(0);
    let (name, path) = (width(|view| view.name.len()), width(|view| view.path.text().len()));
    let mut out = stdout().lock();
    for view in &views {
        let sidecars = if view.sidecars { " (with sidecars)" } else { "" };
        writeln!(out, "{:name$}  {:path$}  {}{sidecars}", view.name, view.path.text(), view.about)?;
    }
    Ok(exit::OK)
}

/// Checks a file of views.
pub fn check(file: &Path) -> anyhow::Result<u8> {
    let views = read(Some(file))?;
    writeln!(stdout().lock(), "{}: {} views, all well formed", file.display(), views.len())?;
    Ok(exit::OK)
}

/// Prints what a view shows of the archive.
pub fn preview(data: &Path, file: Option<&Path>, which: Which, limit: usize) -> anyhow::Result<u8> {
    let view = choose(file, which)?;
    let archive = super::open_to_read(data)?;
    let mut source = IndexSource::new(index_path(data), archive.store.id().clone());
    let tree = load(&mut source, std::slice::from_ref(&view)).map_err(ViewError::Source)?;
    let leaves = tree.leaves(&view.name);
    let mut out = stdout().lock();
    for leaf in leaves.iter().take(limit) {
        writeln!(out, "{}", printable_path(&leaf.path))?;
    }
    if leaves.len() > limit {
        writeln!(out, "… and {} more (--limit shows them)", leaves.len() - limit)?;
    }
    let items: BTreeSet<Option<u64>> = leaves.iter().map(|leaf| tree.ordinal(leaf.attr.ino)).collect();
    let folders: BTreeSet<&str> =
        leaves.iter().filter_map(|leaf| Some(leaf.path.rsplit_once('/')?.0)).collect();
    writeln!(
        out,
        "{} files of {} items in {} folders; the archive has {} files",
        leaves.len(),
        items.len(),
        folders.len(),
        tree.parts()
    )?;
    Ok(exit::OK)
}

fn printable_path(path: &str) -> String {
    path.split('/').map(printable).collect::<Vec<_>>().join("/")
}

/// The view that somebody means.
pub(super) fn choose(file: Option<&Path>, which: Which) -> Result<View, ViewError> {
    match which {
        Which::Named(name) => {
            let views = read(file)?;
            let known: Vec<String> = views.iter().map(|view| view.name.clone()).collect();
            let place = || file.map_or_else(|| PathBuf::from("the shipped views"), Path::to_owned);
            let wanted = views.into_iter().find(|view| view.name == name);
            wanted.ok_or_else(|| {
                ViewError::Config(
                    place(),
                    format!("there is no view `{name}`; there are {}", known.join(", ")),
                )
            })
        }
        Which::Template { path, show } => {
            let bad = |option: &str, text: &str| {
                let (option, text) = (PathBuf::from(option), text.to_owned());
                move |mistake: crate::view::layout::Mistake| {
                    ViewError::Config(option, format!("column {}: {}", mistake.column, mistake.show(&text)))
                }
            };
            Ok(View {
                name: "preview".into(),
                about: String::new(),
                path: Template::parse(&path).map_err(bad("--path", &path))?,
                show: Filter::parse(&show).map_err(bad("--show", &show))?,
                parts: PartRole::ALL.to_vec(),
                sidecars: false,
                portable: false,
            })
        }
    }
}
