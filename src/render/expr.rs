//! A bare expression, as in `if:`.

use std::fmt;
use std::sync::Arc;

use minijinja::value::ValueKind;

use super::engine::{ENGINE, export, translate};
use super::error::{Error, Fault};
use super::names::{Analysis, Class, Comparison, Name, Side, analyse};
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
                return Err(missing(name, known));
            }
        }
        for comparison in &self.analysis.comparisons {
            self.check(comparison, scope)?;
        }
        let whole = self.text.len();
        let value = self.compiled.eval(scope.context()).map_err(|error| translate(&error, whole))?;
        export(&value, 0)
            .map_err(|what| Error::new(Fault::Unknown, 0..whole, format!("`{}` gives {what}", self.text.trim())))
    }

    /// The value of a condition.
    ///
    /// # Errors
    /// As [`Expr::eval`], and a result that is not a boolean.
    pub fn holds(&self, scope: &Scope) -> Result<bool, Error> {
        match self.eval(scope)? {
            Value::Bool(holds) => Ok(holds),
            other => Err(Error::new(
                Fault::Type,
                0..self.text.len(),
                format!("a condition must be true or false, and this is {}", noun(&other)),
            )
            .help("compare it with something, as in `inputs.environment == 'production'`")),
        }
    }

    /// Refuses a comparison that can only be false.
    fn check(&self, comparison: &Comparison, scope: &Scope) -> Result<(), Error> {
        let (Some(left), Some(right)) =
            (self.class(&comparison.left, scope), self.class(&comparison.right, scope))
        else {
            return Ok(());
        };
        if left == right || left == Class::None || right == Class::None {
            return Ok(());
        }
        let range = comparison.range.clone();
        let text = &self.text[range.clone()];
        let message = format!("`{text}` compares {} with {}", left.noun(), right.noun());
        Err(Error::new(Fault::Type, range, message).help("values of different kinds are never equal"))
    }

    fn class(&self, side: &Side, scope: &Scope) -> Option<Class> {
        match side {
            Side::Literal(class) => Some(*class),
            Side::Name(at) => match scope.lookup(&self.names()[*at]).ok()?.kind() {
                ValueKind::String => Some(Class::Text),
                ValueKind::Number => Some(Class::Number),
                ValueKind::Bool => Some(Class::Bool),
                ValueKind::Seq => Some(Class::List),
                ValueKind::Map => Some(Class::Map),
                ValueKind::None => Some(Class::None),
                _ => None,
            },
        }
    }
}

/// Whether the only `what` of `text` stands inside a string literal.
fn in_string(text: &str, what: &str) -> bool {
    super::lex::tokens(text)
        .iter()
        .filter(|token| token.kind == super::lex::Kind::Str)
        .any(|token| token.text(text).contains(what))
}

/// `name` of which only the first `known` parts exist.
fn missing(name: &Name, known: usize) -> Error {
    let dotted = name.dotted();
    let range = name.range.start..name.parts.get(known).map_or(name.range.end, |part| part.end);
    let message = if known == 0 {
        format!("there is no `{}` here", name.path[0])
    } else {
        format!("`{dotted}` is not defined: `{}` has no `{}`", name.path[..known].join("."), name.path[known])
    };
    Error::new(Fault::Unknown, range, message)
}
