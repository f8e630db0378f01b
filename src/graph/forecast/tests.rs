use super::*;
use crate::graph::Parts;
use crate::graph::model::{Accept, Condition, Items, Need, Node, Pool, Retry, Split, Work};

fn node(id: &str, needs: &[u32], seconds: u64) -> Node {
    let mut node = Node::plain(id);
    node.needs = needs.iter().map(|&at| Need { node: NodeIx::new(at), accept: Accept::DEFAULT }).collect();
    node.rules.expected = Span::from_secs(seconds);
    node.rules.timeout = Some(Span::from_secs(seconds * 10));
    node.rules.grace = Span::from_secs(1);
    node
}

fn graph(nodes: Vec<Node>) -> Graph {
    Graph::assemble(Parts::of("test", nodes)).expect("no cycle")
}

fn diamond() -> Vec<Node> {
    vec![node("a", &[], 1), node("b", &[0], 5), node("c", &[0], 2), node("d", &[1, 2], 1)]
}

fn look(graph: &Graph) -> Forecast {
    Forecast::of(graph, None, &|_| None)
}

#[test]
fn waves_slack_and_critical_path_of_a_diamond() {
    let seen = look(&graph(diamond()));
    let raw = |wave: &Vec<NodeIx>| wave.iter().map(|ix| ix.raw()).collect::<Vec<_>>();
    assert_eq!(seen.waves.iter().map(raw).collect::<Vec<_>>(), [vec![0], vec![1, 2], vec![3]]);
    assert_eq!(raw(&seen.critical.nodes), [0, 1, 3]);
    assert_eq!(seen.critical.length, Span::from_secs(7));
    let slack: Vec<u64> = seen.stages.iter().map(|stage| stage.slack.ms()).collect();
    assert_eq!(slack, [0, 0, 3000, 0]);
    assert_eq!((seen.stages[NodeIx::new(3)].at, seen.end), (Span::from_secs(6), Span::from_secs(7)));
}

#[test]
fn an_unselected_stage_takes_no_wave_no_time_and_no_attempt() {
    let mut nodes = diamond();
    nodes[1].selected = false;
    nodes[1].rules.timeout = None;
    let seen = look(&graph(nodes));
    assert_eq!(seen.critical.length, Span::from_secs(4));
    assert_eq!((seen.selected, seen.attempts), (3, 3));
    assert!(seen.waves.iter().flatten().all(|ix| ix.raw() != 1));
    assert!(matches!(seen.worst, Worst::Stages(_)));
}

#[test]
fn a_shard_is_bounded_by_attempts_delays_grace_and_within() {
    let mut stage = node("a", &[], 1);
    let retry = Retry {
        max: 4,
        delay: Span::from_secs(2),
        backoff: 2.0,
        max_delay: Some(Span::from_secs(5)),
        jitter: true,
        when: Vec::new(),
        within: None,
    };
    stage.rules.retry = Some(Box::new(retry.clone()));
    // 5 × (10 + 1) + 2 + 4 + 5 + 5
    assert_eq!(worst::of_shard(&stage), Some(Span::from_secs(71)));
    stage.rules.retry = Some(Box::new(Retry { within: Some(Span::from_secs(30)), ..retry.clone() }));
    assert_eq!(worst::of_shard(&stage), Some(Span::from_secs(31)));
    stage.rules.timeout = None;
    assert_eq!(worst::of_shard(&stage), Some(Span::from_secs(31)), "`within` alone bounds it");
    stage.rules.retry = Some(Box::new(retry));
    assert_eq!(worst::of_shard(&stage), None);
}

#[test]
fn a_bound_saturates_instead_of_wrapping() {
    let mut stage = node("a", &[], 1);
    stage.rules.timeout = Some(Span::from_ms(u64::MAX));
    stage.rules.shards = u32::MAX;
    stage.rules.retry = Some(Box::new(Retry {
        max: u32::MAX,
        delay: Span::from_ms(u64::MAX),
        backoff: 1e300,
        max_delay: None,
        jitter: false,
        when: Vec::new(),
        within: None,
    }));
    let seen = look(&graph(vec![stage]));
    assert_eq!(seen.worst, Worst::Stages(Span::from_ms(limits::MAX_SPAN_MS)));
    assert_eq!(seen.attempts, u64::from(u32::MAX) * u64::from(u32::MAX));
}

#[test]
fn the_run_is_bounded_by_chain_slots_and_pools() {
    let mut nodes = vec![node("a", &[], 1), node("b", &[], 1), node("c", &[], 1)];
    // Everything serially is the bound for a single chain or one slot.
    let serial = Worst::Stages(Span::from_secs(33));
    let mut parts = Parts::of("test", nodes.clone());
    parts.settings.max_parallel = 1;
    assert_eq!(look(&Graph::assemble(parts).expect("no cycle")).worst, serial);
    // 11 s chain + 33 s ÷ 3 slots.
    let mut parts = Parts::of("test", nodes.clone());
    parts.settings.max_parallel = 3;
    assert_eq!(look(&Graph::assemble(parts).expect("no cycle")).worst, Worst::Stages(Span::from_secs(22)));
    for stage in &mut nodes {
        stage.rules.pools = vec![(PoolIx::new(0), 2)];
    }
    let mut parts = Parts::of("test", nodes);
    parts.pools = vec![Pool { name: "db".to_owned(), capacity: 2 }];
    let seen = look(&Graph::assemble(parts).expect("no cycle"));
    assert_eq!(seen.worst, serial, "a pool that lets one in at a time makes it serial");
    let limit = Contention { name: "db".to_owned(), capacity: 2, demand: 6, stages: 3 };
    assert_eq!(seen.contended, [limit]);
}

#[test]
fn an_unbounded_stage_is_named_unless_the_run_has_a_timeout() {
    let mut nodes = diamond();
    nodes[2].rules.timeout = None;
    let mut parts = Parts::of("test", nodes);
    let open = Graph::assemble(parts.clone()).expect("no cycle");
    assert_eq!(look(&open).worst, Worst::Unbounded(vec![NodeIx::new(2)]));
    parts.settings.timeout = Some(Span::from_secs(60));
    let closed = Graph::assemble(parts).expect("no cycle");
    // d of the diamond keeps its grace of one second, a plain stage has ten
    assert_eq!(look(&closed).worst, Worst::Timeout(Span::from_secs(61)));
}

#[test]
fn what_is_sure_to_be_skipped_counts_in_no_bound() {
    let place = Node::plain("a").place;
    let condition = |text: &str| Condition { text: text.into(), place, frame: 0, views: Vec::new() };
    let bounds = |text: &str| {
        let mut nodes = diamond();
        nodes[1].conditions = vec![condition(text)];
        nodes[1].rules.timeout = None;
        nodes[1].rules.pools = vec![(PoolIx::new(0), 2)];
        nodes[2].rules.pools = vec![(PoolIx::new(0), 1)];
        let mut parts = Parts::of("test", nodes);
        parts.pools = vec![Pool { name: "db".to_owned(), capacity: 2 }];
        let schedule = Schedule { starts: Vec::new(), skipped: vec![NodeIx::new(1)] };
        let seen = Forecast::of(&Graph::assemble(parts).expect("no cycle"), Some(&schedule), &|_| None);
        (seen.worst, seen.attempts, seen.contended.len())
    };
    // a, c and d with their grace.
    assert_eq!(bounds("inputs.fast"), (Worst::Stages(Span::from_secs(11 + 21 + 11)), 3, 0));
    assert_eq!(bounds("needs.a.outputs.fast"), (Worst::Unbounded(vec![NodeIx::new(1)]), 4, 1), "another run may");
}

#[test]
fn items_that_are_given_or_cut_as_the_run_goes_on_are_all_counted() {
    let bounds = |split: Split, items: Items| {
        let mut pack = node("pack", &[], 1);
        pack.rules.shards = if split.is_late { 1 } else { 4 };
        pack.rules.split = Some(Box::new(split));
        let Work::Process(process) = &mut pack.work else { unreachable!("it is a process") };
        process.items = items;
        let mut parts = Parts::of("test", vec![pack]);
        parts.settings.max_parallel = 1;
        let seen = look(&Graph::assemble(parts).expect("no cycle"));
        (seen.worst, seen.attempts)
    };
    let seconds = |seconds| Worst::Stages(Span::from_secs(seconds));
    let late = |size| Items::Late { text: "{{ needs.a.outputs.l }}".into(), max: 20, size, is_json: false };
    let split = |size| Split { size, is_late: true, ..Split::default() };
    // One after another, eleven seconds each.
    assert_eq!(bounds(split(1), late(1)), (seconds(220), 20));
    assert_eq!(bounds(split(6), late(6)), (seconds(44), 4));
    // Four shards of five items each, which may be cut down to one item.
    let range = || Items::Range { count: 20, size: 5 };
    let fixed = Split { items: 20, size: 5, ..Split::default() };
    assert_eq!(bounds(fixed.clone(), range()), (seconds(44), 4));
    assert_eq!(bounds(Split { target: Some(Span::from_secs(1)), ..fixed }, range()), (seconds(220), 20));
}

#[test]
fn four_samples_are_unknown_and_five_are_an_expectation() {
    let graph = graph(diamond());
    let with = |samples| {
        Forecast::of(&graph, None, &|_| {
            Some(Expected { p50: Span::from_secs(3), p95: Span::from_secs(4), samples })
        })
    };
    assert_eq!((with(4).known, with(4).expected()), (0, None));
    assert_eq!((with(5).known, with(5).expected()), (4, Some(Span::from_secs(9))));
}

#[test]
fn the_clean_up_follows_the_main_phase() {
    let mut nodes = diamond();
    nodes.push(node("notify", &[], 4));
    nodes[4].phase = Phase::Finally;
    let seen = look(&graph(nodes));
    assert_eq!((seen.waves.len(), seen.closing.len()), (3, 1));
    assert_eq!(seen.stages[NodeIx::new(4)].at, Span::from_secs(7));
    assert_eq!(seen.critical.length, Span::from_secs(11));
}

#[test]
fn the_profile_follows_the_schedule() {
    let graph = graph(diamond());
    let at =
        |node, at, end| Planned { node: NodeIx::new(node), at: Span::from_secs(at), end: Span::from_secs(end) };
    let schedule =
        Schedule { starts: vec![at(0, 0, 1), at(1, 1, 6), at(2, 1, 3), at(3, 6, 7)], ..Schedule::default() };
    let seen = Forecast::of(&graph, Some(&schedule), &|_| None);
    let steps: Vec<(u64, u32)> = seen.profile.iter().map(|&(at, busy)| (at.ms() / 1000, busy)).collect();
    assert_eq!(steps, [(0, 1), (1, 2), (3, 1), (6, 1), (7, 0)]);
    assert_eq!((seen.peak(), seen.end), (2, Span::from_secs(7)));
}
