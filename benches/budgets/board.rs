//! What was measured: rows with their budgets, as a table and as JSON lines.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::dag::ABOVE_BARE;
use crate::machine;

/// What a figure has to be.
#[derive(Clone, Copy)]
pub(crate) enum Budget {
    /// At most this.
    Most(f64),
    /// At least this.
    Least(f64),
    /// Nothing: the figure stands beside others.
    None,
}

/// One figure.
struct Row {
    item: &'static str,
    what: String,
    measured: f64,
    unit: &'static str,
    budget: Budget,
    note: String,
}

/// All rows of one call.
pub(crate) struct Board {
    /// Which item is being measured.
    pub(crate) item: &'static str,
    /// How often each thing is measured; the median counts.
    pub(crate) rounds: usize,
    /// Where the JSON lines go.
    pub(crate) json: Option<PathBuf>,
    rows: Vec<Row>,
}

impl Default for Board {
    fn default() -> Self {
        Self { item: "", rounds: 5, json: None, rows: Vec::new() }
    }
}

impl Budget {
    fn is_kept(self, measured: f64) -> bool {
        match self {
            Self::Most(limit) => measured <= limit,
            Self::Least(limit) => measured >= limit,
            Self::None => true,
        }
    }

    fn words(self) -> String {
        match self {
            Self::Most(limit) => format!("≤ {}", figure(limit)),
            Self::Least(limit) => format!("≥ {}", figure(limit)),
            Self::None => String::new(),
        }
    }
}

impl Board {
    /// Adds a figure that has a budget.
    pub(crate) fn judge(&mut self, what: impl Into<String>, measured: (f64, &'static str), budget: Budget) {
        self.add(what.into(), measured, budget, String::new());
    }

    /// Adds a ratio to a peer. `stated` is its budget where the bare loop leaves room for it; where a loop that only starts
    /// the commands takes `bare` of the peer's time, and so more, the budget above that loop decides (ADR 0022).
    pub(crate) fn judge_beside(&mut self, what: impl Into<String>, ratio: f64, (stated, bare): (f64, f64)) {
        let possible = ABOVE_BARE * bare;
        let note =
            format!("the bare loop takes {} of the peer's time; {} is stated", figure(bare), figure(stated));
        self.add(what.into(), (ratio, "×"), Budget::Most(stated.max(possible)), note);
    }

    /// Adds a figure that others are compared with, or that is only of interest.
    pub(crate) fn tell(&mut self, what: impl Into<String>, measured: (f64, &'static str), note: &str) {
        self.add(what.into(), measured, Budget::None, note.to_owned());
    }

    fn add(&mut self, what: String, (measured, unit): (f64, &'static str), budget: Budget, note: String) {
        let row = Row { item: self.item, what, measured, unit, budget, note };
        note_row(&row);
        self.rows.push(row);
    }

    /// Prints the table, writes the JSON lines, and tells whether all budgets were kept.
    pub(crate) fn close(self) -> ExitCode {
        let missed = self.rows.iter().filter(|row| !row.budget.is_kept(row.measured)).count();
        say(&self.table());
        let judged = self.rows.iter().filter(|row| !matches!(row.budget, Budget::None)).count();
        say(&format!(
            "{} of {judged} budgets kept, medians of {}, {}",
            judged - missed,
            self.rounds,
            machine::words()
        ));
        if let Some(path) = &self.json
            && let Err(error) = self.append_lines(path)
        {
            say(&format!("the results cannot be written to `{}`: {error}", path.display()));
            return ExitCode::FAILURE;
        }
        if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn table(&self) -> String {
        let wide = self.rows.iter().map(|row| row.what.chars().count()).max().unwrap_or(0).max(4);
        let mut out = format!("\n{:wide$}  {:>14}  {:>8}  {:6}  command\n", "what", "measured", "budget", "");
        for row in &self.rows {
            let verdict = match row.budget {
                Budget::None => "",
                budget if budget.is_kept(row.measured) => "kept",
                _ => "MISSED",
            };
            let measured = format!("{} {}", figure(row.measured), row.unit);
            let budget = row.budget.words();
            let command = format!("benches/run {}", row.item);
            let _ = writeln!(out, "{:wide$}  {measured:>14}  {budget:>8}  {verdict:6}  {command}", row.what);
            if !row.note.is_empty() {
                let _ = writeln!(out, "{:wide$}  ({})", "", row.note);
            }
        }
        out
    }

    fn append_lines(&self, path: &PathBuf) -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path)?;
        let (machine, day) = (machine::words(), machine::day());
        for row in &self.rows {
            let (bound, budget) = match row.budget {
                Budget::Most(limit) => (Some("most"), Some(limit)),
                Budget::Least(limit) => (Some("least"), Some(limit)),
                Budget::None => (None, None),
            };
            let line = serde_json::json!({
                "item": row.item, "what": row.what, "measured": row.measured, "unit": row.unit,
                "bound": bound, "budget": budget, "kept": row.budget.is_kept(row.measured),
                "note": row.note, "rounds": self.rounds, "day": day, "machine": machine,
                "engine": env!("CARGO_PKG_VERSION"),
            });
            writeln!(file, "{line}")?;
        }
        Ok(())
    }
}

/// Three digits that matter.
fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 1_000_000.0 => format!("{:.2} M", value / 1_000_000.0),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

fn note_row(row: &Row) {
    note(&format!("  {}: {} {} {}", row.what, figure(row.measured), row.unit, row.budget.words()));
}

/// A line of the result.
pub(crate) fn say(line: &str) {
    // A reader who has left wants no more lines.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A line for who watches.
pub(crate) fn note(line: &str) {
    // As above.
    let _ = writeln!(std::io::stderr(), "{line}");
}
