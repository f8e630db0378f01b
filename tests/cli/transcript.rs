//! Transcripts: what was typed, the exit code, and all that was printed, with what differs from run to run
//! replaced.

use std::fmt::Write as _;
use std::sync::OnceLock;

use regex::Regex;

use crate::support::Project;

/// Runs each command line in `project` (words separated by single spaces) and gives all of them as one text.
/// `-j 2` everywhere, as the number of processors must not show.
pub(crate) fn transcript(project: &Project, lines: &[&str]) -> String {
    let mut text = String::new();
    for line in lines {
        text += &one(project, &[], line);
    }
    text
}

/// One command line with more environment.
pub(crate) fn one(project: &Project, env: &[(&str, &str)], line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let env: Vec<_> = [("ENGINE_JOBS", "2"), ("TZ", "UTC")].into_iter().chain(env.iter().copied()).collect();
    let output = project.engine_with(&env, &words);
    let mut text = format!("$ engine {line}\n[{}]\n", output.status);
    text += &redact(project, &output.stdout);
    if !output.stderr.is_empty() {
        let _ = write!(text, "--- standard error\n{}", redact(project, &output.stderr));
    }
    text + "\n"
}

/// `text` with ids, times, paths and digests replaced, in their own width wherever columns depend on it.
pub(crate) fn redact(project: &Project, text: &str) -> String {
    let root = project.path("").to_string_lossy().trim_end_matches('/').to_owned();
    let mut text = text.replace(&root, "[ROOT]");
    for (pattern, word) in patterns() {
        text = pattern.replace_all(&text, *word).into_owned();
    }
    text
}

fn patterns() -> &'static [(Regex, &'static str)] {
    static PATTERNS: OnceLock<Vec<(Regex, &'static str)>> = OnceLock::new();
    PATTERNS.get_or_init(|| {
        let all = [
            (r"\b\d{8}-\d{6}-[0-9a-f]{4}\b", "YYYYMMDD-HHMMSS-xxxx"),
            (r"\b\d{4}-\d\d-\d\d \d\d:\d\d\b", "YYYY-MM-DD HH:MM"),
            (r"\bHH:MM:\d\d\b", "HH:MM:SS"),
            (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "YYYY-MM-DDTHH:MM:SS.mmmZ"),
            (r" {2,}(\d+ms|\d+\.\ds)\b", "  TIME"),
            (r"\b(\d+ms|\d+\.\ds)\b", "TIME"),
            (r"\bann@[\w.-]+", "ann@HOST"),
            (r"\b[0-9a-f]{64}\b", "DIGEST"),
            (r"\b[0-9a-f]{32}\b", "TOKEN"),
            (r#""(\w*_ms|max_rss_kib|bytes|pid)":( ?)\d+"#, r#""$1":${2}0"#),
            (r"section_(start|end):\d+:", "section_$1:SECONDS:"),
            (r"\(process \d+\)", "(process PID)"),
            (r"\(\d+ bytes\)", "(BYTES)"),
            (r", \d+ bytes\b", ", BYTES"),
            (r"`PATH` \([^)]*\)", "`PATH` (…)"),
            (r"\d+ MiB free", "MANY MiB free"),
            (r"\b(3h59m|4h00m) left", "4h00m left"),
            (r"(?m)^ok   (bash|git) +\S+$", "ok   $1 [PATH]"),
        ];
        all.into_iter().map(|(pattern, word)| (Regex::new(pattern).expect("a pattern"), word)).collect()
    })
}

#[test]
fn redactions_keep_what_matters() {
    let project = Project::new();
    let text = format!("in {}: 14ms, exit 3, 4h00m, 20261121-045754-d7fd", project.path("x").display());
    assert_eq!(redact(&project, &text), "in [ROOT]/x: TIME, exit 3, 4h00m, YYYYMMDD-HHMMSS-xxxx");
}
