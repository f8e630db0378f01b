//! A bare expression, as in `if:`.

use std::fmt;
use std::sync::Arc;

use super::engine::{ENGINE, export, translate};
use super::error::{Error, Fault};
use super::infer::infer;
use super::kinds::Kinds;
use super::names::{Analysis, Name, Side, analyse};
use super::{Scope, Value, noun};

/// A parsed expression.
#[derive(Clone)]
pub struct Expr {
    text: Arc<str>,
    compiled: Arc<minijinja::Expression<'static, 'static>>,
    analysis: Analysis,
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expr").field(&self.text).finish()
    }
}

impl Expr {
    /// Reads a bare expression.
    ///
    /// # Errors
    /// What is wrong with it: syntax, an unknown filter or test, a call, or `{{ … }}` round it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if let Some(at) = text.find("{{").filter(|_| !in_string(text, "{{")) {
            let end = text.rfind("}}").map_or(text.len(), |end| end + 2).max(at + 2);
            let inner = text[at + 2..end].trim_end_matches('}').trim();
            let at = at - usize::from(text[..at].ends_with('$'));
            return Err(Error::new(Fault::Syntax, at..end, "an expression is written bare, without `{{ … }}`")
                .help(format!("write `{}{inner}{}`", &text[..at], &text[end..])));
        }
        if text.trim().is_empty() {
            return Err(Error::new(Fault::Syntax, 0..text.len(), "an expression is missing here"));
        }
        // Before it is compiled, because the compiler recurses once for each operator of a chain.
        let analysis = analyse(text)?;
        let compiled =
            ENGINE.compile_expression_owned(text.to_owned()).map_err(|error| translate(&error, text.len()))?;
        Ok(Self { text: text.into(), compiled: Arc::new(compiled), analysis })
    }

    /// The text it was read from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names it uses, in written order.
    pub fn names(&self) -> &[Name] {
        &self.analysis.names
    }

    /// The name that the whole expression is, if it is just one.
    pub fn sole_name(&self) -> Option<&Name> {
        let [name] = self.names() else { return None };
        (self.text.trim().len() == name.range.len()).then_some(name)
    }

    /// The value of the expression.
    ///
    /// # Errors
    /// An unknown name, values of the wrong kind, an undefined result, or too much work.
    pub fn eval(&self, scope: &Scope) -> Result<Value, Error> {
        for name in self.names().iter().filter(|name| !name.is_guarded) {
            if let Err(known) = scope.lookup(name) {
                return Err(name.missing(known));
            }
        }
        self.check(|at| scope.kinds_of(&self.names()[at]))?;
        let whole = self.text.len();
        let value = self.compiled.eval(scope.context()).map_err(|error| translate(&error, whole))?;
        export(&value, 0)
            .map_err(|what| Error::new(Fault::Unknown, 0..whole, format!("`{}` gives {what}", self.text.trim())))
    }

    /// What the expression may give when its names are of these kinds, in the order of [`Expr::names`].
    ///
    /// # Errors
    /// What is wrong whatever the values are.
    pub fn kinds(&self, names: &[Kinds]) -> Result<Kinds, Error> {
        let of = |at: usize| names.get(at).copied().unwrap_or(Kinds::ANY);
        self.check(of)?;
        if self.sole_name().is_some() {
            return Ok(of(0));
        }
        infer(&self.text, &|path| {
            let same = |name: &Name| name.path.iter().map(|part| &**part).eq(path.iter().copied());
            self.names().iter().position(same).map_or(Kinds::ANY, of)
        })
    }

    /// The value of a condition.
    ///
    /// # Errors
    /// As [`Expr::eval`], and a result that is not a boolean.
    pub fn holds(&self, scope: &Scope) -> Result<bool, Error> {
        match self.eval(scope)? {
            Value::Bool(holds) => Ok(holds),
            other => Err(self.no_condition(noun(&other))),
        }
    }

    /// Whether it can be a condition when its names are of these kinds, in the order of [`Expr::names`].
    ///
    /// # Errors
    /// As [`Expr::kinds`], and a result that is never a boolean.
    pub fn may_hold(&self, names: &[Kinds]) -> Result<(), Error> {
        let kinds = self.kinds(names)?;
        if kinds.may_be(Kinds::BOOL) { Ok(()) } else { Err(self.no_condition(&kinds.noun())) }
    }

    fn no_condition(&self, noun: &str) -> Error {
        let example = self.sole_name().map_or_else(
            || "inputs.environment == 'production'".to_owned(),
            |name| format!("{} == …", name.dotted()),
        );
        let message = format!("a condition must be true or false, and this is {noun}");
        Error::new(Fault::Type, 0..self.text.len(), message)
            .help(format!("compare it with something, as in `{example}`"))
    }

    /// Refuses comparisons that can only be false; `of` tells the kinds of a name.
    fn check(&self, of: impl Fn(usize) -> Kinds) -> Result<(), Error> {
        let kinds = |side: &Side| match side {
            Side::Literal(kind) => *kind,
            Side::Name(at) => of(*at),
        };
        for comparison in &self.analysis.comparisons {
            let (left, right) = (kinds(&comparison.left), kinds(&comparison.right));
            if !left.may_equal(right) {
                let range = comparison.range.clone();
                let text = &self.text[range.clone()];
                let message = format!("`{text}` compares {} with {}", left.noun(), right.noun());
                let help = "values of different kinds are never equal";
                return Err(Error::new(Fault::Type, range, message).help(help));
            }
        }
        Ok(())
    }
}

/// Whether the only `what` of `text` stands inside a string literal.
fn in_string(text: &str, what: &str) -> bool {
    super::lex::tokens(text)
        .iter()
        .filter(|token| token.kind == super::lex::Kind::Str)
        .any(|token| token.text(text).contains(what))
}
