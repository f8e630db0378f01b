//! HTML: one file without requests. Views (the whole, every closed fold, everything open) are SVG drawn
//! here; the page's script only shows one, pans, zooms, searches and lists a box's stages.

use serde_json::{Value, json};

use super::picture::Picture;
use super::svg::{self, Page};
use super::words::xml;
use super::{MAX_BOXES, Subject, fold, json as document};
use crate::base::count;

/// Above this many stages there is no view with everything open.
const MAX_OPEN: usize = 250;
/// Above this many links neither.
const MAX_OPEN_LINKS: usize = 1200;
/// Views at most, so that a plan with 10,000 folds still is a file one can send.
const MAX_VIEWS: usize = 100;

const SCRIPT: &str = include_str!("view.js");
const CSS: &str = include_str!("view.css");
const SVG_CSS: &str = include_str!("svg.css");

/// The page.
pub(super) fn file(subject: Subject) -> String {
    let views = views(subject);
    let mut drawings = String::new();
    let mut about: Vec<Value> = Vec::new();
    for (name, fold, picture) in &views {
        let page = Page::new(picture);
        let (width, height) = page.size();
        let drawing = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"engine\" hidden viewBox=\"0 0 {width:.0} {height:.0}\" data-w=\"{width:.0}\" data-h=\"{height:.0}\">\n{}</svg>\n",
            page.body()
        );
        drawings.push_str(&drawing);
        let boxes = picture.boxes.iter().map(|block| {
            let nodes: Vec<u32> = block.nodes.iter().map(|ix| ix.raw()).collect();
            json!({"label": block.label, "nodes": nodes, "fold": block.fold, "is": block.badges})
        });
        about.push(json!({"name": name, "fold": fold, "boxes": boxes.collect::<Vec<_>>()}));
    }
    let data = json!({"views": about, "graph": document::value(subject)});
    // `<` could end the script element; in JSON it can only stand inside strings, where \u003c means the same.
    let data = data.to_string().replace('<', "\\u003c");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<style>{}{}{CSS}</style>\n<header><b>{title}</b><nav id=\"path\"></nav><input id=\"find\" type=\"search\" placeholder=\"find a stage ( / )\"><button id=\"fit\">fit</button><button id=\"open\">unfold all</button></header>\n<main id=\"plane\">\n{drawings}</main>\n<aside id=\"side\" hidden></aside>\n<script type=\"application/json\" id=\"data\">{data}</script>\n<script>{SCRIPT}</script>\n</html>\n",
        SVG_CSS.trim(),
        svg::state_css(),
        title = xml(&subject.graph.name),
    )
}

/// The whole picture, one for each closed fold in any view, and everything open when that can be read.
fn views(subject: Subject) -> Vec<(String, Option<u32>, Picture)> {
    let mut views = vec![("all".to_owned(), None, Picture::of(subject, None, MAX_BOXES))];
    let mut next = 0;
    while next < views.len() && views.len() < MAX_VIEWS {
        let closed: Vec<u32> = views[next].2.boxes.iter().filter_map(|block| block.fold).collect();
        for at in closed {
            if views.len() < MAX_VIEWS && views.iter().all(|view| view.1 != Some(at)) {
                let body = &subject.graph.folds[at as usize];
                let name = format!("{} {}", fold::kind_word(body.kind), body.name);
                views.push((name, Some(at), Picture::of(subject, Some(at), MAX_BOXES)));
            }
        }
        next += 1;
    }
    let links: usize = subject.graph.stages().map(|(_, node)| node.needs.len()).sum();
    let stages = subject.graph.stages().count();
    let is_folded = views[0].2.boxes.len() < stages;
    if is_folded && stages <= MAX_OPEN && links <= MAX_OPEN_LINKS {
        let name = format!("all {}", count::plural(stages as u64, "stage"));
        views.push((name, Some(u32::MAX), Picture::of(subject, None, usize::MAX)));
    }
    views
}
