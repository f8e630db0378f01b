//! An edited plan beside the recorded one: what a resume would keep, repeat or drop, and why.

use std::sync::Arc;

use super::exit::Exit;
use super::fault::Fault;
use super::settings::Settings;
use crate::base::NodeIx;
use crate::driver::begin::Read;
use crate::driver::compile::{self, Compiled, Expected};
use crate::graph::build::Mode;
use crate::graph::model::Work;
use crate::graph::{Change, ChangeKind, Graph, compare};
use crate::report::console::Look;
use crate::report::hint;
use crate::run::event::NodeState;

/// Whether the plan's files still say what the run recorded.
pub(super) enum Edited {
    /// They do.
    No,
    /// They are not there any more, or cannot be read; the words say which.
    Gone(String),
    /// They say something else.
    Yes(Box<Edit>),
}

/// An edit.
pub(super) struct Edit {
    /// The plan as it is now, with the recorded inputs.
    pub(super) compiled: Box<Compiled>,
    /// What became of each stage.
    pub(super) changes: Vec<Change>,
    /// Approvals above a change, in the new graph.
    pub(super) approvals: Vec<NodeIx>,
    /// Why what undoes a stage that is gone cannot stay, if it cannot.
    unkept: Option<String>,
}

/// Compares the files on disk with the run's snapshot.
pub(super) fn look(read: &Read, settings: &Settings) -> Result<Edited, Fault> {
    let mut is_same = true;
    for file in read.compiled.sources.files() {
        match std::fs::read(settings.root.join(&file.path)) {
            Ok(bytes) => is_same &= bytes == file.text.as_bytes(),
            Err(error) => return Ok(Edited::Gone(format!("`{}` cannot be read ({error})", file.path))),
        }
    }
    if is_same {
        return Ok(Edited::No);
    }
    let options = read.compiled.options.clone();
    let mut compiled =
        compile::from_disk(&settings.root, options, Mode::Run, &Expected::default()).map_err(|refused| {
            let refused = super::check::refuse(&refused, settings);
            Fault { exit: Exit::Invalid, ..refused }.help(format!(
                "the edited plan cannot be used; mend it, or go on with the recorded one: {} --recorded",
                hint::resume(read.dir.id().as_str())
            ))
        })?;
    // The run goes on by what it went by so far.
    let recorded = &read.compiled.graph;
    let graph = Arc::make_mut(&mut compiled.graph);
    graph.expect_work(|node, graph| {
        let before = recorded.find(&graph.nodes[node].id)?;
        let is_same = recorded.definition(before) == graph.definition(node);
        recorded.nodes[before].rules.work.as_deref().copied().filter(|_| is_same)
    });
    graph.expect(|node, graph| recorded.nodes[recorded.find(&graph.nodes[node].id)?].rules.usual);
    let unkept = retire(&mut compiled, read).err();
    if compiled.graph.digest() == read.compiled.graph.digest() {
        return Ok(Edited::No);
    }
    let recorded = read.state().graph();
    if !recorded.matrices.is_empty() {
        Arc::make_mut(&mut compiled.graph).adopt_cells(recorded);
    }
    let changes = compare(recorded, &compiled.graph);
    let approvals = approvals_above(&compiled, &changes);
    Ok(Edited::Yes(Box::new(Edit { compiled: Box::new(compiled), changes, approvals, unkept })))
}

/// Keeps the stages that are gone and have done something which can be undone, as they were recorded.
fn retire(compiled: &mut Compiled, read: &Read) -> Result<(), String> {
    let (old, state) = (&read.compiled.graph, read.state());
    let stages = old.outlasting(&compiled.graph, |node| state.may_have_done(node));
    if stages.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = stages.iter().map(|&stage| &*old.nodes[stage].id).collect();
    let kept = compiled.graph.retire(old, ids.iter().copied()).and_then(|graph| {
        let mut undos = stages.iter().filter_map(|&stage| old.undone_by(stage));
        undos.try_for_each(|undo| fits(undo, old, compiled)).map(|()| graph)
    });
    let undone = stages.iter().filter(|&&stage| old.undone_by(stage).is_some());
    let lost: Vec<String> = undone.map(|&stage| format!("`{}`", old.nodes[stage].id)).collect();
    let unkept = |why| format!("the edit drops what undoes {}, and it cannot be kept: {why}", lost.join(", "));
    compiled.graph = Arc::new(kept.map_err(unkept)?);
    Ok(())
}

/// Whether what undoes a stage of `old` finds around it what it was written for.
fn fits(undo: NodeIx, old: &Graph, compiled: &Compiled) -> Result<(), String> {
    let Work::Process(process) = &old.nodes[undo].work else { return Ok(()) };
    let lost = process.secrets.iter().find(|(_, name)| !compiled.given.declares(name));
    if let Some((_, name)) = lost {
        return Err(format!("it needs the secret `{name}`, which is gone as well"));
    }
    let lost = old.nodes[undo].undoes.and_then(|stage| old.lost_service(stage, &compiled.graph));
    if let Some(service) = lost {
        let id = &old.nodes[service].id;
        return Err(format!("it may count on `{id}`, which served the run and is gone as well"));
    }
    let values = |graph: &Graph| graph.settings.environment.as_ref().map(|it| it.values.clone());
    if old.is_late(undo) && values(old) != values(&compiled.graph) {
        return Err("it may read the environment, which has other values now".to_owned());
    }
    Ok(())
}

/// Why a run cannot go on by an edited plan: it would leave stages that have done something without a way back.
pub(super) fn strands(edit: &Edit, read: &Read) -> Option<String> {
    if edit.unkept.is_some() {
        return edit.unkept.clone();
    }
    let (state, old) = (read.state(), &read.compiled.graph);
    let gone = edit.changes.iter().filter_map(|change| match change.kind {
        ChangeKind::Removed(ix) => old.nodes[ix].undoes,
        _ => None,
    });
    let lost = gone.filter(|&stage| state.may_have_done(stage)).map(|stage| format!("`{}`", old.nodes[stage].id));
    let lost: Vec<String> = lost.collect();
    (!lost.is_empty()).then(|| format!("the edit drops what undoes {}, and what that did stands", lost.join(", ")))
}

/// Approvals on which something changed or new depends: they were given for another plan.
fn approvals_above(compiled: &Compiled, changes: &[Change]) -> Vec<NodeIx> {
    let graph = &compiled.graph;
    let mut is_above = vec![false; graph.nodes.len()];
    for change in changes {
        match change.kind {
            ChangeKind::Changed { new, .. } | ChangeKind::Added(new) => is_above[new.raw() as usize] = true,
            _ => {}
        }
    }
    for &node in graph.order().iter().rev() {
        if is_above[node.raw() as usize] {
            for need in &graph.nodes[node].needs {
                is_above[need.node.raw() as usize] = true;
            }
        }
    }
    let approvals = graph
        .nodes
        .pairs()
        .filter(|(ix, node)| matches!(node.work, Work::Approval { .. }) && is_above[ix.raw() as usize]);
    approvals.map(|(ix, _)| ix).collect()
}

/// What the edit means for this run, stage by stage; unchanged stages are only counted.
pub(super) fn describe(edit: &Edit, read: &Read, color: bool) -> String {
    let look = Look { colour: color, output: false };
    let recorded = read.state();
    let mut lines = vec![look.bold("the plan was edited since the run began:")];
    let mut same = 0;
    for change in &edit.changes {
        match &change.kind {
            ChangeKind::Unchanged { .. } => same += 1,
            ChangeKind::Added(_) => lines.push(format!("  + {}  new", change.id)),
            ChangeKind::Removed(old) => {
                let state = recorded.state(*old);
                lines.push(format!("  - {}  removed (it was {})", change.id, state.word()));
            }
            ChangeKind::Retired { old } => lines.push(format!("  - {}  {}", change.id, retired(read, *old))),
            ChangeKind::Changed { old, new, fields } => {
                let state = recorded.state(*old);
                let what = match state {
                    NodeState::Success | NodeState::Cached | NodeState::AllowedFailure
                        if !edit.approvals.contains(new) =>
                    {
                        "stays done, its text differs"
                    }
                    _ if edit.approvals.contains(new) => "is asked again",
                    _ => "uses the new text",
                };
                lines.push(format!("  ~ {}  {}: {what}", change.id, state.word()));
                for field in fields {
                    lines.push(format!("      {}: {} → {}", field.field, short(&field.from), short(&field.to)));
                }
            }
        }
    }
    let asked = edit.approvals.iter().filter(|&&ix| {
        let id = &edit.compiled.graph.nodes[ix].id;
        !lines.iter().any(|line| line.starts_with(&format!("  ~ {id} ")))
    });
    let asked: Vec<String> = asked.map(|&ix| edit.compiled.graph.nodes[ix].id.to_string()).collect();
    for id in asked {
        lines.push(format!("  ? {id}  is asked again: something that depends on it changed"));
    }
    lines.push(format!("    {same} stages are as they were"));
    lines.join("\n")
}

/// What is said of a stage of the recorded plan that the edited one lacks and the run keeps.
pub(super) fn retired(read: &Read, old: NodeIx) -> &'static str {
    let (state, graph) = (read.state(), read.state().graph());
    if graph.undone_by(old).is_some() && state.may_have_done(old) {
        "is gone from the plan; its recorded rollback stays"
    } else {
        "is gone from the plan; what it left stays for a rollback"
    }
}

/// A field's text in one short line.
fn short(text: &str) -> String {
    if text.is_empty() {
        return "nothing".to_owned();
    }
    let line = text.replace('\n', "⏎");
    if line.chars().count() <= 60 {
        format!("`{line}`")
    } else {
        format!("`{}…`", line.chars().take(59).collect::<String>())
    }
}
