//! The maps inside a stage.

use super::check::Check;
use super::file::on_failure;
use super::values::{
    boolean, count, entries, exits, ignored, items, named, number, parsed, share, size, span, text, texts, word,
};
use crate::base::{Span, Text};
use crate::plan::error::Diagnostic;
use crate::plan::model::{
    Accept, AllowFailed, AllowFailure, Cache, Command, Common, Items, Matrix, Need, OnBreach, Rate, Retry,
    RetryWhen, Setting, Shards, Shell, Signal, Size, Slo, Stop, Terms,
};
use crate::plan::schema::tables::{AXIS, CACHE, DEFAULTS, ITEMS, MATRIX, NEED, RETRY, SHARDS, SLO, STOP};
use crate::plan::source::{Place, Spanned};
use crate::plan::tree::{Key, Kind, Tree};

/// `defaults`.
pub(super) fn defaults(tree: Tree) -> Common {
    let mut common = Common::default();
    for (key, value) in entries(tree) {
        if let Some(_unread) = shared(&mut common, &key, value) {
            ignored(&key, &DEFAULTS);
        }
    }
    common
}

/// Reads a key that `defaults` and stages share; gives the value back when it is another key.
pub(super) fn shared(common: &mut Common, key: &Key, value: Tree) -> Option<Tree> {
    match &*key.text {
        "timeout" => common.timeout = span(value),
        "idle-timeout" => common.idle_timeout = span(value),
        "queue-timeout" => common.queue_timeout = span(value),
        "stop" => common.stop = Some(stop(value)),
        "retry" => common.retry = retry(value),
        "shell" => common.shell = shell(value),
        "env" => common.env = variables(value),
        "pass-env" => common.pass_env = texts(value),
        "cwd" => common.cwd = value.as_str().is_some().then_some(value),
        _ => return Some(value),
    }
    None
}

/// `env`.
fn variables(tree: Tree) -> Vec<(Spanned<Text>, Tree)> {
    named(tree).into_iter().filter_map(|(name, value)| Some((name, env(value)?))).collect()
}

/// A variable's value, always as text. The check has made sure that a number prints as it was written.
fn env(tree: Tree) -> Option<Tree> {
    let text = match &tree.kind {
        Kind::Str { .. } => return Some(tree),
        Kind::Int(number) => number.to_string(),
        Kind::Bool(on) => on.to_string(),
        _ => return None,
    };
    Some(Tree { at: tree.at, kind: Kind::Str { text: text.into(), plain: Some(tree.at.start) } })
}

/// `slo`: a duration, or a map.
pub(super) fn slo(tree: Tree) -> Option<Slo> {
    if !matches!(tree.kind, Kind::Map(_)) {
        return Some(Slo { duration: span(tree)?, on_breach: OnBreach::Warn });
    }
    let (mut duration, mut on_breach) = (None, OnBreach::Warn);
    for (key, value) in entries(tree) {
        match &*key.text {
            "duration" => duration = span(value),
            "on-breach" => {
                let word = word(&value, &[("warn", OnBreach::Warn), ("fail", OnBreach::Fail)]);
                on_breach = word.map_or(on_breach, |word| word.value);
            }
            _ => ignored(&key, &SLO),
        }
    }
    Some(Slo { duration: duration?, on_breach })
}

fn stop(tree: Tree) -> Stop {
    let mut stop = Stop { signal: None, grace: None };
    for (key, value) in entries(tree) {
        match &*key.text {
            "signal" => stop.signal = signal(&value),
            "grace" => stop.grace = span(value),
            _ => ignored(&key, &STOP),
        }
    }
    stop
}

pub(super) fn signal(tree: &Tree) -> Option<Spanned<Signal>> {
    use Signal::{Hup, Int, Kill, Quit, Term, Usr1, Usr2};
    let signals = [Int, Term, Hup, Quit, Usr1, Usr2, Kill].map(|signal| (signal.name(), signal));
    word(tree, &signals)
}

fn shell(tree: Tree) -> Option<Spanned<Shell>> {
    let at = tree.at;
    if let Kind::List(words) = tree.kind {
        let words = words.into_iter().filter_map(|word| text(word).map(|word| word.value.to_string())).collect();
        return Some(Spanned::new(Shell::Argv(words), at));
    }
    let shell = match tree.as_str()? {
        "strict" => Shell::Strict,
        "bash" => Shell::Bash,
        "sh" => Shell::Sh,
        _ => return None,
    };
    Some(Spanned::new(shell, at))
}

fn retry(tree: Tree) -> Option<Retry> {
    let at = tree.at;
    let mut retry = Retry {
        at,
        max: Setting::Value(Spanned::new(0, at)),
        delay: None,
        backoff: None,
        max_delay: None,
        jitter: false,
        when: None,
        within: None,
    };
    if !matches!(tree.kind, Kind::Map(_)) {
        retry.max = count(tree)?;
        return Some(retry);
    }
    for (key, value) in entries(tree) {
        match &*key.text {
            "max" => retry.max = count(value).unwrap_or(retry.max),
            "delay" => retry.delay = span(value),
            "backoff" => retry.backoff = number(&value).map(|factor| Spanned::new(factor, value.at)),
            "max-delay" => retry.max_delay = span(value),
            "jitter" => retry.jitter = boolean(&value).is_some_and(|on| on.value),
            "when" => retry.when = Some(items(value).into_iter().filter_map(retry_when).collect()),
            "within" => retry.within = span(value),
            _ => ignored(&key, &RETRY),
        }
    }
    Some(retry)
}

fn retry_when(tree: Tree) -> Option<RetryWhen> {
    match &tree.kind {
        Kind::Map(_) => Some(RetryWhen::Exit(exits(tree))),
        Kind::Str { text, .. } => match &**text {
            "timeout" => Some(RetryWhen::Timeout),
            "failure" => Some(RetryWhen::Failure),
            "signal" => Some(RetryWhen::Signal),
            _ => None,
        },
        _ => None,
    }
}

/// `run`, wherever it stands.
pub(super) fn command(tree: Tree) -> Option<Command> {
    match tree.kind {
        Kind::Str { .. } => Some(Command::Script(tree)),
        Kind::List(words) => {
            Some(Command::Argv(tree.at, words.into_iter().filter(|word| word.as_str().is_some()).collect()))
        }
        _ => None,
    }
}

/// One item of `needs`.
pub(super) fn need(tree: Tree) -> Option<Need> {
    if tree.as_str().is_some() {
        return text(tree).map(|stage| Need { stage, terms: None });
    }
    let (mut stage, mut terms) = (None, Terms::default());
    for (key, value) in entries(tree) {
        match &*key.text {
            "stage" => stage = text(value),
            "accept" => terms.accept = Some(items(value).iter().filter_map(accepted).collect()),
            "same" => terms.same = texts(value),
            _ => ignored(&key, &NEED),
        }
    }
    Some(Need { stage: stage?, terms: Some(Box::new(terms)) })
}

fn accepted(tree: &Tree) -> Option<Spanned<Accept>> {
    word(tree, &[("success", Accept::Success), ("skipped", Accept::Skipped), ("failed", Accept::Failed)])
}

/// `pools` of a stage: names, or names with weights.
pub(super) fn weights(tree: Tree) -> Vec<(Spanned<Text>, Setting<u32>)> {
    match tree.kind {
        Kind::List(items) => {
            let one = |name: Spanned<Text>| {
                let weight = Setting::Value(Spanned::new(1, name.at));
                (name, weight)
            };
            items.into_iter().filter_map(text).map(one).collect()
        }
        _ => super::file::counts(tree),
    }
}

/// `secrets` of a stage: names, or the variables that hold them.
pub(super) fn secrets(tree: Tree) -> Vec<(Spanned<Text>, Spanned<Text>)> {
    match tree.kind {
        Kind::List(items) => items.into_iter().filter_map(text).map(|name| (name.clone(), name)).collect(),
        _ => named(tree).into_iter().filter_map(|(variable, name)| Some((variable, text(name)?))).collect(),
    }
}

/// `allow-failure`.
pub(super) fn allow_failure(tree: Tree) -> AllowFailure {
    match tree.kind {
        Kind::Bool(true) => AllowFailure::Any,
        Kind::Map(_) => AllowFailure::Exit(exits(tree)),
        _ => AllowFailure::No,
    }
}

/// `cache`.
pub(super) fn cache(tree: Tree) -> Cache {
    let mut cache = Cache { at: tree.at, sources: Vec::new(), env: Vec::new() };
    for (key, value) in entries(tree) {
        match &*key.text {
            "sources" => cache.sources = texts(value),
            "env" => cache.env = texts(value),
            _ => ignored(&key, &CACHE),
        }
    }
    cache
}

/// `matrix`.
pub(super) fn matrix(tree: Tree, check: &mut Check<'_>) -> Matrix {
    let at = tree.at;
    let mut matrix = Matrix {
        at,
        axes: Vec::new(),
        late: None,
        include: Vec::new(),
        exclude: Vec::new(),
        max_parallel: None,
        on_failure: None,
    };
    let mut has_late = false;
    for (key, value) in entries(tree) {
        match &*key.text {
            "include" => matrix.include = items(value),
            "exclude" => matrix.exclude = items(value),
            "max-parallel" => matrix.max_parallel = count(value),
            "on-failure" => matrix.on_failure = on_failure(&value),
            "from" => has_late = from_whole(key.at, check),
            _ if MATRIX.key(&key.text).is_some() => ignored(&key, &MATRIX),
            _ if matches!(value.kind, Kind::Map(_)) => {
                has_late = true;
                late_axis(&mut matrix, key, value, check);
            }
            _ => matrix.axes.push((super::values::name(key), value)),
        }
    }
    if matrix.axes.is_empty() && matrix.include.is_empty() && !has_late {
        check.empty("matrix", at, "axis");
    }
    matrix.axes.retain(|(_, axis)| matches!(axis.kind, Kind::List(_) | Kind::Str { .. }));
    matrix
}

/// `from` beside the axes: it belongs to one of them.
fn from_whole(at: Place, check: &mut Check<'_>) -> bool {
    let message = "`from` is written at an axis, so that `matrix.…` has a name for its values";
    let help = "write `matrix: {region: {from: \"{{ needs.x.outputs.regions }}\", max: 20}}`";
    check.push(Diagnostic::error("plan::bad-matrix", at, message).help(help));
    true
}

/// An axis whose values a stage gives while the plan runs.
fn late_axis(matrix: &mut Matrix, key: Key, value: Tree, check: &mut Check<'_>) {
    let (name, at) = (super::values::name(key), value.at);
    let (mut from, mut max) = (None, None);
    for (key, value) in entries(value) {
        match &*key.text {
            "from" => from = super::values::template(value),
            "max" => max = count(value),
            _ => ignored(&key, &AXIS),
        }
    }
    let (Some(from), Some(max)) = (from, max) else { return };
    if let Some((first, _)) = &matrix.late {
        let message = "a second axis whose values come from a stage";
        let found =
            Diagnostic::error("plan::bad-matrix", at, message).related(matrix.axes[*first].1.at, "the first one");
        return check.push(found.help("one axis may come from a stage; write the values of the other"));
    }
    matrix.late = Some((matrix.axes.len(), max));
    matrix.axes.push((name, from));
}

/// `shards`.
pub(super) fn shards(tree: Tree, check: &mut Check<'_>) -> Option<Shards> {
    let at = tree.at;
    let (mut source, mut shards) = (None, Bounds::default());
    for (key, value) in entries(tree) {
        match &*key.text {
            "items" => source = Some(shard_items(value, check)),
            "size" => shards.size = size(value),
            "target-p95" => shards.target = span(value),
            "max-parallel" => shards.max_parallel = count(value),
            "rate" => shards.rate = parsed(value, Rate::parse),
            "allow-failed" => shards.allow_failed = share(value),
            "items-format" => shards.is_json = value.as_str() == Some("json"),
            "protocol" => shards.protocol = Some(key.at),
            "in-flight" => shards.in_flight = count(value),
            _ => ignored(&key, &SHARDS),
        }
    }
    let (items, max) = source?;
    let items = items?;
    let Bounds { size, target, max_parallel, rate, allow_failed, is_json, protocol, in_flight } = shards;
    Some(Shards { at, items, max, size, target, max_parallel, rate, allow_failed, is_json, protocol, in_flight })
}

/// What bounds shards, as far as it was read.
#[derive(Default)]
struct Bounds {
    size: Option<Setting<Size>>,
    target: Option<Setting<Span>>,
    max_parallel: Option<Setting<u32>>,
    rate: Option<Setting<Rate>>,
    allow_failed: Option<Setting<AllowFailed>>,
    is_json: bool,
    protocol: Option<Place>,
    in_flight: Option<Setting<u32>>,
}

/// `items`: a list, a template, or a map with exactly one source; and the most there may be.
fn shard_items(tree: Tree, check: &mut Check<'_>) -> (Option<Items>, Option<Setting<u32>>) {
    let at = tree.at;
    if !matches!(tree.kind, Kind::Map(_)) {
        return (matches!(tree.kind, Kind::List(_) | Kind::Str { .. }).then_some(Items::List(tree)), None);
    }
    let (mut found, mut max, mut places) = (None, None, Vec::new());
    for (key, value) in entries(tree) {
        let items = match &*key.text {
            "glob" => text(value).map(Items::Glob),
            "file" => value.as_str().is_some().then_some(Items::File(value)),
            "range" => count(value).map(Items::Range),
            "from" => value.as_str().is_some().then_some(Items::From(value)),
            "max" => {
                max = count(value);
                continue;
            }
            _ => {
                ignored(&key, &ITEMS);
                continue;
            }
        };
        places.push(key.at);
        found = found.or(items);
    }
    one_source(at, &places, check);
    if let (Some(Items::From(tree)), None) = (&found, &max) {
        let message = "`from` needs `max`: how many items may an earlier stage give?";
        let help = "write `{from: \"{{ needs.x.outputs.list }}\", max: 500}`; a longer list fails the stage";
        check.push(Diagnostic::error("plan::missing-key", tree.at, message).help(help));
    }
    (found, max)
}

/// Refuses none or several sources of items.
fn one_source(at: Place, places: &[Place], check: &mut Check<'_>) {
    let diagnostic = match places {
        [_] => return,
        [] => Diagnostic::error("plan::one-of", at, "`items` says nothing about where the items come from"),
        [first, second, ..] => {
            Diagnostic::error("plan::one-of", *second, "`items` has two sources").related(*first, "the first one")
        }
    };
    check.push(diagnostic.help("write one of `{glob: …}`, `{file: …}`, `{range: …}`, `{from: …}`, or a list"));
}
