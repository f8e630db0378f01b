//! What undoes stages, and what heals them, becomes nodes behind all of them; what undoes them in the reverse order.

use super::Builder;
use super::body::Layers;
use super::context::{Context, Site, Status, near};
use super::types;
use crate::base::{NodeIx, Span};
use crate::graph::model::{Node, Phase, Retry, Rules, Undo, Work};
use crate::graph::scope::under;
use crate::graph::undo::tie;
use crate::plan::model::{Body, Common, Rollback, Stage};
use crate::plan::tree::Tree;
use crate::render::{Kinds, Name};

/// What `self` has: the first two anywhere, the others in a rollback.
const OWN: [(&str, Kinds); 4] =
    [("id", Kinds::TEXT), ("stage", Kinds::TEXT), ("state", Kinds::TEXT), ("outputs", Kinds::MAP)];

/// What a `rollback` is written beside: the stage that is undone, and the context of each of its layers.
pub(super) struct Undone<'l> {
    /// The stage's node.
    pub(super) node: NodeIx,
    /// The stage itself, and what names mean in it.
    pub(super) stage: (&'l Stage, &'l Context),
    /// Its action, if it uses one, and what names mean in that; else the stage's own.
    pub(super) body: (&'l Stage, &'l Context),
    /// Its layers, strongest first.
    pub(super) common: &'l [(&'l Common, &'l Context)],
}

impl Builder<'_> {
    /// Keeps the node that undoes a stage for the end, if it has one.
    pub(super) fn undo<'l>(&mut self, undone: &Undone<'l>, site: Site<'_>) {
        let (action, action_cx) = undone.body;
        let (stage, cx): (&'l Stage, &'l Context) = undone.stage;
        let own = stage.rollback.as_ref().map(|rollback| (rollback, cx));
        let Some((rollback, cx)) = own.or_else(|| Some((action.rollback.as_ref()?, action_cx))) else { return };
        let of = &self.nodes[undone.node.raw() as usize];
        // What an action says of it is for stages that count.
        if of.phase == Phase::Background {
            return;
        }
        let mut node = Node { phase: Phase::Rollback, ..of.clone() };
        node.undoes = Some(undone.node);
        node.id = format!("{}.rollback", of.id).into();
        node.conditions.clear();
        node.fold = None;
        node.description = None;
        let undo = match rollback {
            Rollback::Nothing => Undo::Nothing,
            Rollback::Never => {
                node.rules = Rules { undo: Undo::Never, ..Rules::default() };
                node.work = Work::Process(Box::default());
                self.undos.push(node);
                Undo::Never
            }
            Rollback::Body(body) => {
                self.undo_body(&mut node, (body, cx), undone, site);
                self.undos.push(node);
                Undo::Body
            }
        };
        self.nodes[undone.node.raw() as usize].rules.undo = undo;
    }

    fn undo_body<'l>(
        &mut self,
        node: &mut Node,
        (body, cx): (&'l Stage, &'l Context),
        undone: &Undone<'l>,
        site: Site<'_>,
    ) {
        let outputs: Vec<(Box<str>, Kinds)> = match &node.work {
            Work::Process(process) if node.rules.split.is_none() => {
                process.outputs.iter().map(|(name, kind)| (under(name).into(), types::kinds(*kind))).collect()
            }
            _ => Vec::new(),
        };
        self.body_beside(node, (body, cx), undone, Site { own: Some(&outputs), ..site });
    }

    /// Makes `node` run a body that stands beside a stage, with the stage's words where the body has none.
    fn body_beside<'l>(
        &mut self,
        node: &mut Node,
        (body, cx): (&'l Stage, &'l Context),
        of: &Undone<'l>,
        site: Site<'_>,
    ) {
        let Body::Run(command) = &body.body else { return };
        let mut common = vec![(&body.common, cx)];
        common.extend(of.common.iter().copied());
        let layers = Layers { common, body, body_cx: of.body.1, own: body, own_cx: cx };
        let site = Site { shard: None, ..site };
        let mut rules = self.rules(&layers, false);
        rules.pools.clone_from(&node.rules.pools);
        // What makes a stage worth another try says nothing of what undoes it, and nobody waits for a place to undo.
        rules.retry = self.own_retry(body, cx).map(Box::new);
        rules.queue = None;
        // The time of a stage without items, or of none, is no time for undoing it.
        rules.expected = Span::from_secs(1);
        let secrets = match &node.work {
            Work::Process(process) => process.secrets.clone(),
            Work::Approval { .. } => Vec::new(),
        };
        node.work = self.process(&layers, (command, cx), site, &mut rules, &node.id.clone());
        if let Work::Process(process) = &mut node.work {
            process.secrets = secrets;
        }
        node.rules = rules;
    }

    /// Keeps the nodes that heal a stage for the end.
    pub(super) fn heal<'l>(&mut self, of: &Undone<'l>, site: Site<'_>) {
        let (action, action_cx) = of.body;
        let (stage, cx): (&'l Stage, &'l Context) = of.stage;
        let (ladder, cx) = if stage.heal.is_empty() { (&action.heal, action_cx) } else { (&stage.heal, cx) };
        let healed = &self.nodes[of.node.raw() as usize];
        if healed.phase == Phase::Background {
            return;
        }
        if let (Some(first), Phase::Finally) = (ladder.first(), healed.phase) {
            let message = format!("`heal` does not fit `{}`, which belongs to `finally`", healed.id);
            return self.error("plan::misplaced-key", first.body.id.at, message);
        }
        for (at, remedy) in ladder.iter().enumerate() {
            let healed = &self.nodes[of.node.raw() as usize];
            let mut node = Node { phase: Phase::Heal, ..healed.clone() };
            node.heals = Some(of.node);
            node.id = format!("{}.heal-{}", healed.id, at + 1).into();
            node.conditions.clear();
            node.fold = None;
            node.description = None;
            self.body_beside(&mut node, (&remedy.body, cx), of, site);
            node.rules.cool_down = self.maybe(remedy.cool_down.as_ref(), cx).unwrap_or_default();
            self.undos.push(node);
        }
    }

    /// `self.id`; in a rollback also `self.state` and `self.outputs.x`, which the stage may not have written.
    pub(super) fn own(&mut self, name: &Name, tree: &Tree, site: Site<'_>) -> Result<Status, ()> {
        let Some(outputs) = site.own else { return self.member(name, tree, &OWN[..2]) };
        let found = self.member(name, tree, &OWN)?;
        let output = name.path.get(2).filter(|_| name.path.get(1).is_some_and(|part| &**part == "outputs"));
        let Some(output) = output else { return Ok(found) };
        let Some((_, kinds)) = outputs.iter().find(|(known, _)| known == output) else {
            let candidates: Vec<&str> = outputs.iter().map(|(output, _)| &**output).collect();
            let help = near(tree, name, 2, &candidates);
            let message = format!("the stage has no output `{output}`");
            return self.fault("plan::unknown-output", name, tree, message, help);
        };
        if !name.is_guarded {
            let message =
                format!("`{}` may be missing: the stage may have failed before it wrote it", name.dotted());
            let help = Some(format!("write `{} | default(…)`", name.dotted()));
            return self.fault("plan::output-may-miss", name, tree, message, help);
        }
        self.deeper(name, tree, 3, Status::Late(kinds.or(Kinds::NONE)))
    }

    fn own_retry(&mut self, body: &Stage, cx: &Context) -> Option<Retry> {
        let retry = body.common.retry.as_ref()?;
        self.retry(retry, cx)
    }

    /// Lays the nodes that undo stages behind all others, and ties them. What they see is what their stages see.
    pub(super) fn lay_undos(&mut self) {
        for mut node in std::mem::take(&mut self.undos) {
            if let Some(stage) = node.beside() {
                node.views.clone_from(&self.nodes[stage.raw() as usize].views);
            }
            if self.push_node(node).is_none() {
                return;
            }
        }
        tie(&mut self.nodes);
    }
}
