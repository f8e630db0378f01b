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

#[test]
fn yaml_faults_in_words() {
    let all = [
        ("tab", "a:\n\tb: 1\n"),
        ("flow tab", "a: [\n\t1]\n"),
        ("colon", "a: b: c\n"),
        ("quote", "a: \"b\nc: d\n"),
        ("bracket", "a: [1, 2\nb: c\n"),
        ("template", "a: {{ inputs.x }}\n"),
        ("template and more", "a: {{ inputs.x }}-b\n"),
        ("at", "a: @b\n"),
        ("number key", "8080: a\n"),
        ("map key", "? {a: 1}\n: b\n"),
        ("tag", "a: !secret b\n"),
        ("big", "a: 99999999999999999999\n"),
        ("zero", "a: 0644\n"),
        ("documents", "a: 1\n---\nb: 2\n"),
        ("alias", "a: *x\n"),
        ("itself", "a: &x [*x]\n"),
        ("merge", "a: {<<: 5}\n"),
        ("surrogate", "a: \"\\ud800\"\n"),
        ("indent", "a:\n    b: 1\n  c: 2\n"),
    ];
    let shown: String =
        all.iter().map(|(name, text)| format!("--- {name}\n{}\n", faults("a.yaml", text))).collect();
    insta::assert_snapshot!(shown, @r#"
    --- tab
    error[plan::tab]: a tab indents this line; YAML is indented with spaces
      ╭─ a.yaml:2:1
    2 │     b: 1
      │ ──── a tab
      ╰─ help: replace it by spaces

    1 error in 1 file

    --- flow tab
    error[plan::tab]: a tab indents this line; YAML is indented with spaces
      ╭─ a.yaml:2:1
    2 │     1]
      │ ──── a tab
      ╰─ help: replace it by spaces

    1 error in 1 file

    --- colon
    error[plan::syntax-yaml]: a `:` is not expected here
      ╭─ a.yaml:1:5
    1 │ a: b: c
      │     ─
      ╰─ help: quote a value that contains `: `, or check the indentation

    1 error in 1 file

    --- quote
    error[plan::syntax-yaml]: this line is indented wrongly
      ╭─ a.yaml:2:1
    2 │ c: d
      │ ─
      ╰─ help: a line belongs to the value above it only when it is indented more

    1 error in 1 file

    --- bracket
    error[plan::syntax-yaml]: illegal placement of `:` indicator
      ╭─ a.yaml:2:2
    2 │ b: c
      │  ─
      ╰─

    1 error in 1 file

    --- template
    error[plan::unquoted-template]: YAML reads `{{` as the start of a map; a template needs quotes
      ╭─ a.yaml:1:4
    1 │ a: {{ inputs.x }}
      │    ──────────────
      ╰─ help: quote the whole value: `"{{ inputs.x }}"`

    1 error in 1 file

    --- template and more
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

    2 errors in 1 file

    --- at
    error[plan::syntax-yaml]: no value can begin with `@`
      ╭─ a.yaml:1:4
    1 │ a: @b
      │    ─
      ╰─ help: quote the value

    1 error in 1 file

    --- number key
    error[plan::key]: the key `8080` is a number; keys are strings
      ╭─ a.yaml:1:1
    1 │ 8080: a
      │ ────
      ╰─ help: quote it: `"8080"`

    1 error in 1 file

    --- map key
    error[plan::key]: a map or list cannot be a key; keys are strings
      ╭─ a.yaml:1:3
    1 │ ? {a: 1}
      │   ─
      ╰─

    1 error in 1 file

    --- tag
    error[plan::tag]: the tag `!secret` means nothing in a plan
      ╭─ a.yaml:1:12
    1 │ a: !secret b
      │            ─
      ╰─ help: take it away; only `!!str`, `!!int`, `!!float`, `!!bool`, `!!null` are read

    1 error in 1 file

    --- big
    error[plan::number]: the number `99999999999999999999` is too large
      ╭─ a.yaml:1:4
    1 │ a: 99999999999999999999
      │    ──────────────────── does not fit into 64 bits
      ╰─ help: if it is a text, quote it: `"99999999999999999999"`

    1 error in 1 file

    --- zero
    error[plan::number]: the number `0644` begins with a zero
      ╭─ a.yaml:1:4
    1 │ a: 0644
      │    ──── a text, octal or decimal?
      ╰─ help: write `"0644"` for the text, `0o644` for octal, `644` for decimal

    1 error in 1 file

    --- documents
    error[plan::several-documents]: a second YAML document begins here
      ╭─ a.yaml:2:1
    2 │ ---
      │ ───
      ╰─ help: a file holds one document; put the other one into a file of its own

    1 error in 1 file

    --- alias
    error[plan::unknown-anchor]: no anchor `&x` stands before this alias
      ╭─ a.yaml:1:4
    1 │ a: *x
      │    ──
      ╰─

    1 error in 1 file

    --- itself
    error[plan::unknown-anchor]: this alias stands inside the value that it names
      ╭─ a.yaml:1:8
    1 │ a: &x [*x]
      │        ──
      ╰─

    1 error in 1 file

    --- merge
    error[plan::merge]: `<<` takes a map or a list of maps
      ╭─ a.yaml:1:5
    1 │ a: {<<: 5}
      │     ──
      ╰─ help: for example `<<: *defaults` or `<<: [*a, *b]`; quote it for a plain key

    1 error in 1 file

    --- surrogate
    error[plan::syntax-yaml]: this escape is half of a surrogate pair, which is no character
      ╭─ a.yaml:1:4
    1 │ a: "\ud800"
      │    ─
      ╰─ help: write the character itself

    1 error in 1 file

    --- indent
    error[plan::syntax-yaml]: expected a key of the map that this line belongs to
      ╭─ a.yaml:3:3
    3 │   c: 2
      │   ─
      ╰─ help: check the indentation, and quote values that begin with a quote or bracket and go on after it

    1 error in 1 file
    "#);
}
