//! What the three readers have in common, and what each says about its own faults.

use crate::plan::error::{Report, text};
use crate::plan::source::{File, Sources};
use crate::plan::syntax::read;
use crate::plan::tree::{Kind, Tree};

/// Reads `text` as the file `name`; the tree, and the rendered report without its last line.
fn reading(name: &str, content: &str) -> (Option<Tree>, String) {
    let mut sources = Sources::default();
    let file = sources.add(File { path: name.to_owned(), text: content.into() });
    let mut report = Report::default();
    let tree = read(&sources, file, &mut report);
    (tree, text(&report.sorted(), &sources, false))
}

/// The tree of a file without faults, as JSON-like text.
fn shape(name: &str, content: &str) -> String {
    let (tree, faults) = reading(name, content);
    assert_eq!(faults, "", "{content}");
    show(&tree.expect("a file without faults has a tree"))
}

fn show(tree: &Tree) -> String {
    let join = |parts: Vec<String>| parts.join(", ");
    match &tree.kind {
        Kind::Null => "null".to_owned(),
        Kind::Bool(truth) => truth.to_string(),
        Kind::Int(number) => number.to_string(),
        Kind::Float(number) => format!("{number:?}"),
        Kind::Str { text, .. } => format!("{text:?}"),
        Kind::List(items) => format!("[{}]", join(items.iter().map(show).collect())),
        Kind::Map(entries) => {
            format!(
                "{{{}}}",
                join(entries.iter().map(|(key, value)| format!("{}: {}", key.text, show(value))).collect())
            )
        }
    }
}

fn faults(name: &str, content: &str) -> String {
    reading(name, content).1
}

#[test]
fn yaml_follows_the_core_schema() {
    let text = "a: [no, yes, on, off, y, NO]\nb: [true, True, FALSE]\nc: [~, null, Null, ]\nd: [1, -2, +3, 0, 0o17, 0x1F]\ne: [1.5, -1e3, .5, 1., .inf, -.INF]\nf: [1.2.3, 1_000, 0b1, 12h, 1e, '5', \"true\", 2026-01-01]\ng:\n";
    insta::assert_snapshot!(shape("a.yaml", text), @r#"{a: ["no", "yes", "on", "off", "y", "NO"], b: [true, true, false], c: [null, null, null], d: [1, -2, 3, 0, 15, 31], e: [1.5, -1000.0, 0.5, 1.0, inf, -inf], f: ["1.2.3", "1_000", "0b1", "12h", "1e", "5", "true", "2026-01-01"], g: null}"#);
}

#[test]
fn yaml_blocks_and_quotes() {
    let text = "script: |\n  a\n\tb\n   c\nfolded: >-\n  x\n  y\ntwo: \"a\\tb\\u00e9\"\nlines: one\n  two\n";
    insta::assert_snapshot!(shape("a.yaml", &text.replace("\n\tb", "\n  \tb")), @r#"{script: "a\n\tb\n c\n", folded: "x y", two: "a\tbé", lines: "one two"}"#);
}

#[test]
fn aliases_and_merges() {
    let text = "base: &b {x: 1, y: 2}\nnext: &n [a]\nuse: *n\nmore:\n  <<: *b\n  y: 3\nboth: {<<: [{x: 0, z: 9}, *b], w: 1}\n\"<<\": 5\n";
    insta::assert_snapshot!(shape("a.yaml", text), @r#"{base: {x: 1, y: 2}, next: ["a"], use: ["a"], more: {x: 1, y: 3}, both: {x: 0, z: 9, y: 2, w: 1}, <<: 5}"#);
}

#[test]
fn json_values() {
    let text = " {\"a\": [1, -0, 1.5, 1e3, true, false, null], \"b\\u00e9\\ud83d\\ude00\\n\": {}, \"c\": []} ";
    insta::assert_snapshot!(shape("a.json", text), @r#"
    {a: [1, 0, 1.5, 1000.0, true, false, null], bé😀
    : {}, c: []}
    "#);
}

#[test]
fn duplicate_keys_show_both_places() {
    insta::assert_snapshot!(faults("a.yaml", "a: 1\nb: 2\na: 3\n"), @r#"
    error[plan::duplicate-key]: the key `a` is written twice in this map
      ╭─ a.yaml:3:1
    3 │ a: 3
      │ ─ written again
      ├─ a.yaml:1:1
    1 │ a: 1
      │ ─ first written here
      ╰─

    1 error in 1 file
    "#);
    insta::assert_snapshot!(faults("a.json", "{\"a\": 1, \"a\": 2}"), @r#"
    error[plan::duplicate-key]: the key `a` is written twice in this map
      ╭─ a.json:1:10
    1 │ {"a": 1, "a": 2}
      │          ─── written again
      ├─ a.json:1:2
    1 │ {"a": 1, "a": 2}
      │  ─── first written here
      ╰─

    1 error in 1 file
    "#);
}

/// Every text with the report it gets, without blank lines and summaries.
fn gallery(name: &str, texts: &[&str]) -> String {
    let mut out = String::new();
    for text in texts {
        let found = faults(name, text);
        assert!(found.contains(&format!("─ {name}:")), "a fault with a place in {text:?}: {found}");
        let lines = found.lines().filter(|line| !line.is_empty() && !line.ends_with(" in 1 file"));
        lines.for_each(|line| out.extend([line, "\n"]));
    }
    out
}

#[test]
fn yaml_structure_in_words() {
    let texts = [
        "a:\n\tb: 1\n",
        "a: [\n\t1]\n",
        "a: b: c\n",
        "a: \"b\nc: d\n",
        "a: [1, 2\nb: c\n",
        "a: {{ inputs.x }}\n",
        "a: {{ inputs.x }}-b\n",
        "a:\n    b: 1\n  c: 2\n",
        "a: 1\n---\nb: 2\n",
        "a: [1, 2}\n",
        "a: 'b' c\n",
    ];
    insta::assert_snapshot!(gallery("a.yaml", &texts), @r#"
    error[plan::tab]: a tab indents this line; YAML is indented with spaces
      ╭─ a.yaml:2:1
    2 │     b: 1
      │ ──── a tab
      ╰─ help: replace it by spaces
    error[plan::tab]: a tab indents this line; YAML is indented with spaces
      ╭─ a.yaml:2:1
    2 │     1]
      │ ──── a tab
      ╰─ help: replace it by spaces
    error[plan::syntax-yaml]: a `:` is not expected here
      ╭─ a.yaml:1:5
    1 │ a: b: c
      │     ─
      ╰─ help: quote a value that contains `: `, or check the indentation
    error[plan::syntax-yaml]: this line is indented wrongly
      ╭─ a.yaml:2:1
    2 │ c: d
      │ ─
      ╰─ help: a line belongs to the value above it only when it is indented more
    error[plan::syntax-yaml]: illegal placement of `:` indicator
      ╭─ a.yaml:2:2
    2 │ b: c
      │  ─
      ╰─
    error[plan::unquoted-template]: YAML reads `{{` as the start of a map; a template needs quotes
      ╭─ a.yaml:1:4
    1 │ a: {{ inputs.x }}
      │    ──────────────
      ╰─ help: quote the whole value: `"{{ inputs.x }}"`
    error[plan::unquoted-template]: YAML reads `{{` as the start of a map; a template needs quotes
      ╭─ a.yaml:1:4
    1 │ a: {{ inputs.x }}-b
      │    ──────────────
      ╰─ help: quote the whole value: `"{{ inputs.x }}"`
    error[plan::syntax-yaml]: expected a key of the map that this line belongs to
      ╭─ a.yaml:1:18
    1 │ a: {{ inputs.x }}-b
      │                  ─
      ╰─ help: check the indentation, and quote values that begin with a quote or bracket and go on after it
    error[plan::syntax-yaml]: expected a key of the map that this line belongs to
      ╭─ a.yaml:3:3
    3 │   c: 2
      │   ─
      ╰─ help: check the indentation, and quote values that begin with a quote or bracket and go on after it
    error[plan::several-documents]: a second YAML document begins here
      ╭─ a.yaml:2:1
    2 │ ---
      │ ───
      ╰─ help: a file holds one document; put the other one into a file of its own
    error[plan::syntax-yaml]: `[` is closed by `}`
      ╭─ a.yaml:1:4
    1 │ a: [1, 2}
      │    ─
      ╰─
    error[plan::syntax-yaml]: the value goes on after its closing quote
      ╭─ a.yaml:1:8
    1 │ a: 'b' c
      │        ─
      ╰─ help: put the quotes round the whole value
    "#);
}

#[test]
fn yaml_values_in_words() {
    let texts = [
        "a: @b\n",
        "8080: a\n",
        "? {a: 1}\n: b\n",
        "a: !secret b\n",
        "a: 99999999999999999999\n",
        "a: 0644\n",
        "a: *x\n",
        "a: &x [*x]\n",
        "a: {<<: 5}\n",
        "a: \"\\ud800\"\n",
        "a: \"\\d+\"\n",
    ];
    insta::assert_snapshot!(gallery("a.yaml", &texts), @r#"
    error[plan::syntax-yaml]: no value can begin with `@`
      ╭─ a.yaml:1:4
    1 │ a: @b
      │    ─
      ╰─ help: quote the value
    error[plan::key]: the key `8080` is a number; keys are strings
      ╭─ a.yaml:1:1
    1 │ 8080: a
      │ ────
      ╰─ help: quote it: `"8080"`
    error[plan::key]: a map or list cannot be a key; keys are strings
      ╭─ a.yaml:1:3
    1 │ ? {a: 1}
      │   ─
      ╰─
    error[plan::tag]: the tag `!secret` means nothing in a plan
      ╭─ a.yaml:1:12
    1 │ a: !secret b
      │            ─
      ╰─ help: take it away; only `!!str`, `!!int`, `!!float`, `!!bool`, `!!null` are read
    error[plan::number]: the number `99999999999999999999` is too large
      ╭─ a.yaml:1:4
    1 │ a: 99999999999999999999
      │    ──────────────────── does not fit into 64 bits
      ╰─ help: if it is a text, quote it: `"99999999999999999999"`
    error[plan::number]: the number `0644` begins with a zero
      ╭─ a.yaml:1:4
    1 │ a: 0644
      │    ──── a text, octal or decimal?
      ╰─ help: write `"0644"` for the text, `0o644` for octal, `644` for decimal
    error[plan::unknown-anchor]: no anchor `&x` stands before this alias
      ╭─ a.yaml:1:4
    1 │ a: *x
      │    ──
      ╰─
    error[plan::unknown-anchor]: this alias stands inside the value that it names
      ╭─ a.yaml:1:8
    1 │ a: &x [*x]
      │        ──
      ╰─
    error[plan::merge]: `<<` takes a map or a list of maps
      ╭─ a.yaml:1:5
    1 │ a: {<<: 5}
      │     ──
      ╰─ help: for example `<<: *defaults` or `<<: [*a, *b]`; quote it for a plain key
    error[plan::syntax-yaml]: this escape is half of a surrogate pair, which is no character
      ╭─ a.yaml:1:4
    1 │ a: "\ud800"
      │    ─
      ╰─ help: write the character itself
    error[plan::syntax-yaml]: this escape does not exist
      ╭─ a.yaml:1:4
    1 │ a: "\d+"
      │    ─
      ╰─ help: in single quotes a `\` is nothing special: `'\d+'`
    "#);
}

#[test]
fn json_structure_in_words() {
    let texts = [
        "{\"a\": 1,}",
        "{'a': 1}",
        "{\"a\": tru}",
        "{\"a\" 1}",
        "[1 2]",
        "// no\n{}",
        "{\"a\": \"b\n\"}",
        "[\n",
        "",
        "{} x",
    ];
    insta::assert_snapshot!(gallery("a.json", &texts), @r#"
    error[plan::syntax-json]: JSON allows no comma after the last item
      ╭─ a.json:1:9
    1 │ {"a": 1,}
      │         ─ found `}`
      ╰─ help: take the comma away
    error[plan::syntax-json]: expected a key in double quotes
      ╭─ a.json:1:2
    1 │ {'a': 1}
      │  ─ found `'`
      ╰─ help: strings are written with `"`
    error[plan::syntax-json]: expected a value
      ╭─ a.json:1:7
    1 │ {"a": tru}
      │       ─── found `tru`
      ╰─
    error[plan::syntax-json]: expected `:` after the key
      ╭─ a.json:1:6
    1 │ {"a" 1}
      │      ─ found `1`
      ╰─
    error[plan::syntax-json]: expected `,` or `]` after an item of a list
      ╭─ a.json:1:4
    1 │ [1 2]
      │    ─ found `2`
      ╰─
    error[plan::syntax-json]: expected a value
      ╭─ a.json:1:1
    1 │ // no
      │ ─ found `/`
      ╰─ help: JSON has no comments; YAML and TOML have
    error[plan::syntax-json]: the string is not closed
      ╭─ a.json:1:7
    1 │ {"a": "b
      │       ─ opened here
      ╰─ help: end it with `"` on the same line; a line end inside is written `\n`
    error[plan::syntax-json]: expected a value
      ╭─ a.json:2:1
    2 │
      │ ─ the file ends here
      ╰─
    error[plan::syntax-json]: expected a value
      ╭─ a.json:1:1
    1 │
      │ ─ the file ends here
      ╰─
    error[plan::syntax-json]: expected the end of the file after the value
      ╭─ a.json:1:4
    1 │ {} x
      │    ─ found `x`
      ╰─
    "#);
}

#[test]
fn json_values_in_words() {
    let texts = ["[01, 1e999, 99999999999999999999]", "[\"\\x\", \"\\ud800\", \"\\u12\", \"\t\"]"];
    insta::assert_snapshot!(gallery("a.json", &texts), @r#"
    error[plan::number]: `01` is not a number
      ╭─ a.json:1:2
    1 │ [01, 1e999, 99999999999999999999]
      │  ──
      ╰─ help: JSON numbers look like `12`, `-0.5` and `1e9`, without leading zeros
    error[plan::number]: the number `1e999` is too large
      ╭─ a.json:1:6
    1 │ [01, 1e999, 99999999999999999999]
      │      ───── does not fit into 64 bits
      ╰─ help: if it is a text, quote it: `"1e999"`
    error[plan::number]: the number `99999999999999999999` is too large
      ╭─ a.json:1:13
    1 │ [01, 1e999, 99999999999999999999]
      │             ──────────────────── does not fit into 64 bits
      ╰─ help: if it is a text, quote it: `"99999999999999999999"`
    error[plan::escape]: `\` must be followed by one of `" \ / b f n r t u`
      ╭─ a.json:1:3
    1 │ ["\x", "\ud800", "\u12", "    "]
      │   ─
      ╰─
    error[plan::escape]: `\ud800` is half of a surrogate pair, which is no character
      ╭─ a.json:1:9
    1 │ ["\x", "\ud800", "\u12", "    "]
      │         ──────
      ╰─ help: write the character itself, or both halves
    error[plan::escape]: `\u` must be followed by four hex digits
      ╭─ a.json:1:19
    1 │ ["\x", "\ud800", "\u12", "    "]
      │                   ──
      ╰─
    error[plan::tab]: a tab inside a JSON string must be written `\t`
      ╭─ a.json:1:27
    1 │ ["\x", "\ud800", "\u12", "    "]
      │                           ────
      ╰─
    "#);
}
