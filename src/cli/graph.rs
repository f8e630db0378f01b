//! `engine graph PLAN|RUN`

use super::args::{GraphArgs, GraphFormat};
use super::exit::Exit;
use super::fault::{Answer, Fault};
use super::forecast::{self, Past};
use super::plan::style;
use super::settings::Settings;
use super::{check, find, inputs, print};
use crate::base::{Millis, NodeIx};
use crate::driver::compile::{self, Options};
use crate::graph::Graph;
use crate::graph::build::Mode;
use crate::graph::draw::{self, Format, Shown, Subject};
use crate::journal;
use crate::report::{View, why};

/// Draws a plan, or a run with the states of its stages.
pub(super) fn run(args: &GraphArgs, settings: &Settings) -> Answer {
    let state = find::state(settings)?;
    let is_file = settings.cwd.join(&args.target).exists();
    if !is_file && let Ok(dir) = find::run(&state, &args.target) {
        let is_alive = journal::is_live(&dir)?;
        let read = find::read(dir)?;
        let view = find::view(&read, is_alive);
        return draw(args, settings, &read.compiled.graph, Some((&view, read.last_at())));
    }
    let options = Options {
        path: settings.path_from_root(args.target.as_ref()),
        inputs: inputs::given(&args.inputs, settings)?,
        processors: inputs::processors(),
        asks_caller: true,
        ..Options::default()
    };
    let past = Past::of(&state, &options.path);
    let compiled = compile::from_disk(&settings.root, options, Mode::Check, &past.expected())
        .map_err(|refused| check::refuse(&refused, settings))?;
    draw(args, settings, &compiled.graph, None)
}

fn draw(args: &GraphArgs, settings: &Settings, graph: &Graph, view: Option<(&View, Millis)>) -> Answer {
    let forecast = forecast::of(graph, None);
    let shown = |ix: NodeIx| {
        let (view, now) = view?;
        let state = why::state(view, ix).word().to_owned();
        Some(Shown { state, note: why::explain(view, ix, now) })
    };
    let states: Option<draw::States<'_>> = if view.is_some() { Some(&shown) } else { None };
    let format = match args.format {
        GraphFormat::Text => Format::Text,
        GraphFormat::Mermaid => Format::Mermaid,
        GraphFormat::Dot => Format::Dot,
        GraphFormat::Svg => Format::Svg,
        GraphFormat::Html => Format::Html,
        GraphFormat::Json => Format::Json,
    };
    let mut style = style(settings);
    style.color &= args.out.is_none();
    let text = draw::graph(Subject { graph, forecast: &forecast, states }, format, &style);
    match &args.out {
        None => print::out(&text),
        Some(path) => std::fs::write(path, text).map_err(|error| {
            Fault::new(Exit::Environment, format!("cannot write `{}`: {error}", path.display()))
        })?,
    }
    Ok(Exit::Success)
}
