//! The one minijinja environment, and values on their way in and out of it.

use std::sync::LazyLock;

use minijinja::value::{Kwargs, StringInput, ValueKind};
use minijinja::{Environment, ErrorKind, State, UndefinedBehavior, filters, tests};

use super::Value;
use super::error::{Error, Fault};
use crate::base::limits;

/// Every filter there is.
pub const FILTERS: [&str; 25] = [
    "abs", "bool", "default", "first", "float", "int", "join", "last", "length", "list", "lower", "max", "min",
    "replace", "reverse", "round", "sort", "split", "string", "sum", "title", "tojson", "trim", "unique", "upper",
];

/// Every test there is.
pub const TESTS: [&str; 16] = [
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "even",
    "float",
    "in",
    "int",
    "mapping",
    "none",
    "number",
    "odd",
    "sequence",
    "startingwith",
    "string",
    "undefined",
];

/// Empty but for the lists above, strict, and bounded by fuel.
pub(super) static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut env = Environment::empty();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(limits::RENDER_FUEL));
    env.set_debug(true);
    add_filters(&mut env);
    add_tests(&mut env);
    env
});

pub(super) fn add_filters(env: &mut Environment<'static>) {
    env.add_filter("abs", filters::abs);
    env.add_filter("bool", filters::bool);
    env.add_filter("default", default);
    env.add_filter("first", filters::first);
    env.add_filter("float", filters::float);
    env.add_filter("int", filters::int);
    env.add_filter("join", join);
    env.add_filter("last", filters::last);
    env.add_filter("length", filters::length);
    env.add_filter("list", filters::list);
    env.add_filter("lower", filters::lower);
    env.add_filter("max", filters::max);
    env.add_filter("min", filters::min);
    env.add_filter("replace", replace);
    env.add_filter("reverse", filters::reverse);
    env.add_filter("round", filters::round);
    env.add_filter("sort", filters::sort);
    env.add_filter("split", filters::split);
    env.add_filter("string", filters::string);
    env.add_filter("sum", filters::sum);
    env.add_filter("title", filters::title);
    env.add_filter("tojson", to_json);
    env.add_filter("trim", filters::trim);
    env.add_filter("unique", filters::unique);
    env.add_filter("upper", filters::upper);
}

pub(super) fn add_tests(env: &mut Environment<'static>) {
    env.add_test("boolean", tests::is_boolean);
    env.add_test("defined", tests::is_defined);
    env.add_test("divisibleby", tests::is_divisibleby);
    env.add_test("endingwith", tests::is_endingwith);
    env.add_test("even", tests::is_even);
    env.add_test("float", tests::is_float);
    env.add_test("in", tests::is_in);
    env.add_test("int", tests::is_integer);
    env.add_test("mapping", tests::is_mapping);
    env.add_test("none", tests::is_none);
    env.add_test("number", tests::is_number);
    env.add_test("odd", tests::is_odd);
    env.add_test("sequence", tests::is_sequence);
    env.add_test("startingwith", tests::is_startingwith);
    env.add_test("string", tests::is_string);
    env.add_test("undefined", tests::is_undefined);
}

/// `x | default(y)`: y when x is undefined or none.
fn default(_: &State, value: &minijinja::Value, other: minijinja::Value) -> minijinja::Value {
    if value.is_undefined() || value.is_none() { other } else { value.clone() }
}

/// Refuses a text of more than `bytes`. Fuel counts steps, and one step of these filters may multiply a text.
pub(super) fn bounded(bytes: usize) -> Result<(), minijinja::Error> {
    if bytes <= limits::MAX_RENDERED_BYTES {
        return Ok(());
    }
    let message =
        format!("the text would be longer than {} bytes (MAX_RENDERED_BYTES)", limits::MAX_RENDERED_BYTES);
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
}

/// `x | join(',')`, bounded.
fn join(
    state: &mut State,
    value: &minijinja::Value,
    between: Option<StringInput<'_>>,
    attribute: Option<&str>,
    more: Kwargs,
) -> Result<minijinja::Value, minijinja::Error> {
    if let Ok(items) = value.try_iter() {
        let gap = between.as_ref().map_or(0, |text| text.as_str().len());
        let all = items.map(|item| item.as_str().map_or(0, str::len).saturating_add(gap));
        bounded(all.fold(0, usize::saturating_add))?;
    }
    filters::join(state, value, between, attribute, more)
}

/// `x | replace('a', 'b')`, bounded.
fn replace(
    state: &mut State,
    text: StringInput<'_>,
    from: StringInput<'_>,
    to: StringInput<'_>,
) -> Result<minijinja::Value, minijinja::Error> {
    let grown = text.as_str().matches(from.as_str()).count().saturating_mul(to.as_str().len());
    bounded(text.as_str().len().saturating_add(grown))?;
    filters::replace(state, text, from, to)
}

/// `x | tojson`: one line of JSON.
fn to_json(value: &minijinja::Value) -> Result<String, minijinja::Error> {
    let value = export(value, 0)
        .map_err(|what| minijinja::Error::new(ErrorKind::InvalidOperation, format!("{what} has no JSON form")))?;
    Ok(value.to_string())
}

/// A result as a plain value; the error names what it is instead.
pub(super) fn export(value: &minijinja::Value, depth: usize) -> Result<Value, &'static str> {
    if depth > limits::MAX_DEPTH {
        return Err("a value that is nested too deep");
    }
    match value.kind() {
        ValueKind::Undefined => Err("an undefined value"),
        ValueKind::None => Ok(Value::Null),
        ValueKind::Bool => Ok(Value::Bool(value.is_true())),
        ValueKind::Number => number(value),
        ValueKind::String => Ok(Value::from(value.as_str().ok_or("text that is not UTF-8")?)),
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter().map_err(|_| "something that is no list")?;
            items.map(|item| export(&item, depth + 1)).collect::<Result<_, _>>().map(Value::Array)
        }
        ValueKind::Map => {
            let mut map = serde_json::Map::new();
            for key in value.try_iter().map_err(|_| "something that is no map")? {
                let name = key.as_str().ok_or("a map whose keys are no strings")?;
                let item = value.get_item(&key).map_err(|_| "something that is no map")?;
                map.insert(name.to_owned(), export(&item, depth + 1)?);
            }
            Ok(Value::Object(map))
        }
        _ => Err("something that is no value"),
    }
}

fn number(value: &minijinja::Value) -> Result<Value, &'static str> {
    if value.is_integer() {
        return i64::try_from(value.clone())
            .map(Value::from)
            .or_else(|_| u64::try_from(value.clone()).map(Value::from))
            .map_err(|_| "a whole number beyond 64 bits");
    }
    let float = f64::try_from(value.clone()).map_err(|_| "a number that cannot be kept")?;
    serde_json::Number::from_f64(float).map(Value::Number).ok_or("infinite or not a number")
}

/// minijinja's error in our words; `whole` is the length of the expression.
pub(super) fn translate(error: &minijinja::Error, whole: usize) -> Error {
    let fault = match error.kind() {
        ErrorKind::SyntaxError => Fault::Syntax,
        ErrorKind::OutOfFuel => Fault::Fuel,
        ErrorKind::UndefinedError | ErrorKind::UnknownFilter | ErrorKind::UnknownTest => Fault::Unknown,
        _ => Fault::Type,
    };
    let range = error.range().filter(|range| range.end <= whole && range.start < range.end).unwrap_or(0..whole);
    let message = match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => {
            format!("the expression takes more than {} steps", limits::RENDER_FUEL)
        }
        (ErrorKind::SyntaxError, Some(detail)) => format!("not an expression: {detail}"),
        (ErrorKind::UndefinedError, _) => "a part of this expression is undefined".to_owned(),
        (_, Some(detail)) => detail.to_owned(),
        (kind, None) => kind.to_string(),
    };
    Error::new(fault, range, message)
}
