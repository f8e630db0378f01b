//! What the names of an expression mean.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Value;
use super::engine::export;
use super::kinds::Kinds;
use super::names::Name;

/// A value prepared for evaluation: converted once, cheap to clone, shared by every expression that sees it.
#[derive(Clone, Debug, Default)]
pub struct Tree(minijinja::Value);

impl Tree {
    /// Prepares `value`.
    pub fn new(value: &Value) -> Self {
        Self(import(value))
    }

    pub(super) fn into_inner(self) -> minijinja::Value {
        self.0
    }

    /// Prepares a map.
    pub fn map(map: &serde_json::Map<String, Value>) -> Self {
        Self(import_map(map))
    }
}

/// A value as minijinja sees it.
fn import(value: &Value) -> minijinja::Value {
    match value {
        Value::Null => minijinja::Value::from(()),
        Value::Bool(on) => minijinja::Value::from(*on),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => minijinja::Value::from(whole),
            (None, Some(whole)) => minijinja::Value::from(whole),
            (None, None) => minijinja::Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => minijinja::Value::from(text.as_str()),
        Value::Array(items) => items.iter().map(import).collect(),
        Value::Object(map) => import_map(map),
    }
}

fn import_map(map: &serde_json::Map<String, Value>) -> minijinja::Value {
    minijinja::Value::from_pairs(map.iter().map(|(key, item)| (key.clone(), import(item))))
}

/// The top-level names that an evaluation sees. Cheap to clone: a graph of 100,000 stages has as many contexts.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    roots: Arc<BTreeMap<&'static str, minijinja::Value>>,
}

impl Scope {
    /// A scope without names.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `root` mean `tree`.
    pub fn set(&mut self, root: &'static str, tree: &Tree) {
        Arc::make_mut(&mut self.roots).insert(root, tree.0.clone());
    }

    /// The same, as an expression.
    #[must_use]
    pub fn with(mut self, root: &'static str, value: &Value) -> Self {
        self.set(root, &Tree::new(value));
        self
    }

    pub(super) fn context(&self) -> minijinja::Value {
        minijinja::Value::from_pairs(self.roots.iter().map(|(&root, value)| (root, value.clone())))
    }

    /// The value of `name`; none if there is nothing of that name.
    pub fn value_of(&self, name: &Name) -> Option<Value> {
        export(&self.lookup(name).ok()?, 0).ok()
    }

    /// The kind of the value of `name`; of what is not there nothing is known.
    pub fn kinds_of(&self, name: &Name) -> Kinds {
        self.lookup(name).map_or(Kinds::ANY, |value| Kinds::inside(&value))
    }

    /// The value of `name`, or how many of its parts exist.
    pub(super) fn lookup(&self, name: &Name) -> Result<minijinja::Value, usize> {
        let (root, rest) = name.path.split_first().ok_or(0usize)?;
        let mut value = self.roots.get(&**root).cloned().ok_or(0usize)?;
        for (at, part) in rest.iter().enumerate() {
            value = value.get_attr(part).ok().filter(|value| !value.is_undefined()).ok_or(at + 1)?;
        }
        Ok(value)
    }
}
