//! The JSON Schema (draft 2020-12) of a plan, printed from the tables.

use serde_json::{Map, Value, json};

use super::tables::{self, FILE, ITEMS, SECRET_SOURCE, STAGE};
use super::{Choice, Key, NameRule, Named, Shape, Table};

/// What a template looks like to a schema.
const TEMPLATE: &str = r"\{\{";
/// What a duration looks like: descending units, at least one.
const DURATION: &str = r"^(?=\d)(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?$";
/// A rate as text.
const RATE: &str = r"^\d+/\d*[a-z]";
/// A share as text.
const SHARE: &str = r"^\d+(\.\d{1,4})?%?$";

/// The JSON Schema that editors complete and check plans with. It accepts what the engine reads.
pub fn json_schema() -> Value {
    whole("engine plan", &FILE, tables::ALL)
}

/// The same for one kind of file of an environment, by its root table: `catalog`, `environment`, `exceptions`.
pub fn file_schema(root: &'static Table) -> Value {
    whole(&format!("engine {}", root.name), root, tables::ENVIRONMENTS)
}

/// The same for a service.
pub fn service_schema() -> Value {
    whole("engine service", &tables::SERVICE, tables::SERVICES)
}

/// The schema of a file whose top level is `root`; `all` are the tables it may lead to.
fn whole(title: &str, root: &'static Table, all: &[&'static Table]) -> Value {
    let mut defs: Map<String, Value> = Map::new();
    let mut left = vec![root];
    while let Some(table) = left.pop() {
        for name in tables_of(table) {
            let Some(found) = all.iter().find(|table| table.name == name && table.name != root.name) else {
                continue;
            };
            if defs.insert(name.to_owned(), Value::Null).is_none() {
                left.push(found);
            }
        }
    }
    let defs: Map<String, Value> = all
        .iter()
        .filter(|table| defs.contains_key(table.name))
        .map(|table| (table.name.to_owned(), Value::Object(object(table))))
        .collect();
    let mut root = object(root);
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!(title));
    schema.append(&mut root);
    schema.insert("$defs".to_owned(), Value::Object(defs));
    Value::Object(schema)
}

/// The tables that the keys of `table` lead to.
fn tables_of(table: &Table) -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut left: Vec<&Shape> = table.keys.iter().map(|key| &key.shape).collect();
    left.extend(table.open.map(|named| named.of));
    while let Some(shape) = left.pop() {
        match shape {
            Shape::Map(table) => found.push(table.name),
            Shape::Named(named) | Shape::Stages(named) => left.push(named.of),
            Shape::List { of, .. } => left.push(of),
            Shape::Either(shapes) => left.extend(shapes.iter()),
            _ => {}
        }
    }
    found
}

/// The schema of a map with known keys.
fn object(table: &Table) -> Map<String, Value> {
    let properties: Map<String, Value> =
        table.keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<_> = table.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let mut out = Map::new();
    out.insert("type".to_owned(), json!("object"));
    out.insert("description".to_owned(), json!(table.doc));
    out.insert("properties".to_owned(), Value::Object(properties));
    if !required.is_empty() {
        out.insert("required".to_owned(), json!(required));
    }
    match table.open {
        Some(named) => {
            out.insert("propertyNames".to_owned(), json!({"pattern": name_pattern(named.rule)}));
            out.insert("additionalProperties".to_owned(), shape(named.of));
        }
        None => {
            out.insert("additionalProperties".to_owned(), json!(false));
        }
    }
    if std::ptr::eq(table, &raw const STAGE) {
        out.insert("oneOf".to_owned(), json!([{"required": ["run"]}, {"required": ["uses"]}]));
    }
    if std::ptr::eq(table, &raw const ITEMS) || std::ptr::eq(table, &raw const SECRET_SOURCE) {
        out.insert("minProperties".to_owned(), json!(1));
        out.insert("maxProperties".to_owned(), json!(1));
    }
    out
}

/// The schema of one key's value, with its documentation.
fn property(key: &Key) -> Value {
    let mut value = shape(&key.shape);
    let map = value.as_object_mut().expect("every shape prints as an object");
    map.insert("description".to_owned(), json!(key.doc));
    if let Some(default) = key.default {
        let text = map["description"].as_str().unwrap_or_default().to_owned();
        map.insert("description".to_owned(), json!(format!("{text} (when absent: {default})")));
    }
    value
}

/// The schema of a shape.
fn shape(shape: &Shape) -> Value {
    match shape {
        Shape::Version => json!({"const": 1}),
        Shape::Text(_) | Shape::Template => json!({"type": "string"}),
        Shape::Expression => json!({"type": ["string", "boolean"]}),
        Shape::Id(_) | Shape::Name => json!({"type": "string", "pattern": name_pattern(NameRule::Id)}),
        Shape::Bool => json!({"type": "boolean"}),
        Shape::Count { min, max } => json!({"anyOf": [
            {"type": "integer", "minimum": min, "maximum": max}, {"type": "string", "pattern": TEMPLATE}]}),
        Shape::Factor => json!({"type": "number", "minimum": 1}),
        Shape::Duration { .. } => json!({"anyOf": [
            {"type": "string", "pattern": DURATION}, {"type": "string", "pattern": TEMPLATE}]}),
        Shape::Rate => json!({"anyOf": [
            {"type": "string", "pattern": RATE}, {"type": "string", "pattern": TEMPLATE}]}),
        Shape::Share => json!({"anyOf": [
            {"type": "integer", "minimum": 0}, {"type": "string", "pattern": SHARE},
            {"type": "string", "pattern": TEMPLATE}]}),
        Shape::ExitCode => json!({"type": "integer", "minimum": 0, "maximum": 255}),
        Shape::Word(choices) => words(choices),
        Shape::EnvValue => json!({"type": ["string", "integer", "boolean"]}),
        Shape::Any => json!({}),
        Shape::List { of, empty } => {
            json!({"type": "array", "items": self::shape(of), "minItems": u8::from(!empty)})
        }
        Shape::Map(table) => json!({"$ref": format!("#/$defs/{}", table.name)}),
        Shape::Named(named) => names(named),
        Shape::Stages(named) => json!({"anyOf": [names(named), stage_list(named)]}),
        Shape::Either(shapes) => json!({"anyOf": shapes.iter().map(self::shape).collect::<Vec<_>>()}),
    }
}

/// The schema of a map with the user's names as keys.
fn names(named: &Named) -> Value {
    json!({
        "type": "object",
        "propertyNames": {"pattern": name_pattern(named.rule)},
        "additionalProperties": shape(named.of),
    })
}

/// The schema of stages as a list. Its items have one key more than a stage, so they are described by that
/// key; the rest is left to `engine check`.
fn stage_list(named: &Named) -> Value {
    json!({"type": "array", "items": {
        "type": "object",
        "required": ["id"],
        "properties": {"id": {"type": "string", "pattern": name_pattern(named.rule)}},
    }})
}

/// The schema of a closed set.
fn words(choices: &[Choice]) -> Value {
    json!({"enum": choices.iter().map(|choice| choice.word).collect::<Vec<_>>()})
}

/// What a name must look like, as a pattern.
fn name_pattern(rule: NameRule) -> &'static str {
    match rule {
        NameRule::Id => "^[a-z][a-z0-9_-]{0,63}$",
        NameRule::Env => "^[A-Za-z_][A-Za-z0-9_]*$",
        NameRule::Key => "^[A-Z_][A-Z0-9_]*$",
    }
}
