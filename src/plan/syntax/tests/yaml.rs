//! What YAML means, and how its faults look.

use super::{gallery, shape};

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
fn yaml_structure_in_words() {
    let texts = [
        "a:\n\tb: 1\n",
        "a: [\n\t1]\n",
        "a: b: c\n",
        "a: {{ inputs.x }}\n",
        "a: {{ inputs.x }}-b\n",
        "a:\n    b: 1\n  c: 2\n",
        "a: 1\n---\nb: 2\n",
        "a: [1, 2}\n",
        "a: 'b' c\n",
    ];
    insta::assert_snapshot!(gallery("a.yaml", &texts), @r##"
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
    "##);
}

#[test]
fn yaml_that_is_left_open_in_words() {
    let texts = [
        "a: \"b\nc: d\n",
        "a: [1, 2\nb: c\n",
        "a: {b: \"c}\nd:\n  e: \"f\"\n",
        "a: {b: 'it''s}\nd: 'e'\n",
        "a: [b,\n  c\nd: {e: f}\n",
        "a: [b] # '\nc: {d: '#', e: [f}\n",
    ];
    insta::assert_snapshot!(gallery("a.yaml", &texts), @r##"
    error[plan::syntax-yaml]: the quote that opens here is not closed before the next key
      ╭─ a.yaml:1:4
    1 │ a: "b
      │    ─
      ├─ a.yaml:2:1
    2 │ c: d
      │ ─ here it is still open
      ╰─
    error[plan::syntax-yaml]: this `[` is not closed before the next key
      ╭─ a.yaml:1:4
    1 │ a: [1, 2
      │    ─
      ├─ a.yaml:2:2
    2 │ b: c
      │  ─ here it is still open
      ╰─
    error[plan::syntax-yaml]: the value goes on after its closing quote
      ╭─ a.yaml:3:7
    3 │   e: "f"
      │       ─
      ├─ a.yaml:1:8
    1 │ a: {b: "c}
      │        ─ it opens here
      ╰─ help: close it where it was meant to end
    error[plan::syntax-yaml]: the value goes on after its closing quote
      ╭─ a.yaml:2:5
    2 │ d: 'e'
      │     ─
      ├─ a.yaml:1:8
    1 │ a: {b: 'it''s}
      │        ─ it opens here
      ╰─ help: close it where it was meant to end
    error[plan::syntax-yaml]: this `[` is not closed before the next key
      ╭─ a.yaml:1:4
    1 │ a: [b,
      │    ─
      ├─ a.yaml:3:2
    3 │ d: {e: f}
      │  ─ here it is still open
      ╰─
    error[plan::syntax-yaml]: `[` is closed by `}`
      ╭─ a.yaml:2:16
    2 │ c: {d: '#', e: [f}
      │                ─
      ╰─
    "##);
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
      ╭─ a.yaml:1:4
    1 │ a: !secret b
      │    ───────
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
