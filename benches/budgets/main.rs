//! Every budget of the product, measured beside its peers in the same run.
//!
//! `benches/run [ITEM…]` builds and installs what this needs, then calls it. Items are listed by `--list`; without
//! any, all are measured. One table comes out, and with `--json FILE` one JSON line for each row, so that a later
//! session can compare. The exit code is 1 when a budget was missed.
//!
//! Rules of measuring: peers and engine take turns within one item, figures are medians of `--rounds` (five),
//! and what the engine is compared with does the least that the comparison allows.

mod bare;
mod board;
mod chain;
mod core;
mod cpu;
mod dag;
mod environments;
mod forecast;
mod gates;
mod life;
mod lines;
mod machine;
mod mask;
mod memory;
mod plans;
mod resume;
mod server;
mod shape;
mod shards;
mod tool;

#[path = "../support/big_plan.rs"]
mod big_plan;

use board::Board;

/// What can be asked for: its name, what it is, and how it is measured.
type Item = (&'static str, &'static str, fn(&mut Board));

const ITEMS: &[Item] = &[
    ("wide-2", "10,000 independent stages, two at a time", |board| dag::measure(board, "wide-2")),
    ("wide-8", "10,000 independent stages, eight at a time", |board| dag::measure(board, "wide-8")),
    ("layered-2", "10,000 stages in 100 random layers, two at a time", |board| dag::measure(board, "layered-2")),
    ("layered-8", "10,000 stages in 100 random layers, eight at a time", |board| dag::measure(board, "layered-8")),
    ("chain", "1,000 stages one after another", chain::measure),
    ("one", "a plan of one stage", chain::one),
    ("cpu", "processor time of the engine itself", cpu::measure),
    ("syncs", "waits for the disk", cpu::syncs),
    ("check", "checking 100,000 stages, and 5,000", plans::check),
    ("resume", "resuming a finished run of 100,000 stages, beside ninja's null build", resume::stages),
    ("resume-shards", "resuming a run of 1,000,000 finished shards", resume::shards),
    ("memory", "spawning from an engine that holds 1 GiB", memory::measure),
    ("mask", "masking secrets in what stages print", mask::measure),
    ("env", "10,000 templates, and 5,000 keys in ten environments", environments::measure),
    ("fold", "folding events", core::measure),
    ("lines", "1,000,000 items by `protocol: lines` with one worker, beside plain pipes", lines::measure),
    ("gates-http", "1,000 gates that each ask a server once a second", gates::http),
    ("gates-file", "1,000 gates that each look at a file once a second", gates::file),
    ("gate-lag", "from the last answers of 1,000 gates to their decisions", gates::lag),
    ("simulate", "imagined runs beside 200 real ones", forecast::simulate),
    ("shards-noop", "1,000,000 shards that do nothing, through core and journal", shards::noop),
    ("growth", "how the cost of a shard grows from 1,000 to 1,000,000", shards::growth),
    ("shards-100k", "100,000 process shards beside the bare loop", shards::processes),
    ("wide-100k", "100,000 independent stages, two at a time, beside ninja", dag::large),
    ("instructions", "instructions of a stage in core and journal, by callgrind", life::measure),
    ("version", "`--version` beside `true`", chain::version),
    ("shards-1m", "one recorded run of 1,000,000 process shards", shards::million),
];

/// Measured only when they are named: they take many minutes, or a tool that few machines have.
const ON_REQUEST: [&str; 3] = ["shards-1m", "simulate", "instructions"];

fn main() -> std::process::ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [flag, held_mib] = &words[..]
        && flag == memory::FLAG
    {
        memory::spawn_from(held_mib);
        return std::process::ExitCode::SUCCESS;
    }
    if let [flag, rest @ ..] = &words[..] {
        if flag == tool::FLAG {
            return tool::run_small(rest);
        }
        if flag == bare::FLAG {
            bare::hear(rest);
            return std::process::ExitCode::SUCCESS;
        }
        if let ([room], true) = (rest, flag == life::FLAG) {
            life::live(room.as_ref());
            return std::process::ExitCode::SUCCESS;
        }
    }
    let mut board = Board::default();
    let mut wanted: Vec<&str> = Vec::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "--list" => {
                for (name, what, _) in ITEMS {
                    board::say(&format!("{name:10}  {what}"));
                }
                return std::process::ExitCode::SUCCESS;
            }
            "--rounds" => board.rounds = rest.next().and_then(|count| count.parse().ok()).unwrap_or(board.rounds),
            "--json" => board.json = rest.next().map(Into::into),
            name if ITEMS.iter().any(|(known, ..)| *known == name) => wanted.push(name),
            other => {
                board::say(&format!("`{other}` is no item; `--list` shows them"));
                return std::process::ExitCode::from(2);
            }
        }
    }
    for (name, what, measure) in ITEMS {
        if wanted.contains(name) || wanted.is_empty() && !ON_REQUEST.contains(name) {
            board::note(&format!("measuring {name}: {what}"));
            board.item = name;
            measure(&mut board);
        }
    }
    board.close()
}
