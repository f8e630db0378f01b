//! Records as lines of JSON: `--events FILE`, `--output json`, `engine events`. Documented in `docs/json.md`.
//!
//! One object a line and record. `v` is the shape's version; shapes only grow. Stages are named by id, states
//! and outcomes by the product's words; times are `at_ms` since the run's start and `time` in UTC.

use std::io::Write;

use serde_json::{Map, Value, json};

use crate::base::{Millis, NodeIx};
use crate::graph::objective::OnBreach;
use crate::run::event::{
    Answer, Attempt, CutReason, Event, HealStep, Outcome, RunEnd, ShardResult, SkipReason, StopKind, SuspendReason,
};

use super::view::View;
use super::{Observer, Summary, words};

/// Version of the lines.
pub const VERSION: u32 = 1;

/// Writes one line for each record.
#[derive(Debug)]
pub struct Lines<W> {
    view: View,
    out: W,
    is_broken: bool,
}

impl<W: Write> Lines<W> {
    /// `view` has what happened before, which is not written again.
    pub const fn new(view: View, out: W) -> Self {
        Self { view, out, is_broken: false }
    }

    /// Writes a line; a writer that fails is not asked again.
    fn write(&mut self, value: &Value) {
        if !self.is_broken {
            let line = format!("{value}\n");
            self.is_broken = self.out.write_all(line.as_bytes()).and_then(|()| self.out.flush()).is_err();
        }
    }

    /// The writer, when all is said.
    pub fn into_inner(self) -> W {
        self.out
    }
}

impl<W: Write> Observer for Lines<W> {
    fn record(&mut self, seq: u64, at: Millis, event: &Event) {
        self.view.record(seq, at, event);
        let value = value(&self.view, seq, at, event);
        self.write(&value);
    }

    fn output(&mut self, _: Attempt, _: &[u8]) {}

    fn hears_output(&self) -> bool {
        false
    }

    fn tick(&mut self, _: Millis) {}

    fn end(&mut self, summary: &Summary) {
        let value = json!({
            "v": VERSION,
            "seq": null,
            "at_ms": summary.at.raw(),
            "time": self.view.utc(summary.at),
            "event": "engine-left",
            "run": self.view.run_id(),
            "state": self.view.state().word(),
            "exit": summary.exit,
            "notes": summary.notes,
        });
        self.write(&value);
    }
}

/// One record; `view` is the run after it.
pub fn value(view: &View, seq: u64, at: Millis, event: &Event) -> Value {
    let (name, facts) = facts(view, event);
    let mut out = Map::new();
    out.insert("v".to_owned(), json!(VERSION));
    out.insert("seq".to_owned(), json!(seq));
    out.insert("at_ms".to_owned(), json!(at.raw()));
    out.insert("time".to_owned(), json!(view.utc(at)));
    out.insert("event".to_owned(), json!(name));
    if let Value::Object(facts) = facts {
        out.extend(facts);
    }
    Value::Object(out)
}

/// The event's name, and what is its own.
fn facts(view: &View, event: &Event) -> (&'static str, Value) {
    let id = |ix: &NodeIx| view.id(*ix).to_owned();
    match event {
        Event::ShardsStarted { node, first, count } => {
            ("shards-started", json!({"stage": id(node), "first": first, "count": count, "attempt": 1}))
        }
        Event::ShardRetried { attempt } => ("shard-retried", of_attempt(view, *attempt)),
        Event::ShardsCut { .. }
        | Event::ItemsFrozen { .. }
        | Event::CellsFrozen { .. }
        | Event::ShardRecalled { .. }
        | Event::StageSealed { .. }
        | Event::ShardsReopened { .. } => facts_of_shards(view, event),
        Event::CrewHired { .. }
        | Event::CrewDismissed { .. }
        | Event::CrewGone { .. }
        | Event::WorkerLost { .. }
        | Event::ShardsFinished { .. } => facts_of_crews(view, event),
        Event::ShardFinished { attempt, outcome, took, result } => {
            let mut facts = of_attempt(view, *attempt);
            facts["took_ms"] = json!(took.ms());
            add_outcome(&mut facts, outcome);
            add_result(&mut facts, result);
            ("shard-finished", facts)
        }
        Event::RetryScheduled { attempt, at } => {
            let mut facts = of_attempt(view, *attempt);
            facts["due_ms"] = json!(at.raw());
            ("retry-scheduled", facts)
        }
        Event::StopRequested { attempt, how, why } => {
            let mut facts = of_attempt(view, *attempt);
            facts["how"] = json!(if *how == StopKind::Kill { "kill" } else { "terminate" });
            facts["why"] = json!(words::stop_reason(*why));
            ("stop-requested", facts)
        }
        Event::ShardLost { attempt } => ("shard-lost", of_attempt(view, *attempt)),
        Event::NodeFinished { node, state, reason } => {
            ("stage-finished", json!({"stage": id(node), "state": *state.word(), "reason": reason}))
        }
        Event::NodeSkipped { node, why } => ("stage-skipped", of_skip(view, *node, why)),
        Event::NodeReopened { node, why } => {
            ("stage-reopened", json!({"stage": id(node), "why": words::reopened(*why)}))
        }
        Event::NodeExpired { node, clock } => {
            ("stage-expired", json!({"stage": id(node), "clock": words::clock(*clock)}))
        }
        Event::ShardExpired { node, shard, clock } => {
            ("shard-expired", json!({"stage": id(node), "shard": shard, "clock": words::clock(*clock)}))
        }
        Event::NodeDeferred { node, wants } => {
            ("stage-deferred", json!({"stage": id(node), "wants_ms": wants.map(crate::base::Span::ms)}))
        }
        Event::NodeResolved { node, resolution, by, note } => {
            let resolution = words::resolution(*resolution);
            ("stage-resolved", json!({"stage": id(node), "as": resolution, "by": by, "note": note}))
        }
        _ => facts_of_questions(view, event),
    }
}

/// Events about workers.
fn facts_of_crews(view: &View, event: &Event) -> (&'static str, Value) {
    match event {
        Event::CrewHired { node, count } => ("workers-hired", json!({"stage": view.id(*node), "count": count})),
        Event::CrewDismissed { node, how } => {
            let how = if *how == StopKind::Kill { "kill" } else { "terminate" };
            ("workers-dismissed", json!({"stage": view.id(*node), "how": how}))
        }
        Event::CrewGone { node } => ("workers-gone", json!({"stage": view.id(*node)})),
        Event::WorkerLost { node, why, shards } => {
            ("worker-lost", json!({"stage": view.id(*node), "why": why, "shards": shards}))
        }
        Event::ShardsFinished { node, first, count, took } => (
            "shards-finished",
            json!({"stage": view.id(*node), "first": first, "count": count, "attempt": 1, "took_ms": took.ms()}),
        ),
        _ => unreachable!("`facts` gives only these here"),
    }
}

/// Events about checks and approvals.
fn facts_of_questions(view: &View, event: &Event) -> (&'static str, Value) {
    match event {
        Event::CheckStarted { node, shard, kind } => {
            ("check-started", json!({"stage": view.id(*node), "shard": shard, "check": words::check(*kind)}))
        }
        Event::CheckAnswered { node, shard, kind, answer } => {
            let (word, why) = match answer {
                Answer::Yes(_) => ("yes", None),
                Answer::No => ("no", None),
                Answer::Unknown(why) => ("unknown", Some(why)),
            };
            let mut facts = json!({
                "stage": view.id(*node), "shard": shard, "check": words::check(*kind), "answer": word, "why": why,
            });
            if let Answer::Yes(result) = answer {
                add_result(&mut facts, result);
            }
            ("check-answered", facts)
        }
        Event::GateOpened { node, expires, prompt } => (
            "approval-opened",
            json!({"stage": view.id(*node), "expires_ms": expires.map(Millis::raw), "prompt": prompt}),
        ),
        Event::VoteCast { node, vote } => (
            "approval-given",
            json!({"stage": view.id(*node), "by": vote.by, "note": vote.note, "answers": vote.answers,
                "signed": vote.signature.is_some()}),
        ),
        Event::GateDecided { node, approved, by, note } => {
            ("approval-decided", json!({"stage": view.id(*node), "approved": approved, "by": by, "note": note}))
        }
        _ => facts_of_run(view, event),
    }
}

/// Events about the run.
fn facts_of_run(view: &View, event: &Event) -> (&'static str, Value) {
    match event {
        Event::RunBegan(began) => (
            "run-began",
            json!({
                "run": began.run.as_str(), "plan": began.plan, "path": began.path, "jobs": began.jobs,
                "key": began.key, "by": began.by, "engine": began.engine, "graph": began.graph,
                "stages": view.totals().all,
            }),
        ),
        Event::RunResumed(resumed) => (
            "run-resumed",
            json!({
                "run": view.run_id(), "gap_ms": resumed.gap.ms(), "jobs": resumed.jobs, "by": resumed.by,
                "engine": resumed.engine,
            }),
        ),
        Event::PlanChanged { version } => ("plan-changed", json!({"plan_version": version})),
        Event::GlassBroken { by, reason } => ("policy-overridden", json!({"by": by, "reason": reason})),
        Event::FreezeBegan { until_ms, words } => ("freeze-began", json!({"until_ms": until_ms, "words": words})),
        Event::FreezeEnded => ("freeze-ended", json!({})),
        Event::PauseChanged { on, by } => ("pause-changed", json!({"on": on, "by": by})),
        Event::CancelRaised { level, why, by } => (
            "cancel-raised",
            json!({"level": words::cancel_level(*level), "why": words::cancel_reason(*why), "by": by}),
        ),
        Event::RollbackBegan { why, nodes, .. } => {
            let stages: Vec<&str> = nodes.iter().map(|&ix| view.id(ix)).collect();
            ("rollback-began", json!({"why": words::cancel_reason(*why), "stages": stages}))
        }
        Event::FinallyBegan => ("finally-began", json!({})),
        Event::SecretsFetched { secrets } => ("secrets-fetched", json!({"secrets": secrets})),
        Event::BoxOpened { until } => ("time-box-opened", json!({"until_ms": until.raw()})),
        Event::BoxClosed => ("time-box-closed", json!({})),
        Event::RunSuspended { why } => {
            let why = match why {
                SuspendReason::Person => "person",
                SuspendReason::HandOver => "hand-over",
            };
            ("run-suspended", json!({"why": why}))
        }
        Event::BackgroundReleased { node } => ("background-released", json!({"stage": view.id(*node)})),
        Event::BackgroundLeft { how, by } => {
            ("background-left", json!({"level": words::cancel_level(*how), "by": by}))
        }
        Event::BackgroundRequeued { node, by } => {
            ("background-requeued", json!({"stage": view.id(*node), "by": by}))
        }
        Event::RunFinished { verdict } | Event::ForegroundEnded { verdict } => {
            let kind = if let Event::RunFinished { .. } = event { "run-finished" } else { "foreground-ended" };
            let state = match verdict.state {
                RunEnd::Success => "success",
                RunEnd::Failed => "failed",
                RunEnd::Cancelled => "cancelled",
                RunEnd::RolledBack => "rolled-back",
                RunEnd::RollbackFailed => "rollback-failed",
            };
            let failed: Vec<&str> = verdict.failed.iter().map(|&ix| view.id(ix)).collect();
            (kind, json!({"state": state, "failed": failed, "timed_out": verdict.timed_out}))
        }
        _ => facts_of_promises(view, event),
    }
}

/// Events about objectives and tickets.
fn facts_of_promises(view: &View, event: &Event) -> (&'static str, Value) {
    let of = |objective: u32| {
        let known = view.graph().objectives.get(objective as usize);
        json!({
            "of": known.map(|it| it.subject.word()), "name": known.map(|it| &*it.name),
            "limit_ms": known.map(|it| it.limit.ms()),
        })
    };
    match event {
        Event::TicketRaised { case } => (
            "ticket-raised",
            json!({
                "kind": case.kind.word(), "severity": case.severity.word(), "stage": case.node.map(|it| view.id(it)),
                "why": view.tickets().last().map_or(&case.words, |raised| &raised.why),
            }),
        ),
        Event::Healing { node, step } => {
            let stage = view.id(*node);
            match step {
                HealStep::Began { body, level } => {
                    ("heal-began", json!({"stage": stage, "body": view.id(*body), "level": level}))
                }
                HealStep::Ended { due } => ("heal-ended", json!({"stage": stage, "again_at_ms": due.raw()})),
                HealStep::Halted { level } => (
                    "heal-halted",
                    json!({"stage": stage, "level": level, "alert": "guardian.halt", "severity": "critical"}),
                ),
            }
        }
        Event::ObjectiveRisked { objective, forecast } => {
            let mut facts = of(*objective);
            facts["forecast_ms"] = json!(forecast.map(crate::base::Span::ms));
            ("slo-at-risk", facts)
        }
        Event::ObjectiveBreached { objective } => {
            let mut facts = of(*objective);
            let known = view.graph().objectives.get(*objective as usize);
            facts["fails"] = json!(known.is_some_and(|it| it.on_breach == OnBreach::Fail));
            ("slo-breached", facts)
        }
        _ => ("other", json!({})),
    }
}

/// What is said about the shards of a stage.
fn facts_of_shards(view: &View, event: &Event) -> (&'static str, Value) {
    let id = |ix: &NodeIx| view.id(*ix).to_owned();
    match event {
        Event::ShardsCut { node, cut, why, p95 } => {
            let why = match why {
                CutReason::First => "first",
                CutReason::Split => "split",
                CutReason::Grow => "grow",
            };
            let (shard, item, size) = (cut.shard, cut.item, cut.size);
            let facts = json!({
                "stage": id(node), "shard": shard, "item": item, "size": size, "why": why, "p95_ms": p95.ms(),
            });
            ("shards-cut", facts)
        }
        Event::CellsFrozen { node, cells } => {
            let matrix = view.graph().late_matrix(*node).map(|matrix| &*matrix.id);
            let cells =
                cells.iter().filter_map(|cell| serde_json::from_str::<Value>(cell).ok()).collect::<Vec<_>>();
            ("cells-frozen", json!({"stage": matrix, "cells": cells}))
        }
        Event::ItemsFrozen { node, items } => ("items-frozen", json!({"stage": id(node), "items": items.len()})),
        Event::ShardRecalled { node, shard, result } => {
            let mut facts = json!({"stage": id(node), "shard": shard});
            add_result(&mut facts, result);
            ("shard-recalled", facts)
        }
        Event::StageSealed { node, root } => {
            ("stage-sealed", json!({"stage": id(node), "root": root.to_string()}))
        }
        Event::ShardsReopened { node } => ("shards-reopened", json!({"stage": id(node)})),
        _ => unreachable!("only these are given"),
    }
}

/// Stage, shard and number of an attempt.
fn of_attempt(view: &View, attempt: Attempt) -> Value {
    json!({"stage": view.id(attempt.node), "shard": attempt.shard, "attempt": attempt.number})
}

/// Why a stage will not run.
fn of_skip(view: &View, node: NodeIx, why: &SkipReason) -> Value {
    let (state, word, by) = match why {
        SkipReason::Condition => ("skipped", "condition", None),
        SkipReason::NotNeeded => ("skipped", "not-needed", None),
        SkipReason::NotSelected => ("skipped", "not-selected", None),
        SkipReason::NoCell => ("skipped", "no-cell", None),
        SkipReason::Blocked { by } => ("blocked", "blocked", Some(view.id(*by))),
    };
    json!({"stage": view.id(node), "state": state, "why": word, "by": by})
}

/// How an attempt ended.
fn add_outcome(facts: &mut Value, outcome: &Outcome) {
    facts["outcome"] = json!(words::outcome_word(outcome));
    match outcome {
        Outcome::Exit(code) => facts["exit"] = json!(code),
        Outcome::Signal(number) => facts["signal"] = json!(number),
        Outcome::TimedOut(clock) => facts["clock"] = json!(words::clock(*clock)),
        Outcome::NotStarted(why) | Outcome::BadResult(why) => facts["why"] = json!(why),
        Outcome::Success | Outcome::Cancelled => {}
    }
}

/// What an attempt left.
fn add_result(facts: &mut Value, result: &ShardResult) {
    let outputs: Map<String, Value> = result.outputs.iter().cloned().collect();
    facts["outputs"] = Value::Object(outputs);
    facts["artifacts"] = json!(result.artifacts);
    if let Some(digest) = result.digest {
        facts["digest"] = json!(digest);
    }
    facts["cpu_us"] = json!(result.cpu_us);
    facts["max_rss_kib"] = json!(result.max_rss_kib);
    facts["notes"] = json!(result.notes);
    facts["output_bytes"] = json!(result.output.map_or(0, |place| place.len));
}
