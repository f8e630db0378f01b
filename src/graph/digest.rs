//! What decides what a node does, as short texts: shared by the comparison of two plans and by the digest.

use std::fmt::Write;

use super::model::{Command, Graph, Need, Node, Process, Retry, Rules, Terms, Work};
use crate::base::{Digest, NodeIx, Span};
use crate::plan::model::{RetryWhen, Shell};
use crate::render::Template;

/// How much is hashed at once.
const PIECE_BYTES: usize = 32 << 10;

impl Graph {
    /// Everything that decides what `node` does and when, by name; indexes are spelled out as ids and names, so
    /// that the fields of two graphs compare.
    pub fn fields(&self, node: NodeIx) -> Vec<(&'static str, String)> {
        let body = &self.nodes[node];
        let mut fields = vec![("phase", format!("{:?}", body.phase).to_lowercase())];
        let needs: Vec<String> = body.needs.iter().map(|need| self.need(*need)).collect();
        fields.push(("needs", needs.join(", ")));
        let conditions: Vec<&str> = body.conditions.iter().map(|condition| &*condition.text).collect();
        fields.push(("if", conditions.join(" and ")));
        fields.push(("group", body.group.as_deref().unwrap_or_default().to_owned()));
        let scope = &self.scopes[body.scope];
        fields.push(("on-failure", format!("{:?} in {}", scope.policy, scope.name).to_lowercase()));
        match &body.work {
            Work::Approval { prompt, items } => {
                fields.push(("uses", if items.is_empty() { "approval" } else { "attest" }.to_owned()));
                fields.push(("prompt", prompt.as_deref().unwrap_or_default().to_owned()));
                let consent = &body.rules.consent;
                // Only where it is said, so that what is known of other stages stays known.
                if consent.terms() != Terms::default() || consent.policy.is_some() {
                    fields.push(("approvers", consent.terms().to_string()));
                }
                if !consent.keys.is_empty() {
                    let keys = consent.keys.iter().map(|(name, key)| format!("{name}: {key}"));
                    fields.push(("keys", keys.collect::<Vec<_>>().join("\n")));
                }
                if !items.is_empty() {
                    let items = consent.items.iter().zip(items).map(|(name, text)| format!("{name}: {text}"));
                    fields.push(("items", items.collect::<Vec<_>>().join("\n")));
                }
            }
            Work::Process(process) => of_process(process, &mut fields),
        }
        self.of_rules(&body.rules, &mut fields);
        fields.push(("values", self.values(body)));
        // Only where it is said, so that what is known of other stages stays known.
        if let Some(cell) = body.cell {
            fields.push(("matrix", self.matrices[cell.matrix as usize].promise()));
        }
        fields.push(("selected", body.selected.to_string()));
        fields
    }

    fn need(&self, need: Need) -> String {
        let mut text = self.nodes[need.node].id.to_string();
        let accept = need.accept;
        if accept != super::model::Accept::DEFAULT {
            let words = [(accept.success, "success"), (accept.skipped, "skipped"), (accept.failed, "failed")];
            let words: Vec<&str> = words.into_iter().filter(|(on, _)| *on).map(|(_, word)| word).collect();
            let _ = write!(text, " ({})", words.join(" "));
        }
        text
    }

    fn of_rules(&self, rules: &Rules, fields: &mut Vec<(&'static str, String)>) {
        let span = |span: Option<crate::base::Span>| span.map(|span| span.to_string()).unwrap_or_default();
        fields.push(("timeout", span(rules.timeout)));
        fields.push(("idle-timeout", span(rules.idle)));
        fields.push(("queue-timeout", span(rules.queue)));
        fields.push(("grace", rules.grace.to_string()));
        fields.push(("retry", rules.retry.as_deref().map(retry).unwrap_or_default()));
        let pools: Vec<String> = rules
            .pools
            .iter()
            .map(|(pool, weight)| {
                let pool = &self.pools[*pool];
                format!("{} {weight}/{}", pool.name, pool.capacity)
            })
            .collect();
        fields.push(("pools", pools.join(", ")));
        fields.push(("allow-failure", format!("{:?}", rules.allow_failure).to_lowercase()));
        fields.push(("idempotent", rules.idempotent.to_string()));
        if rules.cool_down > Span::ZERO {
            fields.push(("cool-down", rules.cool_down.to_string()));
        }
        // Only where it is said, so that what is known of other stages stays known.
        if let Some(most) = rules.split.as_ref().and_then(|split| split.in_flight) {
            fields.push(("protocol", format!("lines, {most} in flight")));
        }
    }

    /// The values that late texts of the node can read; empty when it has none.
    fn values(&self, body: &Node) -> String {
        if body.conditions.is_empty() && !has_templates(body) {
            return String::new();
        }
        let frame = &self.frames[body.frame as usize];
        let json = |map: &serde_json::Map<String, serde_json::Value>| {
            serde_json::to_string(map).expect("a map of plain values has a JSON form")
        };
        let mut text =
            format!("inputs {} vars {} matrix {}", json(&frame.inputs), json(&frame.vars), json(&frame.matrix));
        let lates = frame.late_from.map_or(frame, |from| &self.frames[from as usize]);
        for late in &lates.late {
            let _ = write!(text, " {}.{}={}", late.root, late.name, late.text);
        }
        if let Some(environment) = &self.settings.environment {
            let _ = write!(text, " env {}", json(&environment.values));
        }
        text
    }

    /// Whether some text of `node` is read only when it starts.
    pub fn is_late(&self, node: NodeIx) -> bool {
        has_templates(&self.nodes[node])
    }

    /// A digest of what an approval is given for: the plan as it runs, with its inputs and its environment's values.
    pub fn subject(&self) -> Digest {
        let mut hash = blake3::Hasher::new();
        hash.update(self.digest().as_bytes());
        let inputs = self.frames.first().map(|frame| &*frame.inputs);
        let values = self.settings.environment.as_ref().map(|environment| &environment.values);
        for map in [inputs, values].into_iter().flatten() {
            hash.update(&serde_json::to_vec(map).expect("a map of plain values has a JSON form"));
        }
        hash.finalize().into()
    }

    /// A digest of everything that decides what runs: nodes, limits, scopes and pools.
    pub fn digest(&self) -> Digest {
        let mut hash = blake3::Hasher::new();
        // Large pieces are hashed many times faster than words.
        let mut piece = Vec::with_capacity(2 * PIECE_BYTES);
        let mut add = |text: &str| {
            piece.extend_from_slice(&(text.len() as u64).to_le_bytes());
            piece.extend_from_slice(text.as_bytes());
            if piece.len() >= PIECE_BYTES {
                hash.update(&piece);
                piece.clear();
            }
        };
        add(&self.name);
        let settings = &self.settings;
        add(&format!(
            "{} {:?} {:?} {:?}",
            settings.max_parallel, settings.timeout, settings.finally_budget, settings.lock
        ));
        if let Some(environment) = &settings.environment {
            add(&environment.name);
        }
        for freeze in &settings.freezes {
            add(&format!("{} {} {}", freeze.from_ms, freeze.to_ms, freeze.words));
        }
        if let Some(depth) = settings.heal_depth {
            add(&format!("heal-depth {depth}"));
        }
        for pool in &self.pools {
            add(&format!("{} {}", pool.name, pool.capacity));
        }
        for scope in &self.scopes {
            add(&format!("{} {:?} {:?}", scope.name, scope.policy, scope.parent));
        }
        for (ix, node) in self.nodes.pairs() {
            add(&node.id);
            for (name, value) in self.fields(ix) {
                add(name);
                add(&value);
            }
        }
        hash.update(&piece);
        hash.finalize().into()
    }
}

fn of_process(process: &Process, fields: &mut Vec<(&'static str, String)>) {
    fields.push(("run", command(&process.command)));
    if let Command::Script { shell, .. } = &process.command {
        fields.push(("shell", shell_name(shell)));
    }
    let env: Vec<String> = process.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    fields.push(("env", env.join("\n")));
    fields.push(("pass-env", process.pass_env.join(" ")));
    if !process.secrets.is_empty() {
        let secrets = process.secrets.iter().map(|(variable, name)| format!("{variable}: {name}"));
        fields.push(("secrets", secrets.collect::<Vec<_>>().join(", ")));
    }
    fields.push(("cwd", process.cwd.as_deref().unwrap_or_default().to_owned()));
    let outputs: Vec<String> = process
        .outputs
        .iter()
        .map(|(name, kind)| format!("{name}: {}", super::build::types::name(*kind)))
        .collect();
    fields.push(("outputs", outputs.join(", ")));
    fields.push(("artifacts", process.artifacts.join(" ")));
    let cache = process.cache.as_ref();
    fields.push((
        "cache",
        cache.map(|cache| format!("{} {}", cache.sources.join(" "), cache.env.join(" "))).unwrap_or_default(),
    ));
    fields.push(("done-if", process.done_if.as_ref().map(command).unwrap_or_default()));
    if let Some(Command::Script { shell, .. }) = &process.done_if {
        fields.push(("done-if shell", shell_name(shell)));
    }
    fields.push(("lifetime", format!("{:?}", process.lifetime).to_lowercase()));
    fields.push(("stop", format!("{:?}", process.stop.0).to_uppercase()));
    fields.push(("shards", items(process)));
}

/// The items as their count, size and digest.
fn items(process: &Process) -> String {
    use super::model::Items;
    match &process.items {
        Items::None => String::new(),
        Items::Range { count, size } => format!("range {count} by {size}"),
        all @ Items::Numbers(_, size) => format!("{} numbers by {size} ({})", all.count(), all_of(all)),
        all @ Items::List { size, is_json, .. } => {
            let format = if *is_json { " as json" } else { "" };
            format!("{} items by {size}{format} ({})", all.count(), all_of(all))
        }
        Items::Late { text, max, size, is_json } => {
            let format = if *is_json { " as json" } else { "" };
            format!("at most {max} items by {size}{format} from {text}")
        }
    }
}

fn all_of(items: &super::model::Items) -> String {
    let mut hash = blake3::Hasher::new();
    let all = super::shards::Slice { range: 0..items.count(), shards: 0, late: None };
    for item in items.texts(&all) {
        hash.update(item.as_bytes());
        hash.update(b"\0");
    }
    Digest::from(hash.finalize()).short()
}

fn command(command: &Command) -> String {
    match command {
        Command::Script { text, .. } => text.to_string(),
        Command::Argv(words) => format!("{words:?}"),
    }
}

fn shell_name(shell: &Shell) -> String {
    match shell {
        Shell::Strict => "strict".to_owned(),
        Shell::Bash => "bash".to_owned(),
        Shell::Sh => "sh".to_owned(),
        Shell::Argv(words) => format!("{words:?}"),
    }
}

/// `at most 3 attempts, after 2s, ×2, up to 30s, jitter, on timeout or exit 69, within 20m`.
fn retry(retry: &Retry) -> String {
    let mut parts = vec![format!("at most {} attempts", u64::from(retry.max) + 1)];
    let mut add = |text: Option<String>| parts.extend(text);
    add((retry.delay > Span::ZERO).then(|| format!("after {}", retry.delay)));
    add((retry.backoff.to_bits() != 1.0_f64.to_bits()).then(|| format!("×{}", retry.backoff)));
    add(retry.max_delay.map(|most| format!("up to {most}")));
    add(retry.jitter.then(|| "jitter".to_owned()));
    let reasons: Vec<String> = retry
        .when
        .iter()
        .map(|when| match when {
            RetryWhen::Timeout => "timeout".to_owned(),
            RetryWhen::Failure => "failure".to_owned(),
            RetryWhen::Signal => "signal".to_owned(),
            RetryWhen::Exit(codes) => {
                let codes: Vec<String> = codes.iter().map(ToString::to_string).collect();
                format!("exit {}", codes.join(" "))
            }
        })
        .collect();
    add((!reasons.is_empty()).then(|| format!("on {}", reasons.join(" or "))));
    add(retry.within.map(|most| format!("within {most}")));
    parts.join(", ")
}

fn has_templates(body: &Node) -> bool {
    let is = |text: &str| Template::is_template(text);
    let argv = |command: &Command| matches!(command, Command::Argv(words) if words.iter().any(|word| is(word)));
    match &body.work {
        Work::Approval { prompt, items } => prompt.as_deref().is_some_and(is) || items.iter().any(|item| is(item)),
        Work::Process(process) => {
            argv(&process.command)
                || process.done_if.as_ref().is_some_and(argv)
                || process.env.iter().any(|(_, value)| is(value))
                || process.cwd.as_deref().is_some_and(is)
        }
    }
}
