//! `--only`, `--skip`, `--from`, `--to` beside `--resume`: a run keeps the selection that it began with.

use super::args::SelectArgs;
use super::exit::Exit;
use super::fault::Fault;
use crate::driver::compile::Options;
use crate::report::hint;

/// What was selected, as it would be typed; empty when nothing was.
fn typed(lists: [(&str, &[String]); 4]) -> String {
    let mut words: Vec<String> = Vec::new();
    for (flag, names) in lists {
        let mut names: Vec<&String> = names.iter().collect();
        names.sort();
        words.extend(names.iter().map(|name| format!("{flag} {}", hint::word(name))));
    }
    words.join(" ")
}

fn said(args: &SelectArgs) -> String {
    typed([("--only", &args.only), ("--skip", &args.skip), ("--from", &args.from), ("--to", &args.to)])
}

/// Refuses a selection that is not the one that `run` began with. None at all is no other one.
pub(super) fn keep(args: &SelectArgs, run: &str, began: &Options) -> Result<(), Fault> {
    let said = said(args);
    let kept =
        typed([("--only", &began.only), ("--skip", &began.skip), ("--from", &began.from), ("--to", &began.to)]);
    if said.is_empty() || said == kept {
        return Ok(());
    }
    let kept = if kept.is_empty() { "all stages".to_owned() } else { format!("`{kept}`") };
    let why = format!("`{said}`: run {run} is not finished, began with {kept}, and keeps that");
    Err(Fault::new(Exit::Usage, why)
        .help(format!("go on with it as it began: {}", hint::resume(run)))
        .help("begin another run: leave out --resume"))
}

/// Refuses what a preview of a resume would have to ignore.
pub(super) fn refuse(args: &SelectArgs, set: &[String]) -> Result<(), Fault> {
    let said = said(args);
    let (what, kept) = match set {
        _ if !said.is_empty() => (said, "selection"),
        [] => return Ok(()),
        [first, ..] => (format!("--set {}=…", first.split('=').next().unwrap_or_default()), "inputs"),
    };
    Err(Fault::new(Exit::Usage, format!("`{what}`: a resume keeps the {kept} of its run"))
        .help("leave that out; `--rerun STAGE` says what is to be done again"))
}
