//! `engine check PLAN…`

use super::args::{CheckArgs, CheckFormat};
use super::exit::Exit;
use super::fault::{Answer, Fault};
use super::inputs;
use super::print;
use super::settings::Settings;
use crate::driver::compile::{self, Compiled, Options, Refused};
use crate::plan::error::{self, Severity};
use crate::plan::source::{FileIx, Place};
use crate::plan::{Diagnostic, Sources};

/// Checks each plan, prints everything that was found in one document, and starts nothing.
pub(super) fn run(args: &CheckArgs, settings: &Settings) -> Answer {
    let (mut all, mut sources) = (Vec::new(), Sources::default());
    let mut is_bad = false;
    for plan in &args.plans {
        let options = Options {
            path: settings.path_from_root(plan),
            inputs: inputs::given(&args.inputs, settings)?,
            processors: inputs::processors(),
            asks_caller: true,
            ..Options::default()
        };
        let (found, read, stages) = match compile::check(&settings.root, options) {
            Ok((Compiled { found, sources, graph, .. }, read)) => {
                let stages = graph.stages().count();
                if args.plans.last() == Some(plan) {
                    // The process ends now; freeing a big graph piece by piece takes an eighth of its check.
                    std::mem::forget((read, graph));
                }
                (found, sources, Some(stages))
            }
            Err(refused) => (refused.found, refused.sources, None),
        };
        is_bad |= stages.is_none();
        if sources.files().len() + read.files().len() > usize::from(u16::MAX) {
            return Err(Fault::new(Exit::Usage, "too many files for one check").help("check fewer plans at once"));
        }
        if let Some(stages) = stages.filter(|_| args.format == CheckFormat::Text && !settings.quiet) {
            let noun = if stages == 1 { "stage" } else { "stages" };
            print::line(&format!("{}: {stages} {noun}, no errors", plan.display()));
        }
        join((&mut all, &mut sources), found, &read);
    }
    show(&all, &sources, args.format, settings.color);
    Ok(if is_bad { Exit::Invalid } else { Exit::Success })
}

/// Puts findings about `read` beside those of other plans. A file that several plans use, and what is wrong in
/// it, is kept once.
fn join((all, sources): (&mut Vec<Diagnostic>, &mut Sources), found: Vec<Diagnostic>, read: &Sources) {
    let before = sources.files().len();
    let mut known: Vec<FileIx> = Vec::new();
    for file in read.files() {
        let same = sources.files().iter().position(|other| other.path == file.path && other.text == file.text);
        known.push(match same {
            Some(at) => FileIx(u16::try_from(at).expect("it was added below the limit of files")),
            None => sources.add(file.clone()),
        });
    }
    let moved = |place: Place| Place { file: known[usize::from(place.file.0)], ..place };
    for mut one in found {
        one.at = moved(one.at);
        for (place, _) in &mut one.related {
            *place = moved(*place);
        }
        let is_shared = usize::from(one.at.file.0) < before;
        if !is_shared || !all.contains(&one) {
            all.push(one);
        }
    }
}

fn show(found: &[Diagnostic], sources: &Sources, format: CheckFormat, color: bool) {
    print::out(&match format {
        CheckFormat::Text => error::text(found, sources, color),
        CheckFormat::Json => error::json(found, sources),
        CheckFormat::Sarif => error::sarif(found, sources),
        CheckFormat::Github => error::github(found, sources),
    });
}

/// Tells why a plan was refused, on standard error. What the command line names and the plan does not have is no fault
/// of the plan.
pub(super) fn refuse(refused: &Refused, settings: &Settings) -> Fault {
    if !refused.found.is_empty() {
        print::note(error::text(&refused.found, &refused.sources, settings.color_err).trim_end());
    }
    let mut faults: Vec<Fault> = refused.refusals.iter().cloned().map(Fault::from).collect();
    let is_bad = refused.refusals.is_empty() || refused.found.iter().any(|one| one.severity == Severity::Error);
    let exit = if is_bad { Exit::Invalid } else { faults[0].exit };
    let last = faults.pop().unwrap_or_else(|| Fault::told(exit));
    for fault in &faults {
        fault.tell();
    }
    Fault { exit, ..last }
}

/// Tells warnings of a plan that may run, on standard error.
pub(super) fn warn(found: &[Diagnostic], sources: &Sources, settings: &Settings) {
    if !found.is_empty() && !settings.quiet {
        print::note(error::text(found, sources, settings.color_err).trim_end());
    }
}
