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
use crate::driver::merge::{self, Misfit};
use crate::driver::ports;
use crate::graph::build::Mode;
use crate::graph::part::Part;

/// Leaves in `compiled` what a part works on.
///
/// # Errors
/// `text` names no part, or the plan cannot be worked on in parts.
pub(super) fn take(text: &str, compiled: &mut Compiled, past: &Past) -> Result<(), Fault> {
    let which = Part::parse(text).ok_or_else(|| {
        Fault::new(Exit::Usage, format!("`--shard {text}` is no part"))
            .help("write it like 3/12: the third of twelve, counted from 1")
    })?;
    let weight = |node, shard| past.weight(&compiled.graph, node, shard);
    let part = compiled.graph.deal(which, &weight).map_err(|why| {
        Fault::new(Exit::Usage, format!("`--shard {text}`: {why}")).help("run the plan without `--shard`")
    })?;
    Arc::make_mut(&mut compiled.graph).take_part(&part);
    compiled.options.part = Some(part);
    Ok(())
}

/// Joins the runs of all parts.
pub(super) fn merge(args: &MergeArgs, settings: &Settings) -> Answer {
    let run = match &args.run_id {
        Some(id) => RunId::parse(id).ok_or_else(|| Fault::new(Exit::Usage, format!("`{id}` is no run id")))?,
        None => ports::new_run_id(ports::wall_ms()),
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
    merge::join(&state, parts, &run, &settings::person()).map_err(refuse)?;
    if args.json {
        print::json(&serde_json::json!({"version": 1, "run": run.as_str(), "parts": count}));
    } else {
        print::line(&format!(
            "run {run} has what {count} parts did; go on with the rest: {}",
            find::how_to_resume(&run)
        ));
    }
    Ok(Exit::Success)
}

fn refuse(misfit: Misfit) -> Fault {
    match misfit {
        Misfit::Host(error) => error.into(),
        Misfit::NoPart(_) => Fault::new(Exit::NotFound, misfit.to_string()),
        Misfit::Overlap { .. } => Fault::new(Exit::Usage, misfit.to_string())
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
    compiled.graph.deal((1, args.parts), &|_, _| 1).map_err(why)?;
    let text = match args.host {
        CiHost::Github => GITHUB,
        CiHost::Gitlab => GITLAB,
        CiHost::Buildkite => BUILDKITE,
    };
    let list = (1..=args.parts).map(|at| at.to_string()).collect::<Vec<_>>().join(", ");
    let text = text.replace("@LIST@", &list).replace("@PARTS@", &args.parts.to_string());
    print::out(&text.replace("@PLAN@", &path).replace("@NAME@", &compiled.graph.name));
    Ok(Exit::Success)
}

const GITHUB: &str = r#"# printed by `engine ci github @PLAN@ --parts @PARTS@`
name: "@NAME@"
on: {workflow_dispatch: {}}
jobs:
  part:
    runs-on: ubuntu-latest
    strategy:
      fail-fast: false
      matrix: {part: [@LIST@]}
    steps:
      - uses: actions/checkout@v4
      - name: one part
        run: engine run "@PLAN@" --shard ${{ matrix.part }}/@PARTS@ --no-input
      - name: pack
        if: always()
        run: tar -cf part-${{ matrix.part }}.tar .engine
      - uses: actions/upload-artifact@v4
        if: always()
        with: {name: "part-${{ matrix.part }}", path: "part-${{ matrix.part }}.tar"}
  rest:
    needs: part
    if: always()
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/download-artifact@v4
        with: {pattern: part-*, merge-multiple: true}
      - name: join and go on
        run: |
          for tar in part-*.tar; do mkdir -p "parts/$tar" && tar -xf "$tar" -C "parts/$tar"; done
          engine merge parts/*
          engine resume --no-input
"#;

const GITLAB: &str = r#"# printed by `engine ci gitlab @PLAN@ --parts @PARTS@`
stages: [parts, rest]
part:
  stage: parts
  parallel: @PARTS@
  script:
    - engine run "@PLAN@" --shard $CI_NODE_INDEX/$CI_NODE_TOTAL --no-input
  after_script:
    - tar -cf part-$CI_NODE_INDEX.tar .engine
  artifacts: {when: always, paths: ["part-*.tar"], expire_in: 1 day}
rest:
  stage: rest
  when: always
  script:
    - |
      for tar in part-*.tar; do mkdir -p "parts/$tar" && tar -xf "$tar" -C "parts/$tar"; done
      engine merge parts/*
      engine resume --no-input
"#;

const BUILDKITE: &str = r#"# printed by `engine ci buildkite @PLAN@ --parts @PARTS@`
steps:
  - label: "part %n"
    key: part
    parallelism: @PARTS@
    command: |
      code=0
      engine run "@PLAN@" --shard $((BUILDKITE_PARALLEL_JOB + 1))/@PARTS@ --no-input || code=$?
      tar -cf part-$BUILDKITE_PARALLEL_JOB.tar .engine
      exit $code
    artifact_paths: part-*.tar
  - label: rest
    depends_on: [{step: part, allow_failure: true}]
    command: |
      buildkite-agent artifact download 'part-*.tar' .
      for tar in part-*.tar; do mkdir -p "parts/$tar" && tar -xf "$tar" -C "parts/$tar"; done
      engine merge parts/*
      engine resume --no-input
"#;
