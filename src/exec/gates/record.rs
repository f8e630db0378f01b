//! The samples of a gate on the disk: a line that says what they are, a line for each sample, a line with the verdict.
//!
//! An engine that finds a file without a verdict goes on where the last one was killed. One with a verdict belongs to an
//! earlier try of the stage and is put aside under the next free number.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::gate::{Judgement, Sample};

/// The first line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Head {
    /// The version of this format, 1.
    pub version: u32,
    /// The kind of gate.
    pub gate: String,
    /// Its settings, as words.
    pub words: Vec<String>,
}

/// What a file of samples holds.
#[derive(Clone, Debug)]
pub struct Stored {
    /// What they are.
    pub head: Head,
    /// The samples.
    pub samples: Vec<Sample>,
    /// What was made of them; nothing while the gate is at work, or when its engine died.
    pub judgement: Option<Judgement>,
    /// blake3 of the whole file, in hex.
    pub digest: String,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Sample(Sample),
    End(Judgement),
}

/// A file that samples are added to.
pub(super) struct Record {
    path: PathBuf,
    /// What the disk refused, told at the end.
    fault: Option<String>,
}

impl Record {
    /// Opens the file of a gate, with the samples of an engine that died.
    pub(super) fn open(path: &Path, kind: &str, words: &[String]) -> Result<(Self, Vec<Sample>), String> {
        let fault =
            |error: &dyn std::fmt::Display| format!("failed to keep samples in `{}`: {error}", path.display());
        let head = Head { version: 1, gate: kind.to_owned(), words: words.to_vec() };
        let record = Self { path: path.to_owned(), fault: None };
        if path.exists() {
            match read(path) {
                Ok(stored) if stored.judgement.is_none() && stored.head == head => {
                    return Ok((record, stored.samples));
                }
                _ => put_aside(path).map_err(|error| fault(&error))?,
            }
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| fault(&error))?;
        }
        let line = serde_json::to_string(&head).map_err(|error| fault(&error))?;
        std::fs::write(path, format!("{line}\n")).map_err(|error| fault(&error))?;
        Ok((record, Vec::new()))
    }

    /// Adds samples.
    pub(super) fn add(&mut self, samples: &[Sample]) {
        let mut text = String::new();
        for sample in samples {
            text.push_str(&serde_json::to_string(sample).expect("a sample is plain data"));
            text.push('\n');
        }
        self.append(&text);
    }

    fn append(&mut self, text: &str) {
        let opened = OpenOptions::new().append(true).open(&self.path);
        if let Err(error) = opened.and_then(|mut file| file.write_all(text.as_bytes())) {
            self.fault.get_or_insert(format!("failed to keep samples in `{}`: {error}", self.path.display()));
        }
    }

    /// Adds the verdict; the digest of the whole.
    pub(super) fn end(&mut self, judgement: &Judgement) -> Result<String, String> {
        let line = serde_json::to_string(judgement).expect("a judgement is plain data");
        self.append(&format!("{line}\n"));
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let fault =
            |error: std::io::Error| format!("failed to keep samples in `{}`: {error}", self.path.display());
        let file = OpenOptions::new().read(true).open(&self.path).map_err(fault)?;
        file.sync_all().map_err(fault)?;
        digest(file).map_err(fault)
    }
}

fn digest(mut file: File) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(blake3::hash(&bytes).to_hex().to_string())
}

fn put_aside(path: &Path) -> std::io::Result<()> {
    let aside = |number: u32| path.with_extension(format!("{number}.jsonl"));
    let free = (1..10_000).map(aside).find(|path| !path.exists());
    std::fs::rename(path, free.ok_or_else(|| std::io::Error::other("there are 10,000 of them already"))?)
}

/// Reads a file of samples. A last line that was cut off by a crash is left out.
///
/// # Errors
/// It cannot be read, or is none.
pub fn read(path: &Path) -> Result<Stored, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("failed to read `{}`: {error}", path.display()))?;
    let digest = blake3::hash(&bytes).to_hex().to_string();
    let bad =
        |number: usize, error: &dyn std::fmt::Display| format!("`{}`, line {number}: {error}", path.display());
    let text = String::from_utf8(bytes).map_err(|error| bad(1, &error))?;
    let is_cut = !text.ends_with('\n');
    let count = text.lines().count();
    let mut lines = text.lines().enumerate().filter(|(at, _)| !(is_cut && at + 1 == count));
    let (_, first) = lines.next().ok_or_else(|| bad(1, &"is empty"))?;
    let head: Head = serde_json::from_str(first).map_err(|error| bad(1, &error))?;
    let (mut samples, mut judgement) = (Vec::new(), None);
    for (at, line) in lines {
        match serde_json::from_str(line).map_err(|error| bad(at + 1, &error))? {
            Line::Sample(sample) if judgement.is_none() => samples.push(sample),
            Line::End(end) if judgement.is_none() => judgement = Some(end),
            _ => return Err(bad(at + 1, &"stands behind the verdict")),
        }
    }
    Ok(Stored { head, samples, judgement, digest })
}
