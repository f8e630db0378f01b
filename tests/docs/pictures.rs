//! The README's pictures are drawn by the real binary: the graph as it draws it, a run as a terminal shows it.

use std::fs;

use super::console::{put, redact, repository};
use super::markdown::root;

const LINE: u32 = 20;
const WIDTH: u32 = 760;

/// Compares with the committed picture; `ENGINE_BLESS=1` replaces it.
#[track_caller]
fn hold(name: &str, drawn: &str, comparable: impl Fn(&str) -> Vec<String>) {
    let path = root().join("docs/pictures").join(name);
    if std::env::var_os("ENGINE_BLESS").is_some() {
        fs::write(&path, drawn).expect("a picture");
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(comparable(&kept), comparable(drawn), "ENGINE_BLESS=1 cargo test --test docs draws it anew");
}

#[test]
fn the_graph_is_that_of_the_site() {
    let project = repository();
    let drawn = project.engine(&["graph", "plans/site.yaml", "--format", "svg"]).expect(0).stdout;
    // How it is drawn may change; which stages and needs it has may not.
    hold("graph.svg", &drawn, |svg| {
        let is_ours = |line: &&str| line.contains("class=\"label\"") || line.contains("class=\"link");
        svg.lines().filter(is_ours).map(words).collect()
    });
}

#[test]
fn the_run_is_that_of_the_site() {
    let project = repository();
    let args = ["run", "plans/site.yaml", "--color", "always", "--output", "plain", "-j", "4"];
    let printed = project.engine(&args).expect(0).stdout;
    // Stages run side by side, so only which lines there are is compared.
    hold("run.svg", &terminal("engine run plans/site.yaml", &printed), |svg| {
        let mut lines: Vec<String> = svg.lines().filter(|line| line.contains("</tspan>")).map(words).collect();
        lines.sort();
        lines
    });
}

/// The words of a line of the picture.
fn words(line: &str) -> String {
    let mut text = String::new();
    let mut is_tag = false;
    for c in line.chars() {
        match c {
            '<' => is_tag = true,
            '>' => is_tag = false,
            _ if !is_tag => text.push(c),
            _ => {}
        }
    }
    redact(&text)
}

/// What a terminal shows as a picture.
fn terminal(command: &str, printed: &str) -> String {
    let rows: Vec<String> =
        std::iter::once(format!("<tspan class=\"d\">$ </tspan><tspan class=\"b\">{command}</tspan>"))
            .chain(printed.lines().map(row))
            .collect();
    let height = u32::try_from(rows.len()).expect("a short run") * LINE + 58;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\">\n<title>{command}</title>\n<style>text {{ font: 14px ui-monospace, Menlo, \
         'DejaVu Sans Mono', monospace; fill: #d5dbe6; white-space: pre }} .b {{ font-weight: 700 }} .d {{ fill: \
         #7f8aa0 }} .c31 {{ fill: #ff7b86 }} .c32 {{ fill: #7fd88f }} .c33 {{ fill: #f3c969 }} .c34 {{ fill: \
         #7aa8ff }} .c35 {{ fill: #d29bff }} .c36 {{ fill: #6fd3dd }}</style>\n<rect width=\"100%\" height=\"100%\" \
         rx=\"10\" fill=\"#131822\"/>\n<g fill=\"#39435a\"><circle cx=\"20\" cy=\"18\" r=\"5\"/><circle cx=\"38\" \
         cy=\"18\" r=\"5\"/><circle cx=\"56\" cy=\"18\" r=\"5\"/></g>\n"
    );
    for (nth, row) in (0..).zip(&rows) {
        put(
            &mut svg,
            format_args!("<text x=\"20\" y=\"{}\" xml:space=\"preserve\">{row}</text>\n", 52 + nth * LINE),
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// One line with its colours, as spans.
fn row(line: &str) -> String {
    let mut row = String::new();
    let mut classes: Vec<String> = Vec::new();
    for (nth, part) in line.split("\x1b[").enumerate() {
        let text = match part.split_once('m').filter(|_| nth > 0) {
            Some((codes, text)) => {
                for code in codes.split(';') {
                    match code {
                        "0" | "" => classes.clear(),
                        "1" => classes.push("b".to_owned()),
                        "2" => classes.push("d".to_owned()),
                        colour => classes.push(format!("c{colour}")),
                    }
                }
                text
            }
            None => part,
        };
        if !text.is_empty() {
            let text = text.replace('&', "&amp;").replace('<', "&lt;");
            put(&mut row, format_args!("<tspan class=\"{}\">{text}</tspan>", classes.join(" ")));
        }
    }
    row
}
