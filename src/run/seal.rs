//! What shards left as one number: a blake3 digest for each shard, a Merkle root over them for the stage.
//!
//! `docs/journal-format.md` has the construction, so that anybody can compute it again.

use std::ops::Range;

use serde_json::Value;

use crate::base::Digest;

/// The domain of a shard that succeeded.
const SHARD: &[u8] = b"engine shard 1\n";
/// The domain of a shard that failed, or left nothing for another reason.
const ABSENT: &[u8] = b"engine shard absent 1\n";
/// The domain of two neighbours.
const PAIR: &[u8] = b"engine pair 1\n";
/// The domain of a stage.
const STAGE: &[u8] = b"engine stage 1\n";

/// The digest of what the shard with the items of `range` left: its outputs in the order in which they are
/// recorded, and the manifest of its artifacts.
pub fn leaf(range: &Range<u64>, outputs: &[(String, Value)], artifacts: Option<Digest>) -> Digest {
    let mut hash = begin(SHARD, range);
    hash.update(&(outputs.len() as u64).to_le_bytes());
    for (name, value) in outputs {
        let value = serde_json::to_vec(value).expect("a JSON value can be written as JSON");
        for part in [name.as_bytes(), &value] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    hash.update(&[u8::from(artifacts.is_some())]);
    if let Some(digest) = artifacts {
        hash.update(digest.as_bytes());
    }
    hash.finalize().into()
}

/// The digest of a shard that left nothing.
pub fn absent(range: &Range<u64>) -> Digest {
    begin(ABSENT, range).finalize().into()
}

fn begin(domain: &[u8], range: &Range<u64>) -> blake3::Hasher {
    let mut hash = blake3::Hasher::new();
    hash.update(domain);
    hash.update(&range.start.to_le_bytes());
    hash.update(&(range.end - range.start).to_le_bytes());
    hash
}

/// The root over all shards of a stage, in their order. A digest without a neighbour moves up as it is.
pub fn root(mut level: Vec<Digest>) -> Digest {
    let leaves = level.len() as u64;
    while level.len() > 1 {
        level = level.chunks(2).map(pair).collect();
    }
    let top = level.first().copied().unwrap_or(Digest::ZERO);
    let mut hash = blake3::Hasher::new();
    hash.update(STAGE);
    hash.update(&leaves.to_le_bytes());
    hash.update(top.as_bytes());
    hash.finalize().into()
}

fn pair(pair: &[Digest]) -> Digest {
    let [left, right] = pair else { return pair[0] };
    let mut hash = blake3::Hasher::new();
    hash.update(PAIR);
    hash.update(left.as_bytes());
    hash.update(right.as_bytes());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Leaves of one-item shards that wrote `n`, their number.
    fn leaves(count: u64) -> Vec<Digest> {
        let leaf_of = |at: u64| leaf(&(at..at + 1), &[("n".to_owned(), at.into())], None);
        (0..count).map(leaf_of).collect()
    }

    #[test]
    fn what_a_shard_left_and_where_it_stands_decides_its_digest() {
        let outputs = |text: &str| vec![("n".to_owned(), Value::from(text))];
        let one = leaf(&(0..2), &outputs("a"), None);
        let others = [
            leaf(&(0..3), &outputs("a"), None),
            leaf(&(1..2), &outputs("a"), None),
            leaf(&(0..2), &outputs("b"), None),
            leaf(&(0..2), &[("na".to_owned(), "".into())], None),
            leaf(&(0..2), &outputs("a"), Some(Digest::ZERO)),
            absent(&(0..2)),
        ];
        assert!(others.iter().all(|other| *other != one));
        assert_eq!(leaf(&(0..2), &outputs("a"), None), one);
    }

    #[test]
    fn the_number_of_shards_is_part_of_the_root() {
        let roots: Vec<Digest> = (0..9).map(|count| root(leaves(count))).collect();
        for (at, one) in roots.iter().enumerate() {
            assert!(roots[..at].iter().all(|other| other != one), "{at}");
        }
        let mut changed = leaves(8);
        changed.swap(2, 5);
        assert_ne!(root(changed), roots[8]);
    }

    /// Fixed, so that a change of the construction is seen: other programs compute it too.
    #[test]
    fn the_construction_stays_as_it_is() {
        assert_eq!(
            root(leaves(5)).to_string(),
            "614d443a089973a385d3e8a8b5d37bc48fd5e00175a26f20c603eeeb03c0f17b"
        );
    }
}
