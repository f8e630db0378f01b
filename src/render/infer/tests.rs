//! What is inferred is what the engine does: it is asked with values of every kind.

use proptest::prelude::*;
use serde_json::json;

use crate::render::{Expr, FILTERS, Kinds, Scope, Value};

const EACH: [Kinds; 6] = [Kinds::TEXT, Kinds::NUMBER, Kinds::BOOL, Kinds::LIST, Kinds::MAP, Kinds::NONE];

/// Values of one kind, among them one for each way in which an operation may go well.
fn values(kind: Kinds) -> Vec<Value> {
    match kind {
        Kinds::TEXT => vec![json!(""), json!("1"), json!("x")],
        Kinds::NUMBER => vec![json!(0), json!(1), json!(2.5), json!(-3)],
        Kinds::BOOL => vec![json!(true), json!(false)],
        Kinds::LIST => {
            vec![json!([]), json!([1, 2]), json!(["x"]), json!([[1]]), json!([true, null]), json!([{"k": 1}])]
        }
        Kinds::MAP => vec![json!({}), json!({"k": 1}), json!({"k": "x"}), json!({"k": [1]})],
        _ => vec![Value::Null],
    }
}

/// Refuses an inference that some values refute; whether all of them failed.
fn compare(text: &str, kinds: [Kinds; 2]) -> Result<bool, String> {
    let expr = Expr::parse(text).map_err(|error| format!("{text}: {error}"))?;
    let of = expr.names().iter().map(|name| kinds[usize::from(&*name.path[0] == "b")]).collect::<Vec<_>>();
    let inferred = expr.kinds(&of);
    let [left, right] = kinds.map(|kinds| kinds.each().flat_map(values).collect::<Vec<_>>());
    let mut all_fail = true;
    for a in &left {
        for b in &right {
            let scope = Scope::new().with("a", a).with("b", b);
            let Ok(value) = expr.eval(&scope) else { continue };
            all_fail = false;
            match &inferred {
                Err(error) => return Err(format!("`{text}` gives {value} with {a} and {b}, refused: {error}")),
                Ok(kinds) if !kinds.may_be(Kinds::of(&value)) => {
                    return Err(format!("`{text}` gives {value} with {a} and {b}, not {}", kinds.noun()));
                }
                Ok(_) => {}
            }
        }
    }
    if let (Err(error), true) = (&inferred, all_fail) {
        let range = error.range.clone().unwrap_or_default();
        assert!(!range.is_empty() && range.end <= text.len(), "{text}: {error}");
    }
    Ok(inferred.is_err() == all_fail)
}

#[test]
fn a_filter_takes_and_gives_what_is_inferred() {
    let with = ["join(',')", "split('.')", "round(1)", "int(0)", "float(0.5)", "sort(reverse=true)", "trim('x')"];
    let with = with.into_iter().chain(["sum(start=1)", "default('x')", "default(*[1])", "replace('x', 'y')"]);
    let bare = FILTERS.into_iter().filter(|name| !matches!(*name, "default" | "replace"));
    for filter in with.chain(bare) {
        for kind in EACH {
            let text = format!("a | {filter}");
            // Their result is undefined, which a `default` behind them mends.
            let is_empty = kind == Kinds::NONE && matches!(filter, "max" | "min");
            assert_eq!(compare(&text, [kind, Kinds::NONE]), Ok(!is_empty), "{text} of {}", kind.noun());
        }
    }
}

#[test]
fn an_operator_takes_and_gives_what_is_inferred() {
    for op in ["+", "-", "*", "/", "//", "%", "**", "~", "in", "not in", "==", "<", "and", "or"] {
        for left in EACH {
            for right in EACH {
                let text = format!("a {op} b");
                assert_eq!(compare(&text, [left, right]), Ok(true), "{} {op} {}", left.noun(), right.noun());
            }
        }
    }
    for text in ["-a", "not a", "a[:1]", "a[1:]", "a is number", "[a]", "{'k': a}", "a if b else a"] {
        for kind in EACH {
            assert_eq!(compare(text, [kind, Kinds::BOOL]), Ok(true), "{text} of {}", kind.noun());
        }
    }
}

#[test]
fn what_may_never_be_reached_is_not_refused() {
    let refused = |text: &str| {
        let expr = Expr::parse(text).expect(text);
        let of = |name: &crate::render::Name| if &*name.path[0] == "a" { Kinds::NUMBER } else { Kinds::BOOL };
        expr.kinds(&expr.names().iter().map(of).collect::<Vec<_>>()).is_err()
    };
    for text in ["b and a + 'x'", "b or a + 'x'", "a + 'x' if b else 1", "1 if b else a + 'x'", "1 < 0 < a + 'x'"]
    {
        assert!(!refused(text), "{text}");
    }
    for text in
        ["a + 'x' and b", "1 if a + 'x' else 2", "a + 'x' if b else -'x'", "[1, a + 'x']", "(a + 'x') | upper"]
    {
        assert!(refused(text), "{text}");
    }
}

#[test]
fn a_chain_as_long_as_may_be_is_inferred() {
    let text = format!("a{}", " + a".repeat(crate::base::limits::MAX_EXPRESSION_TOKENS / 2 - 1));
    assert_eq!(
        Expr::parse(&text).and_then(|expr| expr.kinds(&vec![Kinds::NUMBER; expr.names().len()])),
        Ok(Kinds::NUMBER)
    );
}

#[test]
fn an_argument_is_looked_at_once() {
    // Twice at each level would be 2^40 times.
    let text = format!("{}1{}", "(a | default(".repeat(40), "))".repeat(40));
    assert_eq!(Expr::parse(&text).and_then(|expr| expr.kinds(&[Kinds::NUMBER; 40])), Ok(Kinds::NUMBER));
}

fn expressions() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec!["a", "b", "1", "0", "'x'", "true", "none", "[1, 'x']", "{'k': 1}"]);
    leaf.prop_map(str::to_owned).prop_recursive(4, 12, 3, |inner| {
        let ops = prop::sample::select(vec![
            "+", "-", "*", "/", "//", "%", "**", "~", "in", "not in", "==", "!=", "<", ">=", "and", "or",
        ]);
        let filters = prop::sample::select(FILTERS.to_vec()).prop_filter("takes arguments", |it| *it != "replace");
        let tests = prop::sample::select(vec!["defined", "none", "number", "string", "odd", "sequence"]);
        prop_oneof![
            (inner.clone(), ops, inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            (inner.clone(), filters, inner.clone()).prop_map(|(a, filter, b)| match filter {
                "default" => format!("({a} | default({b}))"),
                filter => format!("({a} | {filter})"),
            }),
            (inner.clone(), tests).prop_map(|(a, test)| format!("({a} is {test})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} if {b} else {c})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} if {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            (inner.clone(), prop::sample::select(vec!["[0]", "['k']", ".k", "[1:]", "[:1]"]))
                .prop_map(|(a, part)| format!("({a}){part}")),
            inner.clone().prop_map(|a| format!("(not {a})")),
            inner.prop_map(|a| format!("(-({a}))")),
        ]
    })
}

proptest! {
    #[test]
    fn no_value_refutes_what_is_inferred(text in expressions(), left in 1..64u8, right in 1..64u8) {
        let kinds = |bits: u8| {
            let chosen = (0..6).filter(|bit| bits & (1 << bit) != 0).map(|bit: usize| EACH[bit]);
            chosen.reduce(Kinds::or).expect("not zero")
        };
        let found = compare(&text, [kinds(left), kinds(right)]);
        prop_assert!(found.is_ok(), "{found:?}");
    }
}
