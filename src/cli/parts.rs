//! `run --shard`, `engine merge` and `engine ci`: a plan's sharded stages in parts, on several machines.

use std::sync::Arc;

use super::args::{CiArgs, CiHost, MergeArgs};
use super::exit::Exit;
use super::fault::{Answer, Fault};
use super::forecast::Past;
use super::settings::{self, Settings};
use super::{check, find, inputs, print};
use crate::base::RunId;
use crate::driver::compile::{self, Compiled};
use crate::driver::merge::{self, Joined, Misfit};
use crate::graph::build::Mode;
use crate::graph::part::{Even, Part};
use crate::journal::summary;

/// Leaves in `compiled` what a part works on.
///
/// # Errors
/// `text` names no part, or the plan cannot be worked on in parts.
pub(super) fn take(text: &str, compiled: &mut Compiled, past: &Past) -> Result<(), Fault> {
    let which = Part::parse(text).ok_or_else(|| {
        Fault::new(Exit::Usage, format!("`--shard {text}` is no part"))
            .help("write it like 3/12: the third of twelve, counted from 1")
    })?;
    let part = compiled.graph.deal(which, &past.weights(&compiled.graph)).map_err(|why| {
        Fault::new(Exit::Usage, format!("`--shard {text}`: {why}")).help("run the plan without `--shard`")
    })?;
    Arc::make_mut(&mut compiled.graph).take_part(&part);
    compiled.options.part = Some(part);
    Ok(())
}

/// Joins the runs of all parts.
pub(super) fn merge(args: &MergeArgs, settings: &Settings) -> Answer {
    let run = match &args.run_id {
        Some(id) => {
            let run = RunId::parse(id);
            Some(run.ok_or_else(|| Fault::new(Exit::Usage, format!("`{id}` is no run id")))?)
        }
        None => None,
    };
    let mut parts = Vec::new();
    for dir in &args.dirs {
        let dir = settings.cwd.join(dir);
        // A project's root will do as well as its state.
        let inner = dir.join(".engine");
        let path = if inner.is_dir() { inner } else { dir };
        if !path.is_dir() {
            return Err(Fault::new(Exit::NotFound, format!("there is no state directory `{}`", path.display())));
        }
        parts.push(merge::find(&path).map_err(refuse)?);
    }
    let count = parts.len();
    let state = find::state(settings)?;
    let Joined { run, is_new, others } =
        merge::join(&state, parts, run.as_ref(), &settings::person()).map_err(refuse)?;
    for other in others.iter().filter(|_| is_new) {
        let what = if other.is_same { "the same parts" } else { "these parts as they were before" };
        print::note(&format!("note: run {} joins {what}", other.run.id()));
    }
    let id = run.id();
    if args.json {
        print::json(&serde_json::json!({"version": 1, "run": id.as_str(), "parts": count, "new": is_new}));
        return Ok(Exit::Success);
    }
    let next = if !is_new && summary::of(&run)?.state.is_settled() {
        ", and has ended well".to_owned()
    } else {
        format!("; go on with the rest: {}", find::how_to_resume(id))
    };
    let (these, already) = if is_new { ("", "") } else { ("these ", " already") };
    print::line(&format!("run {id} has what {these}{count} parts did{already}{next}"));
    Ok(Exit::Success)
}

fn refuse(misfit: Misfit) -> Fault {
    match misfit {
        Misfit::Host(error) => error.into(),
        Misfit::NoPart(_) => Fault::new(Exit::NotFound, misfit.to_string()),
        Misfit::Overlap { .. } | Misfit::Shared { .. } => Fault::new(Exit::Usage, misfit.to_string())
            .help("give all parts the same history (`.engine/history`), or none"),
        other => Fault::new(Exit::Usage, other.to_string()).help("nothing was joined"),
    }
}

/// Prints a job.
pub(super) fn ci(args: &CiArgs, settings: &Settings) -> Answer {
    let select = super::args::SelectArgs::default();
    let options =
        inputs::options(&args.plan, (&super::args::InputArgs::default(), &select), (None, false), settings)?;
    let path = options.path.clone();
    let compiled = compile::from_disk(&settings.root, options, Mode::Check, &compile::Expected::default())
        .map_err(|refused| check::refuse(&refused, settings))?;
    let why = |why| Fault::new(Exit::Usage, format!("`{path}` cannot be worked on in parts: {why}"));
    compiled.graph.deal((1, args.parts), &Even).map_err(why)?;
    let (text, most) = match args.host {
        CiHost::Github => (include_str!("parts/github.yaml"), 256),
        CiHost::Gitlab => (include_str!("parts/gitlab.yaml"), 200),
        CiHost::Buildkite => (include_str!("parts/buildkite.yaml"), 256),
    };
    if args.parts > most {
        let message =
            format!("`--parts {}` is more jobs than {:?} takes of one kind, {most}", args.parts, args.host);
        return Err(Fault::new(Exit::Usage, message));
    }
    let list = (1..=args.parts).map(|at| at.to_string()).collect::<Vec<_>>().join(", ");
    let name = serde_json::to_string(&*compiled.graph.name).expect("a text has a JSON form, which is YAML too");
    let text = text.replace("@LIST@", &list).replace("@PARTS@", &args.parts.to_string()).replace("@NAME@", &name);
    print::out(&text.replace("@PLAN@", &word(&path)).replace("@PATH@", &path));
    Ok(Exit::Success)
}

/// A word as a shell needs it.
fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./@+".contains(c);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
