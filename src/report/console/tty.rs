//! The live view: finished stages scroll past, and below them a region shows what runs now.
//!
//! The region is rewritten in place at each tick, in one write, line by line, so that nothing flickers. Its
//! lines are one column shorter than the terminal, so that none wraps; after a resize the rows that the old
//! lines take now are counted. What scrolled past is never touched again, so the scrollback is a plain log.
//! The cursor is never hidden and no mode is set: whatever kills the engine, the terminal needs no repair.
//! Between ticks records and output are only folded, so neither a flood of output nor a slow terminal costs
//! more than one frame for each tick.

use std::io::Write;

use jiff::tz::TimeZone;

use crate::base::{Millis, NodeIx, Span};
use crate::run::event::NodeState;
use crate::run::{Attempt, Event};

use super::super::view::NodeView;
use super::super::{Observer, Summary, Tails, View, clean, why, words};
use super::story::{self, Story};
use super::{Look, Pen};

/// To the first column, then erase to the end of the screen.
const ERASE_BELOW: &str = "\r\u{1b}[J";

/// Erase to the end of the line.
const ERASE_LINE: &str = "\u{1b}[K";

/// Lines for running stages, however high the terminal is.
const MAX_ROWS: usize = 24;

/// Narrower than this only the last line of the region is shown.
const MIN_COLUMNS: usize = 40;

/// Cells of a bar.
const BAR: usize = 20;

/// Scrolling text held until the next tick; more is written at once.
const MAX_ABOVE_BYTES: usize = 256 << 10;

/// How often the time left is worked out anew: it walks the whole graph.
const ESTIMATE: Span = Span::from_secs(1);

/// Columns and rows of a terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size {
    /// Characters in a row.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
}

/// Asks the terminal for its size; none when there is no telling, then no region is drawn.
pub type Sizer = Box<dyn FnMut() -> Option<Size> + Send>;

/// A live view on a terminal. Not for `TERM=dumb`: see [`Tty::suits`].
pub struct Tty<W: Write> {
    view: View,
    pen: Pen<W>,
    story: Story,
    tails: Tails,
    size: Sizer,
    above: String,
    shown: Vec<usize>,
    frame: Vec<String>,
    left: Option<(Millis, Option<Span>)>,
    is_asking: bool,
    zone: Option<TimeZone>,
    /// The first line that anybody sees names the run, also when that began long ago: nothing is drawn before it.
    is_named: bool,
    /// Whether somebody's Enter has moved the cursor below the region.
    is_below: bool,
}

/// What an approval's note says when it was answered below the live view.
pub const AT_TERMINAL: &str = "answered at the terminal";

impl<W: Write> Tty<W> {
    /// `view` has what happened before, which is not told again; `size` is asked at each tick.
    pub fn new(view: View, out: W, look: Look, size: Sizer) -> Self {
        Self {
            view,
            pen: Pen::new(out),
            story: Story::beside_live(look),
            tails: Tails::default(),
            size,
            above: String::new(),
            shown: Vec::new(),
            frame: Vec::new(),
            left: None,
            is_asking: false,
            zone: None,
            is_named: false,
            is_below: false,
        }
    }

    /// Says at each open approval that it can be answered here.
    #[must_use]
    pub fn asking(mut self, is_asking: bool) -> Self {
        self.is_asking = is_asking;
        self
    }

    /// Says when the run will be over by a clock of this zone, too.
    #[must_use]
    pub fn in_zone(mut self, zone: TimeZone) -> Self {
        self.zone = Some(zone);
        self
    }

    /// The size of the terminal behind `to`, to be asked again at each tick; none when it is no terminal or
    /// does not know.
    pub fn size_of(to: impl std::os::fd::AsFd) -> Option<Size> {
        let size = rustix::termios::tcgetwinsize(to).ok()?;
        (size.ws_col > 0 && size.ws_row > 0).then_some(Size { columns: size.ws_col, rows: size.ws_row })
    }

    /// Whether a terminal of this `TERM` can move its cursor.
    pub fn suits(term: Option<&str>) -> bool {
        term.is_some_and(|term| !term.is_empty() && term != "dumb")
    }

    /// Lets `told` scroll past. Our own lines break between words at the terminal's end; what a stage printed
    /// and commands to copy stay as they are.
    fn put_above(&mut self, told: &str) {
        let columns = (self.size)().map_or(usize::from(u16::MAX), |size| usize::from(size.columns));
        let hang = story::WORD + 2;
        for line in told.lines() {
            let seen = clean::line(line.as_bytes(), false);
            let indent = seen.len() - seen.trim_start_matches(' ').len();
            let is_ours = columns >= MIN_COLUMNS && indent < hang && !seen[indent..].starts_with(['│', '╰']);
            let parts = if is_ours { clean::wrap(line, columns, hang) } else { vec![line.to_owned()] };
            for part in parts {
                put!(self.above, "{part}\n");
            }
        }
    }

    /// Takes the region away and writes what scrolls past.
    fn scroll(&mut self, columns: usize) {
        let text = self.lift(columns, true) + &std::mem::take(&mut self.above);
        self.shown.clear();
        self.is_below = false;
        self.pen.write(&text);
    }

    /// Moves the cursor to where the region begins, and erases it if asked to.
    fn lift(&self, columns: usize, is_erased: bool) -> String {
        let rows: usize = self.shown.iter().map(|width| width.div_ceil(columns.max(1)).max(1)).sum();
        let mut text = String::new();
        let up = if self.is_below { rows } else { rows.saturating_sub(1) };
        if up > 0 {
            put!(text, "\u{1b}[{up}A");
        }
        if rows > 0 {
            text += if is_erased { ERASE_BELOW } else { "\r" };
        }
        text
    }

    /// Writes what scrolls past and the region anew.
    fn draw(&mut self, now: Millis) {
        if !self.is_named {
            return;
        }
        let Some(size) = (self.size)() else {
            self.scroll(usize::from(u16::MAX));
            return;
        };
        let columns = usize::from(size.columns);
        if self.left.is_none_or(|(then, _)| now.since(then) >= ESTIMATE) {
            self.left = Some((now, self.view.left(now)));
        }
        let frame = self.region(now, columns, usize::from(size.rows));
        if frame == self.frame && self.above.is_empty() && !self.shown.is_empty() {
            return;
        }
        let mut text = self.lift(columns, self.is_below || !self.above.is_empty());
        self.is_below = false;
        text += &std::mem::take(&mut self.above);
        for (at, line) in frame.iter().enumerate() {
            text += if at == 0 { "" } else { "\n" };
            text += line;
            text += ERASE_LINE;
        }
        if self.shown.len() > frame.len() {
            text += "\u{1b}[J";
        }
        self.shown = frame.iter().map(|line| clean::width(line)).collect();
        self.frame = frame;
        self.pen.write(&text);
    }

    /// The lines of the region at `now`.
    fn region(&self, now: Millis, columns: usize, rows: usize) -> Vec<String> {
        let room = columns.saturating_sub(1);
        let mut lines = Vec::new();
        if columns >= MIN_COLUMNS && rows > 2 {
            let most = (rows - 2).min(MAX_ROWS);
            let active: Vec<NodeIx> = self.active();
            let fits = if active.len() > most { most - 1 } else { active.len() };
            let name = active.iter().take(fits).map(|&ix| clean::width(self.view.id(ix))).max().unwrap_or(0);
            let name = name.clamp(8, (room / 3).max(8));
            lines.extend(active.iter().take(fits).map(|&ix| self.stage(ix, now, name, room)));
            if active.len() > fits {
                let more = format!("{:>9}  {} more", "…", active.len() - fits);
                lines.push(clean::fit(&more, room));
            }
        }
        lines.push(self.footer(now, room));
        lines
    }

    /// Stages to show: what runs, retries or waits for a person, the longest first.
    fn active(&self) -> Vec<NodeIx> {
        let is_shown = |node: &NodeView| match node.state {
            NodeState::Running | NodeState::Retrying => true,
            NodeState::Waiting => node.is_open || node.checking.is_some() || node.started.is_some(),
            _ => false,
        };
        let mut all: Vec<_> = self.view.active().filter(|(_, node)| is_shown(node)).collect();
        all.sort_by_key(|(ix, node)| (node.started.unwrap_or(Millis::new(u64::MAX)), *ix));
        all.into_iter().map(|(ix, _)| ix).collect()
    }

    /// One running stage.
    fn stage(&self, ix: NodeIx, now: Millis, name: usize, room: usize) -> String {
        let node = self.view.get(ix);
        let look = self.story.look();
        let word = match node.state {
            NodeState::Waiting if node.is_open => "approve?",
            NodeState::Running if node.stopping.is_some() => "stopping",
            state => state.word(),
        };
        let spent = node.duration(now).map(words::length).unwrap_or_default();
        let usual = self.view.expected(ix).map(|span| format!("/{}", words::length(span)));
        let clock = format!("{spent}{}", usual.unwrap_or_default());
        let id = clean::pad(&clean::plain(self.view.id(ix)), name);
        let mut text = format!("{}  {id}  {clock:<7}", look.paint(node.state, &format!("{word:>9}")));
        if node.shards.all > 1 {
            put!(text, "  {}", self.bar(node));
            let left = story::estimate(&self.view, ix, now);
            text += &left.map_or_else(String::new, |left| format!("  {} left", words::length(left)));
        }
        let mut said = why::explain(&self.view, ix, now);
        if self.is_asking && self.view.get(ix).awaits_person() {
            said.insert_str(0, "type y or n, then Enter; ");
        }
        if !said.is_empty() && node.shards.all == 1 {
            put!(text, "  {}", clean::plain(&said));
        }
        let rest = room.saturating_sub(clean::width(&text) + 2);
        if let Some(last) = self.tails.newest(ix).filter(|_| rest > 10) {
            let last = clean::fit(clean::line(last, false).trim(), rest);
            put!(text, "  {}", look.dim(&last));
        }
        clean::fit(&text, room)
    }

    /// A bar for the shards of a stage.
    fn bar(&self, node: &NodeView) -> String {
        let look = self.story.look();
        let shards = node.shards;
        let all = u64::from(shards.all.max(1));
        let cells = |count: u32| usize::try_from(u64::from(count) * BAR as u64 / all).unwrap_or(BAR).min(BAR);
        let failed = cells(shards.failed).max(usize::from(shards.failed > 0));
        let done = cells(shards.done).min(BAR - failed);
        let running = cells(shards.running).max(usize::from(shards.running > 0)).min(BAR - failed - done);
        let rest = BAR - failed - done - running;
        let part = |state: NodeState, cell: &str, count: usize| match count {
            0 => String::new(),
            count => look.paint(state, &cell.repeat(count)),
        };
        format!(
            "{}{}{}{} {}",
            part(NodeState::Success, "█", done),
            part(NodeState::Failed, "▓", failed),
            part(NodeState::Running, "▒", running),
            part(NodeState::Pending, "░", rest),
            why::shards(node),
        )
    }

    /// Totals, time, and when it will be over.
    fn footer(&self, now: Millis, room: usize) -> String {
        let totals = self.view.totals();
        let ended = totals.all - totals.active - totals.left - totals.behind;
        let mut parts = vec![format!("{ended}/{} stages", totals.all)];
        let counts = [
            (totals.active, "running"),
            (totals.failed, "failed"),
            (totals.dead, "dead"),
            (totals.blocked, "blocked"),
        ];
        parts.extend(counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")));
        parts.push(words::length(self.view.elapsed(now)));
        let left = self.left.and_then(|(then, left)| Some(left? - now.since(then)));
        // Between two estimates it only counts down: nobody is told less than whole seconds.
        let left = left.map(|left| Span::from_ms(left.ms().div_ceil(1000) * 1000));
        if let Some(left) = left.filter(|left| left.ms() > 0) {
            let zone = self.zone.as_ref();
            let end = zone.map(|zone| format!(", until {}", words::hour(self.view.wall_ms(), now + left, zone)));
            let about = if left < Span::from_secs(60) { left.to_string() } else { words::length(left) };
            parts.push(format!("about {about} left{}", end.unwrap_or_default()));
        }
        if self.view.is_paused() {
            parts.push("paused".to_owned());
        }
        if let Some(why) = self.view.say_cancel() {
            parts.push(format!("ending: {}", clean::plain(&why)));
        }
        let state = if totals.failed > 0 { NodeState::Failed } else { NodeState::Running };
        let word = self.story.look().paint(state, &format!("{:>9}", self.view.state().word()));
        clean::fit(&format!("{word}  {}", parts.join(" · ")), room)
    }
}

impl<W: Write> Observer for Tty<W> {
    fn record(&mut self, seq: u64, at: Millis, event: &Event) {
        self.view.record(seq, at, event);
        self.tails.record(event);
        self.is_below |= self.is_asking && matches!(event, Event::GateDecided { note, .. } if note == AT_TERMINAL);
        let told = self.story.tell(&self.view, at, event);
        self.put_above(&told);
        let is_first = matches!(event, Event::RunBegan(_) | Event::RunResumed(_));
        self.is_named |= is_first;
        if is_first || self.above.len() > MAX_ABOVE_BYTES {
            let columns = (self.size)().map_or(usize::from(u16::MAX), |size| usize::from(size.columns));
            self.scroll(columns);
        }
    }

    fn output(&mut self, attempt: Attempt, bytes: &[u8]) {
        self.tails.output(attempt, bytes);
    }

    fn tick(&mut self, now: Millis) {
        self.draw(now.max(self.view.now()));
    }

    fn end(&mut self, summary: &Summary) {
        let told = self.story.epilogue(&self.view, &self.tails, summary);
        self.put_above(&told);
        let columns = (self.size)().map_or(usize::from(u16::MAX), |size| usize::from(size.columns));
        self.scroll(columns);
    }
}

impl<W: Write> Drop for Tty<W> {
    /// Also on a panic: the region goes, so that what follows stands in a clean place.
    fn drop(&mut self) {
        if !self.shown.is_empty() || !self.above.is_empty() {
            let columns = (self.size)().map_or(usize::from(u16::MAX), |size| usize::from(size.columns));
            self.scroll(columns);
        }
    }
}
