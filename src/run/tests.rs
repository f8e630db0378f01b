//! The rules of a run, in given / when / then form.

use std::sync::Arc;

use super::core::Core;
use super::event::*;
use super::input::Input;
use crate::base::{Digest, Millis, NodeIx, PoolIx, ScopeIx, Span};
use crate::graph::Parts;
use crate::graph::model::{Accept, Condition, Graph, Need, Node, Phase, Policy, Pool, Retry, Scope};

mod background;
mod cancel;
mod cells;
mod checks;
mod clocks;
mod consent;
mod crews;
mod edited;
mod heal;
mod held;
mod holdings;
mod named;
mod needs;
mod objectives;
mod pools;
mod recover;
mod recut;
mod retired;
mod shards;
mod start;
mod table;
mod thought;
mod timebox;
mod undo;
mod unstarted;

/// A run that is told what happens and asked what followed.
struct Story {
    /// The versions of the plan as they were before anything happened.
    graphs: Vec<Arc<Graph>>,
    core: Core,
    at: Millis,
    /// What followed from the last news.
    last: Vec<Event>,
    all: Vec<(Millis, Event)>,
}

/// Stage `n` of a story.
fn n(raw: u32) -> NodeIx {
    NodeIx::new(raw)
}

/// A stage with these rules.
fn stage(id: &str, change: impl FnOnce(&mut Node)) -> Node {
    let mut node = Node::plain(id);
    change(&mut node);
    node
}

/// A stage that needs these.
fn after(id: &str, needs: &[u32]) -> Node {
    stage(id, |node| {
        node.needs = needs.iter().map(|&raw| Need { node: n(raw), accept: Accept::DEFAULT }).collect();
    })
}

fn parts(nodes: Vec<Node>) -> Parts {
    Parts::of("story", nodes)
}

fn graph(parts: Parts) -> Arc<Graph> {
    Arc::new(Graph::assemble(parts).expect("no cycles"))
}

fn retry(max: u32, delay_ms: u64) -> Retry {
    Retry {
        max,
        delay: Span::from_ms(delay_ms),
        backoff: 1.0,
        max_delay: None,
        jitter: false,
        when: Vec::new(),
        within: None,
    }
}

fn began(jobs: u32) -> Input {
    Input::Begin(Box::new(Began { seed: 7, by: "somebody".to_owned(), ..Began::unrecorded("story", jobs) }))
}

fn resumed(gap_ms: u64) -> Resumed {
    let (by, engine) = ("somebody".to_owned(), "test".to_owned());
    Resumed {
        wall_ms: 0,
        gap: Span::from_ms(gap_ms),
        jobs: 8,
        by,
        engine,
        place: None,
        plan: None,
        drains: false,
        closes: false,
    }
}

impl Story {
    fn of(nodes: Vec<Node>) -> Self {
        Self::with(8, parts(nodes))
    }

    fn with(jobs: u32, parts: Parts) -> Self {
        Self::versions(jobs, vec![graph(parts)])
    }

    fn versions(jobs: u32, graphs: Vec<Arc<Graph>>) -> Self {
        let core = Core::new(graphs.clone());
        let mut story = Self { graphs, core, at: Millis::ZERO, last: Vec::new(), all: Vec::new() };
        story.tell(began(jobs));
        story
    }

    fn tell(&mut self, input: Input) -> &mut Self {
        self.tell_all(vec![input])
    }

    /// All of this is heard at one moment.
    fn tell_all(&mut self, inputs: Vec<Input>) -> &mut Self {
        let batch = self.core.step(self.at, inputs);
        self.last = batch.events.iter().map(|(_, event)| event.clone()).collect();
        self.all.extend(batch.events);
        self.is_replayable();
        self
    }

    /// Law 4: the facts alone give the same state.
    fn is_replayable(&self) {
        let mut other = Core::new(self.graphs.clone());
        self.all.iter().for_each(|(at, event)| other.replay(*at, event));
        assert_eq!(other.state(), self.core.state(), "replay differs");
    }

    /// Time passes, deadline by deadline.
    fn wait(&mut self, ms: u64) -> &mut Self {
        let end = self.at + Span::from_ms(ms);
        let mut events = Vec::new();
        while let Some(due) = self.core.next_deadline().filter(|&due| due <= end) {
            self.at = due.max(self.at);
            self.tell(Input::Tick);
            assert!(!self.last.is_empty(), "a deadline at which nothing happens");
            events.append(&mut self.last);
        }
        self.at = end;
        self.tell(Input::Tick);
        events.append(&mut self.last);
        self.last = events;
        self
    }

    fn number(&self, node: u32, shard: u32) -> Attempt {
        Attempt { node: n(node), shard, number: self.core.state().attempts(n(node), shard) }
    }

    /// The attempt of a shard ends.
    fn shard(&mut self, node: u32, shard: u32, outcome: Outcome) -> &mut Self {
        let (attempt, result) = (self.number(node, shard), Box::default());
        self.tell(Input::Done { attempt, outcome, took: Span::from_ms(1), result })
    }

    fn ends(&mut self, node: u32, outcome: Outcome) -> &mut Self {
        self.shard(node, 0, outcome)
    }

    fn succeeds(&mut self, node: u32) -> &mut Self {
        self.ends(node, Outcome::Success)
    }

    fn fails(&mut self, node: u32) -> &mut Self {
        self.ends(node, Outcome::Exit(1))
    }

    fn cancel(&mut self, level: CancelLevel) -> &mut Self {
        self.tell(Input::Cancel { level, why: CancelReason::Person, by: "somebody".to_owned() })
    }

    fn resume(&mut self) -> &mut Self {
        self.rerun(&[])
    }

    /// The engine dies, and after a while another one takes over.
    fn gap(&mut self, ms: u64) -> &mut Self {
        self.at = self.at + Span::from_ms(ms);
        let resumed = Box::new(resumed(ms));
        self.tell(Input::Recover { resumed, plan_version: None, changed: vec![], rerun: vec![], failed: vec![] })
    }

    /// A person cancels the run while no engine has it.
    fn closes(&mut self) -> &mut Self {
        let resumed = Box::new(Resumed { closes: true, ..resumed(0) });
        let recover =
            Input::Recover { resumed, plan_version: None, changed: vec![], rerun: vec![], failed: vec![] };
        let (level, why, by) = (CancelLevel::Kill, CancelReason::Person, "somebody".to_owned());
        self.tell_all(vec![recover, Input::Cancel { level, why, by }])
    }

    fn rerun(&mut self, rerun: &[u32]) -> &mut Self {
        let rerun = rerun.iter().map(|&raw| n(raw)).collect();
        self.tell(Input::Recover {
            resumed: Box::new(resumed(0)),
            plan_version: None,
            changed: Vec::new(),
            rerun,
            failed: vec![],
        })
    }

    fn answers(&mut self, node: u32, kind: CheckKind, answer: Answer) -> &mut Self {
        self.tell(Input::Checked { node: n(node), shard: 0, kind, answer })
    }

    fn decides(&mut self, node: u32, approved: bool) -> &mut Self {
        self.tell(Input::Decide { node: n(node), approved, by: "ann".to_owned(), note: String::new() })
    }

    fn resolves(&mut self, node: u32, resolution: Resolution) -> &mut Self {
        self.tell(Input::Resolve { node: n(node), resolution, by: "ann".to_owned(), note: String::new() })
    }

    fn then(&mut self, expected: &[Event]) -> &mut Self {
        assert_eq!(self.last, expected);
        self
    }

    fn then_ends_with(&mut self, expected: &Event) -> &mut Self {
        assert_eq!(self.last.last(), Some(expected));
        self
    }

    /// The run as it is without its last records.
    fn without_last(&self, count: usize) -> Self {
        let mut story = Self {
            graphs: self.graphs.clone(),
            core: Core::new(self.graphs.clone()),
            at: self.at,
            last: Vec::new(),
            all: Vec::new(),
        };
        story.all = self.all[..self.all.len() - count].to_vec();
        story.all.iter().for_each(|(at, event)| story.core.replay(*at, event));
        story
    }

    /// The last news led to this, among others.
    fn has(&mut self, event: &Event) -> &mut Self {
        assert!(self.last.contains(event), "{event:?} is not in {:#?}", self.last);
        self
    }

    fn is(&mut self, node: u32, state: NodeState) -> &mut Self {
        assert_eq!(self.core.state().state(n(node)), state, "stage {node}, after {:#?}", self.last);
        self
    }

    /// The last news started exactly these shards.
    fn starts(&mut self, expected: &[(u32, u32)]) -> &mut Self {
        let mut started = Vec::new();
        for event in &self.last {
            super::input::commands(event, |command| {
                if let super::Command::Start(it) = command {
                    started.push((it.node.raw(), it.shard));
                }
            });
        }
        assert_eq!(started, expected, "after {:#?}", self.last);
        self
    }

    fn verdict(&self) -> Verdict {
        self.core.state().verdict().cloned().expect("the run is over")
    }

    fn run_ends_as(&mut self, state: RunEnd) -> &mut Self {
        assert_eq!(self.verdict().state, state, "after {:#?}", self.last);
        self
    }

    fn run_ends(&mut self, state: RunEnd) -> &mut Self {
        assert_eq!(self.verdict().state, state);
        for node in self.core.state().graph().nodes.indexes() {
            let state = self.core.state().state(node);
            assert!(state.is_final() || state == NodeState::Unknown, "{node:?} is {state:?} at the end");
        }
        self
    }
}

fn finished(node: u32, state: NodeState) -> Event {
    Event::NodeFinished { node: n(node), state, reason: String::new() }
}

fn started(node: u32, first: u32, count: u32) -> Event {
    Event::ShardsStarted { node: n(node), first, count }
}

fn retried(node: u32, number: u16) -> Event {
    Event::ShardRetried { attempt: Attempt { node: n(node), shard: 0, number } }
}

fn stop(node: u32, how: StopKind, why: StopReason) -> Event {
    Event::StopRequested { attempt: Attempt { node: n(node), shard: 0, number: 1 }, how, why }
}
