//! Groups, objectives and tickets in words, for the terminal, for reports and as JSON.

use serde_json::{Value, json};

use super::view::{Goal, GroupState, View};
use super::{hint, words};
use crate::base::{Millis, NodeIx, Span};
use crate::graph::objective::{Objective, OnBreach, Readiness};
use crate::run::Event;
use crate::run::event::{HealStep, NodeState};

/// One line: its tone, a word, what it is about, what there is to say.
pub(super) struct Line {
    pub(super) tone: NodeState,
    pub(super) word: &'static str,
    pub(super) name: String,
    pub(super) said: String,
}

/// All that there is to say of groups and objectives at `now`.
pub(super) fn lines(view: &View, now: Millis) -> Vec<Line> {
    let groups = view.groups().map(|(name, readiness, state)| {
        let (tone, word) = match state {
            GroupState::Pending => (NodeState::Pending, "pending"),
            GroupState::Running => (NodeState::Running, "running"),
            GroupState::Ready => (NodeState::Success, "ready"),
            GroupState::NotReady(_) => (NodeState::Failed, "not ready"),
        };
        let why = match state {
            GroupState::NotReady(by) => format!("`{}` {}", view.id(by), words::what_became(view.get(by).state)),
            _ => String::new(),
        };
        // What is not ready behind the verdict is worth a look and changes nothing.
        let is_behind = view.is_group_behind(name);
        let tone = if is_behind && tone == NodeState::Failed { NodeState::AllowedFailure } else { tone };
        let optional = match readiness {
            _ if is_behind => "background",
            Readiness::Optional => "optional",
            Readiness::Required => "",
        };
        let said: Vec<&str> = [optional, &why].into_iter().filter(|it| !it.is_empty()).collect();
        Line { tone, word, name: format!("group {name}"), said: said.join(", ") }
    });
    let goals = view.goals().map(|(objective, goal)| {
        let (tone, word) = match goal.word() {
            "breached" => (NodeState::Failed, "breached"),
            "at-risk" => (NodeState::AllowedFailure, "at risk"),
            "met" => (NodeState::Success, "met"),
            "running" => (NodeState::Running, "running"),
            _ => (NodeState::Pending, "pending"),
        };
        Line { tone, word, name: format!("slo {}", title(objective)), said: stand(objective, goal, now) }
    });
    groups.chain(goals).collect()
}

/// `run`, `group runtime`, `stage migrate`.
fn title(objective: &Objective) -> String {
    format!("{} {}", objective.subject.word(), objective.name).trim_end().to_owned()
}

/// `2m of 10m`.
fn stand(objective: &Objective, goal: Goal, now: Millis) -> String {
    let took = goal.took(now).map_or_else(String::new, |took| format!("{} of ", words::length(took)));
    format!("{took}{}", objective.limit)
}

/// What a record says to who watches.
pub(super) fn told(view: &View, event: &Event) -> Option<Line> {
    let of = |objective: u32| view.graph().objectives.get(objective as usize);
    Some(match event {
        Event::ObjectiveRisked { objective, forecast } => {
            let it = of(*objective)?;
            let (tone, said) = (NodeState::AllowedFailure, risk(it, *forecast));
            Line { tone, word: "at risk", name: it.title(), said }
        }
        Event::ObjectiveBreached { objective } => {
            let it = of(*objective)?;
            Line { tone: NodeState::Failed, word: "late", name: it.title(), said: breach(it) }
        }
        Event::Healing { node, step } => heal(view, *node, *step),
        Event::TicketRaised { .. } => {
            let raised = view.tickets().last()?;
            let said = format!("{}: {}", raised.case.severity.word(), hint::ticket(&view.ticket_id(raised)));
            let name = raised.stage.clone().unwrap_or_default();
            Line { tone: NodeState::AllowedFailure, word: "ticket", name, said }
        }
        _ => return None,
    })
}

/// What is said about the healing of a stage.
fn heal(view: &View, ix: NodeIx, step: HealStep) -> Line {
    let all = view.graph().ladder(ix).len();
    let name = view.id(ix).to_owned();
    match step {
        HealStep::Began { level, .. } => {
            let why = view.get(ix).outcome.as_ref().map_or_else(String::new, words::outcome);
            let said = [why, format!("tries to heal it, {level} of {all}")];
            let said: Vec<&str> = said.iter().map(String::as_str).filter(|it| !it.is_empty()).collect();
            Line { tone: NodeState::Retrying, word: "heal", name, said: said.join("; ") }
        }
        HealStep::Ended { due } => {
            let wait = due.since(view.now());
            let when = if wait == Span::ZERO { String::new() } else { format!(" in {}", words::length(wait)) };
            Line { tone: NodeState::Retrying, word: "again", name, said: format!("is tried again{when}") }
        }
        HealStep::Halted { level } => {
            let tries = if level == 1 { "1 try".to_owned() } else { format!("{level} tries") };
            let said = format!("guardian.halt: {tries} to heal it did not help, and nothing new starts");
            Line { tone: NodeState::Failed, word: "halted", name, said }
        }
    }
}

/// What is said when an objective is at risk.
fn risk(objective: &Objective, forecast: Option<Span>) -> String {
    match forecast {
        Some(forecast) => {
            format!("will take about {}, its `slo` is {}", words::length(forecast), objective.limit)
        }
        None => format!("takes longer than in 95 of 100 cases, its `slo` is {}", objective.limit),
    }
}

/// What is said when it is missed.
fn breach(objective: &Objective) -> String {
    let fails = if objective.on_breach == OnBreach::Fail { ", and fails for it" } else { "" };
    format!("has taken longer than its `slo` of {}{fails}", objective.limit)
}

/// Groups as JSON.
pub(super) fn groups(view: &View) -> Value {
    let one = |(name, readiness, state): (&str, Readiness, GroupState)| {
        let by = match state {
            GroupState::NotReady(by) => Some(view.id(by)),
            _ => None,
        };
        let readiness = if readiness == Readiness::Optional { "optional" } else { "required" };
        json!({"name": name, "readiness": readiness, "state": state.word(), "ready": state == GroupState::Ready, "by": by})
    };
    view.groups().map(one).collect()
}

/// Objectives as JSON.
pub(super) fn objectives(view: &View, now: Millis) -> Value {
    let one = |(objective, goal): (&Objective, Goal)| {
        let on_breach = if objective.on_breach == OnBreach::Fail { "fail" } else { "warn" };
        json!({
            "of": objective.subject.word(), "name": objective.name, "limit_ms": objective.limit.ms(),
            "on_breach": on_breach, "state": goal.word(), "took_ms": goal.took(now).map(Span::ms),
            "at_risk": goal.risk.map(|(at, _)| view.utc(at)),
            "forecast_ms": goal.risk.and_then(|(_, forecast)| forecast).map(Span::ms),
            "breached": goal.breached.map(|at| view.utc(at)),
        })
    };
    view.goals().map(one).collect()
}

/// What was raised, as JSON.
pub(super) fn tickets(view: &View) -> Value {
    let one = |(id, raised): (String, &super::view::Raised)| {
        json!({
            "ticket": id, "kind": raised.case.kind.word(),
            "severity": raised.case.severity.word(), "stage": raised.stage, "at": view.utc(raised.at),
            "why": raised.why,
        })
    };
    view.tickets_once().into_iter().map(one).collect()
}
