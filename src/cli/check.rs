//! `engine check PLAN…`

use super::args::{CheckArgs, CheckFormat};
use super::exit::Exit;
use super::fault::{Answer, Fault};
use super::inputs;
use super::print;
use super::settings::Settings;
use crate::driver::compile::{self, Expected, Options, Refused};
use crate::graph::build::Mode;
use crate::plan::error;
use crate::plan::{Diagnostic, Sources};

/// Checks each plan, prints everything that was found, and starts nothing.
pub(super) fn run(args: &CheckArgs, settings: &Settings) -> Answer {
    let mut is_bad = false;
    for plan in &args.plans {
        let options = Options {
            path: settings.path_from_root(plan),
            inputs: inputs::given(&args.inputs, settings)?,
            processors: inputs::processors(),
            ..Options::default()
        };
        let (found, sources, line) =
            match compile::from_disk(&settings.root, options, Mode::Check, Expected::new()) {
                Ok(compiled) => {
                    let graph = &compiled.graph;
                    let line = format!("{}: {} stages, no errors", plan.display(), graph.nodes.len());
                    (compiled.found, compiled.loaded.sources, Some(line))
                }
                Err(refused) => {
                    is_bad = true;
                    (refused.found, refused.sources, None)
                }
            };
        show(&found, &sources, args.format, settings.color);
        if let Some(line) = line.filter(|_| args.format == CheckFormat::Text && !settings.quiet) {
            print::line(&line);
        }
    }
    Ok(if is_bad { Exit::Invalid } else { Exit::Success })
}

fn show(found: &[Diagnostic], sources: &Sources, format: CheckFormat, color: bool) {
    print::out(&match format {
        CheckFormat::Text => error::text(found, sources, color),
        CheckFormat::Json => error::json(found, sources),
        CheckFormat::Sarif => error::sarif(found, sources),
        CheckFormat::Github => error::github(found, sources),
    });
}

/// Tells why a plan was refused, on standard error.
pub(super) fn refuse(refused: &Refused, settings: &Settings) -> Fault {
    print::note(error::text(&refused.found, &refused.sources, settings.color_err).trim_end());
    Fault::told(Exit::Invalid)
}

/// Tells warnings of a plan that may run, on standard error.
pub(super) fn warn(found: &[Diagnostic], sources: &Sources, settings: &Settings) {
    if !found.is_empty() && !settings.quiet {
        print::note(error::text(found, sources, settings.color_err).trim_end());
    }
}
