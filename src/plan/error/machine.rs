//! Findings for programs: our own JSON, SARIF 2.1.0, and annotations of GitHub Actions.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Diagnostic, Severity};
use crate::plan::source::{Place, Sources};

/// The version of the document that [`json()`] writes. Keys are added without a new version, never taken away.
const JSON_VERSION: u32 = 1;

/// Start and end of a place, from 1; columns count characters, the end is one past the last.
#[derive(Serialize)]
struct Region<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
}

impl<'a> Region<'a> {
    fn new(at: Place, sources: &'a Sources) -> Self {
        let (line, column) = sources.line_column(at);
        let (end_line, end_column) = sources.line_column_at(at.file, at.end.max(at.start));
        Self { file: &sources.file(at.file).path, line, column, end_line, end_column }
    }
}

#[derive(Serialize)]
struct Finding<'a> {
    code: &'a str,
    severity: &'a str,
    message: &'a str,
    #[serde(flatten)]
    region: Region<'a>,
    label: &'a str,
    help: Option<&'a str>,
    related: Vec<Related<'a>>,
}

#[derive(Serialize)]
struct Related<'a> {
    message: &'a str,
    #[serde(flatten)]
    region: Region<'a>,
}

const fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// `{"version": 1, "errors": N, "warnings": N, "diagnostics": [{code, severity, message, file, line, column,
/// end_line, end_column, label, help, related: [{message, file, line, column, end_line, end_column}]}]}`, all
/// findings, however many. `help` may be null.
pub fn json(found: &[Diagnostic], sources: &Sources) -> String {
    let findings: Vec<Finding<'_>> = found
        .iter()
        .map(|one| Finding {
            code: one.code,
            severity: word(one.severity),
            message: &one.message,
            region: Region::new(one.at, sources),
            label: &one.label,
            help: one.help.as_deref(),
            related: one
                .related
                .iter()
                .map(|(at, words)| Related { message: words, region: Region::new(*at, sources) })
                .collect(),
        })
        .collect();
    let errors = found.iter().filter(|one| one.severity == Severity::Error).count();
    pretty(&json!({
        "version": JSON_VERSION,
        "errors": errors,
        "warnings": found.len() - errors,
        "diagnostics": findings,
    }))
}

/// A SARIF 2.1.0 log with one run and one rule for each code that occurs.
pub fn sarif(found: &[Diagnostic], sources: &Sources) -> String {
    let mut rules: BTreeMap<&str, usize> = found.iter().map(|one| (one.code, 0)).collect();
    for (at, index) in rules.values_mut().enumerate() {
        *index = at;
    }
    let results: Vec<Value> = found
        .iter()
        .map(|one| {
            json!({
                "ruleId": one.code,
                "ruleIndex": rules[one.code],
                "level": word(one.severity),
                "message": {"text": sentence(one)},
                "locations": [location(one.at, sources, Some(&one.label))],
                "relatedLocations": one.related.iter()
                    .map(|(at, words)| location(*at, sources, Some(words))).collect::<Vec<_>>(),
            })
        })
        .collect();
    pretty(&json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "engine",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.keys().map(|code| json!({"id": code})).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    }))
}

fn location(at: Place, sources: &Sources, words: Option<&str>) -> Value {
    let region = Region::new(at, sources);
    let mut location = json!({
        "physicalLocation": {
            "artifactLocation": {"uri": uri(region.file)},
            "region": {
                "startLine": region.line,
                "startColumn": region.column,
                "endLine": region.end_line,
                "endColumn": region.end_column,
            },
        },
    });
    if let Some(words) = words.filter(|words| !words.is_empty()) {
        location["message"] = json!({"text": words});
    }
    location
}

/// `path` as a relative URI reference (RFC 3986): what is not allowed in a path is percent-encoded, `:` too,
/// because it would read as a scheme.
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for &byte in path.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// The message with its help: what fits where only one text is shown.
fn sentence(one: &Diagnostic) -> String {
    match &one.help {
        Some(help) => format!("{}; {help}", one.message),
        None => one.message.clone(),
    }
}

fn pretty(value: &Value) -> String {
    let mut out = serde_json::to_string_pretty(value).expect("strings and numbers always serialise");
    out.push('\n');
    out
}

/// A line `::error file=…,line=…,col=…,endLine=…,endColumn=…,title=…::message` for each finding. GitHub takes
/// `endColumn` only where the place ends on its line.
pub fn github(found: &[Diagnostic], sources: &Sources) -> String {
    let mut out = String::new();
    for one in found {
        let Region { file, line, column, end_line, end_column } = Region::new(one.at, sources);
        let _ = write!(out, "::{} file={},line={line},col={column}", word(one.severity), property(file));
        if end_line == line && end_column > column {
            let _ = write!(out, ",endColumn={end_column}");
        } else if end_line != line {
            let _ = write!(out, ",endLine={end_line}");
        }
        let _ = writeln!(out, ",title={}::{}", property(one.code), data(&sentence(one)));
    }
    out
}

/// Escapes the message of a workflow command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a property of a workflow command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::source::{File, FileIx};

    fn sample() -> (Vec<Diagnostic>, Sources) {
        let mut sources = Sources::default();
        sources.add(File { path: "plans/a,b: c.yaml".into(), text: "name: \u{e9}x\nlist:\n  - 1\n".into() });
        let place = |start, end| Place { file: FileIx(0), start, end };
        let found = vec![
            Diagnostic::error("plan::one", place(6, 9), "100% of `a`\nwrong")
                .label("here")
                .help("do this")
                .related(place(0, 4), "named here"),
            Diagnostic::warning("plan::two", place(10, 22), "whole list"),
        ];
        (found, sources)
    }

    #[test]
    fn json_has_the_documented_shape() {
        let (found, sources) = sample();
        insta::assert_snapshot!(json(&found[..1], &sources), @r#"
        {
          "version": 1,
          "errors": 1,
          "warnings": 0,
          "diagnostics": [
            {
              "code": "plan::one",
              "severity": "error",
              "message": "100% of `a`\nwrong",
              "file": "plans/a,b: c.yaml",
              "line": 1,
              "column": 7,
              "end_line": 1,
              "end_column": 9,
              "label": "here",
              "help": "do this",
              "related": [
                {
                  "message": "named here",
                  "file": "plans/a,b: c.yaml",
                  "line": 1,
                  "column": 1,
                  "end_line": 1,
                  "end_column": 5
                }
              ]
            }
          ]
        }
        "#);
    }

    #[test]
    fn github_annotations_are_escaped() {
        let (found, sources) = sample();
        insta::assert_snapshot!(github(&found, &sources), @r#"
        ::error file=plans/a%2Cb%3A c.yaml,line=1,col=7,endColumn=9,title=plan%3A%3Aone::100%25 of `a`%0Awrong; do this
        ::warning file=plans/a%2Cb%3A c.yaml,line=2,col=1,endLine=4,title=plan%3A%3Atwo::whole list
        "#);
    }

    #[test]
    fn sarif_points_at_rules_and_places() {
        let (found, sources) = sample();
        let log: Value = serde_json::from_str(&sarif(&found, &sources)).expect("it is JSON");
        let run = &log["runs"][0];
        assert_eq!(log["version"], "2.1.0");
        for result in run["results"].as_array().expect("a list") {
            let index = usize::try_from(result["ruleIndex"].as_u64().expect("a number")).expect("small");
            assert_eq!(run["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
        }
        let place = &run["results"][1]["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "plans/a,b%3A%20c.yaml");
        assert_eq!(place["region"], json!({"startLine": 2, "startColumn": 1, "endLine": 4, "endColumn": 1}));
    }
}
