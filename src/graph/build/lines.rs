//! `protocol: lines`: what fits a stage whose items are done by workers that live on, and what does not.

use super::Builder;
use super::body::Layers;
use super::context::Context;
use super::settings::place;
use crate::base::limits;
use crate::graph::model::{Rules, Split};
use crate::plan::model::{Command, Lifetime, Shards};
use crate::plan::{Diagnostic, Place};

/// Items that a worker may have unanswered where nothing is said: it is never idle because we are slow to answer, and
/// a crash repeats no more than these.
const IN_FLIGHT: u32 = 1024;

impl Builder<'_> {
    /// How workers are spoken to, if `shards` has some.
    pub(super) fn crew(
        &mut self,
        (shards, cx): (&Shards, &Context),
        layers: &Layers<'_>,
        rules: &mut Rules,
        split: &mut Split,
    ) {
        let in_flight = shards.in_flight.as_ref();
        if shards.protocol.is_none() {
            if let Some(setting) = in_flight {
                let message = "`in-flight` is for stages whose shards have `protocol: lines`";
                let found = Diagnostic::error("plan::misplaced-key", place(setting), message);
                self.report.push(found.help("write `max-parallel` for the number of shards at once"));
            }
            return;
        }
        let most = in_flight.and_then(|most| self.bounded(most, cx, (1, limits::MAX_IN_FLIGHT), "`in-flight`"));
        split.in_flight = Some(most.unwrap_or(if rules.idempotent { IN_FLIGHT } else { 1 }));
        // A worker may have nothing to say between two items. `timeout` bounds each of them.
        if rules.idle.is_some() {
            rules.idle = None;
        }
        self.check_size(shards, split);
        for (at, message, help) in misfits(layers) {
            self.report.push(Diagnostic::error("plan::misplaced-key", at, message).help(help));
        }
    }

    /// Workers get items one by one.
    fn check_size(&mut self, shards: &Shards, split: &Split) {
        let size = shards.size.as_ref().filter(|_| split.size != 1 || split.grows).map(place);
        let target = shards.target.as_ref().map(place);
        for (at, key) in [(size, "size"), (target, "target-p95")] {
            if let Some(at) = at {
                let message =
                    format!("`{key}` has no meaning with `protocol: lines`: workers get items one by one");
                let found = Diagnostic::error("plan::misplaced-key", at, message);
                self.report.push(
                    found.help(format!("leave `{key}` out; how many items a worker gets ahead is `in-flight`")),
                );
            }
        }
    }
}

/// Keys of a stage that cannot be meant with workers, where, and what to write instead.
fn misfits(layers: &Layers<'_>) -> Vec<(Place, &'static str, &'static str)> {
    let mut found = Vec::new();
    for stage in layers.stages() {
        let idle = stage.common.idle_timeout.as_ref().map(place);
        let lifetime = stage.lifetime.as_ref().filter(|it| it.value != Lifetime::Stage).map(|it| it.at);
        let done_if = stage.done_if.as_ref().map(|command| match command {
            Command::Script(tree) => tree.at,
            Command::Argv(at, _) => *at,
        });
        found.extend([
            (
                idle,
                "`idle-timeout` does not fit `protocol: lines`: a worker may have nothing to do",
                "write `timeout`: with it no item takes longer",
            ),
            (
                lifetime,
                "`lifetime` does not fit `protocol: lines`: workers end with their stage",
                "start what is to live on in a stage of its own",
            ),
            (
                done_if,
                "`done-if` does not fit `protocol: lines`: it would be a process for each item",
                "let the worker find out whether an item is done already, and answer at once",
            ),
            (
                stage.cache.as_ref().map(|cache| cache.at),
                "`cache` does not fit `protocol: lines`: it would be a look-up for each item",
                "let the worker keep what it has done, by the item's content",
            ),
            (
                stage.artifacts.first().map(|glob| glob.at),
                "`artifacts` do not fit `protocol: lines`: nobody could tell which item a file belongs to",
                "give `outputs` with the answer, or let a later stage collect the files",
            ),
        ]);
    }
    found.into_iter().filter_map(|(at, message, help)| Some((at?, message, help))).collect()
}
