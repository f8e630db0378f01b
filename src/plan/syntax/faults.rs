//! Where the readers report: byte ranges become places that always lie inside the file.

use std::ops::Range;

use crate::base::Text;
use crate::base::limits::MAX_FILE_VALUES;
use crate::plan::error::{Diagnostic, Report};
use crate::plan::source::{FileIx, Place};

/// Faults of one reader of one file kept at most: beyond it a file is no plan but noise.
const MAX_FAULTS: usize = 1000;

/// A file being read and the report about it.
pub(in crate::plan) struct Faults<'a> {
    file: FileIx,
    text: &'a Text,
    report: &'a mut Report,
    count: usize,
    values: usize,
    spare: Diagnostic,
}

impl<'a> Faults<'a> {
    pub(in crate::plan) fn new(file: FileIx, text: &'a Text, report: &'a mut Report) -> Self {
        let nowhere = Place { file, start: 0, end: 0 };
        Self { file, text, report, count: 0, values: 0, spare: Diagnostic::error("", nowhere, "") }
    }

    /// The place of a byte range, moved inside the file and out to whole characters.
    pub(in crate::plan) fn place(&self, range: Range<usize>) -> Place {
        let start = self.text.floor_char_boundary(range.start);
        let end = self.text.ceil_char_boundary(range.end).max(start);
        Place { file: self.file, start: offset(start), end: offset(end) }
    }

    /// The place of a token, which begins and ends with whole characters.
    pub(in crate::plan) fn token(&self, range: Range<usize>) -> Place {
        debug_assert!(self.text.get(range.clone()).is_some(), "{range:?} is of whole characters");
        Place { file: self.file, start: offset(range.start), end: offset(range.end) }
    }

    /// Adds an error, which the caller may give a label, help and related places.
    pub(in crate::plan) fn add(
        &mut self,
        code: &'static str,
        range: Range<usize>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        let at = self.place(range);
        self.add_at(code, at, message)
    }

    /// As `add`, for a place that is known.
    pub(in crate::plan) fn add_at(
        &mut self,
        code: &'static str,
        at: Place,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.count += 1;
        let fault = Diagnostic::error(code, at, message);
        if self.count > MAX_FAULTS {
            self.spare = fault;
            return &mut self.spare;
        }
        self.report.push_mut(fault)
    }

    /// Adds an error that needs no more words.
    pub(in crate::plan) fn push(&mut self, code: &'static str, range: Range<usize>, message: impl Into<String>) {
        self.add(code, range, message);
    }

    /// Whether so much is wrong that reading on helps nobody.
    pub(in crate::plan) const fn is_full(&self) -> bool {
        self.count >= MAX_FAULTS || self.values > MAX_FILE_VALUES
    }

    /// Counts a value that begins at byte `at`; one beyond [`MAX_FILE_VALUES`] is reported, once.
    pub(in crate::plan) fn count_value(&mut self, at: usize) {
        self.values += 1;
        if self.values == MAX_FILE_VALUES + 1 {
            self.too_many(at);
        }
    }

    /// Reports that the file holds too many values.
    pub(in crate::plan) fn too_many(&mut self, at: usize) {
        let message = format!("the file holds more than {MAX_FILE_VALUES} values, the limit");
        self.values = MAX_FILE_VALUES + 1;
        self.push("plan::too-large", at..at, message);
    }

    /// A piece of the file's text, without a copy.
    pub(in crate::plan) fn piece(&self, range: Range<usize>) -> Option<Text> {
        self.text.piece(range)
    }

    /// The file's text.
    pub(in crate::plan) fn text(&self) -> &'a str {
        self.text
    }
}

/// A byte offset as places store it.
pub(in crate::plan) fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("limits::MAX_FILE_BYTES is below 4 GiB")
}
