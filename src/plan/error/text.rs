//! Findings as people read them: the message, the line, a mark under the token, help.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthChar;

use super::{Diagnostic, Severity};
use crate::base::count::plural;
use crate::base::limits::{MAX_ERRORS, MAX_EXCERPT_COLUMNS};
use crate::plan::source::{BOM, Place, Sources};

/// The finding about a file that could not be read, and so has no text to show.
const UNREADABLE: &str = "plan::unreadable";

/// Columns a tab takes in an excerpt.
const TAB: &str = "    ";

/// Every finding with its excerpt, at most [`MAX_ERRORS`] of them, and the summary line. Empty when nothing
/// was found. `colour` adds terminal colours; the text is the same.
pub fn text(found: &[Diagnostic], sources: &Sources, colour: bool) -> String {
    let mut out = String::new();
    if found.is_empty() {
        return out;
    }
    for one in found.iter().take(MAX_ERRORS) {
        Page { sources, paint: Paint::new(colour, one.severity), out: &mut out }.show(one);
        out.push('\n');
    }
    if let Some(more) = found.len().checked_sub(MAX_ERRORS).filter(|&more| more > 0) {
        let _ = writeln!(out, "… and {more} more\n");
    }
    let _ = writeln!(out, "{}", summary(found));
    out
}

/// `3 errors, 1 warning in 2 files`.
pub fn summary(found: &[Diagnostic]) -> String {
    let errors = found.iter().filter(|one| one.severity == Severity::Error).count();
    let mut files: Vec<_> = found.iter().map(|one| one.at.file).collect();
    files.sort_unstable();
    files.dedup();
    let counts: Vec<String> = [(errors, "error"), (found.len() - errors, "warning")]
        .into_iter()
        .filter(|&(count, _)| count > 0)
        .map(|(count, noun)| plural(count as u64, noun))
        .collect();
    if counts.is_empty() {
        return "nothing found".to_owned();
    }
    format!("{} in {}", counts.join(", "), plural(files.len() as u64, "file"))
}

/// The styles of one finding.
struct Paint {
    head: Style,
    strong: Style,
    frame: Style,
    help: Style,
}

impl Paint {
    const fn new(colour: bool, severity: Severity) -> Self {
        if !colour {
            let none = Style::new();
            return Self { head: none, strong: none, frame: none, help: none };
        }
        let head = match severity {
            Severity::Error => AnsiColor::Red,
            Severity::Warning => AnsiColor::Yellow,
        };
        Self {
            head: head.on_default().bold(),
            strong: Style::new().bold(),
            frame: AnsiColor::Blue.on_default(),
            help: AnsiColor::Cyan.on_default(),
        }
    }
}

/// Writes one finding.
struct Page<'a> {
    sources: &'a Sources,
    paint: Paint,
    out: &'a mut String,
}

impl Page<'_> {
    fn show(&mut self, one: &Diagnostic) {
        let Paint { head, strong, frame, help } = self.paint;
        let word = match one.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let message = visible(&one.message);
        let _ = writeln!(self.out, "{head}{word}[{}]{head:#}: {strong}{message}{strong:#}", one.code);
        if one.code == UNREADABLE && self.sources.file(one.at.file).text.is_empty() {
            self.without_excerpt(one);
            return;
        }
        let places = || std::iter::once(one.at).chain(one.related.iter().map(|&(at, _)| at));
        let last = places().map(|at| self.sources.line_column(at).0).max().unwrap_or(1);
        let gutter = last.to_string().len();
        self.excerpt(gutter, "╭─", one.at, (&one.label, head));
        for (at, words) in &one.related {
            self.excerpt(gutter, "├─", *at, (words, frame));
        }
        let _ = match &one.help {
            Some(text) => {
                let text = text.split('\n').map(visible).collect::<Vec<_>>();
                let text = text.join(&format!("\n{:gutter$}          ", ""));
                writeln!(self.out, "{:gutter$} {frame}╰─{frame:#} {help}help{help:#}: {text}", "")
            }
            None => writeln!(self.out, "{:gutter$} {frame}╰─{frame:#}", ""),
        };
    }

    /// Of a file without a text there is nothing to show but its name.
    fn without_excerpt(&mut self, one: &Diagnostic) {
        let Paint { frame, help, .. } = self.paint;
        let path = visible(&self.sources.file(one.at.file).path);
        let _ = match &one.help {
            Some(text) => writeln!(
                self.out,
                "  {frame}╭─{frame:#} {path}\n  {frame}╰─{frame:#} {help}help{help:#}: {}",
                visible(text)
            ),
            None => writeln!(self.out, "  {frame}──{frame:#} {path}"),
        };
    }

    fn excerpt(&mut self, gutter: usize, corner: &str, at: Place, mark: (&str, Style)) {
        let frame = self.paint.frame;
        let (line, column) = self.sources.line_column(at);
        let path = visible(&self.sources.file(at.file).path);
        let _ = writeln!(self.out, "{:gutter$} {frame}{corner}{frame:#} {path}:{line}:{column}", "");
        let cut = Cut::new(self.sources, at, line);
        let space = if cut.text.is_empty() { "" } else { " " };
        let _ = writeln!(self.out, "{frame}{line:>gutter$} │{frame:#}{space}{}", cut.text);
        let (label, style) = mark;
        let (lead, bar) = (" ".repeat(cut.lead), "─".repeat(cut.width));
        let label = visible(label);
        let space = if label.is_empty() { "" } else { " " };
        let _ = writeln!(self.out, "{:gutter$} {frame}│{frame:#} {lead}{style}{bar}{space}{label}{style:#}", "");
    }
}

/// The part of a source line that is shown, and where in it the mark goes, in terminal columns.
struct Cut {
    text: String,
    lead: usize,
    width: usize,
}

impl Cut {
    /// Takes at most [`MAX_EXCERPT_COLUMNS`] around the token, so that a file of one endless line costs no more
    /// than any other.
    fn new(sources: &Sources, at: Place, line: usize) -> Self {
        let text = &*sources.file(at.file).text;
        let line = sources.line(at.file, line);
        let start = text.floor_char_boundary(at.start as usize).clamp(line.start, line.end);
        let end = text.ceil_char_boundary(at.end as usize).clamp(start, line.end);
        let is_short = line.len() <= MAX_EXCERPT_COLUMNS;
        let room = if is_short { usize::MAX } else { MAX_EXCERPT_COLUMNS / 2 };

        let before = Run::take(text[line.start..start].chars().rev(), room);
        let token = Run::take(text[start..end].chars(), room);
        let rest = if is_short { room } else { (2 * room).saturating_sub(before.width + token.width) };
        let after = Run::take(text[end..line.end].chars(), rest);

        let is_cut_before = before.bytes < start - line.start;
        let is_cut_after = token.bytes < end - start || after.bytes < line.end - end;
        let mut shown = String::from(if is_cut_before { "…" } else { "" });
        shown.extend(before.shown.iter().rev().chain(&token.shown));
        if token.bytes == end - start {
            shown.extend(&after.shown);
        }
        shown.push_str(if is_cut_after { "…" } else { "" });
        let shown = shown.trim_end().replace('\t', TAB);
        Self { text: shown, lead: before.width + usize::from(is_cut_before), width: token.width.max(1) }
    }
}

/// Characters in the order they were taken, with tabs as they are and nothing else that a terminal obeys.
struct Run {
    shown: Vec<char>,
    bytes: usize,
    width: usize,
}

impl Run {
    /// Takes characters while they fit into `room` columns.
    fn take(chars: impl Iterator<Item = char>, room: usize) -> Self {
        let mut run = Self { shown: Vec::new(), bytes: 0, width: 0 };
        for c in chars {
            let shown = safe(c);
            let width = if c == '\t' { TAB.len() } else { shown.width().unwrap_or(0) };
            if run.width + width > room || run.shown.len() > 4 * room.min(MAX_EXCERPT_COLUMNS) {
                break;
            }
            run.bytes += c.len_utf8();
            run.width += width;
            if c != BOM {
                run.shown.push(shown);
            }
        }
        run
    }
}

/// What a terminal may show for `c`: controls become their pictures, so that no plan can send an escape
/// sequence, and marks that turn the direction of text become a replacement character.
const fn safe(c: char) -> char {
    match c {
        '\t' => c,
        '\0'..='\x1f' => match char::from_u32(0x2400 + c as u32) {
            Some(picture) => picture,
            None => char::REPLACEMENT_CHARACTER,
        },
        '\x7f' => '\u{2421}',
        '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => char::REPLACEMENT_CHARACTER,
        _ => c,
    }
}

fn visible(text: &str) -> String {
    text.chars().map(|c| if c == '\t' { ' ' } else { safe(c) }).collect()
}

#[cfg(test)]
mod tests;
