//! Indexes and names. An index is dense, 32 or 16 bits wide, and only means something beside the
//! graph that it was made for.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::idvec::Index;

macro_rules! index {
    ($(#[$doc:meta])* $name:ident, $width:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        pub struct $name($width);

        impl $name {
            /// The index as it is stored.
            pub const fn new(raw: $width) -> Self {
                Self(raw)
            }

            /// The stored number.
            pub const fn raw(self) -> $width {
                self.0
            }
        }

        impl Index for $name {
            fn from_usize(at: usize) -> Self {
                Self(<$width>::try_from(at).expect("limits::MAX_STAGES keeps indexes in range"))
            }

            fn to_usize(self) -> usize {
                self.0 as usize
            }
        }
    };
}

index!(
    /// A stage as a vertex of the graph. A matrix cell is a node of its own.
    NodeIx,
    u32
);
index!(
    /// A failure scope: the plan, a group, a matrix, or a `uses: ./file.yaml` stage.
    ScopeIx,
    u32
);
index!(
    /// A weighted limit inside a run: a pool of the plan, or the `max-parallel` of one stage or matrix.
    PoolIx,
    u32
);

/// The name of a run, `20261121-033105-7f3a`: sortable by start, short enough to type.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct RunId(String);

impl RunId {
    /// Accepts `[a-z0-9][a-z0-9._-]{0,63}`, so that an id is always one safe path component.
    pub fn parse(text: &str) -> Option<Self> {
        let tail = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-".contains(&c);
        let bytes = text.as_bytes();
        let head = bytes.first().is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        (head && bytes.len() <= 64 && bytes.iter().all(|&c| tail(c))).then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a stage in at most `columns` characters, its middle replaced by `mark` if it is longer: cells of a matrix
/// and stages of a file differ at their ends.
pub fn shorten(name: &str, columns: usize, mark: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let room = columns.saturating_sub(mark.chars().count());
    if chars.len() <= columns || room == 0 {
        return name.to_owned();
    }
    let head = room / 2;
    let tail = chars.len() - (room - head);
    chars[..head].iter().chain(mark.chars().collect::<Vec<_>>().iter()).chain(&chars[tail..]).collect()
}
