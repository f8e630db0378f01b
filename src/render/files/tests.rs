//! Templates of files: what they see, what is refused and where, and secrets that only come out whole.

use super::*;

const TOKEN: &str = "p\"w$ \\\nx";

fn bindings() -> Bindings {
    let plain = |value: Value| Bound::Plain(value);
    let keys = [
        ("HOST", plain("a b".into())),
        ("PORT", plain(8000.into())),
        ("ON", plain(true.into())),
        ("LIST", plain(serde_json::json!(["a", "b"]))),
        ("FLAGS", plain(serde_json::json!({"beta": true}))),
        ("TOKEN", Bound::Secret(Arc::new(Secret::new(TOKEN.as_bytes().to_vec())))),
        ("BLOB", Bound::Secret(Arc::new(Secret::new(vec![0xff, 0xfe])))),
    ];
    Bindings::new("staging", &keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn renderer(others: &'static [(&'static str, &'static str)]) -> Renderer {
    Renderer::new(move |name| {
        let found = others.iter().find(|(known, _)| *known == name);
        found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| format!("`{name}` does not exist"))
    })
}

fn render(text: &str) -> Result<(String, String), FileError> {
    let rendered = renderer(&[]).render("app.env.j2", text, &bindings())?;
    Ok((rendered.sealed.expose_text().expect("text").to_owned(), rendered.redacted))
}

fn wrong(text: &str) -> (FileFault, String, String) {
    let error = render(text).expect_err(text);
    let marked = error.range.map(|range| text[range].to_owned()).unwrap_or_default();
    (error.kind, error.message, marked)
}

#[test]
fn every_key_is_a_name_and_all_are_env() {
    let (text, redacted) = render(
        "# {{ environment }}\n{% for key, value in env | items %}{% if key in ['HOST', 'PORT', 'TOKEN'] %}{{ key }}={{ value | \
         dotenv }}\n{% endif %}{% endfor %}{% if ON %}{{ LIST | join(',') }} {{ FLAGS.beta }}{% endif %}",
    )
    .expect("it renders");
    assert_eq!(text, "# staging\nHOST=\"a b\"\nPORT=8000\nTOKEN=\"p\\\"w\\$ \\\\\\nx\"\na,b true");
    assert_eq!(redacted, "# staging\nHOST=\"a b\"\nPORT=8000\nTOKEN=***\na,b true");
}

#[test]
fn a_secret_takes_every_form_and_shows_in_none() {
    for (filter, written) in [
        ("", TOKEN.to_owned()),
        (" | shell", format!("'{TOKEN}'")),
        (" | json", "\"p\\\"w$ \\\\\\nx\"".to_owned()),
        (" | yaml", "\"p\\\"w$ \\\\\\nx\"".to_owned()),
        (" | toml", "\"p\\\"w$ \\\\\\nx\"".to_owned()),
        (" | dotenv", "\"p\\\"w\\$ \\\\\\nx\"".to_owned()),
    ] {
        let (text, redacted) =
            render(&format!("a {{{{ TOKEN{filter} }}}} b {{{{ TOKEN{filter} }}}}")).expect("it renders");
        assert_eq!(text, format!("a {written} b {written}"));
        assert_eq!(redacted, "a *** b ***");
    }
    let rendered = renderer(&[]).render("t", "{{ TOKEN }}{{ TOKEN }}", &bindings()).expect("it renders");
    assert_eq!(rendered.secrets, ["TOKEN"]);
    assert_eq!(format!("{:?}", rendered.sealed), "***");
}

#[test]
fn a_secret_is_written_out_or_refused() {
    for text in [
        "{{ TOKEN ~ 'x' }}",
        "{{ TOKEN | upper }}",
        "{{ [TOKEN] | join(',') }}",
        "{{ TOKEN | replace('a', 'b') }}",
        "{{ TOKEN == 'hunter2' }}",
        "{% if 'a' in TOKEN %}x{% endif %}",
        "{% if TOKEN != '' %}x{% endif %}",
        "{{ TOKEN | string }}",
    ] {
        let (kind, message, _) = wrong(text);
        assert_eq!((kind, message.contains("`TOKEN`")), (FileFault::Misuse, true), "{text}: {message}");
    }
    for text in [
        "{{ [TOKEN] }}",
        "{{ TOKEN | length }}",
        "{{ TOKEN | json | json }}",
        "{{ [TOKEN] | json }}",
        "{{ BLOB }}",
    ] {
        let error = render(text).expect_err(text);
        assert!(!error.message.contains("p\""), "{text}: {error}");
    }
    assert_eq!(render("{% if TOKEN is defined and TOKEN %}x{% endif %}").expect("it renders").0, "x");
}

#[test]
fn no_file_name_switches_escaping_on() {
    for name in ["a.html", "a.html.j2", "a.json.j2", "a.yaml", "a.xml.j2"] {
        let keys = [("X".to_owned(), Bound::Plain("<a> & \"b\"".into()))];
        let rendered = renderer(&[]).render(name, "{{ X }}", &Bindings::new("e", &keys.into_iter().collect()));
        assert_eq!(rendered.expect("it renders").redacted, "<a> & \"b\"", "{name}");
    }
}

#[test]
fn an_undefined_name_is_told_by_name_and_place() {
    for (text, name) in [
        ("a\n{{ PROT }}", "`PROT` is not defined"),
        ("{{ FLAGS.gamma }}", "`FLAGS.gamma` is not defined"),
        ("{% if PROT %}{% endif %}", "`PROT` is not defined"),
        ("{{ env.PROT }}", "`env.PROT` is not defined"),
        ("{{ PROT | dotenv }}", "is not defined"),
        ("{% for x in PROT %}{% endfor %}", "`PROT` is not defined"),
    ] {
        let (kind, message, marked) = wrong(text);
        assert_eq!(kind, FileFault::Undefined, "{text}: {message}");
        assert!(message.contains(name) && !marked.is_empty(), "{text}: {message} at `{marked}`");
    }
    assert_eq!(render("{{ PROT | default('x') }}").expect("it renders").0, "x");
    assert_eq!(wrong("{{ HOST | dotnev }}").0, FileFault::Undefined);
    assert_eq!(wrong("{{ HOST }").0, FileFault::Syntax);
    assert_eq!(wrong("{{ LIST }}").0, FileFault::Value);
}

#[test]
fn what_would_never_end_is_stopped() {
    let loops = "{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}";
    assert_eq!(wrong(loops).0, FileFault::TooMuch);
    let long = format!("{{% for a in range(2000) %}}{}{{% endfor %}}", "x".repeat(20_000));
    let (kind, message, _) = wrong(&long);
    assert_eq!((kind, message.contains("MAX_RENDERED_BYTES")), (FileFault::TooMuch, true), "{message}");
}

#[test]
fn includes_stay_inside_and_come_to_an_end() {
    static OTHERS: &[(&str, &str)] = &[
        ("a/part", "{{ PORT }}{% include './more' %}"),
        ("a/more", "-{{ HOST }}"),
        ("self", "{% include 'self' %}"),
        ("bad", "x\n{{ PROT }}"),
        ("crlf", "a\r\n"),
    ];
    let with = |text: &str| renderer(OTHERS).render("b/app", text, &bindings());
    assert_eq!(with("{% include 'a/part' %}").expect("it renders").redacted, "8000-a b");
    assert_eq!(with("{% include '../a/more' %}").expect("it renders").redacted, "-a b");
    let error = with("{% include 'self' %}").expect_err("a circle");
    assert_eq!((error.kind, error.template.as_str()), (FileFault::Include, "self"), "{error}");
    let error = with("\n{% include '../../etc/passwd' %}").expect_err("outside");
    assert_eq!((error.kind, error.template.as_str()), (FileFault::Include, "b/app"), "{error}");
    assert!(error.message.contains("../etc/passwd") && error.range.is_some(), "{error:?}");
    let error = with("{% include 'bad' %}").expect_err("undefined");
    assert_eq!(
        (error.kind, error.template.as_str(), error.range),
        (FileFault::Undefined, "bad", Some(5..9)),
        "{}",
        error.message
    );
    let error = with("{% include 'crlf' %}").expect_err("a carriage return");
    assert!(error.message.contains("carriage return"), "{error}");
}

#[test]
fn foreign_characters_are_refused_where_they_stand() {
    for (text, part, at) in [
        ("A=1\r\n", "carriage return", 3..4),
        ("\u{feff}A", "byte order mark", 0..3),
        ("A\0", "NUL", 1..2),
        ("A\u{1b}", "U+001B", 1..2),
    ] {
        let error = render(text).expect_err(text);
        assert!(error.message.contains(part), "{error}");
        assert_eq!((error.kind, error.range), (FileFault::Syntax, Some(at)));
    }
}

#[test]
fn a_secret_by_another_name_decides_nothing() {
    let same = "hunter2-hunter2";
    let keys = [
        ("PORT", Bound::Plain(8000.into())),
        ("SECRET_TEXT", Bound::Plain(same.into())),
        ("TOKEN", Bound::Secret(Arc::new(Secret::new(same.as_bytes().to_vec())))),
    ];
    let bindings =
        Bindings::new("staging", &keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect());
    let render = |text: &str| renderer(&[]).render("app.env.j2", text, &bindings);
    let refused = |text: &str| {
        let error = render(text).expect_err(text);
        assert_eq!(error.kind, FileFault::Misuse, "{text}: {error:?}");
        error
    };
    let at = |text: &str, part: &str| {
        let range = refused(text).range.expect("it has a place");
        assert!(text[range.clone()].contains(part), "{text}: {}", &text[range]);
    };
    at("{% for key, value in env | items %}{% if value == SECRET_TEXT %}x{% endif %}{% endfor %}", "==");
    at("{% set it = TOKEN %}{% if it is string %}x{% endif %}", "is string");
    refused("{% for key, value in env | items if value == SECRET_TEXT %}{{ key }}{% endfor %}");
    // What comes out right either way is right, and what decides by other keys is nobody's business.
    for text in [
        "{% for key, value in env | items %}{% if key == 'TOKEN' %}{{ value }}{% endif %}{% endfor %}",
        "{% for key, value in env | items %}{% if loop.last %}{{ key }}{% endif %}{% endfor %}",
        "{% for key, value in env | items %}{% if value == 'nothing has this value' %}x{% endif %}{% endfor %}",
        "{% if PORT > 80 %}{{ TOKEN | dotenv }}{% endif %}",
    ] {
        render(text).expect(text);
    }
}
