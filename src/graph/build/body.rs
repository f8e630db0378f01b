//! What a node does and by which rules: the stage's own words over its action's over the file's defaults.

use std::sync::Arc;

use serde_json::Map;

use super::Builder;
use super::context::{Context, Declared, Site, Status};
use super::eval::Eval;
use super::expand::Surround;
use super::secrets::{Lent, Names};
use super::undo::Undone;
use crate::base::{NodeIx, PoolIx, Span, Text, limits};
use crate::graph::model::{Cache, Command, Frame, FrameIx, Late, Node, Phase, Process, Retry, Rules, Split, Work};
use crate::graph::outlook::written;
use crate::graph::scope::under;
use crate::plan::Diagnostic;
use crate::plan::model::{self, AllowFailure, Body, Common, Lifetime, Setting, Shell, Signal, Stage};
use crate::plan::source::{Place, Spanned};
use crate::plan::tree::{Kind, Tree};
use crate::render::{Kinds, Template, Tree as Prepared, text_of};

/// A stage with its action, if it uses one, and the context of each.
pub(super) struct Layers<'a> {
    /// Strongest first.
    pub(super) common: Vec<(&'a Common, &'a Context)>,
    pub(super) body: &'a Stage,
    pub(super) body_cx: &'a Context,
    pub(super) own: &'a Stage,
    pub(super) own_cx: &'a Context,
}

impl<'a> Layers<'a> {
    /// The stage, and the action that it uses.
    pub(super) fn stages(&self) -> impl Iterator<Item = &'a Stage> {
        let action = (!std::ptr::eq(self.body, self.own)).then_some(self.body);
        [Some(self.own), action].into_iter().flatten()
    }
}

/// The words of a process as they are written, as a number; 0 if none is a template.
fn written_as(command: &model::Command, layers: &Layers<'_>) -> u32 {
    let (script, words) = match command {
        model::Command::Script(tree) => (tree.as_str(), &[][..]),
        model::Command::Argv(_, words) => (None, &words[..]),
    };
    let common = || layers.common.iter().map(|(common, _)| common);
    let trees = || words.iter().chain(common().flat_map(|it| it.env.iter().map(|it| &it.1).chain(&it.cwd)));
    let texts = || trees().filter_map(Tree::as_str);
    if !texts().any(Template::is_template) {
        return 0;
    }
    let names = common().flat_map(|it| it.env.iter().map(|it| it.0.value.as_str()));
    written(script.into_iter().chain(texts()).chain(names))
}

impl<'a> Builder<'a> {
    /// The action called `name`.
    pub(super) fn action(&self, name: &str) -> Option<&'a Stage> {
        self.loaded.plan.actions.iter().find(|(found, _)| found.value == name).map(|(_, stage)| stage)
    }

    /// The node of a stage that is not a file; with the frame of its late values.
    pub(super) fn node(
        &mut self,
        around: &Surround<'a>,
        stage: &'a Stage,
        id: Text,
        site: Site<'_>,
    ) -> Option<(NodeIx, Option<FrameIx>)> {
        let (body, action_cx) = self.body_of(around, stage, site)?;
        let body_cx = action_cx.as_ref().unwrap_or(&around.cx);
        let is_gate = matches!(body.body, Body::Approval { .. });
        let asks = matches!(body.body, Body::Gate { .. });
        let mut common = Vec::with_capacity(3);
        common.push((&stage.common, &around.cx));
        if !std::ptr::eq(body, stage) {
            common.push((&body.common, body_cx));
        }
        if !is_gate && !asks {
            common.push((&around.plan.defaults, &around.cx));
        }
        let layers = Layers { common, body, body_cx, own: stage, own_cx: &around.cx };
        let mut rules = self.rules(&layers, is_gate);
        rules.pools.extend(around.pools.iter().copied());
        rules.group = around.number;
        if around.phase == Phase::Finally && stage.common.timeout.is_none() && body.common.timeout.is_none() {
            rules.timeout = self.within_budget(rules.timeout);
        }
        let work = self.work(&layers, site, &mut rules, &id)?;
        if rules.shards == 0 {
            rules.expected = Span::ZERO;
        }
        let mut node = Node {
            stage: stage.id.value.clone(),
            place: stage.id.at,
            phase: around.phase,
            group: around.group.clone(),
            fold: around.fold,
            scope: around.scope,
            needs: Vec::new(),
            work,
            selected: true,
            rules,
            frame: layers.body_cx.frame,
            more: None,
            id,
        };
        // What is not there is not written, so that a plain stage has no room for it.
        if let Some(words) = stage.description.as_deref().or(body.description.as_deref()) {
            node.description = Some(words.into());
        }
        if around.cell.is_some() {
            node.cell = around.cell;
        }
        if !around.conditions.is_empty() {
            node.conditions.clone_from(&around.conditions);
        }
        let node = self.push_node(node)?;
        let undone = Undone { node, stage: (stage, &around.cx), body: (body, body_cx), common: &layers.common };
        self.undo(&undone, site);
        self.heal(&undone, site);
        Some((node, action_cx.as_ref().map(|cx| cx.frame)))
    }

    /// What a node does, by its body. None when that is wrong, which has been said, and for what becomes several nodes.
    fn work(&mut self, layers: &Layers<'_>, site: Site<'_>, rules: &mut Rules, id: &str) -> Option<Work> {
        Some(match &layers.body.body {
            Body::Approval { prompt, asked, .. } => self.approval(prompt.as_ref(), asked, layers, (site, rules)),
            Body::Run(command) => self.process(layers, (command, layers.body_cx), site, rules, id),
            Body::Env { at, verb, with } => {
                let command = self.env_words(*at, *verb, with)?;
                let mut work = self.process(layers, (&command, layers.body_cx), site, rules, id);
                self.lend_environment(&mut work);
                work
            }
            Body::Gate { at, kind, with } => {
                let (command, places) = self.gate_words(*at, kind, with);
                let mut work = self.process(layers, (&command, layers.body_cx), site, rules, id);
                self.check_gate(kind, &mut work, &places, (*at, rules));
                work
            }
            Body::File { .. } | Body::Action { .. } => return None,
        })
    }

    /// A default `timeout` of a clean-up stage; one that is no shorter than the budget bounds nothing: the budget does.
    fn within_budget(&self, default: Option<Span>) -> Option<Span> {
        default.filter(|timeout| self.budget.is_none_or(|budget| *timeout < budget))
    }

    /// Whose body a stage runs, and what names mean in it when it is an action's.
    fn body_of(
        &mut self,
        around: &Surround<'a>,
        stage: &'a Stage,
        site: Site<'_>,
    ) -> Option<(&'a Stage, Option<Context>)> {
        let Body::Action { uses, with } = &stage.body else { return Some((stage, None)) };
        // An unknown action, and one that uses another, has been reported when the file was checked.
        let action = self.action(&uses.value)?;
        Some((action, Some(self.action_context(with, &around.cx, site))))
    }

    /// The context of an action's body: `inputs` are what `with` gives.
    fn action_context(&mut self, with: &[(Spanned<Text>, Tree)], outer: &Context, site: Site<'_>) -> Context {
        let mut inputs = Map::new();
        let mut declared = Declared::new();
        let mut lates = Vec::new();
        let mut secrets = Names::new();
        for (name, tree) in with {
            let key: Box<str> = under(&name.value).into();
            if let Some(handed) = self.handed(tree, outer) {
                declared.insert(key.clone(), Status::Secret);
                secrets.extend(handed.ok().map(|secret| (key, secret)));
                continue;
            }
            let status = match self.value(tree, outer, site) {
                Eval::Known(value) => {
                    inputs.insert(key.to_string(), value);
                    Status::Known
                }
                Eval::Late(kinds) => {
                    let (root, text) = ("inputs", tree.as_str().unwrap_or_default().into());
                    let (name, views) = (key.clone(), Vec::new());
                    lates.push(Late { root, name, text, frame: outer.frame, views, kind: None });
                    Status::Late(kinds)
                }
                Eval::Unknown(kinds) => Status::Unknown(kinds),
                Eval::Failed => Status::Unknown(Kinds::ANY),
            };
            declared.insert(key, status);
        }
        let mut cx = outer.clone();
        cx.scope.set("inputs", &Prepared::map(&inputs));
        cx.inputs = Arc::new(declared);
        cx.lent = Arc::new(Lent { inputs: secrets, keys: outer.lent.keys.clone() });
        Arc::make_mut(&mut cx.vars).retain(|_, status| !matches!(status, Status::Late(_)));
        let frame = self.frames[outer.frame as usize].clone();
        cx.frame = self.push_frame(Frame { inputs: Arc::new(inputs), late: lates, late_from: None, ..frame });
        cx
    }

    /// A text of a node: rendered when that can be done now, else as written.
    pub(super) fn text(&mut self, tree: &Tree, cx: &Context, layers: &Layers<'_>, site: Site<'_>) -> Text {
        match &tree.kind {
            Kind::Str { text, .. } if !Template::is_template(text) => text.clone(),
            Kind::Str { text, .. } => self.worked_out(tree, text.clone(), (cx, layers), site),
            _ => self.worked_out(tree, Text::default(), (cx, layers), site),
        }
    }

    /// What is no plain text: rendered now, or kept as `raw`.
    fn worked_out(
        &mut self,
        tree: &Tree,
        raw: Text,
        (cx, layers): (&Context, &Layers<'_>),
        site: Site<'_>,
    ) -> Text {
        match self.value(tree, cx, site) {
            Eval::Known(value) => match text_of(&value) {
                Some(text) if !Template::is_template(&text) => text.into(),
                Some(_) => self.keep(raw, cx, layers),
                None => {
                    self.check_form(tree, Kinds::of(&value));
                    raw
                }
            },
            Eval::Late(kinds) | Eval::Unknown(kinds) => {
                self.check_form(tree, kinds);
                self.keep(raw, cx, layers)
            }
            Eval::Failed => raw,
        }
    }

    /// Keeps a template for later. Written outside the action whose frame the node has, it becomes a late
    /// input of that frame.
    pub(super) fn keep(&mut self, raw: Text, cx: &Context, layers: &Layers<'_>) -> Text {
        let own = layers.body_cx.frame;
        if cx.frame == own {
            return raw;
        }
        let frame = cx.frame;
        let lates = &mut self.frame_mut(own).late;
        let name = format!("caller_{}", lates.len());
        let text = format!("{{{{ inputs.{name} }}}}").into();
        lates.push(Late {
            root: "inputs",
            name: name.into(),
            text: raw.as_str().into(),
            frame,
            views: Vec::new(),
            kind: None,
        });
        text
    }

    fn command(&mut self, command: &model::Command, layers: &Layers<'_>, cx: &Context, site: Site<'_>) -> Command {
        match command {
            model::Command::Script(tree) => Command::Script {
                text: tree.as_str().unwrap_or_default().into(),
                shell: layers
                    .common
                    .iter()
                    .find_map(|(common, _)| common.shell.as_ref())
                    .map_or(Shell::Strict, |shell| shell.value.clone()),
            },
            model::Command::Argv(_, words) => {
                Command::Argv(words.iter().map(|word| self.text(word, cx, layers, site)).collect())
            }
        }
    }

    pub(super) fn process(
        &mut self,
        layers: &Layers<'_>,
        (command, command_cx): (&model::Command, &Context),
        site: Site<'_>,
        rules: &mut Rules,
        id: &str,
    ) -> Work {
        let mut process = Process::of(Command::Argv(Vec::new()));
        let mut split = None;
        if let Some((shards, cx)) = either(layers, |stage| stage.shards.as_ref()) {
            let (items, bounds) = self.items((shards, cx), layers, site, id);
            rules.shards = if bounds.is_late { 1 } else { u32::try_from(items.shard_count()).unwrap_or(u32::MAX) };
            if let Some(most) = bounds.max_parallel {
                rules.pools.push((self.push_pool(format!("{id} shards"), most), 1));
            }
            process.items = items;
            let mut bounds = bounds;
            self.crew((shards, cx), layers, rules, &mut bounds);
            split = Some(bounds);
        }
        // What is sized as it runs has no item of its own to name.
        let size = |split: &Split| if split.grows { u32::MAX } else { split.size };
        let shard = split.as_ref().map(size);
        let has_workers = split.as_ref().is_some_and(|split| split.in_flight.is_some());
        let site = Site { shard, has_workers, ..site };
        process.command = self.command(command, layers, command_cx, site);
        process.env = self.env(layers, site);
        self.stage_secrets(layers, &mut process);
        for name in layers.common.iter().flat_map(|(common, _)| &common.pass_env) {
            if !process.pass_env.iter().any(|known| **known == *name.value) {
                process.pass_env.push(name.value.clone());
            }
        }
        let cwd = layers.common.iter().find_map(|(common, cx)| Some((common.cwd.as_ref()?, cx)));
        if let Some((tree, cx)) = cwd {
            process.cwd = Some(self.text(tree, cx, layers, site));
        }
        process.written = written_as(command, layers);
        leaves(layers, &mut process);
        rules.has_cache = process.cache.is_some();
        if let Some(split) = &mut split {
            split.is_sealed = !process.outputs.is_empty() || !process.artifacts.is_empty();
            if let Some((cache, _)) = either(layers, |stage| stage.cache.as_ref()).filter(|_| split.is_dynamic()) {
                self.no_cache(cache.at, split.is_late);
            }
        }
        rules.split = split.map(Box::new);
        if let Some((command, cx)) = either(layers, |stage| stage.done_if.as_ref()) {
            process.done_if = Some(Box::new(self.command(command, layers, cx, site)));
            rules.has_done_if = true;
        }
        let lifetime = either(layers, |stage| stage.lifetime.as_ref());
        process.lifetime = lifetime.map(|(lifetime, _)| lifetime.value).unwrap_or_default();
        rules.is_service = process.lifetime == Lifetime::Run;
        let has_items = rules.split.as_ref().is_some_and(|split| split.in_flight.is_none());
        if let Some((lifetime, _)) = lifetime.filter(|_| rules.is_service && has_items) {
            self.no_service(lifetime.at);
        }
        let signal = layers.common.iter().find_map(|(common, _)| common.stop.as_ref()?.signal.as_ref());
        process.stop = (signal.map_or(Signal::Term, |signal| signal.value), rules.grace);
        Work::Process(Box::new(process))
    }

    /// What a run keeps ends with its engine, also when only some of the shards were up.
    fn no_service(&mut self, at: Place) {
        let message = "`lifetime: run` does not fit `shards`: a shard that is done is not started again";
        let found = Diagnostic::error("plan::misplaced-key", at, message);
        self.report.push(found.help("write a `matrix`: each cell is a stage, and is started again by itself"));
    }

    /// Results are kept by shard, so a cache needs shards that are the same in every run.
    fn no_cache(&mut self, at: Place, is_late: bool) {
        let (message, help) = if is_late {
            ("`cache` cannot know items that an earlier stage gives", "cache the earlier stage")
        } else {
            (
                "`cache` keeps results by shard, and these shards are sized while they run",
                "write a fixed `size` without `target-p95`",
            )
        };
        self.report.push(Diagnostic::error("plan::misplaced-key", at, message).help(help));
    }

    /// `env`: the defaults first, each name once, the strongest value.
    fn env(&mut self, layers: &Layers<'_>, site: Site<'_>) -> Vec<(Text, Text)> {
        let most = layers.common.iter().map(|(common, _)| common.env.len()).sum();
        let mut env: Vec<(Text, Text)> = Vec::with_capacity(most);
        for (common, cx) in layers.common.iter().rev() {
            for (name, tree) in &common.env {
                let text = self.text(tree, cx, layers, site);
                match env.iter_mut().find(|(known, _)| **known == *name.value) {
                    Some((_, value)) => *value = text,
                    None => env.push((name.value.clone(), text)),
                }
            }
        }
        env
    }

    /// The strongest layer's setting.
    fn first<T: super::settings::Limit>(
        &mut self,
        layers: &Layers<'_>,
        pick: impl Fn(&Common) -> Option<&Setting<T>>,
    ) -> Option<T> {
        let (setting, cx) = layers.common.iter().find_map(|(common, cx)| Some((pick(common)?, cx)))?;
        self.setting(setting, cx)
    }

    pub(super) fn rules(&mut self, layers: &Layers<'_>, is_gate: bool) -> Rules {
        let mut rules = Rules { is_approval: is_gate, ..Rules::default() };
        rules.timeout = self.first(layers, |common| common.timeout.as_ref());
        if let Some(idle) = self.first(layers, |common| common.idle_timeout.as_ref()) {
            rules.idle = Some(idle);
        }
        if let Some(queue) = self.first(layers, |common| common.queue_timeout.as_ref()) {
            rules.queue = Some(queue);
        }
        if let Some(grace) = self.first(layers, |common| common.stop.as_ref()?.grace.as_ref()) {
            rules.grace = grace;
        }
        let retry = layers.common.iter().find_map(|(common, cx)| Some((common.retry.as_ref()?, cx)));
        rules.retry = retry.and_then(|(retry, cx)| self.retry(retry, cx)).map(Box::new);
        let mut allowed = layers.stages().map(|stage| &stage.allow_failure);
        if let Some(allowed) = allowed.find(|allowed| **allowed != AllowFailure::No) {
            rules.allow_failure = allowed.clone();
        }
        let idempotent = either(layers, |stage| stage.idempotent.as_ref());
        rules.idempotent = idempotent.is_none_or(|(idempotent, _)| idempotent.value);
        rules.pools = self.stage_pools(layers.own, layers.own_cx);
        if !std::ptr::eq(layers.own, layers.body) {
            rules.pools.extend(self.stage_pools(layers.body, layers.body_cx));
        }
        rules
    }

    pub(super) fn retry(&mut self, retry: &model::Retry, cx: &Context) -> Option<Retry> {
        let most = u32::from(limits::MAX_ATTEMPTS) - 1;
        let max = self.bounded(&retry.max, cx, (0, most), "`max`")?;
        Some(Retry {
            max,
            delay: self.maybe(retry.delay.as_ref(), cx).unwrap_or(Span::ZERO),
            backoff: retry.backoff.as_ref().map_or(1.0, |backoff| backoff.value),
            max_delay: self.maybe(retry.max_delay.as_ref(), cx),
            jitter: retry.jitter,
            when: retry.when.clone().unwrap_or_default(),
            within: self.maybe(retry.within.as_ref(), cx),
        })
        .filter(|retry| retry.max > 0)
    }

    /// The pools of the plan that `stage` uses. A weight above the capacity could never be had.
    pub(super) fn stage_pools(&mut self, stage: &Stage, cx: &Context) -> Vec<(PoolIx, u32)> {
        let mut pools = Vec::new();
        for (name, weight) in &stage.pools {
            let known = self.loaded.plan.pools.iter().position(|(pool, _)| pool.value == name.value);
            let Some(at) = known else { continue };
            let capacity = self.pools[at].capacity;
            let weight = self.bounded(weight, cx, (1, capacity), &format!("the weight in pool `{}`", name.value));
            pools.push((PoolIx::new(u32::try_from(at).expect("few pools")), weight.unwrap_or(1)));
        }
        pools
    }
}

/// What a process leaves behind, and what of that is kept for other runs.
fn leaves(layers: &Layers<'_>, process: &mut Process) {
    let (own, body) = (layers.own, layers.body);
    let outputs = if own.outputs.is_empty() { &body.outputs } else { &own.outputs };
    process.outputs = outputs.iter().map(|output| (output.name.value.clone(), output.kind)).collect();
    let artifacts = if own.artifacts.is_empty() { &body.artifacts } else { &own.artifacts };
    if !artifacts.is_empty() {
        process.artifacts = artifacts.iter().map(|glob| glob.value.clone()).collect();
    }
    if let Some((cache, _)) = either(layers, |stage| stage.cache.as_ref()) {
        let sources = cache.sources.iter().map(|glob| glob.value.clone()).collect();
        let env = cache.env.iter().map(|name| name.value.clone()).collect();
        process.cache = Some(Box::new(Cache { sources, env }));
    }
}

/// A key of the stage, else of its action, with the context that it is read in.
fn either<'l, T>(layers: &Layers<'l>, pick: impl Fn(&Stage) -> Option<&T>) -> Option<(&'l T, &'l Context)> {
    let own: &'l Stage = layers.own;
    let body: &'l Stage = layers.body;
    pick(own).map(|found| (found, layers.own_cx)).or_else(|| Some((pick(body)?, layers.body_cx)))
}
