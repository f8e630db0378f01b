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

#[test]
fn what_is_nearly_right_is_told_how_to_write_it() {
    let cells = "stages:\n  a: {run: x, matrix: {r: [CELLS]}, outputs: {n: int}}\n\
        \x20 b: {needs: [a], run: [echo, \"{{ needs.a.outputs.CELL.n }}\"]}\n";
    let many: Vec<String> = (0..20).map(|at| format!("r{at}")).collect();
    let all = "the cells are `r0`, `r1`, `r2`, `r3`, `r4`, `r5`, `r6`, `r7` and 12 more";
    for (plan, expected) in [
        (
            cells.replace("CELLS", "amd64, arm64").replace("CELL", "amd46"),
            "did you mean `outputs['amd64']`? the cells are `amd64`, `arm64`",
        ),
        (cells.replace("CELLS", &many.join(", ")).replace("CELL", "elsewhere"), all),
        ("stages:\n  a: {run: x, allow-failure: 'yes'}\n".to_owned(), "write `true`, without quotes"),
        ("stages:\n  a: {run: x, shards: {items: [x], size: '5'}}\n".to_owned(), "write `5`, without quotes"),
        ("stages:\n  a: {run: x, shards: {items: [x], protocol: line}}\n".to_owned(), "did you mean `lines`?"),
        (
            "stages:\n  a: {run: x, rollback: ./undo}\n".to_owned(),
            "one of `none`, `forward-only`, or a map like `rollback: {run: [./undo]}`",
        ),
        ("stages:\n  a: {run: x, env: {A: [1]}}\n".to_owned(), ""),
    ] {
        let (_, said, help) = wrong(&plan);
        assert_eq!(help, expected, "{plan}{said}");
    }
    let (_, said, _) = wrong("stages:\n  a: {uses: http, with: {url: 'http://x', expects: {status: 200}}}\n");
    assert_eq!(said, "unknown key `expects` in `http`");
}
