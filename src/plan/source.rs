//! The files a plan is made of, and places in them.
//!
//! A [`Sources`] is filled through a [`Loader`]: the working tree when a plan is checked or started, the
//! run's own snapshot when it is resumed. Everything downstream sees only `Sources`.

use std::sync::OnceLock;

use crate::base::Text;

mod disk;

pub use disk::Disk;

/// Which file of a [`Sources`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FileIx(pub u16);

/// A byte range of one file, `start..end`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place {
    /// The file.
    pub file: FileIx,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// A value and where it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub at: Place,
}

impl<T> Spanned<T> {
    /// `value`, written at `at`.
    pub const fn new(value: T, at: Place) -> Self {
        Self { value, at }
    }
}

/// One file: its path relative to the root (always with `/`), and its text.
#[derive(Clone, Debug)]
pub struct File {
    /// Relative to the project's root; as the user gave it when it lies outside.
    pub path: String,
    /// The whole text, UTF-8, as read (a BOM is kept here and skipped by the parsers).
    pub text: Text,
}

/// All files read for one plan, the plan's own first.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<File>,
    /// For each file where its lines begin, found when the first place in it is shown.
    lines: Vec<OnceLock<Lines>>,
}

/// Where the lines of one file begin.
#[derive(Clone, Debug)]
struct Lines {
    /// The first byte of each line; the first is 0.
    starts: Box<[u32]>,
    /// Whether every byte is a character, so that columns need no counting.
    is_ascii: bool,
}

impl Lines {
    fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut starts = vec![0];
        starts.extend((0u32..).zip(bytes).filter(|&(_, &byte)| byte == b'\n').map(|(at, _)| at + 1));
        Self { starts: starts.into_boxed_slice(), is_ascii: text.is_ascii() }
    }
}

impl Sources {
    /// Adds a file and tells its index.
    pub fn add(&mut self, file: File) -> FileIx {
        self.files.push(file);
        self.lines.push(OnceLock::new());
        FileIx(u16::try_from(self.files.len() - 1).expect("limits::MAX_FILES keeps this in range"))
    }

    /// The file at `at`.
    pub fn file(&self, at: FileIx) -> &File {
        &self.files[usize::from(at.0)]
    }

    /// Every file, in the order they were read.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// Line and column of `place`'s start, both from 1; the column counts characters.
    pub fn line_column(&self, place: Place) -> (usize, usize) {
        self.line_column_at(place.file, place.start)
    }

    /// Line and column of one byte of a file, both from 1. A byte inside a character means that character,
    /// one past the end means the end. A BOM takes no column.
    pub fn line_column_at(&self, file: FileIx, byte: u32) -> (usize, usize) {
        let text = &*self.file(file).text;
        let byte = text.floor_char_boundary(byte as usize);
        let lines = self.lines(file);
        let line = lines.starts.partition_point(|&start| start as usize <= byte);
        let before = &text[lines.starts[line - 1] as usize..byte];
        let column = if lines.is_ascii { before.len() } else { before.chars().filter(|&c| c != BOM).count() };
        (line, column + 1)
    }

    /// The bytes of line `line` (from 1) of a file, without its line end.
    pub fn line(&self, file: FileIx, line: usize) -> std::ops::Range<usize> {
        let text = &*self.file(file).text;
        let starts = &self.lines(file).starts;
        let start = starts[line - 1] as usize;
        let mut end = starts.get(line).map_or(text.len(), |&next| next as usize - 1);
        if end > start && text.as_bytes()[end - 1] == b'\r' {
            end -= 1;
        }
        start..end
    }

    fn lines(&self, file: FileIx) -> &Lines {
        let at = usize::from(file.0);
        self.lines[at].get_or_init(|| Lines::of(&self.files[at].text))
    }

    /// `path:line:column` of `place`.
    pub fn locate(&self, place: Place) -> String {
        let (line, column) = self.line_column(place);
        format!("{}:{line}:{column}", self.file(place.file).path)
    }
}

/// The byte order mark: allowed at the start of a file, where it stands for nothing.
pub(super) const BOM: char = '\u{feff}';

/// Where files come from: the working tree, or a run's snapshot.
pub trait Loader {
    /// The text of the file at `path` (relative to the root, `/` between parts, no `..` left in it).
    ///
    /// # Errors
    /// A sentence for the user: missing, a directory, unreadable, too large, not UTF-8 (with the byte offset).
    fn load(&self, path: &str) -> Result<String, String>;

    /// As [`Loader::load`], for a file that may lie outside of the root: whoever names it wrote
    /// `allow-outside: true`.
    ///
    /// # Errors
    /// As [`Loader::load`], but for the place.
    fn load_anywhere(&self, path: &str) -> Result<String, String> {
        self.load(path)
    }

    /// Whether something stands at `path`, readable or not.
    fn has(&self, path: &str) -> bool {
        self.load(path).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(start: u32) -> Place {
        Place { file: FileIx(0), start, end: start }
    }

    #[test]
    fn lines_and_columns_count_characters_from_one() {
        let mut sources = Sources::default();
        sources.add(File { path: "a".into(), text: "ab\r\n\u{e9}x\n".into() });
        assert_eq!(sources.line_column(place(0)), (1, 1));
        assert_eq!(sources.line_column(place(3)), (1, 4));
        assert_eq!(sources.line_column(place(4)), (2, 1));
        assert_eq!(sources.line_column(place(5)), (2, 1), "inside a character means that character");
        assert_eq!(sources.line_column(place(6)), (2, 2));
        assert_eq!(sources.line_column(place(8)), (3, 1));
        assert_eq!(sources.line_column(place(99)), (3, 1), "past the end means the end");
        assert_eq!(sources.line(FileIx(0), 1), 0..2);
        assert_eq!(sources.line(FileIx(0), 2), 4..7);
        assert_eq!(sources.line(FileIx(0), 3), 8..8);
    }

    #[test]
    fn a_byte_order_mark_takes_no_column() {
        let mut sources = Sources::default();
        sources.add(File { path: "a".into(), text: "\u{feff}name".into() });
        assert_eq!(sources.locate(place(3)), "a:1:1");
    }
}
