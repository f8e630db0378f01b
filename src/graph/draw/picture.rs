//! The folded picture that every drawing is made from: boxes, links between them, frames around them.

use std::collections::BTreeMap;

use super::{Shown, Subject, fold, reduce, words};
use crate::base::{IdVec, NodeIx, Span, count};
use crate::graph::model::{Accept, FoldKind, Graph, Phase};

/// What is drawn.
#[derive(Debug)]
pub(super) struct Picture {
    /// The plan's name.
    pub(super) title: String,
    /// `42 stages in 12 boxes, 7 waves`.
    pub(super) subtitle: String,
    /// Boxes in written order of their first node.
    pub(super) boxes: Vec<Block>,
    /// Links in order of their boxes.
    pub(super) links: Vec<Link>,
    /// Frames; a frame's parent comes before it.
    pub(super) frames: Vec<Frame>,
    /// Whether states of a run are shown.
    pub(super) has_states: bool,
}

/// What a box stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One stage.
    Stage,
    /// One stage that asks a person.
    Approval,
    /// One stage with shards.
    Shards,
    /// A closed fold.
    Closed(FoldKind),
    /// A part of a closed fold whose other parts stand before or after others' boxes.
    Part(FoldKind),
    /// Stages one after another.
    Chain,
    /// Stages with the same needs and the same dependents.
    Siblings,
    /// All that is left of a wave, or of several.
    Wave,
}

/// One box.
#[derive(Debug)]
pub(super) struct Block {
    /// Its nodes in written order.
    pub(super) nodes: Vec<NodeIx>,
    /// What it stands for.
    pub(super) kind: Kind,
    /// The closed fold it stands for.
    pub(super) fold: Option<u32>,
    /// First line.
    pub(super) label: String,
    /// Second line.
    pub(super) detail: String,
    /// Limits worth a glance: `≤ 5m`, `3 attempts`, `if`.
    pub(super) badges: Vec<String>,
    /// The frame around it.
    pub(super) frame: Option<usize>,
    /// Worst state of its nodes, and how many have which.
    pub(super) state: Option<Shown>,
    /// Whether the critical path runs through it.
    pub(super) is_critical: bool,
    /// Whether any of its nodes is selected.
    pub(super) is_selected: bool,
    /// Longest path from a box without needs.
    pub(super) layer: usize,
}

/// One or more needs between two boxes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// The box that is needed.
    pub(super) from: usize,
    /// The box that needs it.
    pub(super) to: usize,
    /// How many needs it stands for.
    pub(super) count: usize,
    /// Whether it is a step of the critical path.
    pub(super) is_critical: bool,
    /// Whether one of its needs accepts a failure.
    pub(super) accepts_failure: bool,
    /// Whether all its needs take what a need takes that does not say.
    pub(super) is_plain: bool,
}

/// A frame around boxes.
#[derive(Debug)]
pub(super) struct Frame {
    /// Its title.
    pub(super) name: String,
    /// The frame around it.
    pub(super) parent: Option<usize>,
}

impl Picture {
    /// Draws the nodes under the fold `inside`, or all, in at most `limit` boxes (at least one for each phase).
    pub(super) fn of(subject: Subject, inside: Option<u32>, limit: usize) -> Self {
        let folded = fold::blocks(subject.graph, inside, limit);
        let mut frames = Frames::new(subject.graph, inside);
        let steps = steps(subject);
        let mut boxes: Vec<Block> =
            folded.boxes.iter().map(|group| block(subject, group, &mut frames, inside)).collect();
        let links: Vec<Link> = links(subject.graph, &folded.owner, &steps);
        layers(subject.graph, &mut boxes, &links);
        let depths: Vec<usize> = boxes.iter().map(|block| block.layer).collect();
        let links = reduce::reduced(links, &depths);
        let stages = boxes.iter().map(|block| block.nodes.len()).sum::<usize>();
        let depth = boxes.iter().map(|block| block.layer + 1).max().unwrap_or(0);
        let mut subtitle = count::plural(stages as u64, "stage");
        if stages > boxes.len() {
            subtitle = format!("{subtitle} in {} boxes", boxes.len());
        }
        Self {
            title: inside
                .map_or_else(|| subject.graph.name.clone(), |at| subject.graph.folds[at as usize].name.clone()),
            subtitle: format!("{subtitle}, {}", count::plural(depth as u64, "layer")),
            boxes,
            links,
            frames: frames.made,
            has_states: subject.states.is_some(),
        }
    }
}

/// Where each step of the critical path leads: from a node to the next.
fn steps(subject: Subject) -> BTreeMap<NodeIx, NodeIx> {
    subject.forecast.critical.nodes.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

fn links(graph: &Graph, owner: &IdVec<NodeIx, Option<usize>>, steps: &BTreeMap<NodeIx, NodeIx>) -> Vec<Link> {
    let mut found: BTreeMap<(usize, usize), Link> = BTreeMap::new();
    for (ix, node) in graph.stages() {
        let Some(to) = owner[ix] else { continue };
        for need in &node.needs {
            let Some(from) = owner[need.node].filter(|&from| from != to) else { continue };
            let link = found.entry((from, to)).or_insert(Link {
                from,
                to,
                count: 0,
                is_critical: false,
                accepts_failure: false,
                is_plain: true,
            });
            link.count += 1;
            link.is_critical |= steps.get(&need.node) == Some(&ix);
            link.accepts_failure |= need.accept.failed;
            link.is_plain &= need.accept == Accept::DEFAULT;
        }
    }
    found.into_values().collect()
}

/// Sets layers: longest path by links; the clean-up begins after the last layer of the main phase.
fn layers(graph: &Graph, boxes: &mut [Block], links: &[Link]) {
    let phase = |block: &Block| graph.nodes[block.nodes[0]].phase;
    let mut missing = vec![0; boxes.len()];
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); boxes.len()];
    for link in links {
        missing[link.to] += 1;
        next[link.from].push(link.to);
    }
    let mut ready: Vec<usize> = (0..boxes.len()).filter(|&at| missing[at] == 0).collect();
    let mut order = Vec::with_capacity(boxes.len());
    while let Some(at) = ready.pop() {
        order.push(at);
        for &to in &next[at] {
            boxes[to].layer = boxes[to].layer.max(boxes[at].layer + 1);
            missing[to] -= 1;
            if missing[to] == 0 {
                ready.push(to);
            }
        }
    }
    assert_eq!(order.len(), boxes.len(), "folding leaves no cycle");
    sink(boxes, &order, &next, phase, Phase::Finally);
    sink(boxes, &order, &next, phase, Phase::Background);
}

/// Lets the boxes of a phase, and what follows them, stand below all boxes of earlier ones.
fn sink(boxes: &mut [Block], order: &[usize], next: &[Vec<usize>], phase: impl Fn(&Block) -> Phase, of: Phase) {
    let is_before =
        |block: &&Block| phase(block) == Phase::Main || (phase(block) == Phase::Finally && phase(block) != of);
    let least = boxes.iter().filter(is_before).map(|block| block.layer + 1).max().unwrap_or(0);
    for &at in order {
        if phase(&boxes[at]) == of {
            boxes[at].layer = boxes[at].layer.max(least);
        }
        for &to in &next[at] {
            boxes[to].layer = boxes[to].layer.max(boxes[at].layer + 1);
        }
    }
}

/// Frames as they come to be needed: one for each open fold with a box inside, one for each later phase.
struct Frames<'a> {
    graph: &'a Graph,
    inside: Option<u32>,
    made: Vec<Frame>,
    of_fold: BTreeMap<(u32, Phase), usize>,
    closing: BTreeMap<Phase, usize>,
}

impl<'a> Frames<'a> {
    fn new(graph: &'a Graph, inside: Option<u32>) -> Self {
        Self { graph, inside, made: Vec::new(), of_fold: BTreeMap::new(), closing: BTreeMap::new() }
    }

    fn push(&mut self, name: String, parent: Option<usize>) -> usize {
        self.made.push(Frame { name, parent });
        self.made.len() - 1
    }

    /// The frame of the open fold `at`, or of the phase.
    fn get(&mut self, at: Option<u32>, phase: Phase) -> Option<usize> {
        let Some(fold) = at.filter(|_| at != self.inside) else {
            if phase == Phase::Main {
                return None;
            }
            if !self.closing.contains_key(&phase) {
                let made = self.push(phase.word().to_owned(), None);
                self.closing.insert(phase, made);
            }
            return self.closing.get(&phase).copied();
        };
        if let Some(&known) = self.of_fold.get(&(fold, phase)) {
            return Some(known);
        }
        let body = &self.graph.folds[fold as usize];
        let parent = self.get(body.parent, phase);
        let made = self.push(format!("{} {}", fold::kind_word(body.kind), body.name), parent);
        self.of_fold.insert((fold, phase), made);
        Some(made)
    }
}

fn block(subject: Subject, group: &fold::Group, frames: &mut Frames, inside: Option<u32>) -> Block {
    let graph = subject.graph;
    let first = group.nodes[0];
    let around = match group.kind {
        Kind::Closed(_) | Kind::Part(_) => graph.folds[group.fold.expect("closed folds have one") as usize].parent,
        _ => group.around,
    };
    let around = if group.fold == inside && inside.is_some() { inside } else { around };
    let is_critical = group.nodes.iter().any(|&ix| subject.forecast.stages[ix].is_critical);
    let (label, detail) = label(graph, group);
    Block {
        label,
        detail,
        badges: badges(subject, group),
        frame: frames.get(around, graph.nodes[first].phase),
        state: state(subject, &group.nodes),
        is_critical,
        is_selected: group.nodes.iter().any(|&ix| graph.nodes[ix].selected),
        layer: 0,
        kind: group.kind,
        fold: group.fold,
        nodes: group.nodes.clone(),
    }
}

fn label(graph: &Graph, group: &fold::Group) -> (String, String) {
    let node = |at: usize| &graph.nodes[group.nodes[at]];
    let (first, last) = (&node(0).id, &node(group.nodes.len() - 1).id);
    let many = group.nodes.len();
    let ends = || format!("{first} … {last}");
    let name = || group.fold.map_or_else(String::new, |at| graph.folds[at as usize].name.clone());
    match group.kind {
        Kind::Stage | Kind::Approval => (first.to_string(), words::purpose(graph, group.nodes[0])),
        Kind::Shards => {
            let shards = count::number(u64::from(node(0).rules.shards));
            (format!("{first} ×{shards}"), words::purpose(graph, group.nodes[0]))
        }
        Kind::Closed(FoldKind::Matrix) | Kind::Part(FoldKind::Matrix) => (format!("{} ×{many}", name()), ends()),
        Kind::Closed(kind) | Kind::Part(kind) => {
            (format!("{} {}", fold::kind_word(kind), name()), count::plural(many as u64, "stage"))
        }
        Kind::Chain => (format!("{first} → {last}"), format!("{many} stages in a row")),
        Kind::Siblings => (format!("{first} +{}", many - 1), format!("{many} alike, up to {last}")),
        Kind::Wave => (format!("{many} stages"), ends()),
    }
}

fn badges(subject: Subject, group: &fold::Group) -> Vec<String> {
    let nodes = || group.nodes.iter().map(|&ix| (&subject.graph.nodes[ix], &subject.forecast.stages[ix]));
    let mut badges = Vec::new();
    if let [_] = group.nodes[..] {
        let (node, seen) = nodes().next().expect("a box has a node");
        badges.extend(node.rules.timeout.map(|timeout| format!("≤ {}", words::length(timeout))));
        if seen.attempts_each > 1 {
            badges.push(format!("{} attempts", seen.attempts_each));
        }
    } else {
        let took = nodes().map(|(_, seen)| seen.end).max().unwrap_or_default()
            - nodes().map(|(_, seen)| seen.at).min().unwrap_or_default();
        if nodes().any(|(_, seen)| seen.expected.is_some()) && took > Span::ZERO {
            badges.push(format!("~{}", words::about(took)));
        }
    }
    if nodes().any(|(node, _)| !node.conditions.is_empty()) {
        badges.push("if".to_owned());
    }
    match nodes().filter(|(node, _)| !node.selected).count() {
        0 => {}
        all if all == group.nodes.len() => badges.push("not selected".to_owned()),
        some => badges.push(format!("{some} not selected")),
    }
    badges
}

/// The most noticeable state of the nodes, and the counts.
fn state(subject: Subject, nodes: &[NodeIx]) -> Option<Shown> {
    let states = subject.states?;
    let shown: Vec<Shown> = nodes.iter().filter_map(|&ix| states(ix)).collect();
    if let [one] = &shown[..] {
        return Some(one.clone());
    }
    let mut counts: BTreeMap<usize, (usize, &str)> = BTreeMap::new();
    for one in &shown {
        counts.entry(words::state_rank(&one.state)).or_insert((0, &one.state)).0 += 1;
    }
    let worst = counts.values().next_back().map(|&(_, name)| name)?;
    let note: Vec<String> = counts.values().rev().map(|(count, name)| format!("{count} {name}")).collect();
    Some(Shown { state: worst.to_owned(), note: note.join(", ") })
}
