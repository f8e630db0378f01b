use proptest::prelude::*;

use super::*;
use crate::base::{PoolIx, Span};
use crate::graph::forecast::{Expected, Planned, Schedule};
use crate::graph::model::{Accept, Condition, Fold, FoldKind, Need, Node, Phase, Pool, Retry, Work};
use crate::graph::{Graph, Parts};

mod pictures;
mod plans;

fn need(at: usize) -> Need {
    Need { node: NodeIx::new(u32::try_from(at).expect("small")), accept: Accept::DEFAULT }
}

fn node(id: &str, needs: &[usize], words: &str) -> Node {
    let mut node = Node::plain(id);
    node.needs = needs.iter().map(|&at| need(at)).collect();
    node.rules.timeout = Some(Span::from_secs(300));
    if let Work::Process(process) = &mut node.work {
        process.command = crate::graph::model::Command::Argv(words.split(' ').map(Into::into).collect());
    }
    node
}

fn fold(name: &str, kind: FoldKind, parent: Option<u32>) -> Fold {
    Fold { parent, name: name.to_owned(), kind }
}

fn freeze(parts: Parts) -> Graph {
    Graph::assemble(parts).expect("no cycle")
}

/// A release with a group, an approval, a matrix of `cells`, shards, a retry and a clean-up.
fn release(cells: usize) -> Graph {
    let mut nodes = vec![
        node("check-env", &[], "env check"),
        node("build", &[], "make image"),
        node("approve", &[0, 1], ""),
        node("migrate", &[2], "alembic upgrade head"),
        node("pack", &[1], "./pack --list {{shard.file}}"),
    ];
    nodes[0].group = Some("bootstrap".into());
    nodes[0].fold = Some(0);
    nodes[1].group = Some("bootstrap".into());
    nodes[1].fold = Some(0);
    nodes[1].rules.timeout = None;
    nodes[2].work = Work::Approval { prompt: Some("Ship {{ inputs.tag }}?".into()), items: Vec::new() };
    nodes[2].rules.is_approval = true;
    let place = nodes[2].place;
    let text = "inputs.environment == 'production'".into();
    nodes[2].conditions = vec![Condition { text, place, frame: 0, views: Vec::new() }];
    nodes[3].rules.pools = vec![(PoolIx::new(0), 1)];
    nodes[3].rules.idempotent = false;
    nodes[3].rules.retry = Some(Box::new(Retry {
        max: 2,
        delay: Span::from_secs(2),
        backoff: 2.0,
        max_delay: None,
        jitter: true,
        when: Vec::new(),
        within: None,
    }));
    nodes[4].rules.shards = 500;
    for at in 0..cells {
        let mut cell = node(&format!("rollout:r{at}"), &[3, 4], "./ship");
        cell.fold = Some(1);
        nodes.push(cell);
    }
    let all: Vec<usize> = (5..5 + cells).collect();
    nodes.push(node("healthy", &all, "curl -f https://shop/healthz"));
    nodes.last_mut().expect("one").needs.push(need(0));
    let mut notify = node("notify", &[], "./notify.sh");
    notify.phase = Phase::Finally;
    nodes.push(notify);
    let mut parts = Parts::of("shop-release", nodes);
    parts.folds = vec![fold("bootstrap", FoldKind::Group, None), fold("rollout", FoldKind::Matrix, None)];
    parts.pools = vec![Pool { name: "database".to_owned(), capacity: 1 }];
    freeze(parts)
}

/// `count` stages in layers of `wide`, some in groups that overlap in depth, some in matrices and files.
fn big(count: usize, wide: usize) -> Graph {
    let mut nodes: Vec<Node> = Vec::new();
    for at in 0..count {
        let layer = at / wide;
        let below = |by: usize| (layer - 1) * wide + (at * by) % wide;
        let needs: Vec<usize> = if layer == 0 { Vec::new() } else { vec![below(1), below(7), below(13)] };
        let mut stage = node(&format!("s{at}"), &needs, "true");
        stage.fold = match at % 10 {
            0..6 => Some(u32::try_from((at / 10) % 8).expect("small")),
            6..8 => Some(8 + u32::try_from(layer % 20).expect("small")),
            _ => None,
        };
        nodes.push(stage);
    }
    let mut parts = Parts::of("big", nodes);
    parts.folds = (0..8).map(|at| fold(&format!("g{at}"), FoldKind::Group, None)).collect();
    parts.folds.extend((0..20u32).map(|at| fold(&format!("m{at}"), FoldKind::Matrix, Some(at % 8))));
    freeze(parts)
}

#[expect(clippy::unnecessary_wraps, reason = "it stands for `States`")]
fn states(ix: NodeIx) -> Option<Shown> {
    let names = ["success", "failed", "running", "skipped", "cached", "waiting", "blocked"];
    let state = names[ix.raw() as usize % names.len()].to_owned();
    Some(Shown { state, note: "attempt 1, 3s".to_owned() })
}

const FORMATS: [Format; 6] = [Format::Text, Format::Mermaid, Format::Dot, Format::Svg, Format::Html, Format::Json];

fn draw(graph: &Graph, format: Format, with: Option<States>) -> String {
    let forecast = Forecast::of(graph, None, &|_| None);
    super::graph(Subject { graph, forecast: &forecast, states: with }, format, &Style::default())
}

/// Writes pictures to `$DEMO_DIR`, to be looked at: `DEMO_DIR=target/demo cargo test demo -- --ignored`.
#[test]
#[ignore = "writes files to be looked at"]
fn demo() {
    let dir = std::path::PathBuf::from(std::env::var("DEMO_DIR").expect("DEMO_DIR says where to"));
    std::fs::create_dir_all(&dir).expect("a folder");
    let graphs = [
        ("release", release(3)),
        ("wide", release(300)),
        ("big", big(2000, 100)),
        ("mid", big(60, 8)),
        ("long", big(2000, 1)),
    ];
    for (name, graph) in graphs {
        for (end, format) in ["txt", "mmd", "dot", "svg", "html", "json"].into_iter().zip(FORMATS) {
            std::fs::write(dir.join(format!("{name}.{end}")), draw(&graph, format, None)).expect("written");
        }
        std::fs::write(dir.join(format!("{name}-run.svg")), draw(&graph, Format::Svg, Some(&states)))
            .expect("written");
        let forecast = Forecast::of(&graph, None, &|_| None);
        let subject = Subject { graph: &graph, forecast: &forecast, states: None };
        let text = super::plan(subject, Heading::default(), &Style::default());
        std::fs::write(dir.join(format!("{name}-plan.txt")), text).expect("written");
    }
}
