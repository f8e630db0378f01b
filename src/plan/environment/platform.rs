//! Values that the platform gives: a hosting platform says on which port a service listens by a variable of whoever
//! starts it, and that wins over what the files say. Which keys may be given so stands in the catalog (`injected`).

use std::collections::BTreeMap;

use super::resolve::{Entry, Environment, Setting};
use crate::plan::error::{Diagnostic, Report};
use crate::plan::source::{File, Place, Sources};
use crate::plan::tree::{Kind, Tree};
use crate::plan::types;
use crate::render::{Template, Value};

/// What the platform gave, by key.
pub type Platform = BTreeMap<String, String>;

impl Environment {
    /// What `variable` gives of the keys that may be given. An empty variable gives nothing.
    pub fn ask_platform(&self, variable: impl Fn(&str) -> Option<String>) -> Platform {
        let keys = self.catalog.keys.iter().filter(|rule| rule.is_injected).map(|rule| &rule.name.value);
        let given = keys.filter_map(|key| Some((key.to_string(), variable(key)?)));
        given.filter(|(_, text)| !text.is_empty()).collect()
    }

    /// Lays `given` over all layers. Each value stands in a file of its own, `$PORT`, so that it has a place.
    pub fn inject(&mut self, given: Platform, sources: &mut Sources, report: &mut Report) {
        for (key, text) in &given {
            let Some(rule) = self.catalog.rule(key).filter(|rule| rule.is_injected) else { continue };
            let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
            let file = sources.add(File { path: format!("${key}"), text: text.as_str().into() });
            let at = Place { file, start: 0, end: length };
            // It becomes a word of the stages that render, where braces would be an expression.
            let read = if Template::is_template(text) {
                Err("a value of the platform has no `{{`".to_owned())
            } else {
                types::read(rule.kind, text)
            };
            match read {
                Ok(value) => {
                    let setting = Setting::Plain(Tree { at, kind: kind(&value) });
                    self.entries.insert(key.clone(), Entry { at, setting });
                }
                Err(why) => {
                    let message = format!("`{key}`, as the platform gives it: {why}");
                    let found = Diagnostic::error("env::bad-value", at, message);
                    report.push(
                        found.related(rule.name.at, "declared here").help(format!("unset `{key}`, or mend it")),
                    );
                }
            }
        }
        self.platform = given;
    }
}

/// A value that was read from text; lists and maps cannot be injected.
fn kind(value: &Value) -> Kind {
    match value {
        Value::Bool(on) => Kind::Bool(*on),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Kind::Int(number),
            None => Kind::Float(number.as_f64().unwrap_or_default()),
        },
        other => Kind::Str { text: other.as_str().unwrap_or_default().into(), plain: None },
    }
}
