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
