//! The loop: inputs are decided and folded, then the run advances as far as it can.

use std::sync::Arc;

use super::advance::advance;
use super::decide::decide;
use super::event::Event;
use super::input::Input;
use super::state::RunState;
use super::thought::Thought;
use crate::base::Millis;
use crate::graph::Graph;

/// Facts that belong together: decided at one moment, written in one frame, synced once.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Batch {
    /// The facts, in order, with their time.
    pub events: Vec<(Millis, Event)>,
}

/// A run: its state, and the rules that move it.
#[derive(Clone, Debug)]
pub struct Core {
    state: RunState,
}

impl Core {
    /// A run that has not begun. `graphs` are the versions of its plan, the first one first.
    ///
    /// # Panics
    /// Without a graph.
    pub fn new(graphs: Vec<Arc<Graph>>) -> Self {
        Self { state: RunState::new(graphs) }
    }

    /// A run that is only thought through: what only a real one can tell is taken as true.
    pub(super) fn rehearsal(graph: Arc<Graph>) -> Self {
        let mut state = RunState::new(vec![graph]);
        state.thought = Some(Thought::new(true));
        Self { state }
    }

    /// A run that is thought through with its clocks on.
    pub(super) fn imagined(graph: Arc<Graph>) -> Self {
        let mut core = Self::new(vec![graph]);
        core.think_on();
        core
    }

    /// From here on the run is only thought through.
    pub(super) fn think_on(&mut self) {
        self.state.thought = Some(Thought::new(false));
    }

    /// Takes in a recorded fact. Nothing is decided.
    pub fn replay(&mut self, at: Millis, event: &Event) {
        self.state.fold(at, event);
    }

    /// Takes in news and tells what follows from it. An empty batch means that nothing does.
    ///
    /// Time never goes backwards: an `at` before the last event counts as that event's time.
    pub fn step(&mut self, at: Millis, inputs: Vec<Input>) -> Batch {
        let at = at.max(self.state.now);
        let mut batch = Batch::default();
        let mut decided = Vec::new();
        for input in inputs {
            decide(&self.state, at, input, &mut decided);
            for event in decided.drain(..) {
                self.state.fold(at, &event);
                batch.events.push((at, event));
            }
        }
        while let Some(event) = advance(&self.state, at) {
            self.state.fold(at, &event);
            batch.events.push((at, event));
        }
        batch
    }

    /// The next moment at which [`Core::step`] must be called even without news.
    pub fn next_deadline(&self) -> Option<Millis> {
        self.state.next_deadline()
    }

    /// What is known of the run.
    pub fn state(&self) -> &RunState {
        &self.state
    }
}
