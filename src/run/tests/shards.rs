//! Stages that are cut, bounded and sealed as they run.

use super::*;
use crate::graph::model::{Items, Pool, Process, Split, Work};
use crate::plan::model::{AllowFailed, Rate};
use crate::run::{Flight, seal};

/// A stage over `items` numbers.
pub(super) fn sharded(items: u64, mut split: Split) -> Node {
    split.items = items;
    stage("pack", |node| {
        let work = Process { items: Items::Range { count: items, size: split.size }, ..Process::default() };
        node.rules.shards = u32::try_from(items.div_ceil(u64::from(split.size))).expect("few");
        node.rules.split = Some(Box::new(split));
        node.work = Work::Process(Box::new(work));
    })
}

/// `size: auto` with this target.
pub(super) fn auto(target_ms: u64) -> Split {
    Split { size: 1, grows: true, target: Some(Span::from_ms(target_ms)), ..Split::default() }
}

impl Story {
    /// All that run end well after `took_ms`.
    fn all_take(&mut self, took_ms: u64) -> &mut Self {
        let running: Vec<Attempt> = self.core.state().flights().iter().map(Flight::attempt).collect();
        let mut events = Vec::new();
        for attempt in running {
            let (outcome, took) = (Outcome::Success, Span::from_ms(took_ms));
            self.tell(Input::Done { attempt, outcome, took, result: Box::default() });
            events.append(&mut self.last);
        }
        self.last = events;
        self
    }

    fn cuts(&self) -> Vec<(u32, u64, u32, CutReason)> {
        let cut = |event: &Event| match event {
            Event::ShardsCut { cut, why, .. } => Some((cut.shard, cut.item, cut.size, *why)),
            _ => None,
        };
        self.all.iter().filter_map(|(_, event)| cut(event)).collect()
    }

    /// Every item was in one shard that started, and in no other.
    fn covers(&self, items: u64) {
        let cuts = self.core.state().cuts(n(0)).expect("it is sharded");
        let mut next = 0;
        for shard in 0..cuts.shards() {
            assert_eq!(cuts.range(shard).start, next);
            next = cuts.range(shard).end;
        }
        assert_eq!(next, items);
    }
}

#[test]
fn shards_that_are_too_small_become_larger_until_they_are_not() {
    let mut story = Story::with(4, parts(vec![sharded(100_000, auto(8000))]));
    let size_now = |story: &Story| story.cuts().last().expect("a cut").2;
    for _ in 0..200 {
        if story.core.state().verdict().is_some() {
            break;
        }
        // An item takes 10 ms.
        let took = u64::from(size_now(&story)) * 10;
        story.all_take(took);
    }
    let sizes: Vec<u32> = story.cuts().iter().map(|cut| cut.2).collect();
    assert_eq!(
        sizes,
        [1, 4, 16, 64, 256, 512],
        "256 items take 2.56 s, more than an eighth of 8 s and less than a third"
    );
    story.covers(100_000);
    story.is(0, NodeState::Success);
}

#[test]
fn what_is_left_is_split_when_shards_are_too_slow_and_no_further_than_one_item() {
    let split = Split { size: 20, target: Some(Span::from_ms(800)), ..Split::default() };
    let mut story = Story::with(5, parts(vec![sharded(200, split)]));
    assert_eq!(story.cuts(), [(0, 0, 20, CutReason::First)]);
    story.all_take(900);
    // Four had been started while the fifth had not ended: they belong to the old cut.
    assert_eq!(story.cuts()[1..], [(9, 180, 5, CutReason::Split)]);
    story.all_take(900).all_take(900);
    story.covers(200);
    story.all_take(900).all_take(900).is(0, NodeState::Success);
    let sizes: Vec<u32> = story.cuts().iter().map(|cut| cut.2).collect();
    assert_eq!(sizes, [20, 5], "nothing was left to split any more");
}

#[test]
fn a_fixed_size_is_the_largest() {
    let split = Split { size: 8, target: Some(Span::from_ms(800)), ..Split::default() };
    let mut story = Story::with(2, parts(vec![sharded(4000, split)]));
    for round in 0..400 {
        story.all_take(if round < 10 { 2000 } else { 1 });
    }
    let sizes: Vec<u32> = story.cuts().iter().map(|cut| cut.2).collect();
    assert!(sizes.len() > 2 && sizes.iter().all(|&size| size <= 8), "{sizes:?}");
    assert_eq!((sizes[1], sizes.last()), (2, Some(&8)), "it grows back to what the plan says");
    story.is(0, NodeState::Success);
}

#[test]
fn one_slow_item_that_alone_breaks_the_target_stops_nothing_and_is_told() {
    let mut story = Story::with(2, parts(vec![sharded(30, auto(800))]));
    for round in 0..40 {
        story.all_take(if round == 0 { 5000 } else { 300 });
    }
    story.is(0, NodeState::Success);
    assert!(story.cuts().iter().all(|cut| cut.2 == 1), "an item cannot be split");
    let reason = story.all.iter().find_map(|(_, event)| match event {
        Event::NodeFinished { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(reason.as_deref(), Some("2 items alone took longer than `target-p95` (800ms)"));
}

#[test]
fn a_timeout_splits_at_once() {
    let timed_out = |policy: Policy| {
        let split = Split { size: 16, target: Some(Span::from_ms(800)), ..Split::default() };
        let mut parts = parts(vec![sharded(160, split)]);
        parts.nodes[0].rules.timeout = Some(Span::from_secs(1));
        parts.scopes[0].policy = policy;
        let mut story = Story::with(1, parts);
        let (attempt, outcome) = (story.number(0, 0), Outcome::Signal(15));
        story.wait(1000);
        story.tell(Input::Done { attempt, outcome, took: Span::from_secs(1), result: Box::default() });
        story
    };
    timed_out(Policy::Drain).is(0, NodeState::TimedOut);
    let story = timed_out(Policy::Continue);
    assert_eq!(story.cuts().last(), Some(&(1, 16, 4, CutReason::Split)));
}

#[test]
fn a_cut_stays_as_it_is_over_a_resume() {
    let mut story = Story::with(2, parts(vec![sharded(1000, auto(800))]));
    for _ in 0..6 {
        story.all_take(1);
    }
    let before = story.core.state().cuts(n(0));
    assert!(before.as_ref().is_some_and(|cuts| cuts.len() > 1));
    story.rerun(&[]);
    assert_eq!(story.core.state().cuts(n(0)), before);
    for _ in 0..200 {
        story.all_take(1);
    }
    story.is(0, NodeState::Success).covers(1000);
}

#[test]
fn so_many_items_may_fail() {
    let budget = |allowed| {
        let split = Split { size: 2, allow_failed: Some(allowed), ..Split::default() };
        let mut story = Story::with(8, parts(vec![sharded(10, split)]));
        for shard in 0..5 {
            let outcome = if shard < 2 { Outcome::Exit(1) } else { Outcome::Success };
            story.shard(0, shard, outcome);
        }
        story
    };
    for within in [AllowFailed::Items(4), AllowFailed::Share(400_000)] {
        let mut story = budget(within);
        story.is(0, NodeState::Success);
        let says = |event: &Event| matches!(event, Event::NodeFinished { reason, .. } if reason.starts_with("4 of 10 items failed"));
        assert!(story.all.iter().any(|(_, event)| says(event)));
        // Only the failed ones are repeated, by order.
        story.tell(again_failed(&[0])).starts(&[(0, 0), (0, 1)]);
        story.shard(0, 0, Outcome::Success).shard(0, 1, Outcome::Success).is(0, NodeState::Success);
    }
    for beyond in [AllowFailed::Items(3), AllowFailed::Share(399_999)] {
        budget(beyond).is(0, NodeState::Failed);
    }
}

/// A resume that repeats the failed shards of these stages.
pub(super) fn again_failed(failed: &[u32]) -> Input {
    let (resumed, failed) = (Box::new(resumed(0)), failed.iter().map(|&raw| n(raw)).collect());
    Input::Recover { resumed, plan_version: None, changed: vec![], rerun: vec![], failed }
}

#[test]
fn an_order_to_repeat_failed_shards_opens_nothing_where_none_failed() {
    let split = Split { size: 1, allow_failed: Some(AllowFailed::Items(1)), ..Split::default() };
    let cells = [sharded(2, split.clone()), sharded(2, split)].into_iter().zip(["w:x", "w:y"]);
    let cells = cells.map(|(node, id)| Node { id: id.into(), ..node });
    let mut story = Story::of(cells.chain([after("tell", &[0]), after("ship", &[1])]).collect());
    for (node, shard) in [(0, 0), (1, 0), (1, 1)] {
        story.shard(node, shard, Outcome::Success);
    }
    story.shard(0, 1, Outcome::Exit(1)).succeeds(2).succeeds(3).run_ends(RunEnd::Success);
    story.tell(again_failed(&[0, 1])).starts(&[(0, 1)]);
    story.is(1, NodeState::Success).is(2, NodeState::Pending).is(3, NodeState::Success);
    story.shard(0, 1, Outcome::Success).starts(&[(2, 0)]).succeeds(2).run_ends(RunEnd::Success);
    // Nor does it anywhere once there is no failed shard left.
    story.tell(again_failed(&[0, 1])).starts(&[]).is(2, NodeState::Success).run_ends(RunEnd::Success);
}

#[test]
fn a_budget_that_is_used_up_stops_the_rest() {
    let split = Split { size: 1, allow_failed: Some(AllowFailed::Items(1)), ..Split::default() };
    let mut story = Story::with(1, parts(vec![sharded(10, split)]));
    story.shard(0, 0, Outcome::Exit(1)).starts(&[(0, 1)]);
    story.shard(0, 1, Outcome::Exit(1)).starts(&[]).is(0, NodeState::Failed);
}

#[test]
fn starts_keep_their_distance() {
    let rate = Rate { count: 10, per: Span::from_secs(1) };
    let split = Split { size: 1, rate: Some(rate), ..Split::default() };
    let mut story = Story::with(100, parts(vec![sharded(30, split)]));
    story.starts(&[(0, 0)]);
    story.wait(99).starts(&[]);
    story.wait(1).starts(&[(0, 1)]);
    story.wait(1000);
    let starts: Vec<u64> = story
        .all
        .iter()
        .filter(|(_, event)| matches!(event, Event::ShardsStarted { .. }))
        .map(|(at, _)| at.raw())
        .collect();
    assert_eq!(starts, (0..12).map(|at| at * 100).collect::<Vec<u64>>());
}

#[test]
fn a_rate_above_the_clock_s_beat_starts_several_at_once() {
    let rate = Rate { count: 4000, per: Span::from_secs(1) };
    let split = Split { size: 1, rate: Some(rate), ..Split::default() };
    let mut story = Story::with(4000, parts(vec![sharded(4000, split)]));
    story.wait(500);
    let started = story.core.state().flights().len();
    assert!((1998..=2002).contains(&started), "{started}");
}

#[test]
fn a_retry_counts_as_a_start_and_a_resume_keeps_the_pace() {
    let rate = Rate { count: 1, per: Span::from_secs(1) };
    let mut node = sharded(3, Split { size: 1, rate: Some(rate), ..Split::default() });
    node.rules.retry = Some(Box::new(retry(1, 10)));
    let mut story = Story::with(4, parts(vec![stage("x", |it| *it = node)]));
    story.shard(0, 0, Outcome::Exit(1)).starts(&[]);
    story.wait(999).starts(&[]);
    story.wait(1).starts(&[(0, 0)]);
    story.rerun(&[]).starts(&[]);
    story.wait(999).starts(&[]);
    story.wait(1);
    assert_eq!(story.core.state().flights().len(), 1);
}

/// One start in a second.
fn paced(items: u64) -> Node {
    let rate = Some(Rate { count: 1, per: Span::from_secs(1) });
    sharded(items, Split { size: 1, rate, ..Split::default() })
}

#[test]
fn an_engine_does_not_leave_for_a_person_between_two_starts() {
    let gate = stage("gate", |node| node.rules.is_approval = true);
    let mut story = Story::with(8, parts(vec![paced(2), gate]));
    story.shard(0, 0, Outcome::Success);
    assert!(story.core.state().is_quiescent() && !story.core.state().needs_person());
    let used = story.core.state().used_time(story.at);
    story.wait(1000).starts(&[(0, 1)]);
    assert_eq!(story.core.state().used_time(story.at), used + Span::from_secs(1), "the run's clock goes on");
    story.shard(0, 1, Outcome::Success);
    assert!(story.core.state().needs_person(), "nothing but the approval is left");
}

#[test]
fn a_retry_of_the_clean_up_does_not_start_by_its_rate_before_its_time() {
    let mut clean = paced(1);
    clean.phase = Phase::Finally;
    clean.rules.retry = Some(Box::new(retry(1, 500)));
    let work = stage("work", |node| node.rules.is_approval = true);
    let mut story = Story::with(8, parts(vec![work, clean]));
    story.decides(0, false).shard(1, 0, Outcome::Exit(1)).is(1, NodeState::Retrying);
    // A new try asks again, and until then the clean-up waits, whatever its clocks say.
    story.resume().is(0, NodeState::Waiting);
    story.wait(5000).is(0, NodeState::Waiting).starts(&[]);
}

#[test]
fn a_rehearsal_goes_on_between_two_starts() {
    let mut node = paced(3);
    node.rules.expected = Span::from_ms(10);
    let shown = crate::run::rehearse(&graph(parts(vec![node, after("next", &[0])]))).starts;
    let times: Vec<(u32, u64)> = shown.iter().map(|it| (it.node.raw(), it.at.ms())).collect();
    assert_eq!(times, [(0, 0), (1, 2010)]);
}

#[test]
fn a_stage_without_items_is_done() {
    let mut story = Story::with(4, parts(vec![sharded(0, auto(800)), after("next", &[0])]));
    story.is(0, NodeState::Success).starts(&[(1, 0)]);
    let mut story = Story::with(4, parts(vec![sharded(1, auto(800))]));
    story.starts(&[(0, 0)]).all_take(5).is(0, NodeState::Success);
}

#[test]
fn a_sealed_stage_ends_with_the_root_over_its_shards() {
    let split = Split { size: 2, is_sealed: true, allow_failed: Some(AllowFailed::Items(2)), ..Split::default() };
    let mut story = Story::with(8, parts(vec![sharded(5, split)]));
    let outputs = |shard: u32| vec![("n".to_owned(), serde_json::Value::from(shard))];
    for shard in [2_u32, 0] {
        let result = ShardResult { outputs: outputs(shard), ..ShardResult::default() };
        let (attempt, outcome) = (story.number(0, shard), Outcome::Success);
        story.tell(Input::Done { attempt, outcome, took: Span::ZERO, result: Box::new(result) });
    }
    story.shard(0, 1, Outcome::Exit(1));
    let leaves = vec![
        seal::leaf(&(0..2), &outputs(0), None),
        seal::absent(&(2..4)),
        seal::leaf(&(4..5), &outputs(2), None),
    ];
    story.has(&Event::StageSealed { node: n(0), root: seal::root(leaves) }).is(0, NodeState::Success);
    assert_eq!(story.all.iter().filter(|(_, event)| matches!(event, Event::StageSealed { .. })).count(), 1);
}

#[test]
fn results_that_are_known_start_nothing() {
    let cached = |hits: &[u32]| {
        let mut node = sharded(6, Split { size: 1, ..Split::default() });
        node.rules.has_cache = true;
        let mut story = Story::with(2, parts(vec![stage("x", |it| *it = node)]));
        story.has(&Event::CheckStarted { node: n(0), shard: 0, kind: CheckKind::Cache });
        let hits = hits.iter().map(|&shard| (shard, Box::default())).collect();
        story.tell(Input::Recalled { node: n(0), hits });
        story
    };
    cached(&[0, 1, 2, 3, 4, 5]).starts(&[]).is(0, NodeState::Cached);
    let mut story = cached(&[0, 2, 3, 5]);
    story.starts(&[(0, 1), (0, 4)]).shard(0, 1, Outcome::Success).starts(&[]).is(0, NodeState::Running);
    story.shard(0, 4, Outcome::Success).is(0, NodeState::Success);
    cached(&[]).starts(&[(0, 0), (0, 1)]);
    // A rerun asks nobody and does all of it.
    let mut story = cached(&[1, 2, 3, 4, 5]);
    story.shard(0, 0, Outcome::Success).is(0, NodeState::Success);
    story.rerun(&[0]);
    for shard in 0..6 {
        story.shard(0, shard, Outcome::Success);
    }
    story.is(0, NodeState::Success);
    assert_eq!(story.core.state().attempts(n(0), 3), 1, "it had never started before");
}

#[test]
fn a_pool_of_its_own_bounds_how_far_shards_grow() {
    let mut parts = parts(vec![sharded(64, Split { max_parallel: Some(2), ..auto(8000) })]);
    parts.pools = vec![Pool { name: "pack shards".to_owned(), capacity: 2 }];
    parts.nodes[0].rules.pools = vec![(PoolIx::new(0), 1)];
    let mut story = Story::with(8, parts);
    for _ in 0..60 {
        story.all_take(1);
    }
    story.is(0, NodeState::Success).covers(64);
    let last = story.cuts().last().copied().expect("a cut");
    assert!(u64::from(last.2) <= (64 - last.1).div_ceil(4), "two rounds of two slots are left: {last:?}");
    let sizes: Vec<u32> = story.cuts().iter().map(|cut| cut.2).collect();
    assert_eq!(sizes[..2], [1, 4]);
}

/// A stage with the items that `text` comes to when it is ready.
fn given(text: &str) -> Story {
    let mut node = sharded(6, Split { size: 1, is_late: true, ..Split::default() });
    let items = Items::Late { text: text.into(), max: 6, size: 1, is_json: false };
    node.work = Work::Process(Box::new(Process { items, ..Process::default() }));
    let mut with_frame = parts(vec![node]);
    with_frame.frames = vec![crate::graph::model::Frame::default()];
    Story::with(8, with_frame)
}

#[test]
fn a_stage_without_a_condition_takes_a_list_over_without_a_word_about_one() {
    let mut story = given("{{ [1, 2] }}");
    let items = Arc::new(vec!["1".into(), "2".into()]);
    assert_eq!(story.last.get(1), Some(&Event::ItemsFrozen { node: n(0), items }), "{:?}", story.last);
    story.starts(&[(0, 0), (0, 1)]);
}

#[test]
fn a_stage_whose_list_was_empty_takes_it_anew_when_it_is_run_again() {
    let taken = Event::ItemsFrozen { node: n(0), items: Arc::new(Vec::new()) };
    let mut story = given("{{ [] }}");
    story.has(&taken).run_ends(RunEnd::Success);
    story.rerun(&[0]).has(&taken).run_ends(RunEnd::Success);
}
