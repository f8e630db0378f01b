//! What decides what a node does, as short texts: shared by the comparison of two plans and by the digest.
//!
//! Recorded runs are known by these digests, so what is said of a plan that can be written today stays as it is, to the
//! byte. It is said of every stage of every plan that is read, and most of it is nothing or one of a few words: those
//! are handed on as they are, and only what has to be put together is written anew, into one text that all fields share.

mod fields;

use std::fmt::{Display, Write};

use self::fields::Fields;
use super::model::{Accept, Command, Graph, Items, Need, Node, Policy, Process, Retry, Rules, Terms, Work};
use crate::base::{Digest, NodeIx, Span, Text};
use crate::plan::model::{AllowFailure, RetryWhen, Shell};
use crate::plan::types;
use crate::render::Template;

/// How much is hashed at once.
const PIECE_BYTES: usize = 32 << 10;

impl Graph {
    /// Everything that decides what `node` does and when, by name; indexes are spelled out as ids and names, so
    /// that the fields of two graphs compare.
    pub fn fields(&self, node: NodeIx) -> Vec<(&'static str, String)> {
        let mut all = Vec::new();
        let mut add = |name, text: &str| all.push((name, text.to_owned()));
        self.tell(node, &mut Fields::new(&mut add, &mut String::new()));
        all
    }

    /// Hands on everything that decides what `node` does and when, in order.
    fn tell(&self, node: NodeIx, fields: &mut Fields<'_, impl FnMut(&'static str, &str)>) {
        let body = &self.nodes[node];
        fields.say("phase", body.phase.word());
        fields.list("needs", ", ", &body.needs, |text, need| self.need(*need, text));
        fields.list("if", " and ", &body.conditions, |text, condition| text.push_str(&condition.text));
        fields.say("group", body.group.as_deref().unwrap_or_default());
        let scope = &self.scopes[body.scope];
        fields.write("on-failure", |text| {
            write_pair(text, scope.policy.word(), " in ", &scope.name.to_lowercase());
        });
        match &body.work {
            Work::Approval { prompt, items } => of_approval(prompt.as_deref(), items, &body.rules, fields),
            Work::Process(process) => of_process(process, fields),
        }
        self.of_rules(&body.rules, fields);
        fields.write("values", |text| self.values(body, text));
        // Only where it is said, so that what is known of other stages stays known.
        if let Some(cell) = body.cell {
            fields.say("matrix", &self.matrices[cell.matrix as usize].promise());
        }
        fields.say("selected", truth(body.selected));
    }

    fn need(&self, need: Need, text: &mut String) {
        text.push_str(&self.nodes[need.node].id);
        let accept = need.accept;
        if accept != Accept::DEFAULT {
            let words = [(accept.success, "success"), (accept.skipped, "skipped"), (accept.failed, "failed")];
            let words: Vec<&str> = words.into_iter().filter(|(on, _)| *on).map(|(_, word)| word).collect();
            let _ = write!(text, " ({})", words.join(" "));
        }
    }

    fn of_rules(&self, rules: &Rules, fields: &mut Fields<'_, impl FnMut(&'static str, &str)>) {
        for (name, span) in
            [("timeout", rules.timeout), ("idle-timeout", rules.idle), ("queue-timeout", rules.queue)]
        {
            match span {
                Some(span) => fields.show(name, span),
                None => fields.say(name, ""),
            }
        }
        fields.show("grace", rules.grace);
        match &rules.retry {
            Some(rule) => fields.write("retry", |text| retry(rule, text)),
            None => fields.say("retry", ""),
        }
        fields.list("pools", ", ", &rules.pools, |text, (pool, weight)| {
            let pool = &self.pools[*pool];
            let _ = write!(text, "{} {weight}/{}", pool.name, pool.capacity);
        });
        match &rules.allow_failure {
            AllowFailure::No => fields.say("allow-failure", "no"),
            AllowFailure::Any => fields.say("allow-failure", "any"),
            AllowFailure::Exit(codes) => fields.show("allow-failure", format_args!("exit({codes:?})")),
        }
        fields.say("idempotent", truth(rules.idempotent));
        if rules.cool_down > Span::ZERO {
            fields.show("cool-down", rules.cool_down);
        }
        // Only where it is said, so that what is known of other stages stays known.
        if let Some(most) = rules.split.as_ref().and_then(|split| split.in_flight) {
            fields.show("protocol", format_args!("lines, {most} in flight"));
        }
    }

    /// The values that late texts of the node can read; nothing when it has none.
    fn values(&self, body: &Node, text: &mut String) {
        if body.conditions.is_empty() && !has_templates(body) {
            return;
        }
        let frame = &self.frames[body.frame as usize];
        let json = |map: &serde_json::Map<String, serde_json::Value>| {
            serde_json::to_string(map).expect("a map of plain values has a JSON form")
        };
        let (inputs, vars, matrix) = (json(&frame.inputs), json(&frame.vars), json(&frame.matrix));
        let _ = write!(text, "inputs {inputs} vars {vars} matrix {matrix}");
        let lates = frame.late_from.map_or(frame, |from| &self.frames[from as usize]);
        for late in &lates.late {
            let _ = write!(text, " {}.{}={}", late.root, late.name, late.text);
        }
        if let Some(environment) = &self.settings.environment {
            let _ = write!(text, " env {}", json(&environment.values));
        }
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
        let mut piece = Vec::with_capacity(2 * PIECE_BYTES);
        let mut add = |text: &str| push(&mut piece, text);
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
        let mut scratch = String::new();
        for (ix, node) in self.nodes.pairs() {
            push(&mut piece, &node.id);
            let mut add = |name: &'static str, text: &str| {
                push(&mut piece, name);
                push(&mut piece, text);
            };
            self.tell(ix, &mut Fields::new(&mut add, &mut scratch));
            // Large pieces are hashed many times faster than words.
            if piece.len() >= PIECE_BYTES {
                hash.update(&piece);
                piece.clear();
            }
        }
        hash.update(&piece);
        hash.finalize().into()
    }
}

/// Adds `text`, its length before it.
#[inline]
fn push(piece: &mut Vec<u8>, text: &str) {
    piece.extend_from_slice(&(text.len() as u64).to_le_bytes());
    piece.extend_from_slice(text.as_bytes());
}

impl Policy {
    /// The word of a plan for it.
    const fn word(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Kill => "kill",
            Self::Continue => "continue",
            Self::Rollback => "rollback",
        }
    }
}

const fn truth(is: bool) -> &'static str {
    if is { "true" } else { "false" }
}

fn of_approval(
    prompt: Option<&str>,
    items: &[Text],
    rules: &Rules,
    fields: &mut Fields<'_, impl FnMut(&'static str, &str)>,
) {
    let consent = rules.consent();
    fields.say("uses", if items.is_empty() { "approval" } else { "attest" });
    fields.say("prompt", prompt.unwrap_or_default());
    // Only where it is said, so that what is known of other stages stays known.
    if consent.terms() != Terms::default() || consent.policy.is_some() {
        fields.show("approvers", consent.terms());
    }
    if !consent.keys.is_empty() {
        fields.list("keys", "\n", &consent.keys, |text, (name, key)| {
            let _ = write!(text, "{name}: {key}");
        });
    }
    if !items.is_empty() {
        fields.list("items", "\n", consent.items.iter().zip(items), |text, (name, item)| {
            write_pair(text, name, ": ", item);
        });
    }
}

fn of_process(process: &Process, fields: &mut Fields<'_, impl FnMut(&'static str, &str)>) {
    of_command(&process.command, ["run", "shell"], fields);
    fields.list("env", "\n", &process.env, |text, (name, value)| write_pair(text, name, "=", value));
    fields.list("pass-env", " ", &process.pass_env, |text, name| text.push_str(name));
    if !process.secrets.is_empty() {
        fields.list("secrets", ", ", &process.secrets, |text, (variable, name)| {
            write_pair(text, variable, ": ", name);
        });
    }
    fields.say("cwd", process.cwd.as_deref().unwrap_or_default());
    fields.list("outputs", ", ", &process.outputs, |text, (name, kind)| {
        write_pair(text, name, ": ", types::name(*kind));
    });
    fields.list("artifacts", " ", &process.artifacts, |text, glob| text.push_str(glob));
    match &process.cache {
        Some(cache) => fields.show("cache", format_args!("{} {}", cache.sources.join(" "), cache.env.join(" "))),
        None => fields.say("cache", ""),
    }
    match &process.done_if {
        Some(command) => of_command(command, ["done-if", "done-if shell"], fields),
        None => fields.say("done-if", ""),
    }
    fields.say("lifetime", process.lifetime.word());
    fields.say("stop", process.stop.0.name());
    fields.write("shards", |text| items(&process.items, text));
}

fn write_pair(text: &mut String, name: &str, between: &str, value: &str) {
    text.push_str(name);
    text.push_str(between);
    text.push_str(value);
}

/// Writes what `{words:?}` writes, but asks how a letter is written only in words that have an unusual one.
fn quote(text: &mut String, words: &[impl AsRef<str>]) {
    text.push('[');
    for (at, word) in words.iter().map(AsRef::as_ref).enumerate() {
        if at > 0 {
            text.push_str(", ");
        }
        if word.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')) {
            write_pair(text, "\"", word, "\"");
        } else {
            let _ = write!(text, "{word:?}");
        }
    }
    text.push(']');
}

/// A script under the first name and its shell under the second one, or words under the first.
fn of_command(
    command: &Command,
    [name, shell_name]: [&'static str; 2],
    fields: &mut Fields<'_, impl FnMut(&'static str, &str)>,
) {
    match command {
        Command::Argv(words) => fields.write(name, |text| quote(text, words)),
        Command::Script { text, shell } => {
            fields.say(name, text);
            match shell {
                Shell::Strict => fields.say(shell_name, "strict"),
                Shell::Bash => fields.say(shell_name, "bash"),
                Shell::Sh => fields.say(shell_name, "sh"),
                Shell::Argv(words) => fields.write(shell_name, |text| quote(text, words)),
            }
        }
    }
}

/// The items as their count, size and digest.
fn items(items: &Items, text: &mut String) {
    let format = if items.is_json() { " as json" } else { "" };
    let _ = match items {
        Items::None => Ok(()),
        Items::Range { count, size } => write!(text, "range {count} by {size}"),
        Items::Numbers(numbers, size) => {
            write!(text, "{} numbers by {size} ({})", numbers.len(), all_of(items))
        }
        Items::List { items: list, size, .. } => {
            write!(text, "{} items by {size}{format} ({})", list.len(), all_of(items))
        }
        Items::Late { text: from, max, size, .. } => {
            write!(text, "at most {max} items by {size}{format} from {from}")
        }
    };
}

fn all_of(items: &Items) -> String {
    let mut hash = blake3::Hasher::new();
    let all = super::shards::Slice { range: 0..items.count(), shards: 0, late: None };
    for item in items.texts(&all) {
        hash.update(item.as_bytes());
        hash.update(b"\0");
    }
    Digest::from(hash.finalize()).short()
}

/// `at most 3 attempts, after 2s, ×2, up to 30s, jitter, on timeout or exit 69, within 20m`.
fn retry(retry: &Retry, text: &mut String) {
    let _ = write!(text, "at most {} attempts", u64::from(retry.max) + 1);
    add_part(text, "after ", (retry.delay > Span::ZERO).then_some(retry.delay));
    add_part(text, "×", (retry.backoff.to_bits() != 1.0_f64.to_bits()).then_some(retry.backoff));
    add_part(text, "up to ", retry.max_delay);
    add_part(text, "", retry.jitter.then_some("jitter"));
    let reasons = retry.when.iter().map(reason).collect::<Vec<_>>().join(" or ");
    add_part(text, "on ", (!reasons.is_empty()).then_some(reasons));
    add_part(text, "within ", retry.within);
}

fn add_part(text: &mut String, what: &str, much: Option<impl Display>) {
    if let Some(much) = much {
        let _ = write!(text, ", {what}{much}");
    }
}

fn reason(when: &RetryWhen) -> String {
    match when {
        RetryWhen::Timeout => "timeout".to_owned(),
        RetryWhen::Failure => "failure".to_owned(),
        RetryWhen::Signal => "signal".to_owned(),
        RetryWhen::Exit(codes) => {
            let codes: Vec<String> = codes.iter().map(ToString::to_string).collect();
            format!("exit {}", codes.join(" "))
        }
    }
}

fn has_templates(body: &Node) -> bool {
    let is = |text: &str| Template::is_template(text);
    let argv = |command: &Command| matches!(command, Command::Argv(words) if words.iter().any(|word| is(word)));
    match &body.work {
        Work::Approval { prompt, items } => prompt.as_deref().is_some_and(is) || items.iter().any(|item| is(item)),
        Work::Process(process) => {
            argv(&process.command)
                || process.done_if.as_deref().is_some_and(argv)
                || process.env.iter().any(|(_, value)| is(value))
                || process.cwd.as_deref().is_some_and(is)
        }
    }
}

#[cfg(test)]
mod tests;
