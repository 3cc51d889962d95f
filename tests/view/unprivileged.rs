//! The view of a process that may not mount by itself: in a user namespace, and by the helper of FUSE. The kernel does
//! not read files by itself there.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use shoebox::sim::SimConfig;
use shoebox::sim::fake::FakeLibrary;

use crate::sync::support::{init, open, pass};

/// An archive in `dir/data`, and the hashes of its files.
async fn archived(dir: &Path) -> BTreeSet<String> {
    let data = dir.join("data");
    init(&data);
    let library = Arc::new(FakeLibrary::new(SimConfig { items: 40, seed: 5, ..SimConfig::default() }));
    let archive = open(&data);
    let report = pass(&archive, &library).await;
    assert_eq!(report.archived, 40, "{}", report.sentence());
    let listed = library.ledger().items.into_iter().filter(|item| item.listed);
    listed.flat_map(|item| item.parts).map(|part| part.sha256).collect()
}

/// Mounts, reads everything in one view twice, ends the view, and looks whether its place answers with an error.
const LOOK: &str = r#"
mkdir -p "$DIR/view"
"$SHOEBOX" mount --data "$DIR/data" "$DIR/view" 2>"$DIR/log" & mount=$!
for _ in $(seq 300); do [ -d "$DIR/view/by-date" ] && break; sleep 0.1; done
for round in 1 2; do find "$DIR/view/by-date" -type f -exec sha256sum {} + | cut -c1-64 | sort -u >"$DIR/seen-$round"; done
touch "$DIR/view/x" 2>/dev/null && echo "it can be written"
kill -INT $mount; wait $mount || { echo "it ended with an error"; cat "$DIR/log"; }
ls "$DIR/view" >/dev/null 2>&1 && echo "the place without a view is empty, not an error"
"$SHOEBOX" unmount "$DIR/view" >/dev/null
ls "$DIR/view" >/dev/null || echo "it is not an ordinary directory again"
cmp "$DIR/seen-1" "$DIR/seen-2"
"#;

fn look(dir: &Path, how: &str) -> (BTreeSet<String>, String) {
    let output = Command::new("unshare")
        .args(how.split_whitespace().take_while(|word| *word != "--"))
        .args(["bash", "-c", how.split_once("-- ").map_or(LOOK, |(_, script)| script)])
        .env("DIR", dir)
        .env("LOOK", LOOK)
        .env("SHOEBOX", assert_cmd::cargo::cargo_bin!("shoebox"))
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        crate::appliance::support::text(&output.stdout),
        crate::appliance::support::text(&output.stderr)
    );
    let log = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
    assert_eq!(said, "", "{log}");
    let seen = std::fs::read_to_string(dir.join("seen-1")).unwrap();
    (seen.lines().map(str::to_owned).collect(), log)
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_user_namespace_every_file_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let wanted = archived(dir.path()).await;
    let (seen, log) = look(dir.path(), "--user --map-root-user --mount");
    assert_eq!(seen, wanted);
    assert!(log.contains("the kernel may not read the files itself"), "{log}");
}

/// A device and a configuration of their own, so that the machine's may be what they like.
const AS_NOBODY: &str = r#"
mknod "$DIR/fuse" c 10 229 && chmod 666 "$DIR/fuse" && mount --bind "$DIR/fuse" /dev/fuse
touch "$DIR/fuse.conf" && mount --bind "$DIR/fuse.conf" /etc/fuse.conf
chmod 755 "$DIR"; cp "$SHOEBOX" "$DIR/shoebox"; mkdir "$DIR/view"; chown -R nobody "$DIR"
export SHOEBOX="$DIR/shoebox"
exec su -s /bin/bash nobody -c "$LOOK"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn without_root_every_file_is_served_by_the_helper_of_fuse() {
    let dir = tempfile::tempdir().unwrap();
    let wanted = archived(dir.path()).await;
    let (seen, log) = look(dir.path(), &format!("--mount -- {AS_NOBODY}"));
    assert_eq!(seen, wanted);
    assert!(log.contains("user_allow_other"), "others cannot read, and it is said: {log}");
}
