//! What has changed: between two renderings, and on this machine since the last one.

use std::os::unix::fs::MetadataExt as _;
use std::{fs, io};

use super::store::{FileRecord, Key, Manifest, SecretRecord};
use crate::base::limits::MAX_RENDERED_BYTES;

/// How a file on this machine stands against its record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Drift {
    /// As it was rendered.
    Same,
    /// There is no such file.
    Missing,
    /// It holds something else.
    Changed,
    /// It has another mode, octal.
    Mode(String),
    /// It belongs to this user now.
    Owner(u32),
    /// It cannot be read.
    Unreadable(String),
}

impl Drift {
    /// The word for it in reports.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Missing => "missing",
            Self::Changed => "changed",
            Self::Mode(_) => "mode",
            Self::Owner(_) => "owner",
            Self::Unreadable(_) => "unreadable",
        }
    }
}

/// Looks at one file.
pub fn host(record: &FileRecord, key: &Key) -> Drift {
    let (about, bytes) = match read(&record.path) {
        Ok(Some(found)) => found,
        Ok(None) => return Drift::Changed,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Drift::Missing,
        Err(error) => return Drift::Unreadable(error.to_string()),
    };
    let mode = format!("{:04o}", about.mode() & 0o7777);
    match record.owner {
        _ if key.mac("file", &bytes) != record.mac => Drift::Changed,
        _ if mode != record.mode => Drift::Mode(mode),
        Some(owner) if owner != about.uid() => Drift::Owner(about.uid()),
        _ => Drift::Same,
    }
}

/// A file with what is in it; none when what stands there is no file that was rendered: a link, a pipe that would hold
/// us up, or more than any rendering may hold.
fn read(path: &str) -> io::Result<Option<(fs::Metadata, Vec<u8>)>> {
    let about = fs::symlink_metadata(path)?;
    if !about.is_file() || about.len() > MAX_RENDERED_BYTES as u64 {
        return Ok(None);
    }
    Ok(Some((about, fs::read(path)?)))
}

/// The secrets whose values differ from those of the last rendering, which no redacted text can show.
pub fn changed_secrets(before: Option<&Manifest>, now: &[SecretRecord]) -> Vec<String> {
    let Some(before) = before else { return Vec::new() };
    let old = |key: &str| before.secrets.iter().find(|secret| secret.key == key);
    let differs =
        |secret: &&SecretRecord| old(&secret.key).is_none_or(|old| old.fingerprint != secret.fingerprint);
    now.iter().filter(differs).map(|secret| secret.key.clone()).collect()
}

/// One line of a comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Line<'a> {
    /// In both.
    Same(&'a str),
    /// Only in the old text.
    Old(&'a str),
    /// Only in the new text.
    New(&'a str),
}

/// Beyond this many pairs of lines the middle is shown as replaced whole.
const MAX_PAIRS: usize = 16_000_000;

/// The shortest way from `old` to `new`, line by line.
pub fn lines<'a>(old: &'a str, new: &'a str) -> Vec<Line<'a>> {
    let (a, b): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let head = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (left, right) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
    let mut out: Vec<Line<'a>> = a[..head].iter().map(|line| Line::Same(line)).collect();
    if left.len().saturating_mul(right.len()) > MAX_PAIRS {
        out.extend(left.iter().map(|line| Line::Old(line)));
        out.extend(right.iter().map(|line| Line::New(line)));
    } else {
        middle(left, right, &mut out);
    }
    out.extend(a[a.len() - tail..].iter().map(|line| Line::Same(line)));
    out
}

/// The longest common subsequence of two lists of lines, walked from the front.
fn middle<'a>(left: &[&'a str], right: &[&'a str], out: &mut Vec<Line<'a>>) {
    let width = right.len() + 1;
    let mut common = vec![0_u32; (left.len() + 1) * width];
    for (i, a) in left.iter().enumerate().rev() {
        for (j, b) in right.iter().enumerate().rev() {
            common[i * width + j] = if a == b {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < left.len() || j < right.len() {
        let takes_both = i < left.len() && j < right.len() && left[i] == right[j];
        let takes_left =
            i < left.len() && (j == right.len() || common[(i + 1) * width + j] >= common[i * width + j + 1]);
        if takes_both {
            out.push(Line::Same(left[i]));
            (i, j) = (i + 1, j + 1);
        } else if takes_left {
            out.push(Line::Old(left[i]));
            i += 1;
        } else {
            out.push(Line::New(right[j]));
            j += 1;
        }
    }
}

/// The lines that differ, with `context` equal lines round them; empty when nothing does.
pub fn text(old: &str, new: &str, context: usize) -> String {
    let all = lines(old, new);
    let differs = |line: &Line<'_>| !matches!(line, Line::Same(_));
    let mut shown = vec![false; all.len()];
    for (at, _) in all.iter().enumerate().filter(|(_, line)| differs(line)) {
        let from = at.saturating_sub(context);
        let to = (at + context + 1).min(all.len());
        shown[from..to].fill(true);
    }
    let mut out = String::new();
    for (at, line) in all.iter().enumerate().filter(|(at, _)| shown[*at]) {
        if at > 0 && !shown[at - 1] && !out.is_empty() {
            out.push_str("  …\n");
        }
        let (sign, text) = match line {
            Line::Same(text) => (' ', text),
            Line::Old(text) => ('-', text),
            Line::New(text) => ('+', text),
        };
        out.extend([sign]);
        out.push_str(text);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_differs_is_shown() {
        assert_eq!(text("a\nb\nc\n", "a\nb\nc\n", 1), "");
        assert_eq!(text("a\nb\nc\nd\ne\n", "a\nb\nx\nd\ne\n", 1), " b\n-c\n+x\n d\n");
        assert_eq!(text("", "a\n", 1), "+a\n");
        assert_eq!(text("1\na\nb\nc\nd\n2\n", "3\na\nb\nc\nd\n4\n", 1), "-1\n+3\n a\n  …\n d\n-2\n+4\n");
    }

    proptest! {
        #[test]
        fn a_comparison_holds_both_texts(old in "([ab]\n){0,12}", new in "([abc]\n){0,12}") {
            let all = lines(&old, &new);
            let pick = |keep: fn(&Line<'_>) -> bool| -> String {
                let kept = all.iter().filter(|line| keep(line));
                kept.map(|line| match line { Line::Same(t) | Line::Old(t) | Line::New(t) => format!("{t}\n") }).collect()
            };
            prop_assert_eq!(&pick(|line| !matches!(line, Line::New(_))), &old);
            prop_assert_eq!(&pick(|line| !matches!(line, Line::Old(_))), &new);
        }
    }
}
