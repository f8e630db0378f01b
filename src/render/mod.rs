//! Expressions and templates: minijinja, strict, with a fuel limit and a short list of filters.
//!
//! One language for `if:` (a bare [`Expr`]) and for values with `{{ … }}` in them (a [`Template`]). Both
//! know which names they use and where, so that `plan` and `graph` can check those before anything runs.
//! `graph` builds the [`Scope`] that an evaluation sees; nothing here knows what a plan is.
//!
//! Stricter than the engine below it: a name that resolves to nothing is an error even where minijinja
//! would go on with an undefined value (unless the expression itself asks `is defined` or says
//! `default(…)`), and a comparison of two kinds of values that can never be equal is an error, not `false`.
//!
//! [`files`] renders whole files of an environment, with secrets; [`dotenv`] is our dialect of such files.
//!
//! Where a value is not known yet, `infer` tells from the kinds of the names what an expression may give, and refuses
//! what no value could make right.
//!
//! Filters: `abs bool default first float int join last length list lower max min replace reverse round
//! sort split string sum title tojson trim unique upper`. `default` also replaces `none`.
//! Tests: `boolean defined divisibleby endingwith even float in int mapping none number odd sequence
//! startingwith string undefined`.

pub mod dotenv;
mod engine;
mod error;
mod expr;
pub mod files;
mod infer;
mod kinds;
mod lex;
pub mod mask;
mod names;
pub mod quote;
mod scope;
pub mod secret;
mod template;

pub use engine::{FILTERS, TESTS};
pub use error::{Error, Fault};
pub use expr::Expr;
pub use kinds::Kinds;
pub use names::Name;
pub use scope::{Scope, Tree};
pub use template::{Piece, Template};

/// A value of the language.
pub type Value = serde_json::Value;

/// What kind of value it is, in the words of an error: `a string`, `a list`.
pub fn noun(value: &Value) -> &'static str {
    match value {
        Value::Null => "none",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number",
        Value::Number(_) => "a whole number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// The form a value takes inside text: strings as they are, numbers as JSON writes them, `true`, `false`.
/// `none`, lists and maps have no such form.
pub fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests;
