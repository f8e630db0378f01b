//! `engine plan --resume RUN`: what a resume would do, by the code that resumes.

use super::args::PlanArgs;
use super::change::{self, Edited};
use super::exit::Exit;
use super::fault::Answer;
use super::settings::{self, Settings};
use super::{find, print, resume};
use crate::base::NodeIx;
use crate::driver::begin::{Orders, Read, recover};
use crate::driver::ports;
use crate::journal;
use crate::report::console::Look;
use crate::run::event::{Attempt, NodeState, ReopenReason};
use crate::run::{Command, Core, Event, input};

/// What a resume does with a stage.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Fate {
    /// It has ended and stays so.
    Kept,
    /// It will start again, or for the first time.
    Starts(String),
    /// A person or a check decides first.
    Asked(String),
}

/// Shows it.
pub(super) fn run(id: &str, args: &PlanArgs, settings: &Settings) -> Answer {
    let state = find::state(settings)?;
    let dir = find::run(&state, id)?;
    let is_live = journal::is_live(&dir)?;
    let read = find::read(dir)?;
    let run = read.dir.id().clone();
    if resume::is_over(&read) && args.rerun.is_empty() {
        print::line(&format!("nothing to resume: run {run} has ended well"));
        return Ok(Exit::Success);
    }
    let mut orders = Orders { jobs: args.jobs, person: settings::person(), ..Orders::default() };
    let edited = if args.recorded { Edited::No } else { change::look(&read, settings)? };
    if let Edited::Yes(edit) = edited {
        if !args.json {
            print::line(&change::describe(&edit, &read, settings.color));
            print::line("");
        }
        orders.changed.clone_from(&edit.approvals);
        orders.change = Some(edit.compiled);
    }
    let graph = orders.change.as_ref().map_or(&read.compiled.graph, |compiled| &compiled.graph).clone();
    orders.rerun = resume::rerun(&graph, &args.rerun)?;
    let fates = fates(&read, &orders);
    if args.json {
        print::json(&as_json(run.as_str(), &graph, &fates));
    } else {
        print::out(&as_text(run.as_str(), &graph, &fates, settings.color));
        if is_live {
            print::line("an engine works on this run now; this is what would happen if it died");
        }
    }
    Ok(Exit::Success)
}

/// Folds the record, recovers in memory, and looks at what became of each stage.
fn fates(read: &Read, orders: &Orders) -> Vec<(NodeIx, NodeState, Fate)> {
    let (mut core, inputs) = recover(read, orders, ports::wall_ms());
    let at = read.last_at();
    let batch = core.step(at, inputs);
    let mut lost: Vec<Attempt> = Vec::new();
    let mut reopened: Vec<(NodeIx, ReopenReason)> = Vec::new();
    let mut checked = Vec::new();
    for (_, event) in &batch.events {
        match event {
            Event::ShardLost { attempt } => lost.push(*attempt),
            Event::NodeReopened { node, why } => reopened.push((*node, *why)),
            _ => {}
        }
        input::commands(event, |command| match command {
            Command::Check(node, ..) => checked.push(node),
            Command::Start(_) | Command::Stop(..) => {}
        });
    }
    let graph = core.state().graph().clone();
    graph
        .nodes
        .indexes()
        .map(|node| {
            let state = core.state().state(node);
            let why_again = reopened.iter().find(|(reopened, _)| *reopened == node).map(|(_, why)| *why);
            let was_lost = lost.iter().any(|attempt| attempt.node == node);
            let fate = fate(&core, node, (why_again, was_lost, checked.contains(&node)));
            (node, state, fate)
        })
        .collect()
}

fn fate(core: &Core, node: NodeIx, (again, was_lost, is_checked): (Option<ReopenReason>, bool, bool)) -> Fate {
    let state = core.state().state(node);
    if state == NodeState::Unknown {
        return Fate::Asked("its outcome is unknown: engine resolve".to_owned());
    }
    if core.state().open_approvals().any(|(open, _)| open == node) {
        return Fate::Asked("waits for approval".to_owned());
    }
    if is_checked && was_lost {
        return Fate::Asked("its attempt was cut off: `done-if` is asked first".to_owned());
    }
    if state.is_final() {
        return Fate::Kept;
    }
    Fate::Starts(match again {
        Some(ReopenReason::Resume) => "had not succeeded".to_owned(),
        Some(ReopenReason::Ordered) => "ordered by --rerun".to_owned(),
        Some(ReopenReason::Upstream) => "depends on what is run again".to_owned(),
        Some(ReopenReason::Changed) => "its definition changed".to_owned(),
        None if was_lost => "its attempt was cut off".to_owned(),
        None => "had not started".to_owned(),
    })
}

fn as_text(run: &str, graph: &crate::graph::Graph, fates: &[(NodeIx, NodeState, Fate)], color: bool) -> String {
    let look = Look { colour: color, output: false };
    let mut lines = vec![format!("resume of run {run} would")];
    let width = fates.iter().map(|(node, ..)| graph.nodes[*node].id.len()).max().unwrap_or(0).min(40);
    for (node, state, fate) in fates {
        let id = &graph.nodes[*node].id;
        let (verb, why) = match fate {
            Fate::Kept => ("keep", look.dim(state.word())),
            Fate::Starts(why) => ("run", why.clone()),
            Fate::Asked(why) => ("ask", why.clone()),
        };
        lines.push(format!("  {verb:<5} {id:<width$}  {why}"));
    }
    let count = |is: fn(&Fate) -> bool| fates.iter().filter(|(_, _, fate)| is(fate)).count();
    let kept = count(|fate| *fate == Fate::Kept);
    let starts = count(|fate| matches!(fate, Fate::Starts(_)));
    lines.push(format!("{kept} kept, {starts} to run, {} to ask\n", fates.len() - kept - starts));
    lines.join("\n")
}

fn as_json(run: &str, graph: &crate::graph::Graph, fates: &[(NodeIx, NodeState, Fate)]) -> serde_json::Value {
    let stages: Vec<_> = fates
        .iter()
        .map(|(node, state, fate)| {
            let (action, why) = match fate {
                Fate::Kept => ("keep", state.word()),
                Fate::Starts(why) => ("run", why.as_str()),
                Fate::Asked(why) => ("ask", why.as_str()),
            };
            serde_json::json!({"id": &*graph.nodes[*node].id, "action": action, "why": why, "state": state.word()})
        })
        .collect();
    serde_json::json!({"version": 1, "run": run, "stages": stages})
}
