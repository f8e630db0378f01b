//! Expressions and templates: minijinja, strict, with a fuel limit and a short list of filters.
//!
//! One language for `if:` (a bare [`Expr`]) and for values with `{{ … }}` in them (a [`Template`]). Both
//! know which names they use, so that `plan` and `graph` can check those before anything runs.

/// A value of the language.
pub type Value = serde_json::Value;
