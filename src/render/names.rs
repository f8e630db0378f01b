//! Which names an expression uses, where, and what it compares them with.

use std::ops::Range;

use super::engine::{FILTERS, TESTS};
use super::error::{Error, Fault};
use super::kinds::Kinds;
use super::lex::{Kind, Token, tokens};
use crate::base::limits;

/// A dotted name in an expression: `needs.build.outputs.digest`, also written `needs['build'].outputs`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name {
    /// Its parts.
    pub path: Vec<Box<str>>,
    /// Where it stands in the text.
    pub range: Range<usize>,
    /// Where each part stands.
    pub parts: Vec<Range<usize>>,
    /// Whether the expression copes with the name's absence: `is defined`, `is none`, or `default(…)`.
    pub is_guarded: bool,
}

impl Name {
    /// The parts joined by dots.
    pub fn dotted(&self) -> String {
        self.path.join(".")
    }

    /// That only the first `known` of its parts exist.
    pub fn missing(&self, known: usize) -> Error {
        let dotted = self.dotted();
        let range = self.range.start..self.parts.get(known).map_or(self.range.end, |part| part.end);
        let message = if known == 0 {
            format!("there is no `{}` here", self.path[0])
        } else {
            format!("`{dotted}` is not defined: `{}` has no `{}`", self.path[..known].join("."), self.path[known])
        };
        Error::new(Fault::Unknown, range, message)
    }
}

/// One side of a comparison that can be typed before it is evaluated.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Side {
    /// An index into the names.
    Name(usize),
    /// A literal, by its kind.
    Literal(Kinds),
}

/// `left == right` and its like.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Comparison {
    pub(super) left: Side,
    pub(super) right: Side,
    pub(super) range: Range<usize>,
}

/// What a look at the tokens tells.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Analysis {
    pub(super) names: Vec<Name>,
    pub(super) comparisons: Vec<Comparison>,
}

const WORDS: [&str; 12] = ["and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "True", "False"];
const COMPARISONS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];

/// Finds names and comparisons; refuses unknown filters, tests and calls.
pub(super) fn analyse(source: &str) -> Result<Analysis, Error> {
    let tokens = tokens(source);
    if tokens.len() > limits::MAX_EXPRESSION_TOKENS {
        let message = format!("an expression may have {} words and signs", limits::MAX_EXPRESSION_TOKENS);
        return Err(Error::new(Fault::Fuel, 0..source.len(), message));
    }
    let mut scan = Scan { source, tokens: &tokens, at: 0, sides: Vec::new(), names: Vec::new() };
    while scan.at < tokens.len() {
        scan.step()?;
    }
    let Scan { mut names, sides, .. } = scan;
    let guarded: Vec<_> = names.iter().filter(|name| name.is_guarded).map(|name| name.path.clone()).collect();
    for name in &mut names {
        name.is_guarded = name.is_guarded || guarded.contains(&name.path);
    }
    let comparisons = comparisons(source, &tokens, &sides);
    Ok(Analysis { names, comparisons })
}

struct Scan<'a> {
    source: &'a str,
    tokens: &'a [Token],
    at: usize,
    names: Vec<Name>,
    /// Operands: first token, one past the last token, what they are.
    sides: Vec<(usize, usize, Side)>,
}

impl Scan<'_> {
    fn word(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.text(self.source))
    }

    fn is_ident(&self, at: usize) -> bool {
        self.tokens.get(at).is_some_and(|token| token.kind == Kind::Ident)
    }

    fn step(&mut self) -> Result<(), Error> {
        let token = &self.tokens[self.at];
        let text = token.text(self.source);
        match token.kind {
            Kind::Op if text == "|" => return self.filter(),
            Kind::Op if text == "." && self.is_ident(self.at + 1) => self.at += 2,
            Kind::Str => self.literal(Kinds::TEXT),
            Kind::Int | Kind::Float => self.literal(Kinds::NUMBER),
            Kind::Ident if text == "is" => return self.test(),
            Kind::Ident if matches!(text, "true" | "false" | "True" | "False") => self.literal(Kinds::BOOL),
            Kind::Ident if matches!(text, "none" | "None") => self.literal(Kinds::NONE),
            Kind::Ident if WORDS.contains(&text) => self.at += 1,
            Kind::Ident if self.word(self.at + 1) == "=" => self.at += 2,
            Kind::Ident => return self.name(),
            Kind::Op => self.at += 1,
        }
        Ok(())
    }

    fn literal(&mut self, kind: Kinds) {
        self.sides.push((self.at, self.at + 1, Side::Literal(kind)));
        self.at += 1;
    }

    /// `| filter`
    fn filter(&mut self) -> Result<(), Error> {
        let name = self.word(self.at + 1);
        if self.is_ident(self.at + 1) && !FILTERS.contains(&name) {
            return Err(self.unknown("filter", self.at + 1, &FILTERS));
        }
        self.at += 2;
        Ok(())
    }

    /// `is test`, `is not test`
    fn test(&mut self) -> Result<(), Error> {
        let at = if self.word(self.at + 1) == "not" { self.at + 2 } else { self.at + 1 };
        if self.is_ident(at) && !TESTS.contains(&self.word(at)) {
            return Err(self.unknown("test", at, &TESTS));
        }
        self.at = at + 1;
        Ok(())
    }

    fn unknown(&self, what: &str, at: usize, known: &[&str]) -> Error {
        let word = self.word(at);
        let near = known
            .iter()
            .map(|one| (strsim::damerau_levenshtein(word, one), one))
            .min()
            .filter(|(distance, _)| *distance <= 2.max(word.len() / 3));
        let help = near.map_or_else(
            || format!("there are: {}", known.join(" ")),
            |(_, one)| format!("did you mean `{one}`?"),
        );
        let range = self.tokens[at].range.clone();
        Error::new(Fault::Unknown, range, format!("there is no {what} `{word}`")).help(help)
    }

    /// `root.part['part']…`
    fn name(&mut self) -> Result<(), Error> {
        let first = self.at;
        let mut parts = vec![self.tokens[first].range.clone()];
        let mut path: Vec<Box<str>> = vec![self.word(first).into()];
        let mut at = first + 1;
        loop {
            if self.word(at) == "." && self.tokens.get(at + 1).is_some_and(|t| t.kind != Kind::Op) {
                path.push(self.word(at + 1).into());
                parts.push(self.tokens[at + 1].range.clone());
                at += 2;
            } else if let Some(key) = self.key(at) {
                path.push(key);
                parts.push(self.tokens[at + 1].range.clone());
                at += 3;
            } else {
                break;
            }
        }
        if self.word(at) == "(" {
            let range = self.tokens[first].range.start..self.tokens[at - 1].range.end;
            let word = &self.source[range.clone()];
            return Err(Error::new(Fault::Unknown, range, format!("there is no function `{word}`"))
                .help("values are changed by filters: `name | upper`"));
        }
        let range = self.tokens[first].range.start..self.tokens[at - 1].range.end;
        let is_guarded = self.is_guard(at);
        self.sides.push((first, at, Side::Name(self.names.len())));
        self.names.push(Name { path, range, parts, is_guarded });
        self.at = at;
        Ok(())
    }

    /// The key of `['key']` at token `at`.
    fn key(&self, at: usize) -> Option<Box<str>> {
        let key = self.tokens.get(at + 1).filter(|key| key.kind == Kind::Str)?;
        let text = key.text(self.source);
        let inner = text.get(1..text.len().checked_sub(1)?)?;
        (self.word(at) == "[" && self.word(at + 2) == "]" && !inner.contains('\\')).then(|| inner.into())
    }

    /// Whether what follows a name copes with its absence.
    fn is_guard(&self, at: usize) -> bool {
        let test = if self.word(at + 1) == "not" { at + 2 } else { at + 1 };
        (self.word(at) == "|" && self.word(at + 1) == "default")
            || (self.word(at) == "is" && matches!(self.word(test), "defined" | "undefined" | "none"))
    }
}

/// Comparisons whose two sides stand alone: nothing binds tighter to either.
fn comparisons(source: &str, tokens: &[Token], sides: &[(usize, usize, Side)]) -> Vec<Comparison> {
    let word = |at: Option<usize>| at.and_then(|at| tokens.get(at)).map_or("", |token| token.text(source));
    let ends = |text: &str| matches!(text, "" | "and" | "or" | "not" | "if" | "else" | "(" | ")" | ",");
    sides
        .windows(2)
        .filter(|pair| pair[0].1 + 1 == pair[1].0 && COMPARISONS.contains(&word(Some(pair[0].1))))
        .filter(|pair| ends(word(pair[0].0.checked_sub(1))) && ends(word(Some(pair[1].1))))
        .map(|pair| Comparison {
            left: pair[0].2.clone(),
            right: pair[1].2.clone(),
            range: tokens[pair[0].0].range.start..tokens[pair[1].1 - 1].range.end,
        })
        .collect()
}
