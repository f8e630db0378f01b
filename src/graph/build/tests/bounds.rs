//! Limits and items that are out of their bounds, or no values at all.

use super::*;

#[test]
fn items_out_of_bounds_are_told_once() {
    let plan = |more: &str| format!("stages:\n  a: {{run: x, shards: {{items: {{range: {more}}}}}\n");
    let request = Request { mode: Mode::Run, ..Request::default() };
    for more in ["3000000}", "3000000}, size: 1", "0}"] {
        let found = built(&plan(more), &request).expect_err("out of bounds");
        assert_eq!(found.iter().map(|one| one.code).collect::<Vec<_>>(), ["plan::out-of-range"], "{more}");
    }
    for more in ["3000000", "-1", "5000000000"] {
        for size in ["1", "100000"] {
            let found = built(&plan(&format!("\"{{{{ {more} }}}}\"}}, size: {size}")), &request)
                .expect_err("out of bounds");
            let said: Vec<_> = found.iter().map(|one| (one.code, one.message.as_str())).collect();
            let expected = format!("`range` must be from 0 to 2000000, this is {more}");
            assert_eq!(said, [("plan::out-of-range", &*expected)]);
        }
    }
    built(&plan("\"{{ 0 }}\"}"), &request).expect("what is computed may come to none");
    let (_, said, _) = wrong(&plan("\"{{ 1.5 }}\"}"));
    assert_eq!(said, "expected a whole number from 0, not 1.5");
    let (_, said, _) = wrong(&plan("1}, size: \"{{ 0 }}\""));
    assert_eq!(said, "expected a whole number from 1 to 2000000, or `auto`, not 0");
    let (_, said, _) = wrong("stages:\n  a: {run: x, retry: \"{{ -1 }}\"}\n");
    assert!(said.starts_with("`max` must be from 0 to ") && said.ends_with(", this is -1"), "{said}");
}

#[test]
fn an_expression_without_its_braces_is_shown_with_them() {
    let lists = [
        "shards: {items: {from: needs.a.outputs.list, max: 5}}",
        "shards: {items: needs.a.outputs.list}",
        "matrix: {x: {from: needs.a.outputs.list, max: 5}}",
        "matrix: {x: needs.a.outputs.list}",
    ];
    for one in lists {
        let (code, said, help) = wrong(&format!(
            "stages:\n  a: {{run: x, outputs: {{list: list}}}}\n  b: {{needs: [a], run: x, {one}}}\n"
        ));
        assert_eq!(code, "plan::wrong-type", "{one}: {said}");
        assert_eq!(help, "an expression stands in braces: `\"{{ needs.a.outputs.list }}\"`", "{one}: {said}");
    }
    let limits = ["timeout", "retry", "slo", "idle-timeout"];
    let items = ["range: inputs.n", "file: list.txt, max: inputs.n"]
        .map(|items| format!("shards: {{items: {{{items}}}}}"));
    let shards = ["size", "allow-failed", "rate"].map(|key| format!("shards: {{items: [x], {key}: inputs.n}}"));
    let limits = limits.map(|key| format!("{key}: inputs.n"));
    for one in limits.into_iter().chain(items).chain(shards) {
        let (code, said, help) = wrong(&format!("stages:\n  b: {{run: x, {one}}}\n"));
        assert_eq!(code, "plan::wrong-type", "{one}: {said}");
        assert_eq!(help, "an expression stands in braces: `\"{{ inputs.n }}\"`", "{one}: {said}");
    }
    let (_, _, help) = wrong("stages:\n  b: {run: x, shards: {items: plain.txt}}\n");
    assert_eq!(help, "");
}
