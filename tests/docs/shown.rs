//! Documents whose commands need a machine of their own are held to what the tests of those plans printed.

use std::sync::LazyLock;

use regex::Regex;

use super::blocks::{blocks, read};

/// What a document shows below the first command that begins so, without the lines that stand for any others.
fn shown(document: &str, command: &str) -> Vec<String> {
    let text = read(document);
    for block in blocks(&text).iter().filter(|block| block.info == "console") {
        let mut lines = block.text.lines().skip_while(|line| !line.starts_with(&format!("$ {command}")));
        if lines.next().is_some() {
            let lines = lines.skip_while(|line| line.starts_with("    ") && line.contains("--set "));
            let lines = lines.take_while(|line| !line.starts_with("$ ")).filter(|line| line.trim() != "…");
            let lines: Vec<String> = lines.map(redact).collect();
            assert!(!lines.is_empty(), "{document}:{}: shows nothing below `{command}`", block.line);
            return lines;
        }
    }
    panic!("{document} shows no `{command}`");
}

/// What varies from run to run: times, places, ids and digests everywhere, and in what stages print every number that
/// stands alone.
fn redact(line: &str) -> String {
    static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let rules = [
            (r"/\S*?/engine-(hxo|tdex|chrono|test-\w+/place)", "PLACE"),
            (r"by (uid \d+|\w+)@[\w.-]+", "by WHO"),
            (r"show [0-9a-f]{12}", "show ID"),
            (r"\b\d+\.\d{3,}\b", "0"),
            (r"-?\b[0-9a-f]{7,64}\b", "DIGEST"),
            (r"\d{8}T\d{4}Z", "MOMENT"),
            (r"(\d+(\.\d+)?(ms|s|m|h|d))+\b", "TIME"),
            (r"\d+ (of \d+ )?samples", "N samples"),
            (r"127\.0\.0\.1:\d+", "ADDRESS"),
            (r"(ok: )?(run|down): PLACE", "$2: PLACE"),
            (r"changes of version: .*", "changes of version: WHICH"),
            (r"[ \t]+", " "),
        ];
        rules.map(|(rule, with)| (Regex::new(rule).expect("a rule"), with)).into()
    });
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b\d+(\.\d+)*\b").expect("a rule"));
    let mut line = line.trim().to_owned();
    for (rule, with) in RULES.iter() {
        line = rule.replace_all(&line, *with).into_owned();
    }
    if line.contains(" | ") || line.contains(": last ") {
        NUMBER.replace_all(&line, "N").into_owned()
    } else {
        line
    }
}

/// Every line that a document shows below a command was printed by this run of it.
#[track_caller]
pub(crate) fn expect_shown(document: &str, command: &str, printed: &str) {
    let told: Vec<String> = printed.lines().map(redact).collect();
    let missing: Vec<String> = shown(document, command).into_iter().filter(|line| !told.contains(line)).collect();
    let missing = missing.join("\n");
    assert!(
        missing.is_empty(),
        "{document} shows below `{command}` what was not printed:\n{missing}\n\nbut:\n{printed}"
    );
}
