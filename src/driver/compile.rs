//! From files to a graph: the plan on disk, or the snapshot of a run. One road for `check`, `plan`, `graph`,
//! `run` and `resume`, so that all of them see the same plan.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::disk::Disk;
use super::{secrets, surroundings};
use crate::graph::Graph;
use crate::graph::build::world::{Recorded, Recorder, World};
use crate::graph::build::{self, Given, GivenValue, Mode, Request};
use crate::graph::part::Part;
use crate::graph::scope::under;
use crate::graph::select::{Refusal, Selection};
use crate::journal::history::{History, Key};
use crate::journal::snapshot;
use crate::plan::source::{self, Loader};
use crate::plan::{Diagnostic, Loaded, Plan, Report, Sources, environment, load};
use crate::render::Value;

/// A graph and all it was made of.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The plan's files, its own first.
    pub sources: Sources,
    /// The plan's description.
    pub description: Option<String>,
    /// The graph.
    pub graph: Arc<Graph>,
    /// Warnings.
    pub found: Vec<Diagnostic>,
    /// What was asked of the working tree, and answered.
    pub world: Recorded,
    /// What it was built for.
    pub options: Options,
    /// The declarations of its secrets, and the values of its secret inputs.
    pub given: secrets::Given,
}

/// A plan that must not run, and why.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Errors and warnings, by place.
    pub found: Vec<Diagnostic>,
    /// The files they are about.
    pub sources: Sources,
    /// What is wrong with the selection, if the plan is right so far.
    pub refusals: Vec<Refusal>,
}

/// What a plan is compiled for; kept in a run's snapshot.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Options {
    /// The plan's path, from the root.
    pub path: String,
    /// Input values with their sources, the strongest first.
    pub inputs: Vec<Input>,
    /// `-j`.
    pub jobs: Option<u32>,
    /// Processors of the machine that began the run.
    pub processors: u32,
    /// `-k`.
    pub keep_going: bool,
    /// `--only`
    pub only: Vec<String>,
    /// `--skip`
    pub skip: Vec<String>,
    /// `--from`
    pub from: Vec<String>,
    /// `--to`
    pub to: Vec<String>,
    /// `--shard`, and what that part takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// Whether inputs may come from the caller's variables that the plan names. A run goes on with what it began with.
    #[serde(skip)]
    pub asks_caller: bool,
    /// The good run that this one goes back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to: Option<String>,
    /// What the platform gave of the environment's keys when this was compiled first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<environment::Platform>,
    /// `--break-glass`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
}

/// One input value.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Input {
    /// The input.
    pub name: String,
    /// Text to be read by the input's type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// A value that has a type already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Where it comes from, for messages.
    pub source: String,
}

/// What earlier runs of the plan took.
pub type Expected = Arc<History>;

impl Options {
    /// What the graph builder is asked.
    pub fn request(&self, mode: Mode) -> Request {
        let given = |input: &Input| Given {
            name: input.name.clone(),
            value: match (&input.text, &input.value) {
                (Some(text), _) => GivenValue::Text(text.clone()),
                (None, value) => GivenValue::Typed(value.clone().unwrap_or(Value::Null)),
            },
            source: input.source.clone(),
        };
        Request {
            mode,
            inputs: self.inputs.iter().map(given).collect(),
            jobs: self.jobs,
            processors: self.processors,
            keep_going: self.keep_going,
            selection: Selection {
                only: self.only.clone(),
                skip: self.skip.clone(),
                from: self.from.clone(),
                to: self.to.clone(),
            },
            overrides: self.overrides,
        }
    }

    /// Takes inputs that nobody gave from the variables of the caller that the plan names for them.
    fn ask_caller(&mut self, plan: &Plan) {
        for input in plan.inputs.iter().filter(|_| self.asks_caller) {
            let name = under(&input.name.value);
            let is_given = self.inputs.iter().any(|given| under(&given.name) == name);
            let variable = input.from_env.as_ref().filter(|_| !is_given && input.secret.is_none());
            let Some(variable) = variable.map(|variable| variable.value.to_string()) else { continue };
            if let Some(text) = std::env::var_os(&variable) {
                // What is no UTF-8 is no value of any type, and says so by its name.
                let text = Some(text.to_string_lossy().into_owned());
                let name = input.name.value.to_string();
                self.inputs.push(Input { name, text, value: None, source: variable });
            }
        }
    }
}

/// Compiles the plan at `options.path` below `root`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn from_disk(root: &Path, options: Options, mode: Mode, history: &Expected) -> Result<Compiled, Box<Refused>> {
    let loader = source::Disk::new(root.to_path_buf());
    compile(&loader, &Disk::new(root), options, mode, Outlook::Known(history)).map(|(compiled, _)| compiled)
}

/// Compiles the plan at `options.path` below `root` for nothing but to know what is wrong with it. Beside it
/// comes what was read on the way, for the caller to free or, when the process is about to end, not to.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check(root: &Path, options: Options) -> Result<(Compiled, Vec<Plan>), Box<Refused>> {
    let loader = source::Disk::new(root.to_path_buf());
    compile(&loader, &Disk::new(root), options, Mode::Check, Outlook::Known(&History::default()))
}

/// Compiles what a run was begun with, from the files of its snapshot. It goes by what earlier runs said when it
/// began; one that did not record that goes by `history`.
///
/// # Errors
/// A file is missing from the snapshot or cannot be read: it was written by another version of the engine.
pub fn from_snapshot(files: &[(String, Vec<u8>)], history: &Expected) -> Result<Compiled, String> {
    from_snapshot_as(files, history, None)
}

/// As [`from_snapshot`], for other `options` than the recorded ones.
///
/// # Errors
/// As [`from_snapshot`].
pub fn from_snapshot_as(
    files: &[(String, Vec<u8>)],
    history: &Expected,
    options: Option<Options>,
) -> Result<Compiled, String> {
    let find = |name: &str| {
        let found = files.iter().find(|(key, _)| key == name).map(|(_, bytes)| bytes.as_slice());
        found.ok_or_else(|| format!("the snapshot has no file `{name}`"))
    };
    let read = |name: &str, error: serde_json::Error| format!("the snapshot's `{name}` cannot be read: {error}");
    let recorded: Options = serde_json::from_slice(find(OPTIONS)?).map_err(|error| read(OPTIONS, error))?;
    let options = options.unwrap_or(recorded);
    let world: Recorded = match find(WORLD) {
        Ok(bytes) => serde_json::from_slice(bytes).map_err(|error| read(WORLD, error))?,
        Err(_) => Recorded::default(),
    };
    let NamedSources { files: names } = match find(FILES) {
        Ok(bytes) => serde_json::from_slice(bytes).map(|files| NamedSources { files }),
        Err(_) => serde_json::from_slice(find(OPTIONS)?),
    }
    .map_err(|error| read(FILES, error))?;
    let mut texts = BTreeMap::new();
    for (path, name) in names {
        let text =
            std::str::from_utf8(find(&name)?).map_err(|_| format!("the snapshot's `{name}` is not UTF-8"))?;
        texts.insert(path, text);
    }
    let text = |name| find(name).ok().and_then(|bytes| std::str::from_utf8(bytes).ok());
    let recorded = text(snapshot::OUTLOOK).or(text(snapshot::STAGES).filter(|text| text.contains('\t')));
    let outlook = recorded.map_or(Outlook::Known(history), Outlook::Recorded);
    let compiled = compile(&Snapshot { texts }, &world, options, Mode::Run, outlook);
    compiled.map(|(compiled, _)| compiled).map_err(|refused| {
        let found = refused.found.iter().map(|one| &one.message);
        let first = found.chain(refused.refusals.iter().map(|one| &one.text)).next().cloned().unwrap_or_default();
        format!("this engine refuses the recorded plan: {first}")
    })
}

/// Lays what a version of the plan with these files lacks, and its run keeps, behind its own nodes; `before` is the version
/// before it.
///
/// # Errors
/// The list is not one that an engine has written.
pub fn retire(compiled: &mut Compiled, files: &[(String, Vec<u8>)], before: &Graph) -> Result<(), String> {
    let Some((name, bytes)) = files.iter().find(|(name, _)| name == snapshot::RETIRED) else { return Ok(()) };
    let text = std::str::from_utf8(bytes).map_err(|_| format!("the snapshot's `{name}` is not UTF-8"))?;
    let unfit = |why| format!("the snapshot's `{name}` does not fit: {why}");
    compiled.graph = Arc::new(compiled.graph.retire(before, text.lines()).map_err(unfit)?);
    Ok(())
}

/// What the run in `dir` was compiled for; nothing when that cannot be read.
pub fn recorded_options(dir: &crate::journal::RunDir) -> Options {
    let bytes = std::fs::read(dir.plan_path(1).join(OPTIONS)).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// The files of a run's snapshot, by name. They are few: each is one more for a disk to wait for before a run begins.
pub fn snapshot_files(compiled: &Compiled) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut names = BTreeMap::new();
    for (at, file) in compiled.sources.files().iter().enumerate() {
        let base =
            Path::new(&file.path).file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let safe: String =
            base.chars().map(|c| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' }).collect();
        let name = format!("{at:03}-{safe}");
        names.insert(file.path.clone(), name.clone());
        files.push((name, file.text.as_bytes().to_vec()));
    }
    let json = |value: serde_json::Result<Vec<u8>>| value.expect("maps of texts are always written");
    let kept = Kept { options: &compiled.options, sources: NamedSources { files: names } };
    files.push((OPTIONS.to_owned(), json(serde_json::to_vec_pretty(&kept))));
    if compiled.world != Recorded::default() {
        files.push((WORLD.to_owned(), json(serde_json::to_vec_pretty(&compiled.world))));
    }
    files.push((snapshot::STAGES.to_owned(), compiled.graph.outlook().into_bytes()));
    files.extend(snapshot::retired_file(compiled.graph.retired().map(|node| &*compiled.graph.nodes[node].id)));
    files
}

/// Which file of the snapshot holds which source, in snapshots of older engines.
const FILES: &str = "files.json";
/// What it was compiled for, and which file of the snapshot holds which source.
const OPTIONS: &str = "options.json";
/// What the working tree answered, if it was asked.
const WORLD: &str = "world.json";

/// What [`OPTIONS`] holds.
#[derive(Serialize)]
struct Kept<'a> {
    #[serde(flatten)]
    options: &'a Options,
    #[serde(flatten)]
    sources: NamedSources,
}

/// The name in the snapshot of each source, by its path.
#[derive(Serialize, Deserialize)]
struct NamedSources {
    files: BTreeMap<String, String>,
}

/// Loads sources from a snapshot.
struct Snapshot<'a> {
    texts: BTreeMap<String, &'a str>,
}

impl Loader for Snapshot<'_> {
    fn load(&self, path: &str) -> Result<String, String> {
        self.texts
            .get(path)
            .map(|text| (*text).to_owned())
            .ok_or_else(|| format!("the run's snapshot has no `{path}`"))
    }
}

/// Where the times that stages are expected to take come from.
#[derive(Clone, Copy)]
enum Outlook<'a> {
    /// From earlier runs, as they are known now.
    Known(&'a History),
    /// From earlier runs, as they were known when the run began.
    Recorded(&'a str),
}

impl Outlook<'_> {
    fn tell(self, graph: &mut Graph) {
        match self {
            Self::Known(history) if history.runs.is_empty() => {}
            Self::Known(history) => {
                graph.expect_work(|node, graph| {
                    let body = &graph.nodes[node];
                    history.item_times((&body.id, graph.definition(node)), body.items()?).work()
                });
                graph.expect(|node, graph| {
                    let (definition, body) = (graph.definition(node), &graph.nodes[node]);
                    history.of_stage(Key { stage: &body.id, definition, size: body.size() })
                });
            }
            Self::Recorded(lines) => graph.recall(lines),
        }
    }
}

fn compile(
    loader: &dyn Loader,
    world: &dyn World,
    mut options: Options,
    mode: Mode,
    outlook: Outlook<'_>,
) -> Result<(Compiled, Vec<Plan>), Box<Refused>> {
    let mut report = Report::default();
    let mut loaded = match load(loader, &options.path, &mut report) {
        Ok(loaded) => loaded,
        Err(sources) => {
            return Err(Box::new(Refused { found: report.sorted(), sources, refusals: Vec::new() }));
        }
    };
    options.ask_caller(&loaded.plan);
    let mut given = secrets::take(&loaded.plan, &mut options, &mut report);
    let request = options.request(mode);
    if let Some(name) = build::environment_name(&loaded, &request) {
        let asked = loaded.plan.environment.as_ref().map(|tree| tree.at);
        let mut environment = environment::load(loader, &name, asked, &mut loaded.sources, &mut report);
        if let Some(environment) = &mut environment {
            let ask = || environment.ask_platform(surroundings::variable);
            let given = options.platform.get_or_insert_with(ask).clone();
            environment.inject(given, &mut loaded.sources, &mut report);
            environment::check(environment, &mut report);
        }
        loaded.environment = environment.map(Box::new);
    }
    let recorder = Recorder::new(world);
    let graph = build::build(&loaded, &request, &recorder, &mut report);
    match graph {
        Ok(mut graph) if !report.has_errors() => {
            if let Some(part) = &options.part {
                graph.take_part(part);
            }
            if options.back_to.is_some() {
                graph.go_back();
            }
            outlook.tell(&mut graph);
            let world = recorder.into_recorded();
            let Loaded { sources, plan, mut actions, environment } = loaded;
            given.environment = environment.map(|environment| Arc::new(*environment));
            let description = plan.description.as_ref().map(|text| text.value.to_string());
            actions.push(plan);
            let (graph, found) = (Arc::new(graph), report.sorted());
            Ok((Compiled { sources, description, graph, found, world, options, given }, actions))
        }
        graph => {
            let refusals = graph.err().unwrap_or_default();
            Err(Box::new(Refused { found: report.sorted(), sources: loaded.sources, refusals }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A project with a plan that asks the working tree if `plan` does.
    fn snapshot_of(plan: &str) -> Vec<(String, Vec<u8>)> {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::write(root.path().join("plan.yaml"), plan).expect("written");
        std::fs::write(root.path().join("a.txt"), "1\n").expect("written");
        let options = Options { path: "plan.yaml".to_owned(), processors: 2, ..Options::default() };
        let compiled = from_disk(root.path(), options, Mode::Run, &Expected::default());
        snapshot_files(&compiled.unwrap_or_else(|refused| panic!("the plan is good: {:?}", refused.found)))
    }

    const PLAIN: &str = "version: 1\nstages: {a: {run: ['true']}}\n";
    const ASKING: &str = "version: 1\nstages: {a: {run: ['true'], shards: {items: {glob: '*.txt'}}}}\n";

    #[test]
    fn a_snapshot_has_a_world_only_if_the_plan_asked_for_one() {
        let names = |plan| snapshot_of(plan).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(PLAIN), ["000-plan.yaml", OPTIONS, snapshot::STAGES]);
        assert!(names(ASKING).iter().any(|name| name == WORLD));
    }

    #[test]
    fn a_snapshot_as_older_engines_wrote_it_is_the_same_plan() {
        for plan in [PLAIN, ASKING] {
            let now = snapshot_of(plan);
            let mut before = now.clone();
            before[0].0 = "files/000-plan.yaml".to_owned();
            before.push((FILES.to_owned(), br#"{"plan.yaml": "files/000-plan.yaml"}"#.to_vec()));
            if !before.iter().any(|(name, _)| name == WORLD) {
                before.push((WORLD.to_owned(), br#"{"globs": {}, "items": {}}"#.to_vec()));
            }
            let stages = before.iter_mut().find(|(name, _)| name == snapshot::STAGES).expect("each has it");
            let text = String::from_utf8(stages.1.clone()).expect("it is text");
            let (ids, outlook): (Vec<_>, Vec<_>) = text.lines().filter_map(|line| line.split_once('\t')).unzip();
            stages.1 = ids.join("\n").into_bytes();
            before.push((snapshot::OUTLOOK.to_owned(), outlook.join("\n").into_bytes()));
            let options = before.iter_mut().find(|(name, _)| name == OPTIONS).expect("each has it");
            let mut words: serde_json::Value = serde_json::from_slice(&options.1).expect("it is JSON");
            words.as_object_mut().and_then(|words| words.remove("files")).expect("it names the sources");
            options.1 = words.to_string().into_bytes();
            let [now, before] = [now, before].map(|files| {
                let compiled = from_snapshot(&files, &Expected::default()).expect("it can be read");
                (compiled.graph.digest(), compiled.options, compiled.world)
            });
            assert_eq!(now, before);
        }
    }
}
