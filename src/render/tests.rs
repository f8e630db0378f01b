use super::*;
use proptest::prelude::*;
use serde_json::json;

fn scope() -> Scope {
    Scope::new()
        .with("inputs", &json!({"tag": "v1.2.3", "count": 3, "big": u64::MAX, "ok": true, "half": 0.5}))
        .with("vars", &json!({"list": [1, 2], "map": {"a": {"b": "deep"}}, "nothing": null}))
        .with("needs", &json!({"check_env": {"outputs": {"x-y": "dash"}}}))
}

fn value(text: &str) -> Value {
    Template::parse(text).expect("a template").eval(&scope()).expect("a value")
}

fn fault(text: &str) -> (Fault, String, String) {
    let error = match Template::parse(text) {
        Err(error) => error,
        Ok(template) => template.eval(&scope()).expect_err("no value"),
    };
    let range = error.range.clone().expect("a range");
    (error.fault, text[range].to_owned(), error.message)
}

fn condition(text: &str) -> Result<bool, Error> {
    Expr::parse(text)?.holds(&scope())
}

#[test]
fn a_whole_expression_keeps_its_type() {
    assert_eq!(value("{{ inputs.count }}"), json!(3));
    assert_eq!(value("{{inputs.ok}}"), json!(true));
    assert_eq!(value("{{ vars.list }}"), json!([1, 2]));
    assert_eq!(value("{{ vars.map }}"), json!({"a": {"b": "deep"}}));
    assert_eq!(value("{{ vars.nothing }}"), Value::Null);
    assert_eq!(value("{{ inputs.big }}"), json!(u64::MAX));
    assert_eq!(value("{{ {'a': {'b': 1}} }}"), json!({"a": {"b": 1}}));
}

#[test]
fn text_is_put_together_from_text_forms() {
    assert_eq!(value("shop:{{ inputs.tag }}"), json!("shop:v1.2.3"));
    assert_eq!(value("{{ inputs.count }} {{ inputs.half }} {{ inputs.ok }}"), json!("3 0.5 true"));
    assert_eq!(value(" {{ inputs.count }}"), json!(" 3"));
    assert_eq!(value("{{ '{{' }}.State{{ '}}' }}"), json!("{{.State}}"));
    assert_eq!(value("{{ needs['check_env'].outputs['x-y'] }}!"), json!("dash!"));
    assert_eq!(value("plain } text { here"), json!("plain } text { here"));
}

#[test]
fn what_has_no_text_form_is_refused_inside_text() {
    for text in ["a{{ vars.list }}", "a{{ vars.map }}", "a{{ vars.nothing }}"] {
        let (fault, at, message) = fault(text);
        assert_eq!((fault, &*at), (Fault::Type, &text[1..]), "{message}");
    }
}

#[test]
fn unknown_names_are_refused_with_their_part() {
    assert_eq!(fault("a {{ inputs.nope }}").1, "inputs.nope");
    assert_eq!(fault("a {{ vars.map.a.c.d }}").1, "vars.map.a.c");
    assert_eq!(fault("{{ nope.a }}").1, "nope");
    assert_eq!(fault("{{ inputs.nope }}").2, "`inputs.nope` is not defined: `inputs` has no `nope`");
    assert_eq!(fault("{{ inputs.nope | upper }}").0, Fault::Unknown);
    assert_eq!(fault("{{ vars.list[5] }}").0, Fault::Unknown);
}

#[test]
fn absence_can_be_asked_for() {
    assert_eq!(value("{{ inputs.nope | default('x') }}"), json!("x"));
    assert_eq!(value("{{ vars.nothing | default('x') }}"), json!("x"));
    assert_eq!(value("{{ inputs.tag | default('x') }}"), json!("v1.2.3"));
    assert_eq!(value("{{ inputs.nope is defined }}"), json!(false));
    assert_eq!(value("{{ inputs.nope if inputs.nope is defined else 'no' }}"), json!("no"));
}

#[test]
fn filters_and_tests_are_a_short_list() {
    assert_eq!(value("{{ inputs.tag | upper | replace('V', 'x') }}"), json!("x1.2.3"));
    assert_eq!(value("{{ vars.list | join(',') }}"), json!("1,2"));
    assert_eq!(value("{{ 'a,b' | split(',') | list }}"), json!(["a", "b"]));
    assert_eq!(value("{{ vars.map | tojson }}"), json!(r#"{"a":{"b":"deep"}}"#));
    assert_eq!(value("{{ '7' | int + 1 }}"), json!(8));
    assert_eq!(value("{{ 1 in vars.list }}"), json!(true));
    assert_eq!(fault("{{ inputs.tag | uper }}").1, "uper");
    assert_eq!(fault("{{ inputs.tag is strin }}").1, "strin");
    assert_eq!(fault("{{ range(5) }}").1, "range");
    assert_eq!(fault("{{ inputs.tag.upper() }}").1, "inputs.tag.upper");
}

#[test]
fn every_listed_filter_and_test_exists() {
    for filter in FILTERS {
        let made = Expr::parse(&format!("inputs.tag | {filter}")).expect("a known filter").eval(&scope());
        assert!(!format!("{made:?}").contains("nknown filter"), "{filter}: {made:?}");
    }
    for test in TESTS {
        let made = Expr::parse(&format!("inputs.tag is {test}")).map(|expr| expr.eval(&scope()));
        assert!(!format!("{made:?}").contains("nknown test"), "{test}: {made:?}");
    }
}

#[test]
fn only_expressions_are_allowed_in_text() {
    assert_eq!(fault("a {% if x %}").1, "{%");
    assert_eq!(fault("a {# x #}").1, "{#");
    assert!(fault("a {% if x %}").2.contains("not text-templated"));
    assert_eq!(fault("a {{ x").1, "{{ x");
    assert_eq!(fault("a {{- inputs.tag -}} b").1, "{{- inputs.tag -}}");
    assert_eq!(fault("a {{ 1 + }} b").0, Fault::Syntax);
    assert_eq!(fault("a {{ }} b").0, Fault::Syntax);
}

#[test]
fn a_condition_is_bare_and_boolean() {
    assert_eq!(condition("inputs.tag == 'v1.2.3' and not (inputs.count > 5)"), Ok(true));
    let error = condition("{{ inputs.ok }}").expect_err("not bare");
    assert_eq!(error.help.as_deref(), Some("write `inputs.ok`"));
    let error = condition("inputs.ok == {{ inputs.count }}").expect_err("not bare");
    assert_eq!(error.help.as_deref(), Some("write `inputs.ok == inputs.count`"));
    assert_eq!(condition("inputs.tag == '{{'"), Ok(false));
    for text in ["inputs.tag", "true and 'yes'", "inputs.count", "none", "'true'", "vars.list"] {
        let error = condition(text).expect_err(text);
        assert_eq!(error.fault, Fault::Type, "{text}: {error}");
    }
}

#[test]
fn comparisons_across_kinds_are_refused() {
    for text in ["inputs.count == '3'", "5 > 'a'", "inputs.tag != inputs.ok", "not (vars.list == 'a')"] {
        let error = condition(text).expect_err(text);
        assert_eq!(error.fault, Fault::Type, "{text}: {error}");
    }
    assert_eq!(condition("vars.nothing == 'a'"), Ok(false));
    assert_eq!(condition("inputs.count == 3.0"), Ok(true));
    assert_eq!(condition("inputs.count + 1 == 4 and inputs.tag ~ 'x' == 'v1.2.3x'"), Ok(true));
}

#[test]
fn work_is_bounded() {
    for text in ["1 + ".repeat(150_000), "not ".repeat(150_000), "(".repeat(150_000), "-".repeat(900)] {
        assert!(Expr::parse(&text).is_err());
    }
    assert_eq!(Expr::parse(&["1"; 500].join("+")).and_then(|expr| expr.eval(&scope())), Ok(json!(500)));
    assert!(Expr::parse(&format!("{}true", "not ".repeat(900))).and_then(|expr| expr.eval(&scope())).is_ok());
}

#[test]
fn names_have_their_places() {
    let text = "a {{ inputs.tag }} b {{ needs.check_env.outputs['x-y'] | default(vars.list, f=1) }}";
    let template = Template::parse(text).expect("a template");
    let names: Vec<(String, &str, bool)> =
        template.names().map(|name| (name.dotted(), &text[name.range.clone()], name.is_guarded)).collect();
    assert_eq!(
        names,
        [
            ("inputs.tag".to_owned(), "inputs.tag", false),
            ("needs.check_env.outputs.x-y".to_owned(), "needs.check_env.outputs['x-y']", true),
            ("vars.list".to_owned(), "vars.list", false),
        ]
    );
}

#[test]
fn a_sole_name_is_the_whole_expression() {
    assert!(Expr::parse(" inputs.ok ").expect("an expression").sole_name().is_some());
    assert!(Expr::parse("not inputs.ok").expect("an expression").sole_name().is_none());
}

proptest! {
    #[test]
    fn no_text_panics(text in "[-a-z{}%#'\"|.()\\[\\] =<>0-9ü]{0,40}") {
        if let Ok(template) = Template::parse(&text) {
            let _ = template.eval(&scope());
        }
        if let Ok(expr) = Expr::parse(&text) {
            let _ = expr.eval(&scope());
        }
    }

    #[test]
    fn ranges_lie_inside_the_text(text in "[a-z{}'ü|. =]{0,30}") {
        let range = Template::parse(&text).and_then(|it| it.eval(&scope())).err().and_then(|error| error.range);
        if let Some(range) = range {
            prop_assert!(text.get(range).is_some());
        }
    }
}

#[test]
fn a_dollar_sign_before_braces_is_told() {
    let (fault, at, message) = fault("shop:${{ inputs.tag }}-x");
    assert_eq!((fault, &*at), (Fault::Syntax, "${{ inputs.tag }}"), "{message}");
    let help = Template::parse("${{ inputs.tag }}").expect_err("refused").help.expect("help");
    let literal = help.split('`').nth(3).expect("two ways");
    assert_eq!(value(literal), json!("$v1.2.3"));
    let bare = Expr::parse("${{ inputs.ok }}").expect_err("refused");
    assert_eq!(bare.help.as_deref(), Some("write `inputs.ok`"));
}
