//! What earlier runs say about a graph's stages, fastened to the graph before anything starts.
//!
//! A run records its outlook beside its plan, one line a stage, so that a later engine orders and admits stages
//! by the same numbers, and so that a report can hold them against what happened.

use std::fmt::Write as _;
use std::ops::Range;

use super::forecast::{Expected, MIN_SAMPLES, Workload};
use super::model::{Command, Graph, Items, Node, Work};
use super::priority;
use super::scope::Nothing;
use crate::base::{NodeIx, Span};
use crate::plan::model::Shell;
use crate::render::Template;

/// One stage's line: what its durations go by, and what was known of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Line {
    /// [`Graph::definition`].
    pub definition: u64,
    /// Items for each of its shards, 1 for an unsharded stage.
    pub size: u32,
    /// What history said of one attempt.
    pub usual: Option<Expected>,
    /// What it said of all items together.
    pub work: Option<Workload>,
}

impl Line {
    /// The id of the stage of a line of [`Graph::outlook`].
    pub fn id(line: &str) -> &str {
        line.rsplit_once('\t').map_or(line, |(id, _)| id)
    }

    /// Reads the rest of such a line. Older engines wrote that alone.
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.rsplit('\t').next()?.split(' ');
        let definition = u64::from_str_radix(words.next()?, 16).ok()?;
        let size = words.next()?.parse().ok()?;
        let Some(p50) = words.next() else { return Some(Self { definition, size, ..Self::default() }) };
        let ms = |word: &str| word.parse().ok().map(Span::from_ms);
        let (p50, p95) = (ms(p50)?, ms(words.next()?)?);
        let usual = Some(Expected { p50, p95, samples: words.next()?.parse().ok()? });
        // Engines that kept one run only wrote only what that took.
        let work = words.next().and_then(ms).map(|p50| {
            let p95 = words.next().and_then(ms).unwrap_or(p50);
            let mut number = |usual| words.next().and_then(|word| word.parse().ok()).unwrap_or(usual);
            let samples = u32::try_from(number(1)).unwrap_or(u32::MAX);
            Workload { took: Expected { p50, p95, samples }, items: number(0) }
        });
        Some(Self { definition, size, usual, work })
    }
}

impl Graph {
    /// What a stage runs, as a number: its command, shell, folder and environment. Two runs in which it is equal are alike
    /// enough for one's durations to tell of the other's. Its upper half is of the words as the plan has them, the lower
    /// one of what they come to, as far as that is known before the run. 0 for an approval.
    pub fn definition(&self, node: NodeIx) -> u64 {
        let Work::Process(process) = &self.nodes[node].work else { return 0 };
        let mut hash = blake3::Hasher::new();
        let mut add = |text: &str| {
            hash.update(text.as_bytes());
            hash.update(b"\0");
        };
        match &process.command {
            Command::Script { text, shell } => {
                add(text);
                match shell {
                    Shell::Strict => add("strict"),
                    Shell::Bash => add("bash"),
                    Shell::Sh => add("sh"),
                    Shell::Argv(words) => words.iter().for_each(|word| add(word)),
                }
            }
            Command::Argv(words) => words.iter().for_each(|word| add(word)),
        }
        add(process.cwd.as_deref().unwrap_or_default());
        for (name, value) in &process.env {
            add(name);
            add(value);
        }
        let written = if process.written == 0 { half(&hash) } else { process.written };
        let words = if let Command::Argv(words) = &process.command { &words[..] } else { &[] };
        for text in words.iter().chain(process.env.iter().map(|it| &it.1)).chain(&process.cwd) {
            self.add_values(node, text, &mut hash);
        }
        (u64::from(written) << 32) | u64::from(half(&hash))
    }

    /// What `text` reads of what is known before the run.
    fn add_values(&self, node: NodeIx, text: &str, hash: &mut blake3::Hasher) {
        // Most read what only the run knows, and to read a template takes longer than all else here.
        if !Template::is_template(text)
            || !["inputs", "vars", "matrix", "env"].iter().any(|root| text.contains(root))
        {
            return;
        }
        for (name, value) in self.reads(node, text, &Nothing).map(|reads| reads.values).unwrap_or_default() {
            hash.update(name.as_bytes());
            hash.update(value.map_or_else(String::new, |value| value.to_string()).as_bytes());
            hash.update(b"\0");
        }
    }

    /// Tells the graph what earlier runs say of one attempt of each stage; what `said` does not know stays a guess.
    /// Priorities follow.
    pub fn expect(&mut self, mut said: impl FnMut(NodeIx, &Self) -> Option<Expected>) {
        for node in self.nodes.indexes() {
            let usual = said(node, self).filter(|_| self.nodes[node].is_foretold_by_attempts());
            let rules = &mut self.nodes[node].rules;
            rules.usual = usual;
            if let Some(usual) = usual.filter(|_| rules.shards > 0) {
                // What takes no time at all would be on no longest path.
                rules.expected = usual.p50.max(Span::from_ms(1));
            }
        }
        self.priority = priority::critical_path(self);
    }

    /// Tells the graph what all items of stages take together that go by that ([`Node::goes_by_work`]), of those that `said`
    /// knows. Comes before [`Graph::expect`], which sets priorities.
    pub fn expect_work(&mut self, mut said: impl FnMut(NodeIx, &Self) -> Option<Workload>) {
        for node in self.nodes.indexes() {
            let work = self.nodes[node].goes_by_work().then(|| said(node, self)).flatten();
            let rules = &mut self.nodes[node].rules;
            if work.is_some() || rules.work.is_some() {
                rules.work = work.map(Box::new);
            }
        }
    }

    /// The outlook as text: a line for each stage, in the order of the stages, that begins with its id.
    pub fn outlook(&self) -> String {
        let mut text = String::with_capacity(self.nodes.len() * 32);
        for (ix, node) in self.nodes.pairs() {
            let written = write!(text, "{}\t{:016x} {}", node.id, self.definition(ix), node.size());
            written.expect("a text grows");
            if let Some(usual) = node.rules.usual {
                let Expected { p50, p95, samples } = usual;
                write!(text, " {} {} {samples}", p50.ms(), p95.ms()).expect("a text grows");
                if let Some(work) = &node.rules.work {
                    let Workload { took: Expected { p50, p95, samples }, items } = **work;
                    write!(text, " {} {} {samples} {items}", p50.ms(), p95.ms()).expect("a text grows");
                }
            }
            text.push('\n');
        }
        text
    }

    /// Takes a recorded outlook back.
    pub fn recall(&mut self, outlook: &str) {
        let lines: Vec<Option<Line>> = outlook.lines().map(Line::parse).collect();
        let line = |node: NodeIx| lines.get(node.raw() as usize).copied().flatten();
        self.expect_work(|node, _| line(node)?.work);
        self.expect(|node, _| line(node)?.usual);
    }

    /// How many attempts of a stage can run at once, by the run's and the pools' limits; at least 1.
    pub fn width(&self, node: NodeIx) -> u32 {
        let rules = &self.nodes[node].rules;
        // A plan with errors may name pools that could not be made.
        let pools = rules.pools.iter().filter_map(|&(pool, weight)| Some((self.pools.get(pool)?, weight)));
        let pools = pools.map(|(pool, weight)| pool.capacity / weight.max(1));
        pools.chain([self.settings.max_parallel.max(1)]).min().unwrap_or(1).max(1)
    }

    /// How long a whole stage takes if all goes well and it has all slots that it can use: its rounds times the
    /// expected time of one attempt, or its work dealt out evenly where that is known.
    pub fn whole(&self, node: NodeIx) -> Span {
        let rules = &self.nodes[node].rules;
        if let Some(work) = &rules.work {
            return self.over_slots(node, work.took.p50);
        }
        let rounds = u64::from(rules.shards.div_ceil(self.width(node)));
        Span::from_ms(rules.expected.ms().saturating_mul(rounds).min(crate::base::limits::MAX_SPAN_MS))
    }

    /// How long work of a stage takes that is dealt out evenly to all slots that it can use.
    pub fn over_slots(&self, node: NodeIx, work: Span) -> Span {
        Span::from_ms(work.ms().div_ceil(u64::from(self.width(node))))
    }

    /// Whether enough is known of a stage to call its time expected: an approval takes as long as people take.
    pub fn is_known(&self, node: NodeIx) -> bool {
        let rules = &self.nodes[node].rules;
        rules.is_approval || rules.shards == 0 || rules.likely().is_some()
    }
}

impl Node {
    /// Items for each shard, 1 for an unsharded stage.
    pub fn size(&self) -> u32 {
        self.items().map_or(1, Items::size)
    }

    /// Whether how its items are cut, or which they are, is only found while it runs.
    pub fn finds_size(&self) -> bool {
        self.rules.split.as_ref().is_some_and(|split| split.is_dynamic())
    }

    /// Whether what all its items take together says how long it takes, not what attempts take: of a stage that finds its
    /// size, for its shards are others in each run, and of one whose items workers do, for most take less than a
    /// millisecond and wait in a row longer than they take.
    pub fn goes_by_work(&self) -> bool {
        let is_crewed = self.rules.split.as_ref().is_some_and(|split| split.in_flight.is_some());
        is_crewed || self.finds_size()
    }

    /// How many items it has; while an earlier stage has not given them, as many as history lets expect, or none.
    pub fn foreseen_items(&self) -> u64 {
        match (&self.rules.split, &self.rules.work) {
            (Some(split), Some(work)) if split.is_late => work.items,
            (Some(split), _) => split.items,
            (None, _) => 0,
        }
    }

    /// The most shards that it may come to: of items that nobody has given yet, or that are cut anew as they run, each
    /// may be a shard.
    pub fn most_shards(&self) -> u32 {
        let Some(split) = self.rules.split.as_ref().filter(|split| split.is_dynamic()) else {
            return self.rules.shards;
        };
        let items = match self.items() {
            Some(Items::Late { max, .. }) => u64::from(*max),
            _ => split.items,
        };
        let least = if split.target.is_some() { 1 } else { split.size.max(1) };
        u32::try_from(items.div_ceil(u64::from(least))).unwrap_or(u32::MAX).max(self.rules.shards)
    }

    /// How many shards it has, by [`Node::foreseen_items`] if these come late.
    pub fn foreseen_shards(&self) -> u32 {
        let late = self.rules.split.as_ref().filter(|split| split.is_late);
        late.map_or(self.rules.shards, |split| {
            let shards = self.foreseen_items().div_ceil(u64::from(split.size.max(1)));
            u32::try_from(shards).unwrap_or(u32::MAX).max(1)
        })
    }

    /// Whether what attempts took says how long it takes: not of an approval, and of a stage that goes by its work only
    /// beside what all its items take.
    fn is_foretold_by_attempts(&self) -> bool {
        !self.rules.is_approval && (self.rules.work.is_some() || !self.goes_by_work())
    }

    /// How long an attempt on the items at `places` is expected to take. The times of neighbours add up to the work.
    pub fn expected(&self, places: &Range<u64>) -> Span {
        let Some(work) = &self.rules.work else { return self.rules.expected };
        let all = self.foreseen_items().max(1);
        let until = |item: u64| u128::from(work.took.p50.ms()) * u128::from(item.min(all)) / u128::from(all);
        let share = until(places.end).saturating_sub(until(places.start));
        Span::from_ms(u64::try_from(share).expect("no more than all of it"))
    }
}

impl super::model::Rules {
    /// How long an attempt takes in 95 of 100 cases, when enough is known.
    pub fn likely(&self) -> Option<Span> {
        self.usual.filter(|usual| usual.samples >= MIN_SAMPLES).map(|usual| usual.p95)
    }
}

/// Half of the bits of a number for what was hashed, which tells enough words apart.
fn half(hash: &blake3::Hasher) -> u32 {
    u32::from_le_bytes(hash.finalize().as_bytes()[..4].try_into().expect("four bytes of thirty-two"))
}

/// What texts are as a plan has them, for [`Graph::definition`].
pub(super) fn written<'t>(texts: impl Iterator<Item = &'t str>) -> u32 {
    let mut hash = blake3::Hasher::new();
    for text in texts {
        hash.update(text.as_bytes());
        hash.update(b"\0");
    }
    half(&hash).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Parts;
    use crate::graph::model::Split;

    fn graph() -> Graph {
        Graph::assemble(Parts::of("test", vec![Node::plain("a"), Node::plain("b")])).expect("no cycle")
    }

    #[test]
    fn a_recorded_outlook_is_the_same_again() {
        let mut graph = graph();
        let usual = Expected { p50: Span::from_ms(70), p95: Span::from_ms(90), samples: 6 };
        graph.expect(|node, _| (node.raw() == 1).then_some(usual));
        let text = graph.outlook();
        let mut other = self::graph();
        other.recall(&text);
        assert_eq!(other.outlook(), text);
        assert_eq!((other.priority(NodeIx::new(0)), other.priority(NodeIx::new(1))), (1000, 70));
        assert_eq!(other.nodes[NodeIx::new(1)].rules.likely(), Some(Span::from_ms(90)));
    }

    #[test]
    fn a_stage_that_finds_its_size_takes_its_work_whatever_its_shards_took() {
        let mut node = Node::plain("a");
        let split =
            Split { items: 200, size: 1, grows: true, target: Some(Span::from_secs(8)), ..Split::default() };
        (node.rules.split, node.rules.shards) = (Some(Box::new(split)), 200);
        let mut parts = Parts::of("test", vec![node, Node::plain("b")]);
        parts.settings.max_parallel = 4;
        let mut graph = Graph::assemble(parts).expect("no cycle");
        let usual = Expected { p50: Span::from_ms(70), p95: Span::from_ms(90), samples: 6 };
        let took = Expected { p50: Span::from_ms(1001), p95: Span::from_ms(2002), samples: 3 };
        let work = Workload { took, items: 200 };
        graph.expect_work(|_, _| Some(work));
        graph.expect(|_, _| Some(usual));
        let a = NodeIx::new(0);
        assert_eq!((graph.whole(a), graph.priority(a)), (Span::from_ms(251), 251));
        let took = |places| graph.nodes[a].expected(&places).ms();
        assert_eq!([took(0..100), took(100..200), took(200..201)], [500, 501, 0]);
        assert_eq!(graph.nodes[NodeIx::new(1)].rules.work, None, "one shard is all there is of it");
        let text = graph.outlook();
        graph.expect_work(|_, _| None);
        graph.expect(|_, _| Some(usual));
        assert_eq!((graph.nodes[a].rules.usual, graph.is_known(a)), (None, false), "its shards are of any size");
        graph.recall(&text);
        assert_eq!((graph.outlook(), graph.whole(a).ms()), (text.clone(), 251));
        assert_eq!(graph.nodes[a].rules.work.as_deref(), Some(&work));
        // As engines wrote it that kept one run only.
        graph.recall(&text.replace(" 1001 2002 3 200", " 1001"));
        let alone = Expected { p95: work.took.p50, samples: 1, ..work.took };
        assert_eq!(graph.nodes[a].rules.work.as_deref(), Some(&Workload { took: alone, items: 0 }));
        assert_eq!(graph.nodes[a].expected(&(0..100)).ms(), 500, "its items are known without");
    }

    #[test]
    fn a_line_that_is_no_line_says_nothing() {
        for line in ["", "x 1", "0 1 2", "0 1 2 3 x", "0", "a\tx 1", "0 1\ta"] {
            assert_eq!(Line::parse(line), None, "{line}");
        }
        let alone = Line { definition: 10, size: 1, ..Line::default() };
        assert_eq!((Line::id("a b\ta 1"), Line::parse("a b\ta 1")), ("a b", Some(alone)));
        assert_eq!((Line::id("a"), Line::parse("a 1")), ("a", Some(alone)), "of an older engine");
    }

    #[test]
    fn what_a_stage_runs_is_its_definition_and_not_its_limits() {
        let of = |change: &dyn Fn(&mut Node)| {
            let mut node = Node::plain("a");
            change(&mut node);
            let graph = Graph::assemble(Parts::of("test", vec![node])).expect("no cycle");
            graph.definition(NodeIx::new(0))
        };
        let plain = of(&|_| {});
        assert_eq!(of(&|node| node.rules.timeout = Some(Span::from_secs(5))), plain);
        let Work::Process(process) = &Node::plain("a").work else { unreachable!("it is a process") };
        let mut other = process.clone();
        other.command = Command::Argv(vec!["false".into()]);
        assert_ne!(of(&|node| node.work = Work::Process(other.clone())), plain);
    }
}
