//! The index of Google's package repository: which Chrome is the newest, where it is, and what it hashes to.

use crate::model::digest::Sha256;
use crate::remote::browser::version::Version;

/// The package that is wanted.
const NAME: &str = "google-chrome-stable";
/// Largest package that is believed, bytes; Chrome has some 130 MB.
const LARGEST: u64 = 1 << 30;
/// Longest path of a package, bytes.
const LONGEST_PATH: usize = 300;

/// One package, as the index tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its version.
    pub version: Version,
    /// Where it is, from the repository's address: names between slashes, none of which leads elsewhere.
    pub path: String,
    /// Its size, bytes.
    pub size: u64,
    /// What it hashes to.
    pub sha256: Sha256,
}

/// The newest Chrome of an index: paragraphs of `Name: value` lines.
///
/// # Errors
/// When there is none, or what is told of it cannot be right: why, in words.
pub fn newest(index: &str) -> Result<Listed, String> {
    let mut found: Option<Listed> = None;
    let lines: Vec<&str> = index.lines().collect();
    for paragraph in lines.split(|line| line.trim().is_empty()) {
        if field(paragraph, "Package") != Some(NAME) {
            continue;
        }
        let listed = listed(paragraph)?;
        if found.as_ref().is_none_or(|other| other.version < listed.version) {
            found = Some(listed);
        }
    }
    found.ok_or_else(|| format!("it lists no {NAME}"))
}

fn listed(paragraph: &[&str]) -> Result<Listed, String> {
    let wanted = |name| field(paragraph, name).ok_or_else(|| format!("it tells no {name} of {NAME}"));
    let version: Version = wanted("Version")?.parse()?;
    if let Some(other) = field(paragraph, "Architecture").filter(|&of| of != "amd64") {
        return Err(format!("it lists {NAME} for another architecture ({})", shown(other)));
    }
    let path = wanted("Filename")?;
    if !is_plain(path) {
        return Err(format!("the path `{}` leads elsewhere", shown(path)));
    }
    let size = wanted("Size")?;
    let size = size.parse().ok().filter(|size| (1..=LARGEST).contains(size));
    let size = size.ok_or_else(|| format!("it tells no size of {NAME} that can be right"))?;
    let sha256 = Sha256::from_hex(&wanted("SHA256")?.to_ascii_lowercase())
        .ok_or_else(|| format!("the SHA256 of {NAME} is none"))?;
    Ok(Listed { version, path: path.to_owned(), size, sha256 })
}

fn field<'a>(paragraph: &[&'a str], name: &str) -> Option<&'a str> {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':').map(str::trim);
    paragraph.iter().find_map(|line| value(line))
}

/// Whether a path stays below where it begins, and needs no escapes in an address.
fn is_plain(path: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"._+~-".contains(&b);
    path.len() <= LONGEST_PATH
        && path.split('/').all(|name| !["", ".", ".."].contains(&name) && name.bytes().all(fine))
}

fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn paragraph(version: &str, path: &str, size: &str, sha256: &str) -> String {
        format!(
            "Package: google-chrome-stable\nVersion: {version}\nArchitecture: amd64\nDescription: The browser\n \
             Package: not-this-one\nFilename: {path}\nSize: {size}\nSHA256: {sha256}\n\n"
        )
    }

    #[test]
    fn the_newest_of_the_right_package_is_found() {
        let beta = paragraph("200.0.1.2-1", "pool/beta.deb", "7", HASH).replace("-stable", "-beta");
        let path = "pool/main/g/google-chrome-stable/google-chrome-stable_156.0.8078.79-1_amd64.deb";
        let text = format!(
            "{beta}{}{}",
            paragraph("156.0.8078.79-1", path, "131072000", HASH),
            paragraph("99.0.1.2-1", "pool/old.deb", "5", HASH)
        );
        for text in [text.clone(), text.replace('\n', "\r\n")] {
            let found = newest(&text).unwrap();
            assert_eq!((found.version.as_str(), found.path.as_str()), ("156.0.8078.79-1", path));
            assert_eq!((found.size, found.sha256.hex().as_str()), (131_072_000, HASH));
        }
    }

    #[test]
    fn nonsense_is_refused_and_named() {
        let one = |version, path, size, sha256| paragraph(version, path, size, sha256);
        for (text, word) in [
            (String::new(), "lists no google-chrome-stable"),
            ("<html>blocked</html>".into(), "lists no google-chrome-stable"),
            (one("../../x", "a.deb", "5", HASH), "no version"),
            (one("1.2", "../a.deb", "5", HASH), "leads elsewhere"),
            (one("1.2", "/a.deb", "5", HASH), "leads elsewhere"),
            (one("1.2", "https://evil.example/a.deb", "5", HASH), "leads elsewhere"),
            (one("1.2", "a.deb?x", "5", HASH), "leads elsewhere"),
            (one("1.2", "a.deb", "0", HASH), "size"),
            (one("1.2", "a.deb", "99999999999", HASH), "size"),
            (one("1.2", "a.deb", "5", "abc"), "SHA256"),
            (one("1.2", "a.deb", "5", HASH).replace("amd64", "armhf"), "another architecture"),
            (one("1.2", "a.deb", "5", HASH).replace("Size: 5\n", ""), "no Size"),
        ] {
            let why = newest(&text).unwrap_err();
            assert!(why.contains(word), "{text}: {why}");
        }
    }
}
