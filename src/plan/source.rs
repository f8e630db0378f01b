//! The files a plan is made of, and places in them.
//!
//! A [`Sources`] is filled through a [`Loader`]: the working tree when a plan is checked or started, the
//! run's own snapshot when it is resumed. Everything downstream sees only `Sources`.

use std::sync::Arc;

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
    pub text: Arc<str>,
}

/// All files read for one plan, the plan's own first.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<File>,
}

impl Sources {
    /// Adds a file and tells its index.
    pub fn add(&mut self, file: File) -> FileIx {
        self.files.push(file);
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
        let text = &self.file(place.file).text;
        let mut start = (place.start as usize).min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let before = &text[..start];
        let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        (line, column)
    }

    /// `path:line:column` of `place`.
    pub fn locate(&self, place: Place) -> String {
        let (line, column) = self.line_column(place);
        format!("{}:{line}:{column}", self.file(place.file).path)
    }
}

/// Where files come from: the working tree, or a run's snapshot.
pub trait Loader {
    /// The text of the file at `path` (relative to the root, `/` between parts, no `..` left in it).
    ///
    /// # Errors
    /// A sentence for the user: missing, a directory, unreadable, too large, not UTF-8 (with the byte offset).
    fn load(&self, path: &str) -> Result<String, String>;
}
