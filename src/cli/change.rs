//! An edited plan beside the recorded one: what a resume would keep, repeat or drop, and why.

use std::sync::Arc;

use super::fault::Fault;
use super::settings::Settings;
use crate::base::NodeIx;
use crate::driver::begin::Read;
use crate::driver::compile::{self, Compiled, Expected};
use crate::graph::build::Mode;
use crate::graph::model::Work;
use crate::graph::{Change, ChangeKind, compare};
use crate::report::console::Look;
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
            super::check::refuse(&refused, settings).help(format!(
            "the edited plan cannot be used; mend it, or go on with the recorded one: engine resume {} --recorded",
            read.dir.id()
        ))
        })?;
    // The run goes on by what it went by so far.
    let recorded = &read.compiled.graph;
    Arc::make_mut(&mut compiled.graph)
        .expect(|node, graph| recorded.nodes[recorded.find(&graph.nodes[node].id)?].rules.usual);
    if compiled.graph.digest() == read.compiled.graph.digest() {
        return Ok(Edited::No);
    }
    let recorded = read.state().graph();
    if !recorded.matrices.is_empty() {
        Arc::make_mut(&mut compiled.graph).adopt_cells(recorded);
    }
    let changes = compare(recorded, &compiled.graph);
    let approvals = approvals_above(&compiled, &changes);
    Ok(Edited::Yes(Box::new(Edit { compiled: Box::new(compiled), changes, approvals })))
}

/// Why a run cannot go on by an edited plan: it would leave stages that have done something without a way back.
pub(super) fn strands(edit: &Edit, read: &Read) -> Option<String> {
    let (state, old) = (read.state(), &read.compiled.graph);
    let gone = edit.changes.iter().filter_map(|change| match change.kind {
        ChangeKind::Removed(ix) => old.nodes[ix].undoes,
        _ => None,
    });
    let lost = gone.filter(|&stage| state.is_dirty(stage)).map(|stage| format!("`{}`", old.nodes[stage].id));
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
