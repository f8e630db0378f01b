//! What JSON means, and how its faults look.

use super::{gallery, shape};

#[test]
fn json_values() {
    let text = " {\"a\": [1, -0, 1.5, 1e3, true, false, null], \"b\\u00e9\\ud83d\\ude00\\n\": {}, \"c\": []} ";
    insta::assert_snapshot!(shape("a.json", text), @r#"
    {a: [1, 0, 1.5, 1000.0, true, false, null], bé😀
    : {}, c: []}
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
