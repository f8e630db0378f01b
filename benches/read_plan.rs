//! How long reading a plan of 100,000 stages takes, from text to tree, and the memory it needs at most.
//!
//! `cargo bench --bench read_plan -- yaml` (or `toml`, `json`; one format a process, because the peak of memory
//! belongs to the process).
#![expect(clippy::print_stdout, reason = "a bench reports to its terminal")]
#![expect(clippy::disallowed_methods, reason = "a bench measures time")]

mod support {
    pub(crate) mod big_plan;
}

use std::time::Instant;

use engine::plan::error::Report;
use engine::plan::source::{File, Sources};
use support::big_plan::{Format, write};

fn main() {
    let ending = std::env::args().find(|word| Format::parse(word).is_some()).unwrap_or_else(|| "yaml".to_owned());
    let format = Format::parse(&ending).expect("the word was found by its meaning");
    let text = write(format, 100_000);
    let megabytes = text.len() / 1_000_000;
    let mut sources = Sources::default();
    let file = sources.add(File { path: format!("big.{ending}"), text: text.into() });
    let before = peak_mib();
    for _ in 0..3 {
        let mut report = Report::default();
        let start = Instant::now();
        let tree = engine::plan::read(&sources, file, &mut report);
        let read = start.elapsed();
        assert!(tree.is_some() && !report.has_errors(), "the big plan is a good plan");
        drop(tree);
        println!("{ending}: {megabytes} MB read in {read:.2?}, dropped after {:.2?}", start.elapsed());
    }
    println!("{ending}: peak {} MiB, before reading {before} MiB", peak_mib());
}

/// The most memory this process has had, in MiB.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) / 1024
}
