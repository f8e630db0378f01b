//! Laws of every drawing, on random graphs.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Random graphs: each node needs some earlier ones; folds and phases at random; names at their worst.
fn graphs() -> impl Strategy<Value = Graph> {
    let stage = (prop::collection::vec(any::<prop::sample::Index>(), 0..4), 0u32..9, "\\PC{0,12}", any::<bool>());
    (prop::collection::vec(stage, 1..90), "\\PC{0,20}").prop_map(|(stages, title)| {
        let mut nodes = Vec::new();
        let main = stages.len() * 4 / 5;
        for (at, (needs, fold, name, accepts)) in stages.into_iter().enumerate() {
            let mut needs: Vec<usize> =
                if at == 0 { Vec::new() } else { needs.iter().map(|need| need.index(at)).collect() };
            needs.sort_unstable();
            needs.dedup();
            let mut stage = node(&format!("{name}{at}"), &needs, &name);
            stage.fold = (fold < 6).then_some(fold);
            stage.needs.iter_mut().for_each(|need| need.accept.failed = accepts);
            stage.phase = if at > main { Phase::Finally } else { Phase::Main };
            nodes.push(stage);
        }
        let mut parts = Parts::of(&title, nodes);
        parts.folds = vec![
            fold("a", FoldKind::Group, None),
            fold(&title, FoldKind::Group, None),
            fold("m", FoldKind::Matrix, Some(0)),
            fold("f\"<]]>", FoldKind::File, Some(1)),
            fold("inner", FoldKind::Matrix, Some(3)),
            fold("deep", FoldKind::File, Some(4)),
        ];
        freeze(parts)
    })
}

fn picture(graph: &Graph, limit: usize) -> Picture {
    let forecast = Forecast::of(graph, None, &|_| None);
    Picture::of(Subject { graph, forecast: &forecast, states: Some(&states) }, None, limit)
}

fn holds_its_nodes_and_needs(graph: &Graph, picture: &Picture) {
    let mut owner = vec![usize::MAX; graph.nodes.len()];
    for (at, block) in picture.boxes.iter().enumerate() {
        for ix in &block.nodes {
            assert_eq!(owner[ix.raw() as usize], usize::MAX, "a node is in one box");
            owner[ix.raw() as usize] = at;
        }
    }
    let links: BTreeSet<(usize, usize)> = picture.links.iter().map(|link| (link.from, link.to)).collect();
    let mut needs: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for (ix, node) in graph.nodes.pairs() {
        let to = owner[ix.raw() as usize];
        assert_ne!(to, usize::MAX, "{} is drawn", node.id);
        for need in &node.needs {
            let from = owner[need.node.raw() as usize];
            if from != to {
                *needs.entry((from, to)).or_default() += 1;
                let is_drawn = links.contains(&(from, to));
                assert!(is_drawn || leads(&links, from, to), "need of {} is drawn", node.id);
                assert!(is_drawn || !need.accept.failed, "what {} accepts is drawn", node.id);
            }
        }
    }
    for link in &picture.links {
        assert_eq!(needs.get(&(link.from, link.to)), Some(&link.count), "no link is made up");
    }
    for link in &picture.links {
        assert!(picture.boxes[link.from].layer < picture.boxes[link.to].layer, "layers respect needs");
    }
}

/// Whether a way of links leads from one box to another.
fn leads(links: &BTreeSet<(usize, usize)>, from: usize, to: usize) -> bool {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(at) = open.pop() {
        open.extend(links.range((at, 0)..(at + 1, 0)).map(|&(_, next)| next).filter(|&next| seen.insert(next)));
    }
    seen.contains(&to)
}

type Rect = (f64, f64, f64, f64);

fn apart(a: Rect, b: Rect) -> bool {
    a.0 + a.2 <= b.0 || b.0 + b.2 <= a.0 || a.1 + a.3 <= b.1 || b.1 + b.3 <= a.1
}

fn within(inner: Rect, outer: Rect) -> bool {
    inner.0 >= outer.0
        && inner.1 >= outer.1
        && inner.0 + inner.2 <= outer.0 + outer.2
        && inner.1 + inner.3 <= outer.1 + outer.3
}

fn nothing_overlaps(picture: &Picture) {
    let page = svg::Page::new(picture);
    let (boxes, frames): (Vec<Rect>, Vec<Rect>) = (page.boxes().collect(), page.frames().collect());
    let size = page.size();
    for (at, &a) in boxes.iter().enumerate() {
        assert!(within(a, (0.0, 0.0, size.0, size.1)), "box {at} is on the page");
        for &b in &boxes[at + 1..] {
            assert!(apart(a, b), "boxes {a:?} and {b:?} overlap");
        }
        let around: Vec<usize> = layout::around(picture, picture.boxes[at].frame).collect();
        for (frame, &rect) in frames.iter().enumerate() {
            let is_inside = around.contains(&frame);
            assert!(if is_inside { within(a, rect) } else { apart(a, rect) }, "box {at} and frame {frame}");
        }
    }
    for (at, &a) in frames.iter().enumerate() {
        for (other, &b) in frames.iter().enumerate().skip(at + 1) {
            let nested = layout::around(picture, Some(other)).any(|frame| frame == at);
            assert!(if nested { within(b, a) } else { apart(a, b) }, "frames {at} {a:?} and {other} {b:?}");
        }
    }
}

/// Ids that a drawing declares, each once.
fn ids(text: &str, ends: &[&str]) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| line.starts_with('n') || line.starts_with("subgraph "));
    // A name may hold an arrow, too.
    let is_edge = |line: &str| line.split('"').next().is_some_and(|head| head.contains("->"));
    let words = lines.filter(|line| !is_edge(line)).filter_map(|line| {
        let name = line.trim_start_matches("subgraph ");
        let end = ends.iter().filter_map(|end| name.find(end)).min()?;
        Some(name[..end].trim().to_owned())
    });
    words.filter(|word| word != "node").collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_need_is_drawn_and_nothing_overlaps(graph in graphs(), limit in 3usize..100) {
        let picture = picture(&graph, limit);
        prop_assert!(picture.boxes.len() <= limit.max(4), "{} boxes of {limit}", picture.boxes.len());
        holds_its_nodes_and_needs(&graph, &picture);
        nothing_overlaps(&picture);
    }

    #[test]
    fn the_same_graph_gives_the_same_bytes(graph in graphs()) {
        for format in FORMATS {
            prop_assert_eq!(draw(&graph, format, None), draw(&graph.clone(), format, None));
        }
    }

    #[test]
    fn names_cannot_break_out(graph in graphs()) {
        let boxes = picture(&graph, MAX_BOXES);
        let declared = boxes.boxes.len() + boxes.frames.len();
        for (format, ends) in [(Format::Mermaid, ["[", "{"]), (Format::Dot, [" [", " {"])] {
            let text = draw(&graph, format, Some(&states));
            let found = ids(&text, &ends);
            prop_assert_eq!(found.len(), declared, "{}", text);
            prop_assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), declared);
            prop_assert!(text.lines().all(|line| unescaped_quotes(line).is_multiple_of(2)), "{}", text);
        }
        let svg = draw(&graph, Format::Svg, Some(&states));
        prop_assert!(is_balanced(&svg), "{}", svg);
        prop_assert_eq!(svg.matches("data-box=").count(), boxes.boxes.len());
        let html = draw(&graph, Format::Html, Some(&states));
        prop_assert_eq!(html.matches("</script").count(), 2);
        serde_json::from_str::<serde_json::Value>(&draw(&graph, Format::Json, None)).expect("JSON");
    }

    #[test]
    fn text_keeps_its_width(graph in graphs(), width in 40usize..130, unicode: bool) {
        let forecast = Forecast::of(&graph, None, &|_| None);
        let subject = Subject { graph: &graph, forecast: &forecast, states: Some(&states) };
        let style = Style { width, unicode, color: false };
        let inputs = [("tag".repeat(20), "v1".repeat(60))];
        let heading = Heading { description: Some("About\nit"), inputs: &inputs };
        for text in [super::super::graph(subject, Format::Text, &style), super::super::plan(subject, heading, &style)] {
            for line in text.lines() {
                prop_assert!(words::width(line) <= width, "{} > {width}: {line}", words::width(line));
            }
        }
    }
}

fn unescaped_quotes(line: &str) -> usize {
    let mut escaped = false;
    let mut count = 0;
    for c in line.chars() {
        count += usize::from(c == '"' && !escaped);
        escaped = c == '\\' && !escaped;
    }
    count
}

/// Whether elements open and close in order and no text holds a bare `<` or `&`.
fn is_balanced(xml: &str) -> bool {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = xml;
    while let Some(at) = rest.find('<') {
        let Some(end) = rest[at..].find('>') else { return false };
        let tag = &rest[at + 1..at + end];
        rest = &rest[at + end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return false;
            }
        } else if !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().unwrap_or(tag));
        }
    }
    open.is_empty()
}

#[test]
fn two_thousand_stages_fold_and_stay_apart() {
    for graph in [big(2000, 100), big(2000, 7), big(2000, 1)] {
        let picture = picture(&graph, MAX_BOXES);
        assert!(picture.boxes.len() <= MAX_BOXES, "{} boxes", picture.boxes.len());
        holds_its_nodes_and_needs(&graph, &picture);
        nothing_overlaps(&picture);
        let svg = draw(&graph, Format::Svg, None);
        assert!(svg.len() < 200_000, "{} bytes", svg.len());
    }
}

#[test]
fn a_small_matrix_is_open_and_a_big_one_is_one_box() {
    let labels = |cells| {
        picture(&release(cells), MAX_BOXES).boxes.iter().map(|block| block.label.clone()).collect::<Vec<_>>()
    };
    assert!(labels(3).iter().any(|label| label == "rollout:r2"));
    assert!(labels(300).iter().any(|label| label == "rollout ×300"));
    assert_eq!(labels(300).len(), 8);
}

#[test]
fn a_closed_fold_opens_into_its_members() {
    let graph = release(300);
    let forecast = Forecast::of(&graph, None, &|_| None);
    let inner = Picture::of(Subject { graph: &graph, forecast: &forecast, states: None }, Some(1), MAX_BOXES);
    assert_eq!(inner.boxes.iter().map(|block| block.nodes.len()).sum::<usize>(), 300);
    assert_eq!(inner.boxes[0].label, "rollout:r0 +299");
}

#[test]
fn html_asks_nobody_for_anything() {
    let html = draw(&release(300), Format::Html, None);
    for outside in ["src=", "href=", "url(", "@import", "fetch(", "XMLHttp"] {
        assert!(!html.contains(outside), "{outside}");
    }
    let addresses: Vec<&str> =
        html.match_indices("http").map(|(at, _)| &html[at..(at + 26).min(html.len())]).collect();
    assert!(
        addresses
            .iter()
            .all(|text| text.starts_with("http://www.w3.org/2000/svg") || text.starts_with("https://shop/")),
        "{addresses:?}"
    );
}

#[test]
fn the_page_shows_and_hides_drawings_by_attribute() {
    // SVG elements have no `hidden` property: setting it would leave every drawing hidden.
    let html = draw(&release(3), Format::Html, None);
    assert!(!html.contains("svg.hidden"));
    assert!(html.contains("toggleAttribute(\"hidden\""));
}
