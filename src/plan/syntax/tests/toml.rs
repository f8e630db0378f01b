//! What TOML means, and how its faults look.

use super::{gallery, shape};

#[test]
fn toml_tables_come_in_written_order() {
    let text = "z = 1\n[stages.b]\nrun = ['a', \"b\"]\nenv = {Y = '1', x.y = 2}\n[stages.a]\nretry.max = 2\nretry.delay = '1s'\n[stages.b.with]\nf = 1_0.5\nh = 0xff\n[[list]]\nid = 1\n[[list]]\nid = 2\n[list.sub]\nk = true\n[stages]\nt = \"\"\"\nx\"\"\"\n";
    insta::assert_snapshot!(shape("a.toml", text), @r#"{z: 1, stages: {b: {run: ["a", "b"], env: {Y: "1", x: {y: 2}}, with: {f: 10.5, h: 255}}, a: {retry: {max: 2, delay: "1s"}}, t: "x"}, list: [{id: 1}, {id: 2, sub: {k: true}}]}"#);
}

#[test]
fn toml_duplicates_in_words() {
    let texts = [
        "a = 1\na = 2\n",
        "[a]\n[b]\n[a]\n",
        "a = 1\n[a.b]\n",
        "[a.b]\n[a]\nb.c = 1\n",
        "a = {b = 1}\n[a.c]\n",
        "a = []\n[[a]]\n",
    ];
    insta::assert_snapshot!(gallery("a.toml", &texts), @r#"
    error[plan::duplicate-key]: the key `a` is written twice in this map
      ╭─ a.toml:2:1
    2 │ a = 2
      │ ─ written again
      ├─ a.toml:1:1
    1 │ a = 1
      │ ─ first written here
      ╰─
    error[plan::duplicate-key]: the key `a` is written twice in this map
      ╭─ a.toml:3:2
    3 │ [a]
      │  ─ written again
      ├─ a.toml:1:2
    1 │ [a]
      │  ─ first written here
      ╰─
    error[plan::duplicate-key]: `a` is a whole number; nothing can be added to it here
      ╭─ a.toml:2:2
    2 │ [a.b]
      │  ─ used as a table
      ├─ a.toml:1:1
    1 │ a = 1
      │ ─ defined here
      ╰─
    error[plan::duplicate-key]: `b` is a table that is complete; nothing can be added to it here
      ╭─ a.toml:3:1
    3 │ b.c = 1
      │ ─ used as a table
      ├─ a.toml:1:4
    1 │ [a.b]
      │    ─ defined here
      ╰─
    error[plan::duplicate-key]: `a` is a map; nothing can be added to it here
      ╭─ a.toml:2:2
    2 │ [a.c]
      │  ─ used as a table
      ├─ a.toml:1:1
    1 │ a = {b = 1}
      │ ─ defined here
      ╰─
    error[plan::duplicate-key]: the key `a` is written twice in this map
      ╭─ a.toml:2:3
    2 │ [[a]]
      │   ─ written again
      ├─ a.toml:1:1
    1 │ a = []
      │ ─ first written here
      ╰─
    "#);
}

#[test]
fn toml_structure_in_words() {
    let texts = [
        "a = 2026-01-01\nb = 99999999999999999999\n",
        "a = b\nc = \nd 1\n[e\n",
        "a = \"x\n",
        "a = \"\\ud800\"\n",
        "a = [1, 2\n",
    ];
    insta::assert_snapshot!(gallery("a.toml", &texts), @r#"
    error[plan::datetime]: plans have no dates; this is one
      ╭─ a.toml:1:5
    1 │ a = 2026-01-01
      │     ──────────
      ╰─ help: quote it: `"2026-01-01"`
    error[plan::number]: the number `99999999999999999999` is too large
      ╭─ a.toml:2:5
    2 │ b = 99999999999999999999
      │     ──────────────────── does not fit into 64 bits
      ╰─ help: if it is a text, quote it: `"99999999999999999999"`
    error[plan::syntax-toml]: string values must be quoted
      ╭─ a.toml:1:5
    1 │ a = b
      │     ─ expected literal string
      ╰─
    error[plan::syntax-toml]: string values must be quoted
      ╭─ a.toml:2:5
    2 │ c =
      │     ─ expected literal string
      ╰─
    error[plan::syntax-toml]: key with no value
      ╭─ a.toml:3:3
    3 │ d 1
      │   ─ expected `=`
      ╰─
    error[plan::syntax-toml]: unclosed table
      ╭─ a.toml:4:3
    4 │ [e
      │   ─ expected `]`
      ╰─
    error[plan::syntax-toml]: invalid basic string
      ╭─ a.toml:1:7
    1 │ a = "x
      │       ─ expected `"`
      ╰─
    error[plan::syntax-toml]: invalid value
      ╭─ a.toml:1:8
    1 │ a = "\ud800"
      │        ─ expected unicode hexadecimal value
      ╰─
    error[plan::syntax-toml]: unclosed array
      ╭─ a.toml:1:10
    1 │ a = [1, 2
      │          ─ expected `]`
      ╰─
    "#);
}
