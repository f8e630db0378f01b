//! The text of `engine plan`.

use anstyle::{AnsiColor, Style as Paint};

use super::rails::paint;
use super::words::{self, line};
use super::{Style, Subject, fold};
use crate::base::{NodeIx, Span, count};
use crate::graph::forecast::{Forecast, Worst};
use crate::graph::model::{FoldKind, Graph, Node, Phase, Policy};

/// Stages of one wave and fold above which they are one line.
const MAX_ROWS: usize = 6;
/// The heading of background work.
const AFTER: &str = "background, after the verdict";
/// Lines of one wave at most, the rest is counted.
const MAX_WAVE_ROWS: usize = 40;

/// What stands above the plan and is not in the graph.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heading<'a> {
    /// The plan's description.
    pub description: Option<&'a str>,
    /// Inputs by name, already masked where secret.
    pub inputs: &'a [(String, String)],
}

struct Out<'a> {
    subject: Subject<'a>,
    style: &'a Style,
    columns: usize,
    text: String,
}

/// Renders the dry run of `subject`: header, waves, critical path, totals, warnings. Ends with a newline and
/// no line is wider than `style.width` (40 at least).
pub fn plan(subject: Subject, heading: Heading, style: &Style) -> String {
    let mut out = Out { subject, style, columns: style.width.max(40), text: String::new() };
    out.header(heading);
    let forecast = subject.forecast;
    for (at, wave) in forecast.waves.iter().enumerate() {
        out.wave(&format!("wave {}", at + 1), wave);
    }
    for (at, wave) in forecast.closing.iter().enumerate() {
        let name = if at == 0 { "finally".to_owned() } else { format!("finally, step {}", at + 1) };
        out.wave(&name, wave);
    }
    for (at, wave) in forecast.background.iter().enumerate() {
        let name = if at == 0 { AFTER.to_owned() } else { format!("{AFTER}, step {}", at + 1) };
        out.wave(&name, wave);
    }
    out.unselected();
    out.critical();
    out.totals();
    out.warnings();
    out.text
}

impl Out<'_> {
    fn graph(&self) -> &Graph {
        self.subject.graph
    }

    fn dim() -> Paint {
        Paint::new().dimmed()
    }

    fn mark<'b>(&self, unicode: &'b str, plain: &'b str) -> &'b str {
        if self.style.unicode { unicode } else { plain }
    }

    fn fit(&self, text: &str, columns: usize) -> String {
        words::fit(text, columns, self.style.unicode)
    }

    /// Writes `text`, cut to the width, in `look`.
    fn put(&mut self, indent: usize, text: &str, look: Paint) {
        let text = self.fit(text, self.columns - indent);
        let text = paint(text.trim_end(), look, self.style);
        line(&mut self.text, format_args!("{}", format!("{}{text}", " ".repeat(indent)).trim_end()));
    }

    /// Writes `text` broken at spaces, further lines indented by `hang`.
    fn wrap(&mut self, indent: usize, hang: usize, text: &str, look: Paint) {
        let mut row = String::new();
        let mut left = indent;
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            let fits = left + words::width(&row) + 1 + words::width(word) <= self.columns;
            if !row.is_empty() && !fits {
                self.put(left, &row, look);
                row.clear();
                left = hang;
            }
            if !row.is_empty() {
                row.push(' ');
            }
            row.push_str(word);
        }
        if !row.is_empty() {
            self.put(left, &row, look);
        }
    }

    fn blank(&mut self) {
        self.text.push('\n');
    }

    fn header(&mut self, heading: Heading) {
        let forecast = self.subject.forecast;
        let name = self.graph().name.clone();
        self.put(0, &name, Paint::new().bold());
        if let Some(description) = heading.description {
            self.wrap(0, 0, &description.replace('\n', " "), Paint::new());
        }
        let waves = forecast.waves.len() as u64;
        let mut counts = vec![count::plural(u64::from(forecast.selected), "stage"), count::plural(waves, "wave")];
        let parallel = self.graph().settings.max_parallel;
        counts.push(format!("{parallel} at once"));
        let approvals = self.selected().filter(|(_, node)| node.rules.is_approval).count() as u64;
        if approvals > 0 {
            counts.push(count::plural(approvals, "approval"));
        }
        let conditional = self.selected().filter(|(_, node)| !node.conditions.is_empty()).count();
        if conditional > 0 {
            counts.push(format!("{conditional} with `if`"));
        }
        let counts = counts.join(self.mark(" · ", ", "));
        self.wrap(0, 0, &counts, Self::dim());
        if !heading.inputs.is_empty() {
            self.blank();
            let wide = heading.inputs.iter().map(|(name, _)| words::width(name)).max().unwrap_or(0).min(24);
            for (name, value) in heading.inputs {
                let row = format!("{}  {value}", words::pad(&self.fit(name, wide), wide));
                self.put(2, &row, Paint::new());
            }
        }
    }

    fn selected(&self) -> impl Iterator<Item = (NodeIx, &Node)> {
        self.subject.graph.stages().filter(|(_, node)| node.selected)
    }

    fn wave(&mut self, name: &str, wave: &[NodeIx]) {
        self.blank();
        let count = count::plural(wave.len() as u64, "stage");
        let rule = self.mark("─", "-");
        let head = format!("{} {name} ", rule.repeat(2));
        let rest = self.columns.saturating_sub(words::width(&head) + words::width(&count) + 4);
        let text = format!("{head}{} {count} {}", rule.repeat(rest), rule.repeat(2));
        self.put(0, &text, Self::dim());
        let rows = rows(self.graph(), wave);
        let wide = rows.iter().map(|row| words::width(&row.label(self.graph()))).max().unwrap_or(0);
        let wide = wide.clamp(8, (self.columns * 2 / 5).min(36));
        let mut group = None;
        for row in rows.iter().take(MAX_WAVE_ROWS) {
            let own = self.graph().nodes[row.nodes[0]].group.clone();
            if own != group {
                let name = own.as_deref().map_or("no group".to_owned(), |own| format!("group {own}"));
                self.put(2, &name, AnsiColor::Cyan.on_default());
                group = own;
            }
            self.row(row, wide);
        }
        if rows.len() > MAX_WAVE_ROWS {
            let more: usize = rows[MAX_WAVE_ROWS..].iter().map(|row| row.nodes.len()).sum();
            self.put(4, &format!("and {} more", count::plural(more as u64, "stage")), Self::dim());
        }
    }

    fn row(&mut self, row: &Row, wide: usize) {
        let forecast = self.subject.forecast;
        let first = &self.subject.graph.nodes[row.nodes[0]];
        let is_critical = row.nodes.iter().any(|&ix| forecast.stages[ix].is_critical);
        let mark = match (is_critical, first.rules.is_approval) {
            (true, _) => self.mark("◆", "#"),
            (false, true) => self.mark("◇", "?"),
            _ => self.mark("•", "*"),
        };
        let label = words::pad(&words::fit_name(&row.label(self.graph()), wide, self.style.unicode), wide);
        let does = if row.nodes.len() == 1 {
            words::purpose(self.graph(), row.nodes[0])
        } else {
            row.ends(self.graph(), self.style)
        };
        let does = self.fit(&does, self.columns.saturating_sub(wide + 6));
        let bold = if is_critical { Paint::new().bold() } else { Paint::new() };
        let text = format!("  {mark} {}  {does}", paint(&label, bold, self.style));
        line(&mut self.text, format_args!("{}", text.trim_end()));
        let facts = self.facts(row);
        if !facts.is_empty() {
            self.wrap(6, 6, &facts.join(self.mark(" · ", ", ")), Self::dim());
        }
        if let Some(need) = self.waits(row) {
            self.wrap(6, 8, &need, Self::dim());
        }
    }

    /// Limits, conditions and history of a row's stages, as they are alike or of the first.
    fn facts(&self, row: &Row) -> Vec<String> {
        let (graph, forecast) = (self.graph(), self.subject.forecast);
        let (node, seen) = (&graph.nodes[row.nodes[0]], &forecast.stages[row.nodes[0]]);
        let rules = &node.rules;
        let mut facts = Vec::new();
        if let Some(matrix) = graph.late_matrix(row.nodes[0]).filter(|matrix| matrix.given.is_none()) {
            facts.push(matrix.promise());
        }
        if let Some(seen) = seen.expected {
            let (p50, p95) = (words::about(seen.p50), words::about(seen.p95));
            facts.push(format!("{}{p50}, p95 {p95} ({} samples)", self.mark("≈", "about "), seen.samples));
            facts.extend(rules.work.as_ref().map(|it| it.took).map(|work| {
                let (p50, p95) = (words::about(work.p50), words::about(work.p95));
                let runs = count::plural(u64::from(work.samples), "run");
                format!("all items {}{p50}, p95 {p95} ({runs})", self.mark("≈", "about "))
            }));
        }
        facts.extend(rules.timeout.map(|timeout| {
            format!("{} {}", if rules.is_approval { "waits at most" } else { "timeout" }, words::length(timeout))
        }));
        facts.extend(rules.idle.map(|idle| format!("idle {}", words::length(idle))));
        if seen.attempts_each > 1 {
            facts.push(format!("at most {} attempts", seen.attempts_each));
        }
        if let Some(split) = &rules.split {
            facts.extend(words::split(node, split, seen.attempts_each));
        } else if rules.shards > 1 {
            let all = count::number(seen.attempts);
            let shards = count::plural(u64::from(rules.shards), "shard");
            facts.push(if seen.attempts_each > 1 { format!("{shards}, {all} attempts in all") } else { shards });
        }
        let pools = rules.pools.iter().map(|&(pool, weight)| (&graph.pools[pool], weight));
        facts.extend(pools.map(|(pool, weight)| format!("pool {} {weight}/{}", pool.name, pool.capacity)));
        let skipped = row.nodes.iter().filter(|ix| forecast.is_skipped(**ix)).count();
        facts.extend(node.conditions.iter().map(|condition| format!("if {}", condition.text)));
        facts.extend(match skipped {
            0 => None,
            all if all == row.nodes.len() => Some("will be skipped: that is false".to_owned()),
            some => Some(format!("{some} of {} will be skipped", row.nodes.len())),
        });
        for (is, word) in [
            (rules.allow_failure != crate::plan::model::AllowFailure::No, "may fail"),
            (!rules.idempotent, "not idempotent"),
            (rules.has_cache, "cached"),
        ] {
            facts.extend(is.then(|| word.to_owned()));
        }
        facts
    }

    /// Why a row waits: its needs, folded, and what a need accepts besides success.
    fn waits(&self, row: &Row) -> Option<String> {
        let graph = self.graph();
        let mut needs: Vec<(NodeIx, bool)> = Vec::new();
        for &ix in &row.nodes {
            needs.extend(graph.nodes[ix].needs.iter().map(|need| (need.node, need.accept.failed)));
        }
        needs.sort_unstable();
        needs.dedup();
        let mut names: Vec<String> = Vec::new();
        let mut counts: Vec<(&str, &str, usize, NodeIx)> = Vec::new();
        for (ix, failed) in needs {
            let node = &graph.nodes[ix];
            let fold = node.fold.map(|at| &graph.folds[at as usize]).filter(|fold| fold.kind != FoldKind::Group);
            let suffix = if failed { " (or its failure)" } else { "" };
            let suffix = if node.selected { suffix } else { " (not selected)" };
            match fold {
                Some(fold) => match counts.iter_mut().find(|known| (known.0, known.1) == (&fold.name, suffix)) {
                    Some(known) => known.2 += 1,
                    None => counts.push((&fold.name, suffix, 1, ix)),
                },
                None => names.push(format!("{}{suffix}", node.id)),
            }
        }
        let times = self.mark("×", "x");
        names.extend(counts.into_iter().map(|(name, suffix, count, ix)| match count {
            _ if graph.late_matrix(ix).is_some_and(|matrix| matrix.given.is_none()) => {
                format!("{name}, all cells{suffix}")
            }
            1 => format!("{}{suffix}", graph.nodes[ix].id),
            _ => format!("{name} {times}{count}{suffix}"),
        }));
        if names.is_empty() {
            return None;
        }
        let more = names.len().saturating_sub(8);
        names.truncate(8);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Some(format!("after {}{more}", names.join(", ")))
    }

    fn unselected(&mut self) {
        let left: Vec<&str> =
            self.subject.graph.stages().filter(|(_, node)| !node.selected).map(|(_, node)| &*node.id).collect();
        if left.is_empty() {
            return;
        }
        let shown = left.iter().take(8).copied().collect::<Vec<_>>().join(", ");
        let more = left.len().saturating_sub(8);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let text = format!("not selected: {shown}{more}");
        self.blank();
        self.wrap(0, 2, &text, Self::dim());
    }

    fn critical(&mut self) {
        let path = &self.subject.forecast.critical;
        if path.nodes.len() < 2 {
            return;
        }
        let names: Vec<&str> = path.nodes.iter().map(|&ix| &*self.subject.graph.nodes[ix].id).collect();
        let arrow = self.mark(" → ", " > ");
        let text = match names.len() {
            0..=12 => names.join(arrow),
            many => format!(
                "{}{arrow}({} more){arrow}{}",
                names[..6].join(arrow),
                many - 12,
                names[many - 6..].join(arrow)
            ),
        };
        let text = format!("{} critical path: {text}", self.mark("◆", "#"));
        self.blank();
        self.wrap(0, 2, &text, Paint::new().bold());
    }

    fn totals(&mut self) {
        let forecast = self.subject.forecast;
        self.blank();
        let expected = match forecast.expected() {
            Some(_) if forecast.range.is_some_and(|range| range.samples > 0) => {
                let range = forecast.range.expect("asked for just now");
                let runs = count::plural(u64::from(range.samples), "earlier run");
                let (p50, p95) = (words::about(range.p50), words::about(range.p95));
                format!("{}{p50}, in 95 of 100 cases at most {p95} ({runs})", self.mark("≈ ", "about "))
            }
            Some(span) => format!("{}{}", self.mark("≈ ", "about "), words::about(span)),
            None => format!(
                "unknown, {} of {} have enough history",
                forecast.known,
                count::plural(u64::from(forecast.foreseen), "stage")
            ),
        };
        self.total("expected", &expected);
        let worst = match &forecast.worst {
            Worst::Stages(span) => format!("{} {}", self.mark("≤", "at most"), words::length(*span)),
            Worst::Timeout(span) => {
                format!("{} {} (the run's timeout)", self.mark("≤", "at most"), words::length(*span))
            }
            Worst::Unbounded(nodes) => {
                format!("unbounded, {} without a timeout", count::plural(nodes.len() as u64, "stage"))
            }
        };
        self.total("worst case", &worst);
        self.total("attempts", &format!("at most {}", count::number(forecast.attempts)));
        if forecast.peak() > 0 {
            let bars = sparkline(forecast, self.columns.saturating_sub(34).clamp(8, 40), self.style.unicode);
            let most = count::plural(u64::from(forecast.peak()), "stage");
            self.total("at work", &format!("{bars}  {most} at most"));
        }
        for limit in forecast.contended.iter().take(4) {
            let text =
                format!("{}: {} at once of {} wanted", limit.name, limit.capacity, count::number(limit.demand));
            self.total("limited by", &text);
        }
        if let Some(lock) = &self.subject.graph.settings.lock {
            let text = lock.name.clone();
            self.total("lock", &text);
        }
        let policy = self.subject.graph.scopes.iter().next().map_or(Policy::Drain, |scope| scope.policy);
        let policy = match policy {
            Policy::Drain => "what runs ends, nothing new starts",
            Policy::Kill => "what runs is stopped, nothing new starts",
            Policy::Continue => "dependants are blocked, the rest goes on",
            Policy::Rollback => "what runs ends, then what was done is undone",
        };
        self.total("on failure", policy);
        let arrow = self.mark(" → ", " -> ");
        let rows = super::care::rows(self.graph()).into_iter().chain(super::undo::rows(self.graph(), arrow));
        for (name, text) in rows {
            self.total(name, &text);
        }
    }

    fn total(&mut self, name: &str, text: &str) {
        self.put(0, &format!("{}  {text}", words::pad(name, 10)), Paint::new());
    }

    fn warnings(&mut self) {
        let graph = self.subject.graph;
        let forecast = self.subject.forecast;
        let free = |(ix, _): &(NodeIx, &Node)| forecast.stages[*ix].worst.is_none() && !forecast.is_skipped(*ix);
        let open: Vec<&str> = self
            .selected()
            .filter(free)
            .filter(|(_, node)| node.phase != Phase::Finally || graph.settings.finally_budget.is_none())
            .map(|(_, node)| &*node.id)
            .collect();
        if open.is_empty() {
            return;
        }
        let shown = open.iter().take(6).map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
        let more = open.len().saturating_sub(6);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let has = if open.len() == 1 { "has" } else { "have" };
        let text = format!("warning: {shown}{more} {has} no `timeout`: set one on the stage or under `defaults`");
        self.blank();
        self.wrap(0, 2, &text, AnsiColor::Yellow.on_default());
    }
}

/// Stages shown in one line.
struct Row {
    nodes: Vec<NodeIx>,
    /// The fold they share, when there are several.
    fold: Option<u32>,
}

impl Row {
    fn label(&self, graph: &Graph) -> String {
        match self.fold {
            Some(at) => format!("{} ×{}", graph.folds[at as usize].name, self.nodes.len()),
            None if self.nodes.len() > 1 => format!("{} stages", self.nodes.len()),
            None => graph.nodes[self.nodes[0]].id.to_string(),
        }
    }

    fn ends(&self, graph: &Graph, style: &Style) -> String {
        let dots = if style.unicode { "…" } else { "..." };
        let id = |at: usize| &graph.nodes[self.nodes[at]].id;
        format!("{} {dots} {}", id(0), id(self.nodes.len() - 1))
    }
}

/// The lines of a wave: by group, written order inside; what shares an innermost matrix or file, and failing
/// that a group, shares a line when there are more than [`MAX_ROWS`].
fn rows(graph: &Graph, wave: &[NodeIx]) -> Vec<Row> {
    let mut counts = vec![0usize; graph.folds.len()];
    for &ix in wave {
        fold::folds_around(graph, ix).for_each(|at| counts[at as usize] += 1);
    }
    let mut rows: Vec<Row> = Vec::new();
    let mut places = std::collections::BTreeMap::new();
    for &ix in wave {
        let is_big = |at: &u32| counts[*at as usize] > MAX_ROWS;
        let small = fold::folds_around(graph, ix).find(is_big);
        match small {
            Some(at) => {
                let place = *places.entry(at).or_insert_with(|| {
                    rows.push(Row { nodes: Vec::new(), fold: Some(at) });
                    rows.len() - 1
                });
                rows[place].nodes.push(ix);
            }
            None => rows.push(Row { nodes: vec![ix], fold: None }),
        }
    }
    rows.sort_by_key(|row| (graph.nodes[row.nodes[0]].group.clone(), row.nodes[0]));
    rows
}

/// How busy the rehearsed run is: the most stages at work in each slice of time, as bars.
fn sparkline(forecast: &Forecast, slots: usize, unicode: bool) -> String {
    let bars: Vec<char> =
        if unicode { "▁▂▃▄▅▆▇█".chars().collect() } else { ".:-=+*#%".chars().collect() };
    let end = forecast.profile.last().map_or(Span::ZERO, |step| step.0).ms().max(1);
    let (slots, peak) = (slots as u64, u64::from(forecast.peak().max(1)));
    let mut most = vec![0u64; usize::try_from(slots).unwrap_or(1)];
    for pair in forecast.profile.windows(2) {
        let busy = u64::from(pair[0].1);
        let (from, to) = (pair[0].0.ms() * slots / end, (pair[1].0.ms() * slots).div_ceil(end));
        for slot in from..to.min(slots) {
            let slot = &mut most[usize::try_from(slot).unwrap_or(0)];
            *slot = (*slot).max(busy);
        }
    }
    let bar = |busy: &u64| match busy {
        0 => ' ',
        busy => bars[usize::try_from((busy * 8).div_ceil(peak).clamp(1, 8) - 1).unwrap_or(0)],
    };
    most.iter().map(bar).collect()
}
