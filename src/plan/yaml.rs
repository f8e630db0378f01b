//! YAML 1.2 (core schema) into a [`Tree`], from the events of `granit-parser`.
//!
//! Events and not typed values, because only they give the exact bytes of every key and value, both places of
//! a duplicate, and a bound on aliases that is ours (`docs/adr/0001-event-level-yaml.md`).

mod alias;
mod fault;
mod scalar;

use std::borrow::Cow;
use std::ops::Range;

use granit_parser::{Event, Options, Parser, ScalarStyle, Span, Tag};

use self::alias::Anchors;
use super::syntax::{Builder, Faults, short, string, too_deep, words};
use super::tree::{Key, Tree};
use crate::base::limits::MAX_DEPTH;

/// The reader stopped at a fault that it reported.
struct Stop;

/// Reads `text` from byte `start`. Duplicate keys, wrong keys, numbers, tags and aliases are reported and
/// read over; a fault of structure ends the reading.
pub(super) fn read(text: &str, start: usize, faults: &mut Faults<'_>) -> Option<Tree> {
    let mut reader = Reader {
        text,
        base: start,
        tabs: text.contains('\t').then_some(start),
        builder: Builder::default(),
        anchors: Anchors::default(),
        skipping: 0,
        documents: 0,
        faults,
    };
    let mut parser = Parser::new_from_str_with_options(&text[start..], options());
    loop {
        let step = match parser.next_event() {
            None => break,
            Some(Ok((event, span))) => reader.event(event, &span),
            Some(Err(fault)) => {
                fault::explain(reader.faults, start, &fault);
                Err(Stop)
            }
        };
        if step.is_err() {
            return None;
        }
        if reader.documents > 1 || reader.faults.is_full() {
            break;
        }
    }
    let end = reader.faults.place(start..start);
    let empty = || Tree { at: end, kind: super::tree::Kind::Null };
    if reader.documents == 0 { Some(empty()) } else { reader.builder.finish() }
}

fn options() -> Options {
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.emit_unresolved_aliases = true;
    options.disallow_directives = false;
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    options
}

/// What an event carries beside its kind.
struct About<'e> {
    range: Range<usize>,
    anchor: usize,
    tag: Option<Cow<'e, Tag>>,
    /// Where the tag stands.
    tag_range: Range<usize>,
}

impl<'e> About<'e> {
    fn new(base: usize, span: &Span, anchor: usize, tag: Option<Cow<'e, Tag>>) -> Self {
        let range = range(base, span);
        let tag_range = span.tag_span().map_or(range.clone(), |span| self::range(base, &span));
        Self { range, anchor, tag, tag_range }
    }
}

/// The bytes of the file that `span` covers in a text that begins at byte `base`.
fn range(base: usize, span: &Span) -> Range<usize> {
    let start = span.start.byte_offset().unwrap_or(0);
    let end = span.end.byte_offset().unwrap_or(start);
    base + start..base + end.max(start)
}

struct Reader<'a, 'f, 'r> {
    text: &'a str,
    /// Where the parser's text begins: after a BOM.
    base: usize,
    /// The end of the last token, kept only when the file has a tab somewhere.
    tabs: Option<usize>,
    builder: Builder,
    anchors: Anchors,
    /// Open collections of a key that was refused.
    skipping: usize,
    documents: usize,
    faults: &'f mut Faults<'r>,
}

impl Reader<'_, '_, '_> {
    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), Stop> {
        let range = range(self.base, span);
        if self.tabs.is_some() {
            self.refuse_tab_indent(&range);
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.several_documents(range);
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(text, style, About::new(self.base, span, anchor, tag));
            }
            Event::SequenceStart(_, anchor, tag) => self.open(false, &About::new(self.base, span, anchor, tag))?,
            Event::MappingStart(_, anchor, tag) => self.open(true, &About::new(self.base, span, anchor, tag))?,
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => self.alias(id, range)?,
            Event::UnresolvedAlias(name) => {
                let message = format!("no anchor `&{}` stands before this alias", short(&name));
                self.faults.push("plan::unknown-anchor", range.clone(), message);
                self.refused(range);
            }
            _ => {}
        }
        Ok(())
    }

    fn scalar(&mut self, text: Cow<'_, str>, style: ScalarStyle, about: About<'_>) {
        self.faults.count_value(about.range.start);
        if self.skipping > 0 {
            return;
        }
        if self.builder.wants_key() {
            return self.key(text, style, about);
        }
        let About { range, anchor, tag, tag_range } = about;
        let tree = match scalar::meaning(&text, style, (tag.as_deref(), tag_range), self.faults, &range) {
            Some(kind) => Tree { at: self.faults.place(range), kind },
            None => string(self.faults, range, text),
        };
        self.anchors.define(anchor, &tree);
        self.builder.value(tree);
    }

    /// A key is a string: what the core schema would read as something else needs quotes.
    fn key(&mut self, text: Cow<'_, str>, style: ScalarStyle, about: About<'_>) {
        let range = about.range;
        let is_plain = style == ScalarStyle::Plain && about.tag.is_none();
        let is_merge = is_plain && text == "<<";
        let at = self.faults.place(range.clone());
        let text = words(self.faults, &range, text);
        if let Some(noun) = is_plain.then(|| scalar::noun(&text)).flatten() {
            let (message, help) = if text.is_empty() {
                ("a key is missing here".to_owned(), "write a name before the `:`".to_owned())
            } else {
                let text = short(&text);
                (format!("the key `{text}` is {noun}; keys are strings"), format!("quote it: `\"{text}\"`"))
            };
            self.faults.add("plan::key", range, message).help = Some(help);
        } else {
            let whole = Tree { at, kind: super::tree::Kind::Str { text: text.clone(), plain: None } };
            self.anchors.define(about.anchor, &whole);
        }
        self.builder.key(Key { text, at }, is_merge);
    }

    fn open(&mut self, is_map: bool, about: &About<'_>) -> Result<(), Stop> {
        self.faults.count_value(about.range.start);
        if self.skipping > 0 {
            self.skipping += 1;
            return Ok(());
        }
        // The place of a collection is its first token: a bracket, a dash, or (by the builder) its first key.
        let length = match self.text.as_bytes().get(about.range.start) {
            Some(b'{') if is_map => 1,
            Some(b'[' | b'-') if !is_map => 1,
            _ => 0,
        };
        let range = about.range.start..about.range.start + length;
        if self.builder.wants_key() {
            self.refuse_collection_key(range);
            self.skipping = 1;
            return Ok(());
        }
        scalar::check_collection_tag(is_map, about.tag.as_deref(), self.faults, &about.tag_range);
        if !self.builder.open(self.faults.place(range.clone()), is_map, about.anchor) {
            too_deep(self.faults, range);
            return Err(Stop);
        }
        Ok(())
    }

    fn close(&mut self) {
        if self.skipping > 0 {
            self.skipping -= 1;
            if self.skipping == 0 {
                self.builder.drop_key();
            }
            return;
        }
        let mut closed = self.builder.close(self.faults);
        if closed.has_merge {
            alias::merge(&mut closed.tree, self.faults);
        }
        self.anchors.define(closed.anchor, &closed.tree);
        self.builder.value(closed.tree);
    }

    fn alias(&mut self, id: usize, range: Range<usize>) -> Result<(), Stop> {
        if self.skipping > 0 {
            return Ok(());
        }
        if self.builder.wants_key() {
            self.faults.push("plan::key", range, "a key cannot be an alias");
            self.builder.drop_key();
            return Ok(());
        }
        match self.anchors.expand(id, self.builder.depth()) {
            Ok(mut tree) => {
                tree.at = self.faults.place(range);
                self.builder.value(tree);
                Ok(())
            }
            Err(refusal) => {
                refusal.report(self.faults, range.clone());
                if refusal.is_final() {
                    return Err(Stop);
                }
                self.refused(range);
                Ok(())
            }
        }
    }

    /// Puts nothing where a value was refused.
    fn refused(&mut self, range: Range<usize>) {
        if self.skipping > 0 {
            return;
        }
        if self.builder.wants_key() {
            self.builder.drop_key();
        } else {
            self.builder.value(Tree { at: self.faults.place(range), kind: super::tree::Kind::Null });
        }
    }

    fn refuse_collection_key(&mut self, range: Range<usize>) {
        let outer = self.builder.innermost().map_or(range.start, |(_, at)| at.start as usize);
        if self.text[outer..].starts_with("{{") {
            let line = self.text[outer..].lines().next().unwrap_or_default();
            let length = line.find("}}").map_or(2, |end| end + 2);
            let template = &line[..length];
            let fault = self.faults.add(
                "plan::unquoted-template",
                outer..outer + length,
                "YAML reads `{{` as the start of a map; a template needs quotes",
            );
            fault.help = Some(format!("quote the whole value: `\"{}\"`", short(template)));
        } else {
            self.faults.push("plan::key", range, "a map or list cannot be a key; keys are strings");
        }
    }

    fn several_documents(&mut self, range: Range<usize>) {
        let fault = self.faults.add("plan::several-documents", range, "a second YAML document begins here");
        fault.help = Some("a file holds one document; put the other one into a file of its own".to_owned());
    }

    /// Reports a tab in the indentation of the token at `range`. The parser itself refuses tabs only where
    /// they would decide about structure; inside brackets it would let them pass.
    fn refuse_tab_indent(&mut self, range: &Range<usize>) {
        let Some(last) = self.tabs.filter(|&last| last <= range.start && !range.is_empty()) else { return };
        self.tabs = Some(range.end);
        let gap = &self.text[last..range.start];
        let Some(line) = gap.rfind('\n') else { return };
        let indent = &gap[line + 1..];
        let blank = indent.len() - indent.trim_start_matches([' ', '\t']).len();
        if let Some(tab) = indent[..blank].find('\t') {
            let at = last + line + 1 + tab;
            fault::tab(self.faults, at);
        }
    }
}
