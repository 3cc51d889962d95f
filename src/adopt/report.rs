//! What came of an adoption.

use std::collections::BTreeMap;

use bytesize::ByteSize;
use serde::Serialize;

/// What was found and what was done about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AdoptReport {
    /// Nothing was written.
    pub dry_run: bool,
    /// Whether everything was looked at; if not, the same command goes on.
    pub complete: bool,
    /// Files that may be photos.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Photos and videos that are new in the archive.
    pub new: u64,
    /// Bytes of their files.
    pub new_bytes: u64,
    /// Photos and videos that the archive had already.
    pub archived: u64,
    /// Of these, those of which more is known now.
    pub revised: u64,
    /// Photos and videos that are here more than once, as those in albums of a Takeout are.
    pub repeated: u64,
    /// Photos and videos of which the library that was listed says that it has them: no download is needed.
    pub in_library: u64,
    /// Bytes of their originals.
    pub in_library_bytes: u64,
    /// Items of that library which are not here, and not in the archive: these will be downloaded.
    pub to_download: Option<u64>,
    /// Photos and videos that were left out because no library has them.
    pub not_in_library: u64,
    /// Photos and videos with a JSON of a Takeout.
    pub described: u64,
    /// Photos and videos of a Takeout without one: what Google knew of them is not here.
    pub undescribed: Vec<String>,
    /// JSON files of a Takeout that belong to no photo here: the photo is in another part, or was left out by Google.
    pub unmatched: Vec<String>,
    /// Albums that were made or got more photos.
    pub albums: u64,
    /// Files that are no photos, by extension.
    pub others: BTreeMap<String, u64>,
    /// Files of other products of a Takeout than Google Photos, by product: left out.
    pub elsewhere: BTreeMap<String, u64>,
    /// Files that were not taken in because they are damaged, and why.
    pub damaged: Vec<String>,
    /// What could not be read, and why.
    pub trouble: Vec<String>,
}

/// Lines of a list that are printed; JSON has all of them.
const SHOWN: usize = 10;

impl AdoptReport {
    /// Whether something needs a person's eyes.
    pub fn is_partial(&self) -> bool {
        !self.damaged.is_empty() || !self.trouble.is_empty()
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        let size = |bytes: u64| ByteSize(bytes).to_string();
        let (would, was) = match (self.dry_run, self.new) {
            (true, _) => ("would be", "would be"),
            (false, 1) => ("is", "were"),
            (false, _) => ("are", "were"),
        };
        lines.push(format!("{} were looked at ({}).", count(self.files, "file"), size(self.bytes)));
        lines.push(format!(
            "{} {would} new in the archive ({}), {} there already{}.",
            count(self.new, "photo or video"),
            size(self.new_bytes),
            match self.archived {
                1 => "1 was".to_owned(),
                n => format!("{n} were"),
            },
            if self.repeated > 0 {
                format!(", {} more than once here", self.repeated)
            } else {
                String::new()
            },
        ));
        if self.revised > 0 {
            lines.push(format!(
                "Of {} that the archive had, more {} known.",
                self.revised,
                if self.dry_run { "would be" } else { "is" }
            ));
        }
        if let Some(rest) = self.to_download {
            lines.push(format!(
                "The library has {} of them: {} need no download. {} are not here.",
                self.in_library,
                size(self.in_library_bytes),
                count(rest, "item")
            ));
        }
        if self.not_in_library > 0 {
            lines.push(format!("{} {was} left out: the library does not have them.", self.not_in_library));
        }
        if self.albums > 0 {
            lines.push(format!("{} {was} made or completed.", count(self.albums, "album")));
        }
        if self.described > 0 || !self.undescribed.is_empty() {
            lines.push(format!("{} have a JSON of Google Takeout.", self.described));
        }
        list(
            &mut lines,
            "photos or videos of a Takeout have no JSON: only their own facts are known",
            &self.undescribed,
        );
        list(
            &mut lines,
            "JSON files belong to no photo here: is a part of the Takeout missing?",
            &self.unmatched,
        );
        if !self.others.is_empty() {
            let others: Vec<String> = self.others.iter().map(|(what, n)| format!("{n} {what}")).collect();
            lines.push(format!("Left out as no photos: {}.", others.join(", ")));
        }
        if !self.elsewhere.is_empty() {
            let of: Vec<String> = self.elsewhere.iter().map(|(what, n)| format!("{n} of {what}")).collect();
            lines.push(format!("Left out, of other products in the Takeout: {}.", of.join(", ")));
        }
        list(
            &mut lines,
            "files were left out because they are damaged (--keep-damaged takes them in)",
            &self.damaged,
        );
        list(&mut lines, "could not be read", &self.trouble);
        if self.dry_run {
            lines.push("Nothing was written. Without --dry-run it is.".to_owned());
        } else if !self.complete {
            lines.push("It was stopped. The same command goes on.".to_owned());
        }
        lines.join("\n")
    }
}

fn count(n: u64, what: &str) -> String {
    match (n, what) {
        (1, _) => format!("1 {what}"),
        (n, "photo or video") => format!("{n} photos and videos"),
        (n, what) => format!("{n} {what}s"),
    }
}

fn list(lines: &mut Vec<String>, what: &str, entries: &[String]) {
    if entries.is_empty() {
        return;
    }
    lines.push(format!("{} {what}:", entries.len()));
    lines.extend(entries.iter().take(SHOWN).map(|entry| format!("  {entry}")));
    if entries.len() > SHOWN {
        lines.push(format!("  … and {} more; --json lists all.", entries.len() - SHOWN));
    }
}
