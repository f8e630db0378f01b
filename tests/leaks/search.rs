//! Looks for canaries in bytes and in everything below a folder.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use super::canary::Canary;

/// Long forms are known by the pieces of this length that they consist of.
const PIECE: usize = 16;

/// Knows every form of some canaries.
pub(crate) struct Search {
    /// Whole pieces: whatever holds a long form holds one of its pieces.
    pieces: HashMap<[u8; PIECE], &'static str>,
    /// Forms that are shorter than a piece.
    short: Vec<(Vec<u8>, &'static str)>,
    /// The first two bytes of the short ones.
    openings: Vec<bool>,
}

impl Search {
    pub(crate) fn of<'c>(canaries: impl IntoIterator<Item = &'c Canary>) -> Self {
        let mut search = Self { pieces: HashMap::new(), short: Vec::new(), openings: vec![false; 1 << 16] };
        for canary in canaries {
            for form in canary.forms() {
                for piece in form.chunks_exact(PIECE) {
                    search.pieces.insert(piece.try_into().expect("a whole piece"), canary.name);
                }
                if form.len() < PIECE {
                    search.openings[usize::from(form[0]) << 8 | usize::from(form[1])] = true;
                    search.short.push((form, canary.name));
                }
            }
        }
        search
    }

    /// The first canary in `bytes`, and where it begins.
    pub(crate) fn find(&self, bytes: &[u8]) -> Option<(&'static str, usize)> {
        (0..bytes.len()).find_map(|at| {
            let rest = &bytes[at..];
            let piece = rest.first_chunk::<PIECE>().and_then(|piece| self.pieces.get(piece));
            let is_open = rest.len() > 1 && self.openings[usize::from(rest[0]) << 8 | usize::from(rest[1])];
            let short = || self.short.iter().filter(|_| is_open).find(|(form, _)| rest.starts_with(form));
            piece.copied().or_else(|| short().map(|(_, name)| *name)).map(|name| (name, at))
        })
    }

    /// Asserts that no canary is in `bytes`.
    #[track_caller]
    pub(crate) fn assert_clean(&self, what: &str, bytes: &[u8]) {
        if let Some((name, at)) = self.find(bytes) {
            let from = at.saturating_sub(60);
            let around = String::from_utf8_lossy(&bytes[from..(at + 40).min(bytes.len())]).into_owned();
            panic!("{what} holds the canary {name} at byte {at}: …{around}…");
        }
    }

    /// Every file below `folder` whose bytes or name hold a canary, and how many files there are. What `is_asked` names
    /// is where the plan wanted it.
    pub(crate) fn below(
        &self,
        folder: &Path,
        is_asked: impl Fn(&Path) -> bool,
    ) -> (BTreeMap<PathBuf, String>, usize) {
        let (mut hits, mut files, mut left) = (BTreeMap::new(), 0, vec![folder.to_owned()]);
        while let Some(path) = left.pop() {
            let name = path.strip_prefix(folder).expect("below").to_owned();
            if let Some((canary, _)) = self.find(name.as_os_str().as_encoded_bytes()).filter(|_| !is_asked(&name))
            {
                hits.insert(name.clone(), format!("{canary} in its name"));
            }
            let meta = path.symlink_metadata().expect("it was listed");
            if meta.is_dir() {
                left.extend(fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
            } else if meta.is_file() && !is_asked(&name) {
                files += 1;
                if let Some((canary, at)) = self.find(&fs::read(&path).expect("readable")) {
                    hits.insert(name, format!("{canary} at byte {at}"));
                }
            }
        }
        (hits, files)
    }
}
