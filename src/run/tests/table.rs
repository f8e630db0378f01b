//! Every kind of news and every kind of fact against every situation of a stage and of a run.
//!
//! The tables are `table/Input.txt` and `table/Event.txt`: a line is a kind, a column a situation. News: `+` facts follow
//! from it, `.` it comes too late or is about nothing, and is no fact. Facts: `+` the state changes, `.` it stays as it is,
//! `x` it contradicts the state, so that no journal of an engine has it there. A kind without a sample does not
//! compile, and one without a line, or a state or phase without a column, fails.

use std::path::Path;

use super::named::variants;
use super::*;
use crate::graph::model::{Items, Process, Split, Undo, Work};
use crate::plan::model::AllowFailure;
use crate::run::{Phase as ShardPhase, RunState};

mod samples;

/// A situation of stage 0, or of the run that it is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Moment {
    /// The run has not begun.
    Unborn,
    Pending,
    /// An approval that nobody has decided.
    Asked,
    /// `done-if` is being asked.
    Checked,
    /// The cache is being asked.
    Looked,
    Running,
    /// It runs and was asked to stop.
    Stopping,
    Retrying,
    /// Workers do its items.
    Crewed,
    /// They were let go.
    Dismissed,
    Success,
    Cached,
    Skipped,
    Blocked,
    Failed,
    Allowed,
    TimedOut,
    Cancelled,
    Unknown,
    Undone,
    /// It runs, and its run is paused.
    Paused,
    /// Its engine leaves.
    Suspended,
    /// It runs, and its run drains.
    Draining,
    /// It ended, and the clean-up runs.
    Cleaning,
    Over,
}

use Moment::*;

const ALL: [Moment; 25] = [
    Unborn, Pending, Asked, Checked, Looked, Running, Stopping, Retrying, Crewed, Dismissed, Success, Cached,
    Skipped, Blocked, Failed, Allowed, TimedOut, Cancelled, Unknown, Undone, Paused, Suspended, Draining,
    Cleaning, Over,
];

/// Where a stage in this state is to be found.
const fn of_state(state: NodeState) -> Moment {
    match state {
        NodeState::Pending => Pending,
        NodeState::Waiting => Asked,
        NodeState::Running => Running,
        NodeState::Retrying => Retrying,
        NodeState::Success => Success,
        NodeState::Cached => Cached,
        NodeState::Skipped => Skipped,
        NodeState::Blocked => Blocked,
        NodeState::Failed => Failed,
        NodeState::AllowedFailure => Allowed,
        NodeState::TimedOut => TimedOut,
        NodeState::Cancelled => Cancelled,
        NodeState::Unknown => Unknown,
        NodeState::Undone => Undone,
    }
}

/// Where a shard in this phase is to be found.
const fn of_phase(phase: ShardPhase) -> Moment {
    match phase {
        ShardPhase::Fresh => Pending,
        ShardPhase::Running => Running,
        ShardPhase::Between => Retrying,
        ShardPhase::Success => Success,
        ShardPhase::Failed => Failed,
        ShardPhase::Cancelled => Cancelled,
        ShardPhase::Unknown => Unknown,
    }
}

/// Stage 0 with these rules, and stage 1 that goes on beside it, in a run whose failures stay where they are.
fn pair(change: impl FnOnce(&mut Node)) -> Story {
    let mut parts = parts(vec![stage("a", change), Node::plain("other")]);
    parts.scopes[0].policy = Policy::Continue;
    Story::with(8, parts)
}

fn crew(node: &mut Node) {
    let split = Split { size: 1, items: 4, in_flight: Some(2), ..Split::default() };
    let process = Process { items: Items::Range { count: 4, size: 1 }, ..Process::default() };
    (node.rules.shards, node.rules.split) = (4, Some(Box::new(split)));
    node.work = Work::Process(Box::new(process));
}

fn undone() -> Story {
    let undo = stage("undo-a", |node| (node.phase, node.undoes) = (Phase::Rollback, Some(n(0))));
    let last = stage("undo-b", |node| (node.phase, node.undoes) = (Phase::Rollback, Some(n(1))));
    let mut nodes = vec![Node::plain("a"), after("b", &[0]), undo, last, Node::plain("other")];
    nodes[0].rules.undo = Undo::Body;
    crate::graph::undo::tie(&mut nodes);
    let mut parts = parts(nodes);
    parts.scopes[0].policy = Policy::Rollback;
    let clean = stage("clean", |node| node.phase = Phase::Finally);
    parts.nodes.push(clean);
    let mut story = Story::with(8, parts);
    story.succeeds(0).succeeds(4).fails(1).succeeds(3).succeeds(2);
    story
}

/// A run in which stage 0 is in this situation.
fn story(moment: Moment) -> Story {
    let expired = |node: &mut Node| node.rules.timeout = Some(Span::from_ms(50));
    let mut story = match moment {
        Unborn => {
            let graphs = vec![graph(parts(vec![Node::plain("a")]))];
            let core = Core::new(graphs.clone());
            return Story { graphs, core, at: Millis::ZERO, last: Vec::new(), all: Vec::new() };
        }
        Pending | Blocked => {
            let mut parts = parts(vec![after("a", &[1]), Node::plain("other"), Node::plain("third")]);
            parts.scopes[0].policy = Policy::Continue;
            Story::with(8, parts)
        }
        Asked => pair(|node| node.rules.is_approval = true),
        Checked => pair(|node| (node.rules.has_done_if, node.rules.idempotent) = (true, false)),
        Retrying => pair(|node| node.rules.retry = Some(Box::new(retry(3, 1000)))),
        Crewed | Dismissed => pair(crew),
        Cached => pair(|node| node.rules.has_cache = true),
        Skipped => pair(|node| node.selected = false),
        Allowed => pair(|node| node.rules.allow_failure = AllowFailure::Any),
        TimedOut => pair(expired),
        Unknown => pair(|node| node.rules.idempotent = false),
        Undone => undone(),
        Cleaning => Story::of(vec![Node::plain("a"), stage("clean", |node| node.phase = Phase::Finally)]),
        Over => Story::of(vec![Node::plain("a")]),
        Draining => Story::of(vec![Node::plain("a"), Node::plain("other")]),
        Looked => pair(|node| node.rules.has_cache = true),
        Running => pair(|node| node.rules.idle = Some(Span::from_secs(60))),
        Stopping | Success | Failed | Cancelled | Paused | Suspended => pair(|_| ()),
    };
    let person = || "ann".to_owned();
    match moment {
        Unborn | Pending | Asked | Looked | Running | Crewed | Skipped | Undone => &mut story,
        Checked | Unknown => story.ends(0, Outcome::Signal(9)),
        Stopping => story.cancel(CancelLevel::Stop),
        Retrying | Failed | Allowed => story.fails(0),
        Dismissed => {
            story.cancel(CancelLevel::Kill);
            for shard in 0..4 {
                story.shard(0, shard, Outcome::Signal(9));
            }
            &mut story
        }
        Success | Cleaning | Over => story.succeeds(0),
        Cached => story.answers(0, CheckKind::Cache, Answer::Yes(Box::default())),
        Blocked | Draining => story.fails(1),
        TimedOut => story.wait(50).ends(0, Outcome::Signal(15)),
        Cancelled => story.cancel(CancelLevel::Stop).ends(0, Outcome::Signal(15)),
        Paused => story.tell(Input::Pause { on: true, by: person() }),
        Suspended => story.tell(Input::Suspend(SuspendReason::Person)),
    };
    story
}

/// What is true of any state, whatever has been heard.
fn is_sound(state: &RunState) -> bool {
    let awake = state.graph().nodes.indexes().filter(|&node| state.is_awake(node)).count();
    let counted: u32 = state.counts().iter().sum();
    let running = |node| state.progress(node).running as usize == state.running(node).len();
    !state.has_begun() || (counted as usize == awake && state.graph().nodes.indexes().all(running))
}

/// The line of a kind.
fn line(kind: &str, mark: impl Fn(Moment) -> char) -> String {
    let marks: String = ALL.into_iter().flat_map(|moment| [' ', mark(moment)]).collect();
    format!("{kind:<18}{marks}\n")
}

/// The names of the columns, from top to bottom.
fn head() -> String {
    let names = ALL.map(|moment| format!("{moment:?}"));
    let rows = names.iter().map(String::len).max().unwrap_or(0);
    let letter = |name: &String, row: usize| {
        let blank = rows - name.len();
        row.checked_sub(blank).map_or(' ', |at| char::from(name.as_bytes()[at]))
    };
    let row = |row| names.iter().flat_map(|name| [' ', letter(name, row)]).collect::<String>();
    (0..rows).map(|at| format!("{:<18}{}\n", "", row(at))).map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// What is so is what is written in `table/NAME`; `ENGINE_BLESS=1` writes it.
fn is_written(name: &str, source: &str, kinds: &[&str], lines: impl Iterator<Item = String>) {
    assert_eq!(variants(source, name), kinds, "each {name} has a line, in the order of the enum");
    let found = lines.fold(head(), |text, line| text + &line);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/run/tests/table/{name}.txt"));
    if std::env::var_os("ENGINE_BLESS").is_some() {
        std::fs::write(&file, &found).expect("the tree is writable");
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(written == found, "{} is to be looked at; what is so:\n{found}", file.display());
}

#[test]
fn every_state_and_every_phase_has_a_column_that_is_in_it() {
    for state in NodeState::ALL {
        assert_eq!(story(of_state(state)).core.state().state(n(0)), state);
    }
    let phases = [
        ShardPhase::Fresh,
        ShardPhase::Running,
        ShardPhase::Between,
        ShardPhase::Success,
        ShardPhase::Failed,
        ShardPhase::Cancelled,
        ShardPhase::Unknown,
    ];
    for phase in phases {
        assert_eq!(story(of_phase(phase)).core.state().phases(n(0)), [phase]);
    }
    assert!(ALL.into_iter().all(|moment| is_sound(story(moment).core.state())));
}

#[test]
fn every_news_means_in_every_situation_what_is_written() {
    let lines = samples::NEWS.iter().map(|&kind| {
        line(kind, |moment| {
            let story = story(moment);
            let mut out = Vec::new();
            crate::run::decide(story.core.state(), story.at, samples::news(kind, &story), &mut out);
            let mut core = story.core.clone();
            core.step(story.at, vec![samples::news(kind, &story)]);
            assert!(is_sound(core.state()), "{kind} while {moment:?}");
            if out.is_empty() { '.' } else { '+' }
        })
    });
    is_written("Input", include_str!("../input.rs"), &samples::NEWS, lines);
}

#[test]
fn every_fact_changes_in_every_situation_what_is_written() {
    let lines = samples::FACTS.iter().map(|&kind| {
        line(kind, |moment| {
            let story = story(moment);
            let mut core = story.core.clone();
            let replayed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                core.replay(story.at, &samples::fact(kind, &story));
                core
            }));
            match replayed {
                Ok(core) if core.state() == story.core.state() => '.',
                Ok(core) if is_sound(core.state()) => '+',
                Ok(_) | Err(_) => 'x',
            }
        })
    });
    is_written("Event", include_str!("../event.rs"), &samples::FACTS, lines);
}
