//! What is told of a wrong plan, and where.

use super::*;

/// Every error of a plan, with the text that it marks.
fn all_wrong(text: &str, request: &Request) -> Vec<String> {
    let head = "version: 1\nname: test\n";
    let whole = format!("{head}{text}");
    let found = built(text, request).expect_err("a wrong plan");
    found
        .iter()
        .map(|one| format!("{} {}", one.code, &whole[one.at.start as usize..one.at.end as usize]))
        .collect()
}

#[test]
fn a_bad_command_hides_no_unknown_stage() {
    let text = "stages:\n  a: {run: [true]}\n  b: {run: [echo, \"{{ needs.zz.state }}\"]}\n";
    assert_eq!(all_wrong(text, &Request::default()), ["plan::unquoted true", "plan::unknown-need needs.zz.state"]);
    // The stage without a name may be the one that is meant.
    let text = "stages:\n  - {run: x}\n  - {id: b, run: [echo, \"{{ needs.zz.state }}\"]}\n";
    assert_eq!(all_wrong(text, &Request::default()), ["plan::missing-key {"]);
}

#[test]
fn each_bad_item_is_marked() {
    let text = "stages:\n  a:\n    shards:\n      items:\n        - fine\n        - \"x\\ny\"\n        - {a: 1}\n        \
                - null\n    run: x\n";
    let wanted = ["plan::bad-item \"x\\ny\"", "plan::wrong-type {", "plan::wrong-type null"];
    assert_eq!(all_wrong(text, &Request::default()), wanted);
    let text = "stages: {a: {shards: {items: [fine, \"x\\ny\", \"\\0\"]}, run: x}}\n";
    assert_eq!(all_wrong(text, &Request::default()), ["plan::bad-item \"x\\ny\"", "plan::bad-item \"\\0\""]);
}

#[test]
fn a_rendered_nul_is_no_text() {
    let text = "stages: {a: {run: [echo, \"{{ 'a\\\\x00' }}\"]}}\n";
    assert_eq!(all_wrong(text, &Request::default()), ["plan::nul \"{{ 'a\\\\x00' }}\""]);
}

#[test]
fn an_output_is_read_as_what_it_is() {
    let head = "stages:\n  p: {outputs: {l: list, n: int, ok: bool}, run: x}\n  s: {shards: {items: [a, b]}, outputs: {u: string}, run: x}\n\
                \x20 m: {matrix: {r: [x, y]}, outputs: {u: string}, run: x}\n  z: {needs: [p, s, m], ";
    for (stage, code, marked) in [
        (r#"run: [x, "{{ needs.p.outputs.l }}"]}"#, "plan::wrong-type", "{{ needs.p.outputs.l }}"),
        (r#"run: [x, "a {{ needs.p.outputs.l }}"]}"#, "plan::wrong-type", "{{ needs.p.outputs.l }}"),
        (r#"run: x, env: {L: "{{ needs.p.outputs.l }}"}}"#, "plan::wrong-type", "{{ needs.p.outputs.l }}"),
        (r#"run: x, if: "needs.p.outputs.n"}"#, "plan::wrong-type", "needs.p.outputs.n"),
        (
            r#"run: x, shards: {items: {from: "{{ needs.p.outputs.n }}", max: 4}}}"#,
            "plan::wrong-type",
            r#""{{ needs.p.outputs.n }}""#,
        ),
        (
            r#"run: x, matrix: {q: {from: "{{ needs.p.outputs.n }}", max: 4}}}"#,
            "plan::wrong-type",
            r#""{{ needs.p.outputs.n }}""#,
        ),
        (r#"run: [x, "{{ needs.s.outputs.u }}"]}"#, "plan::unknown-output", "needs.s.outputs.u"),
        (r#"run: [x, "{{ needs.m.outputs.u }}"]}"#, "plan::unknown-output", "needs.m.outputs.u"),
        (r#"run: [x, "{{ needs.m.outputs.z.u }}"]}"#, "plan::unknown-output", "needs.m.outputs.z.u"),
    ] {
        assert_eq!(all_wrong(&format!("{head}{stage}\n"), &Request::default()), [format!("{code} {marked}")]);
    }
    for stage in [
        r#"run: [x, "{{ needs.p.outputs.l | join(',') }}", "{{ needs.p.outputs.n }}", "{{ needs.p.outputs.l | length }}"]}"#,
        r#"run: [x, "{{ needs.s.outputs['1'].u }}", "{{ needs.m.outputs.y.u }}", "{{ needs.s.outputs | length }}"]}"#,
        r#"run: [x, "{{ needs.m.outputs.z | default('-') }}"], if: "needs.p.outputs.ok and needs.p.outputs.n > 1"}"#,
        r#"run: x, shards: {items: {from: "{{ needs.p.outputs.l }}", max: 4}}}"#,
    ] {
        built(&format!("{head}{stage}\n"), &Request::default()).expect(stage);
    }
}
