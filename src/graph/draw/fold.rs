//! Which nodes share a box. Deterministic, acyclic, and at most as many boxes as asked for.
//!
//! 1. Folds close until few enough boxes are left: matrices of more than six cells always, then matrices,
//!    action files and groups, the deepest and largest first.
//! 2. Closed folds that need each other (a group whose stages stand before and after another's) are split
//!    by depth. Depth grows along every need, so what is left cannot be a cycle.
//! 3. Still too many: siblings (same needs, same dependents, same frame) and chains share a box.
//! 4. Still too many: each wave is a box for each frame; then runs of waves are.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use super::picture::Kind;
use crate::base::{IdVec, NodeIx};
use crate::graph::model::{FoldKind, Graph, Phase};

/// Cells above which a matrix is always one box.
const OPEN_CELLS: usize = 6;

/// Nodes that share a box.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// In written order.
    pub(super) nodes: Vec<NodeIx>,
    /// Why.
    pub(super) kind: Kind,
    /// The closed fold.
    pub(super) fold: Option<u32>,
    /// The open fold around the nodes.
    pub(super) around: Option<u32>,
}

/// The result.
pub(super) struct Folded {
    /// By the first node in written order.
    pub(super) boxes: Vec<Group>,
    /// Which box a node is in.
    pub(super) owner: IdVec<NodeIx, Option<usize>>,
}

/// `group`, `matrix`, `file`.
pub(super) const fn kind_word(kind: FoldKind) -> &'static str {
    match kind {
        FoldKind::Group => "group",
        FoldKind::Matrix => "matrix",
        FoldKind::File => "file",
    }
}

/// Puts the nodes under `inside`, or all, into at most `limit` boxes.
pub(super) fn blocks(graph: &Graph, inside: Option<u32>, limit: usize) -> Folded {
    let stages = graph.stages().map(|it| it.0);
    let members: Vec<NodeIx> = stages.filter(|&ix| is_inside(graph, ix, inside)).collect();
    let closed = close(graph, &members, inside, limit);
    let depth = depths(graph);
    let mut folded = group(graph, by_fold(graph, &members, &closed, inside));
    folded = split_knots(graph, &folded, &depth);
    while folded.boxes.len() > limit {
        let before = folded.boxes.len();
        folded = merge_siblings(graph, &folded);
        if folded.boxes.len() > limit {
            folded = merge_chains(graph, &folded);
        }
        if folded.boxes.len() == before {
            break;
        }
    }
    if folded.boxes.len() > limit {
        folded = merge_waves(graph, &folded, limit);
    }
    folded
}

fn is_inside(graph: &Graph, ix: NodeIx, inside: Option<u32>) -> bool {
    inside.is_none() || folds_around(graph, ix).any(|fold| Some(fold) == inside)
}

/// The folds around a node, the innermost first.
pub(super) fn folds_around(graph: &Graph, ix: NodeIx) -> impl Iterator<Item = u32> {
    std::iter::successors(graph.nodes[ix].fold, |&fold| graph.folds[fold as usize].parent)
}

/// Which folds are closed.
fn close(graph: &Graph, members: &[NodeIx], inside: Option<u32>, limit: usize) -> Vec<bool> {
    let mut closed = vec![false; graph.folds.len()];
    let mut boxes = vec![0usize; graph.folds.len()];
    let mut depth = vec![0usize; graph.folds.len()];
    for &ix in members {
        folds_around(graph, ix).for_each(|fold| boxes[fold as usize] += 1);
    }
    let parents =
        |at: usize| std::iter::successors(graph.folds[at].parent, |&fold| graph.folds[fold as usize].parent);
    for (at, depth) in depth.iter_mut().enumerate() {
        *depth = parents(at).count();
    }
    let sizes = boxes.clone();
    let mut candidates: Vec<usize> = (0..graph.folds.len())
        .filter(|&at| sizes[at] > 1 && Some(at) != inside.map(|fold| fold as usize))
        .filter(|&at| inside.is_none_or(|fold| parents(at).any(|around| around == fold)))
        .collect();
    let rank = |at: usize| match graph.folds[at].kind {
        FoldKind::Matrix => 0,
        FoldKind::File => 1,
        FoldKind::Group => 2,
    };
    candidates.sort_by_key(|&at| (rank(at), std::cmp::Reverse((depth[at], sizes[at])), at));
    let mut visible = members.len();
    for at in candidates {
        let is_wide = graph.folds[at].kind == FoldKind::Matrix && sizes[at] > OPEN_CELLS && limit < usize::MAX;
        let is_hidden = parents(at).any(|fold| closed[fold as usize]);
        if is_hidden || (!is_wide && visible <= limit) {
            continue;
        }
        closed[at] = true;
        let saved = boxes[at] - 1;
        visible -= saved;
        boxes[at] = 1;
        parents(at).for_each(|fold| boxes[fold as usize] -= saved);
    }
    closed
}

/// What makes nodes share a box.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Node(NodeIx),
    Fold(u32, Phase),
    Part(u32, Phase, usize),
}

fn by_fold(graph: &Graph, members: &[NodeIx], closed: &[bool], inside: Option<u32>) -> Vec<(NodeIx, Key)> {
    let key = |ix: NodeIx| {
        let below = folds_around(graph, ix).take_while(|&fold| Some(fold) != inside);
        let outermost = below.filter(|&fold| closed[fold as usize]).last();
        outermost.map_or(Key::Node(ix), |fold| Key::Fold(fold, graph.nodes[ix].phase))
    };
    members.iter().map(|&ix| (ix, key(ix))).collect()
}

fn group(graph: &Graph, keys: Vec<(NodeIx, Key)>) -> Folded {
    let mut at: BTreeMap<Key, usize> = BTreeMap::new();
    let mut boxes: Vec<Group> = Vec::new();
    for (ix, key) in keys {
        let place = *at.entry(key).or_insert_with(|| {
            boxes.push(Group { nodes: Vec::new(), kind: Kind::Stage, fold: None, around: graph.nodes[ix].fold });
            boxes.len() - 1
        });
        boxes[place].nodes.push(ix);
        let kind = |fold: u32| graph.folds[fold as usize].kind;
        (boxes[place].kind, boxes[place].fold) = match key {
            Key::Node(_) => (single(graph, ix), None),
            Key::Fold(fold, _) => (Kind::Closed(kind(fold)), Some(fold)),
            Key::Part(fold, ..) => (Kind::Part(kind(fold)), Some(fold)),
        };
    }
    finish(graph, boxes)
}

fn single(graph: &Graph, ix: NodeIx) -> Kind {
    let rules = &graph.nodes[ix].rules;
    match rules.shards {
        _ if rules.is_approval => Kind::Approval,
        1 => Kind::Stage,
        _ => Kind::Shards,
    }
}

/// Orders boxes and nodes as written and says who owns what.
fn finish(graph: &Graph, mut boxes: Vec<Group>) -> Folded {
    let mut owner = IdVec::filled(None, graph.nodes.len());
    for group in &mut boxes {
        group.nodes.sort_unstable();
    }
    boxes.sort_by_key(|group| group.nodes[0]);
    for (at, group) in boxes.iter_mut().enumerate() {
        group.nodes.iter().for_each(|&ix| owner[ix] = Some(at));
        if let ([ix], Kind::Part(_) | Kind::Wave) = (&group.nodes[..], group.kind) {
            (group.kind, group.fold) = (single(graph, *ix), None);
            group.around = graph.nodes[*ix].fold;
        }
    }
    Folded { boxes, owner }
}

/// Needs between different boxes, each pair once.
fn edges(graph: &Graph, folded: &Folded) -> BTreeSet<(usize, usize)> {
    let mut edges = BTreeSet::new();
    for (to, group) in folded.boxes.iter().enumerate() {
        for need in group.nodes.iter().flat_map(|&ix| &graph.nodes[ix].needs) {
            if let Some(from) = folded.owner[need.node].filter(|&from| from != to) {
                edges.insert((from, to));
            }
        }
    }
    edges
}

fn depths(graph: &Graph) -> IdVec<NodeIx, usize> {
    let mut depth = IdVec::filled(0, graph.nodes.len());
    for &ix in graph.order() {
        depth[ix] = graph.nodes[ix].needs.iter().map(|need| depth[need.node] + 1).max().unwrap_or(0);
    }
    depth
}

fn split_knots(graph: &Graph, folded: &Folded, depth: &IdVec<NodeIx, usize>) -> Folded {
    let mut quotient: DiGraph<(), ()> = DiGraph::with_capacity(folded.boxes.len(), 0);
    folded.boxes.iter().for_each(|_| _ = quotient.add_node(()));
    for (from, to) in edges(graph, folded) {
        quotient.add_edge(NodeIndex::new(from), NodeIndex::new(to), ());
    }
    let mut is_knotted = vec![false; folded.boxes.len()];
    for knot in kosaraju_scc(&quotient).into_iter().filter(|knot| knot.len() > 1) {
        for at in knot {
            is_knotted[at.index()] = true;
        }
    }
    let mut keys = Vec::new();
    for (at, group) in folded.boxes.iter().enumerate() {
        keys.extend(group.nodes.iter().map(|&ix| {
            let phase = graph.nodes[ix].phase;
            let key = match group.fold {
                Some(fold) if is_knotted[at] => Key::Part(fold, phase, depth[ix]),
                Some(fold) => Key::Fold(fold, phase),
                None => Key::Node(ix),
            };
            (ix, key)
        }));
    }
    self::group(graph, keys)
}

/// What must be equal for boxes to merge: both are plain enough, in one frame and phase.
fn place(graph: &Graph, group: &Group) -> (Phase, Option<u32>, bool) {
    let around = group.fold.map_or(group.around, |fold| graph.folds[fold as usize].parent);
    (graph.nodes[group.nodes[0]].phase, around, group.nodes.iter().any(|&ix| graph.nodes[ix].rules.is_approval))
}

/// Joins boxes by class; a class of one keeps its box.
fn join(graph: &Graph, folded: &Folded, class: &[usize], kind: Kind) -> Folded {
    let mut classes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (at, &class) in class.iter().enumerate() {
        classes.entry(class).or_default().push(at);
    }
    let joined = classes.into_values().map(|some| {
        if let [one] = some[..] {
            return folded.boxes[one].clone();
        }
        let around = place(graph, &folded.boxes[some[0]]).1;
        let nodes = some.iter().flat_map(|&at| folded.boxes[at].nodes.iter().copied()).collect();
        Group { nodes, kind, fold: None, around }
    });
    finish(graph, joined.collect())
}

fn neighbours(graph: &Graph, folded: &Folded) -> (Vec<Vec<usize>>, Vec<Vec<usize>>) {
    let mut needs = vec![Vec::new(); folded.boxes.len()];
    let mut dependents = needs.clone();
    for (from, to) in edges(graph, folded) {
        needs[to].push(from);
        dependents[from].push(to);
    }
    (needs, dependents)
}

/// Boxes with the same needs and dependents. No path can lead from one to another: it would make a cycle.
fn merge_siblings(graph: &Graph, folded: &Folded) -> Folded {
    let (needs, dependents) = neighbours(graph, folded);
    let mut first = BTreeMap::new();
    let class: Vec<usize> = (0..folded.boxes.len())
        .map(|at| *first.entry((&needs[at], &dependents[at], place(graph, &folded.boxes[at]))).or_insert(at))
        .collect();
    join(graph, folded, &class, Kind::Siblings)
}

/// Boxes where one is the only dependent of the other, and that its only need.
fn merge_chains(graph: &Graph, folded: &Folded) -> Folded {
    let (needs, dependents) = neighbours(graph, folded);
    let follows = |at: usize| match needs[at][..] {
        [from] if dependents[from].len() == 1 => {
            (place(graph, &folded.boxes[from]) == place(graph, &folded.boxes[at])).then_some(from)
        }
        _ => None,
    };
    let head = |at: usize| std::iter::successors(Some(at), |&at| follows(at)).last().unwrap_or(at);
    let class: Vec<usize> = (0..folded.boxes.len()).map(head).collect();
    join(graph, folded, &class, Kind::Chain)
}

/// One box for each layer and frame; when that is too much, one for each run of layers and phase.
fn merge_waves(graph: &Graph, folded: &Folded, limit: usize) -> Folded {
    let (needs, dependents) = neighbours(graph, folded);
    let mut layer = vec![0usize; folded.boxes.len()];
    let mut missing: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut ready: Vec<usize> = (0..missing.len()).filter(|&at| missing[at] == 0).collect();
    while let Some(at) = ready.pop() {
        for &to in &dependents[at] {
            layer[to] = layer[to].max(layer[at] + 1);
            missing[to] -= 1;
            if missing[to] == 0 {
                ready.push(to);
            }
        }
    }
    let class = |key: &dyn Fn(usize) -> (usize, Phase, Option<u32>)| {
        let mut first = BTreeMap::new();
        (0..folded.boxes.len()).map(|at| *first.entry(key(at)).or_insert(at)).collect::<Vec<usize>>()
    };
    let phase = |at: usize| graph.nodes[folded.boxes[at].nodes[0]].phase;
    let framed = class(&|at| (layer[at], phase(at), place(graph, &folded.boxes[at]).1));
    if framed.iter().collect::<BTreeSet<_>>().len() <= limit {
        return join(graph, folded, &framed, Kind::Wave);
    }
    let layers = layer.iter().max().map_or(1, |last| last + 1);
    let run = layers.div_ceil((limit / 2).max(1));
    let whole = class(&|at| (layer[at] / run, phase(at), None));
    let mut joined = join(graph, folded, &whole, Kind::Wave);
    joined.boxes.iter_mut().filter(|group| group.kind == Kind::Wave).for_each(|group| group.around = None);
    joined
}
