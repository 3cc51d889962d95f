//! One hash that stands for everything an archive holds: a Merkle tree as in RFC 6962, over sorted names.

use sha2::{Digest as _, Sha256 as Hash};

use crate::model::Sha256;

/// The root over blobs and records, both in the order of their names, blobs first. Each leaf is
/// `SHA-256(0x00 ‖ "blob" or "record" ‖ name)`, each node `SHA-256(0x01 ‖ left ‖ right)`; the left subtree of
/// n leaves holds the largest power of two below n. Nothing at all has the root of the empty text.
pub fn root(blobs: &[Sha256], records: &[Sha256]) -> Sha256 {
    let mut tree = Tree::default();
    for (tag, names) in [("blob", blobs), ("record", records)] {
        for name in names {
            let mut hash = Hash::new();
            hash.update([0]);
            hash.update(tag);
            hash.update(name.bytes());
            tree.push(hash.finalize().into());
        }
    }
    tree.root()
}

/// Complete subtrees, the largest first, as the bits of the number of leaves.
#[derive(Default)]
struct Tree {
    leaves: u64,
    peaks: Vec<[u8; 32]>,
}

impl Tree {
    fn push(&mut self, leaf: [u8; 32]) {
        let mut node = leaf;
        let mut full = self.leaves;
        while full & 1 == 1 {
            if let Some(left) = self.peaks.pop() {
                node = join(&left, &node);
            }
            full >>= 1;
        }
        self.peaks.push(node);
        self.leaves += 1;
    }

    fn root(mut self) -> Sha256 {
        let Some(mut node) = self.peaks.pop() else {
            return crate::model::digest::digests_of(b"").sha256;
        };
        while let Some(left) = self.peaks.pop() {
            node = join(&left, &node);
        }
        // 32 bytes make a name.
        Sha256::from_slice(&node).unwrap_or_else(|| crate::model::digest::digests_of(b"").sha256)
    }
}

fn join(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut hash = Hash::new();
    hash.update([1]);
    hash.update(left);
    hash.update(right);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::digest::digests_of;

    /// The definition of RFC 6962, 2.1, word for word.
    fn by_definition(leaves: &[[u8; 32]]) -> [u8; 32] {
        match leaves {
            [] => *digests_of(b"").sha256.bytes(),
            [leaf] => *leaf,
            _ => {
                let half = leaves.len().next_power_of_two() / 2;
                join(&by_definition(&leaves[..half]), &by_definition(&leaves[half..]))
            }
        }
    }

    #[test]
    fn the_root_is_that_of_the_rfc() {
        for n in 0..70_u8 {
            let names: Vec<_> = (0..n).map(|i| digests_of(&[i]).sha256).collect();
            let leaves: Vec<[u8; 32]> = names
                .iter()
                .map(|name| {
                    let bytes = [&[0][..], b"blob", name.bytes()].concat();
                    *digests_of(&bytes).sha256.bytes()
                })
                .collect();
            assert_eq!(root(&names, &[]).bytes(), &by_definition(&leaves), "{n} leaves");
        }
    }

    #[test]
    fn every_name_and_its_kind_count() {
        let (a, b) = (digests_of(b"a").sha256, digests_of(b"b").sha256);
        let roots = [root(&[a, b], &[]), root(&[a], &[b]), root(&[a], &[]), root(&[b], &[a]), root(&[], &[])];
        for (n, one) in roots.iter().enumerate() {
            assert!(roots.iter().skip(n + 1).all(|other| other != one));
        }
    }
}
