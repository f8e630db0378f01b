//! `JUnit` XML, as CI hosts read it: a suite for the plan and one for each group, a case for each stage. What undoes stages is
//! a suite of its own, `PLAN/rollback`; what heals one is no test of anything, and is told in the case of its stage.
//!
//! Background work is a suite of its own, too, `PLAN/background`. It changes nothing of the verdict, and a CI host calls a
//! report with a failure failed: a dead letter is a skipped case that says so and how to go on.

use crate::base::{Millis, NodeIx, Span};
use crate::graph::model::Phase;
use crate::graph::objective::Subject;
use crate::run::event::NodeState;

use super::tail::{Excerpt, Logs, TAIL_LINES};
use super::view::{Standing, View};
use super::{clean, hint, why, words};

/// The run as `JUnit` XML.
pub fn render(view: &View, logs: &dyn Logs) -> String {
    let groups = suites(view);
    let totals = Count::of(view, groups.iter().flat_map(|(_, nodes)| nodes.iter().copied()));
    let time = words::seconds(view.elapsed(view.now()));
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    put!(out, "<testsuites name=\"{}\" {} time=\"{time}\">\n", escape(view.plan()), totals.attributes());
    for (name, nodes) in groups {
        let count = Count::of(view, nodes.iter().copied());
        let time = nodes.iter().filter_map(|&ix| view.get(ix).duration(view.now())).fold(Span::ZERO, |a, b| a + b);
        put!(
            out,
            "  <testsuite name=\"{}\" {} time=\"{}\" timestamp=\"{}\">\n",
            escape(&name),
            count.attributes(),
            words::seconds(time),
            view.utc(Millis::ZERO).trim_end_matches('Z'),
        );
        put!(
            out,
            "    <properties>\n      <property name=\"run\" value=\"{}\"/>\n      <property name=\"state\" value=\"{}\"/>\n{}    </properties>\n",
            escape(view.run_id()),
            view.state().word(),
            promises(view, &name),
        );
        for ix in nodes {
            out += &case(view, ix, &name, logs);
        }
        out += "  </testsuite>\n";
    }
    out + "</testsuites>\n"
}

/// Objectives of the suite's group, of its stages, and of the run in the suite of the plan itself.
fn promises(view: &View, suite: &str) -> String {
    let mut out = String::new();
    for (objective, goal) in view.goals() {
        let own = match objective.subject {
            Subject::Run => view.plan().to_owned(),
            Subject::Group => format!("{}/{}", view.plan(), objective.name),
            Subject::Stage => objective.nodes.first().map_or_else(String::new, |&ix| suite_of(view, ix)),
        };
        if own == suite {
            let name = escape(&format!("slo {} {}", objective.subject.word(), objective.name));
            put!(out, "      <property name=\"{}\" value=\"{}\"/>\n", name.trim_end(), goal.word());
        }
    }
    out
}

fn suite_of(view: &View, ix: NodeIx) -> String {
    let group = aside(view, ix).or(view.node(ix).group.as_deref());
    group.map_or_else(|| view.plan().to_owned(), |group| format!("{}/{group}", view.plan()))
}

/// The suite of a stage that is in none of the foreground's.
fn aside(view: &View, ix: NodeIx) -> Option<&'static str> {
    match view.node(ix).phase {
        Phase::Rollback => Some("rollback"),
        Phase::Background => Some("background"),
        _ => None,
    }
}

/// Suites by name: stages without a group first, then groups by their first stage.
fn suites(view: &View) -> Vec<(String, Vec<NodeIx>)> {
    let mut out: Vec<(String, Vec<NodeIx>)> = vec![(view.plan().to_owned(), Vec::new())];
    let mut known = std::collections::BTreeMap::new();
    let is_case = |ix: &NodeIx| view.node(*ix).phase != Phase::Heal;
    for ix in view.nodes().map(|(ix, _)| ix).filter(is_case) {
        let aside = aside(view, ix);
        let at = match aside.or(view.node(ix).group.as_deref()) {
            None => 0,
            Some(group) => *known.entry((aside.is_some(), group)).or_insert_with(|| {
                out.push((suite_of(view, ix), Vec::new()));
                out.len() - 1
            }),
        };
        out[at].1.push(ix);
    }
    out.retain(|(_, nodes)| !nodes.is_empty());
    out
}

/// What the attributes of a suite count.
#[derive(Default)]
struct Count {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
}

impl Count {
    /// Of these stages.
    fn of(view: &View, nodes: impl Iterator<Item = NodeIx>) -> Self {
        let mut count = Self::default();
        for ix in nodes {
            count.tests += 1;
            match kind(view, ix) {
                Kind::Passed => {}
                Kind::Failure => count.failures += 1,
                Kind::Error => count.errors += 1,
                Kind::Skipped => count.skipped += 1,
            }
        }
        count
    }

    /// As attributes.
    fn attributes(&self) -> String {
        let Self { tests, failures, errors, skipped } = self;
        format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\"")
    }
}

/// `JUnit`'s four kinds of result.
enum Kind {
    Passed,
    Failure,
    Error,
    Skipped,
}

/// What `JUnit` calls a state: a stage that we know failed is a failure, one that we know nothing of an error, and
/// background work that did not end well neither.
fn kind(view: &View, ix: NodeIx) -> Kind {
    match view.get(ix).state {
        NodeState::Success | NodeState::Cached | NodeState::AllowedFailure => Kind::Passed,
        NodeState::Failed | NodeState::TimedOut if !view.is_background(ix) => Kind::Failure,
        NodeState::Unknown if !view.is_background(ix) => Kind::Error,
        _ => Kind::Skipped,
    }
}

/// One stage.
fn case(view: &View, ix: NodeIx, suite: &str, logs: &dyn Logs) -> String {
    let node = view.get(ix);
    let time = words::seconds(node.duration(view.now()).unwrap_or_default());
    let word = view.standing(ix).map_or(node.state.word(), Standing::word);
    let reason = if node.reason.is_empty() { word } else { &node.reason };
    let mut body = String::new();
    let element = match kind(view, ix) {
        Kind::Passed => None,
        Kind::Skipped => {
            let why = if view.is_background(ix) { why::explain(view, ix, view.now()) } else { reason.to_owned() };
            let next = hint::work(view, ix).map_or_else(String::new, |command| format!("; {command}"));
            put!(body, "      <skipped message=\"{}\"/>\n", escape(&format!("{word}: {why}{next}")));
            None
        }
        Kind::Failure => Some("failure"),
        Kind::Error => Some("error"),
    };
    if let Some(element) = element {
        let tail = tail(view, ix, logs);
        put!(body, "      <{element} message=\"{}\" type=\"{word}\">{tail}</{element}>\n", escape(reason));
    }
    if view.standing(ix) == Some(Standing::Dead) {
        put!(body, "      <system-out>{}</system-out>\n", tail(view, ix, logs));
    } else if node.state == NodeState::AllowedFailure {
        put!(body, "      <system-out>allowed failure: {}</system-out>\n", escape(reason));
    } else if let Some(healing) = view.say_healing(ix) {
        put!(body, "      <system-out>{}</system-out>\n", escape(&healing));
    }
    let head = format!(
        "    <testcase name=\"{}\" classname=\"{}\" time=\"{time}\"",
        escape(view.id(ix)),
        escape(&suite.replace('/', "."))
    );
    if body.is_empty() { format!("{head}/>\n") } else { format!("{head}>\n{body}    </testcase>\n") }
}

/// The last lines of what a stage printed.
fn tail(view: &View, ix: NodeIx, logs: &dyn Logs) -> String {
    let excerpt = Excerpt::of(view, logs, ix, TAIL_LINES);
    let whose = excerpt.shard.map(|_| escape(&excerpt.whose(view, ix)));
    whose.into_iter().chain(excerpt.lines.iter().map(|line| escape(line))).collect::<Vec<_>>().join("\n")
}

/// Text for XML and HTML: no control characters or non-characters, which XML cannot hold, and no mark-up.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in clean::plain(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
