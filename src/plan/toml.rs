//! TOML 1.1 into a [`Tree`], from the events of `toml_parser`.
//!
//! Events and not `toml::de::DeTable`: a table there is a sorted map that forgets the written order, a
//! duplicate forgets its first place, and all tokens and events of the file lie in memory at once. Here a file
//! is lexed and parsed some thousand tokens at a time.

mod tables;

use std::borrow::Cow;

use toml_parser::decoder::{Encoding, ScalarKind};
use toml_parser::lexer::TokenKind;
use toml_parser::parser::{EventReceiver, parse_document};
use toml_parser::{ErrorSink, Expected, ParseError, Raw, Source, Span};

use self::tables::Tables;
use super::syntax::{Faults, short, string, too_deep, too_large, words};
use super::tree::{Key, Kind, Tree};
use crate::base::limits::{MAX_DEPTH, MAX_FILE_VALUES};

/// Tokens parsed at a time: enough to make a chunk's cost vanish, few enough to stay in the cache.
const CHUNK: usize = 4096;

/// Reads `text` from byte `start`. All faults of structure are found, as far as the parser can go on after
/// one; then there is no tree. Duplicates, dates and numbers out of range are reported and read over.
pub(super) fn read(text: &str, start: usize, faults: &mut Faults<'_>) -> Option<Tree> {
    let body = &text[start..];
    let source = Source::new(body);
    let root = faults.place(start..start);
    let mut reader = Reader {
        body,
        base: start,
        faults,
        tables: Tables::new(root),
        path: Vec::new(),
        open: Vec::new(),
        is_lost: false,
    };
    let mut wrong = Wrong { found: Vec::new() };
    let mut tokens = Vec::with_capacity(CHUNK);
    let mut depth = 0_usize;
    for token in source.lex() {
        tokens.push(token);
        if depth > MAX_DEPTH + 2 || tokens.len() > MAX_TOKENS {
            break;
        }
        match token.kind() {
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => depth += 1,
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => depth = depth.saturating_sub(1),
            // Between two lines outside of brackets nothing is open, so the parser may begin anew.
            TokenKind::Newline if depth == 0 && tokens.len() >= CHUNK => {
                parse_document(&tokens, &mut reader, &mut wrong);
                tokens.clear();
                if reader.is_lost || reader.faults.is_full() || wrong.found.len() >= MAX_WRONG {
                    break;
                }
            }
            _ => {}
        }
    }
    let rest = tokens.last().map_or(0, |token| token.span().start());
    if tokens.len() > MAX_TOKENS {
        reader.faults.too_many(start + rest);
        return None;
    }
    parse_document(&tokens, &mut reader, &mut wrong);
    let Reader { tables, faults, is_lost, .. } = reader;
    let is_sound = wrong.found.is_empty() && !is_lost && !faults.is_full();
    if depth > MAX_DEPTH + 2 && !is_lost {
        too_deep(faults, start + rest..start + rest + 1);
        return None;
    }
    for fault in &wrong.found {
        explain(faults, start, fault);
    }
    if is_sound { tables.finish(faults) } else { None }
}

/// Tokens between two places where nothing is open: as many as the values of a file could need.
const MAX_TOKENS: usize = 2 * MAX_FILE_VALUES;
/// Faults of structure kept at most.
const MAX_WRONG: usize = 1000;

/// The parser's faults.
struct Wrong {
    found: Vec<ParseError>,
}

impl ErrorSink for Wrong {
    fn report_error(&mut self, error: ParseError) {
        if self.found.len() < MAX_WRONG {
            self.found.push(error);
        }
    }
}

/// Reports a fault of the parser in its own words, which are for people.
fn explain(faults: &mut Faults<'_>, base: usize, error: &ParseError) {
    let span = error.unexpected().or(error.context()).unwrap_or_default();
    let range = base + span.start()..base + span.end();
    let expected: Vec<String> = error
        .expected()
        .unwrap_or_default()
        .iter()
        .map(|one| match one {
            Expected::Literal("\n") => "a new line".to_owned(),
            Expected::Literal(text) => format!("`{text}`"),
            Expected::Description(words) => (*words).to_owned(),
            _ => "something else".to_owned(),
        })
        .collect();
    let fault = faults.add("plan::syntax-toml", range, error.description());
    if !expected.is_empty() {
        fault.label = format!("expected {}", expected.join(" or "));
    }
}

/// A list or inline table that has not ended.
enum Open {
    List { at: Span, items: Vec<Tree> },
    Inline { table: usize, path: Vec<Key> },
}

struct Reader<'a, 'f, 'r> {
    body: &'a str,
    base: usize,
    faults: &'f mut Faults<'r>,
    tables: Tables,
    /// The keys read so far of the header or line.
    path: Vec<Key>,
    open: Vec<Open>,
    /// Whether something was too deep to go on.
    is_lost: bool,
}

impl Reader<'_, '_, '_> {
    fn raw(&self, span: Span, encoding: Option<Encoding>) -> Raw<'_> {
        Raw::new_unchecked(&self.body[span.start()..span.end()], encoding, span)
    }

    fn range(&self, span: Span) -> std::ops::Range<usize> {
        self.base + span.start()..self.base + span.end()
    }

    fn header(&mut self, is_array: bool) {
        let path = std::mem::take(&mut self.path);
        if !self.is_lost && !path.is_empty() {
            self.tables.header(&path, is_array, self.faults);
        }
    }

    fn value(&mut self, tree: Tree) {
        match self.open.last_mut() {
            Some(Open::List { items, .. }) => items.push(tree),
            Some(Open::Inline { table, path }) => {
                let path = std::mem::take(path);
                self.tables.put(Some(*table), path, tree, self.faults);
            }
            None => {
                let path = std::mem::take(&mut self.path);
                self.tables.put(None, path, tree, self.faults);
            }
        }
    }

    /// Whether one more collection may open; reports when not.
    fn may_open(&mut self, span: Span) -> bool {
        self.faults.count_value(self.base + span.start());
        self.is_lost |= self.faults.is_full();
        if !self.is_lost && self.open.len() >= MAX_DEPTH {
            too_deep(self.faults, self.range(span));
            self.is_lost = true;
        }
        !self.is_lost
    }

    fn number(&mut self, span: Span, text: &str, kind: ScalarKind) -> Kind {
        let range = self.range(span);
        match kind {
            ScalarKind::Integer(radix) => i64::from_str_radix(text, radix.value()).map(Kind::Int).ok(),
            _ => text
                .parse::<f64>()
                .ok()
                .filter(|number| number.is_finite() || text.contains("inf") || text.contains("nan"))
                .map(Kind::Float),
        }
        .unwrap_or_else(|| {
            let written = &self.body[span.start()..span.end()];
            too_large(self.faults, range, written, "\"");
            Kind::Int(0)
        })
    }
}

impl EventReceiver for Reader<'_, '_, '_> {
    fn std_table_open(&mut self, _span: Span, _error: &mut dyn ErrorSink) {
        self.path.clear();
    }

    fn std_table_close(&mut self, _span: Span, _error: &mut dyn ErrorSink) {
        self.header(false);
    }

    fn array_table_open(&mut self, _span: Span, _error: &mut dyn ErrorSink) {
        self.path.clear();
    }

    fn array_table_close(&mut self, _span: Span, _error: &mut dyn ErrorSink) {
        self.header(true);
    }

    fn inline_table_open(&mut self, span: Span, _error: &mut dyn ErrorSink) -> bool {
        if !self.may_open(span) {
            return false;
        }
        let table = self.tables.inline(self.faults.place(self.range(span)));
        self.open.push(Open::Inline { table, path: Vec::new() });
        true
    }

    fn inline_table_close(&mut self, _span: Span, _error: &mut dyn ErrorSink) {
        if let Some(Open::Inline { table, .. }) = self.open.pop_if(|open| matches!(open, Open::Inline { .. })) {
            match self.tables.close_inline(table, self.faults) {
                Some(tree) => self.value(tree),
                None => self.is_lost = true,
            }
        }
    }

    fn array_open(&mut self, span: Span, _error: &mut dyn ErrorSink) -> bool {
        let may = self.may_open(span);
        if may {
            self.open.push(Open::List { at: span, items: Vec::new() });
        }
        may
    }

    fn array_close(&mut self, _span: Span, _error: &mut dyn ErrorSink) {
        if let Some(Open::List { at, mut items }) = self.open.pop_if(|open| matches!(open, Open::List { .. })) {
            items.shrink_to_fit();
            self.value(Tree { at: self.faults.place(self.range(at)), kind: Kind::List(items) });
        }
    }

    fn simple_key(&mut self, span: Span, encoding: Option<Encoding>, error: &mut dyn ErrorSink) {
        let mut text = Cow::Borrowed("");
        self.raw(span, encoding).decode_key(&mut text, error);
        let key =
            Key { text: words(self.faults, &self.range(span), text), at: self.faults.place(self.range(span)) };
        let path = match self.open.last_mut() {
            Some(Open::Inline { path, .. }) => path,
            _ => &mut self.path,
        };
        path.push(key);
        if path.len() > MAX_DEPTH && !self.is_lost {
            too_deep(self.faults, self.range(span));
            self.is_lost = true;
        }
    }

    fn scalar(&mut self, span: Span, encoding: Option<Encoding>, error: &mut dyn ErrorSink) {
        let mut is_wrong = false;
        let mut sink = |fault: ParseError| {
            is_wrong = true;
            error.report_error(fault);
        };
        let raw = Raw::new_unchecked(&self.body[span.start()..span.end()], encoding, span);
        let mut text = Cow::Borrowed("");
        let kind = raw.decode_scalar(&mut text, &mut sink);
        let range = self.range(span);
        self.faults.count_value(range.start);
        let at = self.faults.place(range.clone());
        let tree = match kind {
            ScalarKind::String => string(self.faults, range, text),
            ScalarKind::Boolean(truth) => Tree { at, kind: Kind::Bool(truth) },
            _ if is_wrong => Tree { at, kind: Kind::Null },
            ScalarKind::DateTime => {
                let written = short(raw.as_str());
                let fault = self.faults.add("plan::datetime", range, "plans have no dates; this is one");
                fault.help = Some(format!("quote it: `\"{written}\"`"));
                Tree { at, kind: Kind::Null }
            }
            kind => Tree { at, kind: self.number(span, &text, kind) },
        };
        self.value(tree);
    }

    fn newline(&mut self, span: Span, error: &mut dyn ErrorSink) {
        self.raw(span, None).decode_newline(error);
        if self.open.is_empty() {
            self.path.clear();
        }
    }

    fn comment(&mut self, span: Span, error: &mut dyn ErrorSink) {
        self.raw(span, None).decode_comment(error);
    }
}
