//! Text with `{{ … }}` in it.

use std::ops::Range;
use std::sync::Arc;

use super::error::{Error, Fault};
use super::kinds::Kinds;
use super::lex::end_of_expression;
use super::names::Name;
use super::{Expr, Scope, Value, text_of};

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    text: Arc<str>,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    /// Text as it stands.
    Text(Range<usize>),
    /// An expression, where its own text begins, and where its braces stand.
    Expr(Expr, usize, Range<usize>),
}

/// A part of a template.
#[derive(Clone, Copy, Debug)]
pub enum Piece<'t> {
    /// Text as it stands.
    Text(&'t str),
    /// An expression.
    Expr(&'t Expr),
}

impl Template {
    /// Whether `text` needs to be parsed at all.
    pub fn is_template(text: &str) -> bool {
        // Most texts have no brace at all, and every text of a plan is asked.
        let has_mark = |pair: &[u8]| matches!(pair, [b'{', b'{' | b'%' | b'#']);
        text.as_bytes().contains(&b'{') && text.as_bytes().windows(2).any(has_mark)
    }

    /// Reads text with `{{ … }}` in it. `{% … %}` and `{# … #}` are refused: structure comes from `matrix`,
    /// `shards` and `uses`, never from text.
    ///
    /// # Errors
    /// What is wrong, with its range in `text`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut parts = Vec::new();
        let mut from = 0;
        while let Some((at, sign)) = opening(text, from) {
            if sign != "{{" {
                let message = format!("a plan is not text-templated: `{sign} … ` is not known here");
                return Err(Error::new(Fault::Syntax, at..at + 2, message)
                    .help("use `matrix`, `shards`, `uses` or `if`; to write it literally: `{{ '{%' }}`"));
            }
            let end = end_of_expression(text, at + 2).ok_or_else(|| {
                Error::new(Fault::Syntax, at..text.len(), "`{{` is never closed by `}}`")
                    .help("to write two braces literally: `{{ '{{' }}`")
            })?;
            if text[from..at].ends_with('$') {
                let written = &text[at..end + 2];
                return Err(Error::new(
                    Fault::Syntax,
                    at - 1..end + 2,
                    "an expression has no `$` before its braces here",
                )
                .help(format!("write `{written}`; for a dollar sign before a value: `{{{{ '$' }}}}{written}`")));
            }
            let inner = &text[at + 2..end];
            if inner.starts_with(['-', '+']) || inner.ends_with('-') {
                return Err(Error::new(Fault::Syntax, at..end + 2, "`{{-` and `-}}` are not known here")
                    .help("write `{{ … }}` with spaces inside"));
            }
            if at > from {
                parts.push(Part::Text(from..at));
            }
            let start = at + 2 + inner.len() - inner.trim_start().len();
            let expr = Expr::parse(inner.trim()).map_err(|error| error.shifted(start))?;
            parts.push(Part::Expr(expr, start, at..end + 2));
            from = end + 2;
        }
        if from < text.len() {
            parts.push(Part::Text(from..text.len()));
        }
        Ok(Self { text: text.into(), parts })
    }

    /// The text it was read from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names it uses, in written order, their ranges inside the whole text.
    pub fn names(&self) -> impl Iterator<Item = Name> + '_ {
        self.parts.iter().filter_map(Part::expr).flat_map(|(expr, start)| {
            expr.names().iter().map(move |name| {
                let mut name = name.clone();
                let shift = |range: &mut Range<usize>| *range = range.start + start..range.end + start;
                shift(&mut name.range);
                name.parts.iter_mut().for_each(shift);
                name
            })
        })
    }

    /// Its parts, in written order.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        self.parts.iter().map(|part| match part {
            Part::Text(range) => Piece::Text(&self.text[range.clone()]),
            Part::Expr(expr, ..) => Piece::Expr(expr),
        })
    }

    /// The one expression that the whole text is.
    pub fn sole_expr(&self) -> Option<&Expr> {
        match &self.parts[..] {
            [Part::Expr(expr, ..)] => Some(expr),
            _ => None,
        }
    }

    /// The value: of the expression when the template is one whole `{{ … }}`, else a string.
    ///
    /// # Errors
    /// As [`Expr::eval`], and a value without a text form inside text.
    pub fn eval(&self, scope: &Scope) -> Result<Value, Error> {
        match &self.parts[..] {
            [Part::Expr(expr, start, _)] => expr.eval(scope).map_err(|error| error.shifted(*start)),
            _ => self.render(scope).map(Value::String),
        }
    }

    /// What the template may give when its names are of these kinds, in the order of [`Template::names`].
    ///
    /// # Errors
    /// As [`Expr::kinds`], and what has no form inside text.
    pub fn kinds(&self, names: &[Kinds]) -> Result<Kinds, Error> {
        if let [Part::Expr(expr, start, _)] = &self.parts[..] {
            return expr.kinds(names).map_err(|error| error.shifted(*start));
        }
        let mut rest = names;
        for part in &self.parts {
            let Part::Expr(expr, start, braces) = part else { continue };
            let (own, others) = rest.split_at(expr.names().len().min(rest.len()));
            rest = others;
            let kinds = expr.kinds(own).map_err(|error| error.shifted(*start))?;
            if !kinds.may_be(Kinds::PLAIN) {
                return Err(textless(expr, kinds, braces.clone()));
            }
        }
        Ok(Kinds::TEXT)
    }

    /// Why the template cannot give text when it is one whole `{{ … }}` of these kinds; none when it may.
    pub fn formless(&self, kinds: Kinds) -> Option<Error> {
        match &self.parts[..] {
            [Part::Expr(expr, _, braces)] if !kinds.may_be(Kinds::PLAIN) => {
                Some(textless(expr, kinds, braces.clone()))
            }
            _ => None,
        }
    }

    /// The value as text, also when the template is one whole `{{ … }}`.
    ///
    /// # Errors
    /// As [`Template::eval`].
    pub fn render(&self, scope: &Scope) -> Result<String, Error> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(range) => out.push_str(&self.text[range.clone()]),
                Part::Expr(expr, start, braces) => {
                    let value = expr.eval(scope).map_err(|error| error.shifted(*start))?;
                    let text = text_of(&value).ok_or_else(|| textless(expr, Kinds::of(&value), braces.clone()))?;
                    out.push_str(&text);
                }
            }
        }
        Ok(out)
    }
}

impl Part {
    const fn expr(&self) -> Option<(&Expr, usize)> {
        match self {
            Self::Expr(expr, start, _) => Some((expr, *start)),
            Self::Text(_) => None,
        }
    }
}

/// The next `{{`, `{%` or `{#` from `from` on.
fn opening(text: &str, from: usize) -> Option<(usize, &str)> {
    text[from..]
        .match_indices('{')
        .map(|(at, _)| from + at)
        .find(|&at| matches!(text.as_bytes().get(at + 1), Some(b'{' | b'%' | b'#')))
        .map(|at| (at, &text[at..at + 2]))
}

fn textless(expr: &Expr, kinds: Kinds, range: Range<usize>) -> Error {
    let text = expr.text();
    let message = format!("`{text}` is {}, which has no form inside text", kinds.noun());
    let help = match kinds {
        Kinds::NONE => format!("say what stands in its place: `{{{{ {text} | default('…') }}}}`"),
        _ if kinds.may_be(Kinds::LIST) => format!("join it: `{{{{ {text} | join(',') }}}}`, or write `| tojson`"),
        _ => format!("write `{{{{ {text} | tojson }}}}`"),
    };
    Error::new(Fault::Type, range, message).help(help)
}
