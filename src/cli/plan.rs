//! `engine plan`: what a run or a resume would do. Starts nothing, writes nothing.

use super::args::PlanArgs;
use super::exit::Exit;
use super::fault::Answer;
use super::forecast::{self, Past};
use super::preview::{self, Preview};
use super::settings::Settings;
use super::{check, find, inputs, print, selection};
use crate::base::count::plural;
use crate::driver::compile::{self, Compiled};
use crate::graph::build::Mode;
use crate::graph::draw::{self, Heading, Style, Subject};
use crate::run::rehearse;

/// Shows a plan, or with `--resume` what a resume would do.
pub(super) fn run(args: &PlanArgs, settings: &Settings) -> Answer {
    if let Some(id) = &args.resume {
        selection::refuse(&args.select, &args.inputs.set)?;
        let asked = Preview { jobs: args.jobs, rerun: &args.rerun, recorded: args.recorded, json: args.json };
        return preview::run(id, &asked, settings);
    }
    let plan = args.plan.as_ref().expect("clap asks for a plan unless --resume is given");
    let options = inputs::options(plan, (&args.inputs, &args.select), (args.jobs, args.keep_going), settings)?;
    let past = Past::of(&find::state(settings)?, &options.path);
    let compiled = compile::from_disk(&settings.root, options, Mode::Plan, &past.expected())
        .map_err(|refused| check::refuse(&refused, settings))?;
    check::warn(&compiled.found, &compiled.sources, settings);
    show(&compiled, &past, args.json, settings);
    Ok(Exit::Success)
}

/// Shows what a run of a compiled plan would do.
pub(super) fn show(compiled: &Compiled, past: &Past, json: bool, settings: &Settings) {
    let schedule = rehearse(&compiled.graph);
    let mut forecast = forecast::of(&compiled.graph, Some(&schedule));
    if forecast.expected().is_some() {
        forecast.range = Some(past.range(&compiled.graph));
    }
    let subject = Subject { graph: &compiled.graph, forecast: &forecast, states: None };
    if json {
        return print::out(&draw::json_text(subject));
    }
    let description = compiled.description.as_deref();
    let heading = Heading { description, inputs: &shown_inputs(compiled) };
    print::out(&draw::plan(subject, heading, &style(settings)));
}

/// Inputs with their values, as text.
fn shown_inputs(compiled: &Compiled) -> Vec<(String, String)> {
    let Some(frame) = compiled.graph.frames.first() else { return Vec::new() };
    let shown = |value: &crate::render::Value| match value.as_str() {
        Some(text) => text.to_owned(),
        None => value.to_string(),
    };
    let mut rows: Vec<(String, String)> =
        frame.inputs.iter().map(|(name, value)| (name.clone(), shown(value))).collect();
    if let Some(environment) = &compiled.graph.settings.environment {
        let keys = environment.values.len();
        let about = format!(
            "{} ({}, {})",
            environment.name,
            plural(keys as u64, "value"),
            plural(environment.secrets as u64, "secret")
        );
        rows.push(("environment".to_owned(), about));
        rows.extend(environment.policy.iter().map(|line| ("policy".to_owned(), line.clone())));
    }
    rows
}

/// How text is laid out here: the terminal's width, at most 120 columns; 80 elsewhere.
pub(super) fn style(settings: &Settings) -> Style {
    let width = super::status::columns().map_or(80, |columns| columns.min(120));
    Style { width, unicode: true, color: settings.color }
}
