//! From text to [`Tree`]: picks the reader by the file's ending, checks what no format allows, and holds
//! what the readers share.
//!
//! A reader never panics and never stops at a fault it can go on after: a tree comes back whenever the shape
//! of the file is known, with its faults in the report. No reader recurses, so that depth costs no stack.

mod build;
mod faults;

pub(in crate::plan) use build::{Builder, duplicate_key, plain_string, short, string, too_deep, too_large, words};
pub(in crate::plan) use faults::Faults;

use super::error::Report;
use super::source::{BOM, FileIx, Sources};
use super::tree::Tree;
use super::{json, toml, yaml};
use crate::base::limits::MAX_FILE_BYTES;

/// Reads `file` as YAML (`.yaml`, `.yml`), TOML (`.toml`) or JSON (`.json`). What is wrong goes into
/// `report`; `None` when not even the shape of the file could be found.
pub fn read(sources: &Sources, file: FileIx, report: &mut Report) -> Option<Tree> {
    let source = sources.file(file);
    let text = &*source.text;
    let mut faults = Faults::new(file, &source.text, report);
    if text.len() as u64 > MAX_FILE_BYTES {
        faults.push("plan::too-large", 0..0, format!("the file is larger than {} MiB", MAX_FILE_BYTES >> 20));
        return None;
    }
    if !has_only_text(text, &mut faults) {
        return None;
    }
    let start = if text.starts_with(BOM) { BOM.len_utf8() } else { 0 };
    match source.path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map(|(_, ending)| ending) {
        Some("yaml" | "yml") => yaml::read(text, start, &mut faults),
        Some("toml") => toml::read(text, start, &mut faults),
        Some("json") => json::read(text, start, &mut faults),
        _ => {
            let message = "the file's name must end in `.yaml`, `.yml`, `.toml` or `.json`";
            faults.push("plan::file-kind", 0..0, message);
            None
        }
    }
}

/// Refuses control characters other than tab and line ends, in one pass before any reader looks: the first of
/// them is reported.
fn has_only_text(text: &str, faults: &mut Faults<'_>) -> bool {
    let is_control = |byte: &u8| (*byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r')) || *byte == 0x7f;
    // Most files have none: look at whole blocks first, which the compiler turns into wide instructions.
    let block = text
        .as_bytes()
        .chunks(4096)
        .position(|block| block.iter().fold(false, |any, byte| any | is_control(byte)));
    let Some(block) = block else { return true };
    let bytes = text.as_bytes();
    let at = (block * 4096..bytes.len()).find(|&at| is_control(&bytes[at])).expect("the block holds one");
    let byte = bytes[at];
    let name = if byte == 0 { "a NUL".to_owned() } else { format!("the control character U+{byte:04X}") };
    faults.add("plan::control-character", at..at + 1, format!("the file contains {name}, byte {at}")).help =
        Some("plans are text; take it out, or write it as an escape inside quotes".to_owned());
    false
}

#[cfg(test)]
mod tests;
