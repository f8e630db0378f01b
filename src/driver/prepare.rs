//! From a `Start` command to a process: texts rendered, the environment built, the script written out.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::slates::{Slate, Slates};
use super::surroundings::Surroundings;
use crate::base::{Digest, NodeIx, RunId, Text};
use crate::exec::Variables;
use crate::graph::model::{Command, Graph, Process};
use crate::graph::scope::Facts;
use crate::graph::shards::Slice;
use crate::journal::RunDir;
use crate::plan::model::{Lifetime, Shell};
use crate::render::Value;
use crate::run::Attempt;

mod material;

/// Where the engine keeps what a run's processes read and write while they run. All of it can be rebuilt.
#[derive(Clone, Debug)]
pub struct Workroom {
    /// Scripts, by the digest of their text.
    pub scripts: PathBuf,
    /// Output values and item lists of attempts.
    pub scratch: PathBuf,
    /// The state folder.
    pub state: PathBuf,
    /// Samples of gates, which stay with the run.
    pub samples: PathBuf,
}

impl Workroom {
    /// The one of a run.
    pub fn of(dir: &RunDir) -> Self {
        let scratch = dir.scratch_path();
        Self {
            scripts: scratch.join("scripts"),
            scratch,
            state: dir.state_path().to_path_buf(),
            samples: dir.samples_path(),
        }
    }
}

/// A process, ready to start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prepared {
    /// The words.
    pub argv: Vec<OsString>,
    /// The whole environment.
    pub env: Variables,
    /// The folder it starts in.
    pub cwd: PathBuf,
    /// `ENGINE_ATTEMPT_KEY`: equal over the retries of a shard.
    pub tag: String,
}

/// Makes processes out of nodes.
#[derive(Debug)]
pub struct Preparer {
    run: RunId,
    surroundings: Surroundings,
    room: Workroom,
    slates: Slates,
    written: std::collections::BTreeSet<Digest>,
    /// By `pass-env`, what the environments of those who pass that have in common.
    common: VecDeque<(Vec<Text>, Variables)>,
}

/// Common parts that are kept; plans pass few lists.
const MAX_COMMON: usize = 8;

impl Preparer {
    /// For one run.
    pub fn new(run: RunId, surroundings: Surroundings, room: Workroom) -> Self {
        let slates = Slates::new(room.scratch.clone());
        Self {
            run,
            surroundings,
            room,
            slates,
            written: std::collections::BTreeSet::new(),
            common: VecDeque::new(),
        }
    }

    /// The project's root.
    pub fn root(&self) -> &Path {
        &self.surroundings.root
    }

    /// The folder `process` starts in.
    ///
    /// # Errors
    /// Its template failed.
    pub fn cwd(
        &self,
        graph: &Graph,
        node: NodeIx,
        shard: u32,
        process: &Process,
        facts: &dyn Facts,
    ) -> Result<PathBuf, String> {
        match &process.cwd {
            None => Ok(self.surroundings.root.clone()),
            Some(text) => {
                let cwd = graph.text(node, shard, text, facts).map_err(|error| format!("`cwd`: {error}"))?;
                Ok(self.surroundings.root.join(cwd))
            }
        }
    }

    /// The process of one attempt, and the files that it is lent.
    ///
    /// # Errors
    /// A sentence for the user: a template failed, or the script could not be written.
    pub fn attempt(
        &mut self,
        graph: &Graph,
        attempt: Attempt,
        process: &Process,
        facts: &dyn Facts,
    ) -> Result<(Prepared, Slate), String> {
        self.build(graph, attempt, process, &process.command, facts)
    }

    /// The process that answers `done-if` for one shard.
    ///
    /// # Errors
    /// As [`Self::attempt`].
    pub fn done_if(
        &mut self,
        graph: &Graph,
        attempt: Attempt,
        process: &Process,
        facts: &dyn Facts,
    ) -> Result<(Prepared, Slate), String> {
        let command = process.done_if.as_ref().expect("only a stage with a `done-if` is asked");
        self.build(graph, attempt, process, command, facts)
    }

    /// One of the workers that do the items of a stage.
    ///
    /// # Errors
    /// As [`Self::attempt`].
    pub fn worker(
        &mut self,
        graph: &Graph,
        (node, place): (NodeIx, u32),
        process: &Process,
        facts: &dyn Facts,
    ) -> Result<Prepared, String> {
        let text = |text: &str| graph.text(node, 0, text, facts);
        let cwd = self.cwd(graph, node, 0, process, facts)?;
        let tag = format!("{}/{}/worker-{place}", self.run, graph.nodes[node].id);
        // Nobody reads it: what an item leaves is in its answer. The name tells whose process this is.
        let values = self.room.scratch.join(format!("{}-worker-{place}.values", node.raw()));
        let mut env = self.environment(process, &text)?;
        env.set("ENGINE_STAGE", &*graph.nodes[node].id);
        env.set("ENGINE_WORKER", place.to_string());
        env.set("ENGINE_ATTEMPT_KEY", &tag);
        env.set("ENGINE_OUTPUT", &values);
        let argv = self.words(process, &process.command, &text)?;
        Ok(Prepared { argv, env, cwd, tag })
    }

    fn build(
        &mut self,
        graph: &Graph,
        attempt: Attempt,
        process: &Process,
        command: &Command,
        facts: &dyn Facts,
    ) -> Result<(Prepared, Slate), String> {
        let slice = facts.slice(attempt.node, attempt.shard);
        let items = slice.as_ref().map(|slice| item_lines(process, slice));
        let slate = self.slates.lend(items.as_deref())?;
        match self.fill_in(graph, attempt, (process, command), facts, &slate) {
            Ok(prepared) => Ok((prepared, slate)),
            Err(why) => {
                self.slates.take_back(slate, true);
                Err(why)
            }
        }
    }

    fn fill_in(
        &mut self,
        graph: &Graph,
        attempt: Attempt,
        (process, command): (&Process, &Command),
        facts: &dyn Facts,
        slate: &Slate,
    ) -> Result<Prepared, String> {
        let Attempt { node, shard, number } = attempt;
        let late = Late { facts, item_file: slate.items().and_then(|path| path.to_str()) };
        let text = |text: &str| graph.text(node, shard, text, &late);
        let cwd = self.cwd(graph, node, shard, process, &late)?;
        let tag = tag(&self.run, &graph.nodes[node].id, shard);
        let mut env = self.environment(process, &text)?;
        env.set("ENGINE_STAGE", &*graph.nodes[node].id);
        if process.is_gate {
            // Ids have no `~`, so no two stages share a file.
            let name = format!("{}.jsonl", graph.nodes[node].id.replace('/', "~"));
            env.set(crate::exec::gates::SAMPLES_VAR, self.room.samples.join(name));
        }
        env.set("ENGINE_SHARD", shard.to_string());
        env.set("ENGINE_ATTEMPT", number.to_string());
        env.set("ENGINE_ATTEMPT_KEY", &tag);
        env.set("ENGINE_OUTPUT", slate.values());
        if let Some(file) = slate.items() {
            env.set("ENGINE_SHARD_FILE", file);
        }
        let argv = self.words(process, command, &text)?;
        Ok(Prepared { argv, env, cwd, tag })
    }

    /// What a process finds in its environment before what is its own.
    fn environment(
        &mut self,
        process: &Process,
        text: &dyn Fn(&str) -> Result<String, crate::render::Error>,
    ) -> Result<Variables, String> {
        let mut env = self.common(&process.pass_env);
        for (name, value) in &process.env {
            let value = text(value).map_err(|error| format!("`env.{name}`: {error}"))?;
            env.set(&**name, value);
        }
        if process.is_engine {
            env.set("ENGINE_STATE_DIR", &self.room.state);
        }
        env.set("ENGINE_RUN_ID", self.run.as_str());
        Ok(env)
    }

    /// What all processes of the run find that are passed the same variables: one text for all of them.
    fn common(&mut self, pass: &[Text]) -> Variables {
        if let Some((_, known)) = self.common.iter().find(|(known, _)| **known == *pass) {
            return known.clone();
        }
        let mut env: Variables = self.surroundings.inherited(pass).collect();
        env.set("ENGINE_RUN_ID", self.run.as_str());
        let env = env.shared();
        self.common.truncate(MAX_COMMON - 1);
        self.common.push_front((pass.to_vec(), env.clone()));
        env
    }

    /// The words of a process.
    fn words(
        &mut self,
        process: &Process,
        command: &Command,
        text: &dyn Fn(&str) -> Result<String, crate::render::Error>,
    ) -> Result<Vec<OsString>, String> {
        let mut argv: Vec<OsString> = match command {
            Command::Argv(words) => words
                .iter()
                .enumerate()
                .map(|(at, word)| {
                    text(word).map(OsString::from).map_err(|error| format!("word {} of `run`: {error}", at + 1))
                })
                .collect::<Result<_, _>>()?,
            Command::Script { text: script, shell } => shell_words(shell, &self.script(script)?),
        };
        if process.is_engine {
            // The very program that runs now, also when another one was put in its place meanwhile.
            argv[0] = "/proc/self/exe".into();
        }
        Ok(argv)
    }

    /// The file that holds `text`; written once for each text.
    fn script(&mut self, text: &Arc<str>) -> Result<PathBuf, String> {
        let digest = Digest::of(text.as_bytes());
        let path = self.room.scripts.join(format!("{}.sh", digest.short()));
        let is_first = self.written.is_empty();
        if self.written.insert(digest) {
            if is_first {
                let made = std::fs::create_dir_all(&self.room.scripts);
                made.map_err(|error| format!("cannot make the folder for scripts: {error}"))?;
            }
            write_file(&path, text.as_bytes())?;
        }
        Ok(path)
    }

    /// Takes back what an ended attempt was lent, so that a million shards leave no million files. What was made for a
    /// process that lives on by its `lifetime` stays with that, and what `may_live` otherwise is not lent again.
    pub fn tidy(&mut self, slate: Slate, lifetime: Lifetime, may_live: bool) {
        if lifetime == Lifetime::Stage {
            self.slates.take_back(slate, !may_live);
        }
    }
}

/// What the run knows, and the item file of the shard that is being prepared.
struct Late<'a> {
    facts: &'a dyn Facts,
    item_file: Option<&'a str>,
}

impl Facts for Late<'_> {
    fn state(&self, node: NodeIx) -> &'static str {
        self.facts.state(node)
    }

    fn outputs(&self, node: NodeIx) -> Option<&[(String, Value)]> {
        self.facts.outputs(node)
    }

    fn run_id(&self) -> &str {
        self.facts.run_id()
    }

    fn run_state(&self) -> &'static str {
        self.facts.run_state()
    }

    fn shard_outputs(&self, node: NodeIx) -> Option<&BTreeMap<u32, Vec<(String, Value)>>> {
        self.facts.shard_outputs(node)
    }

    fn slice(&self, node: NodeIx, shard: u32) -> Option<Slice> {
        self.facts.slice(node, shard)
    }

    fn shard_file(&self, _: NodeIx, _: u32) -> Option<&str> {
        self.item_file
    }
}

/// The value of `ENGINE_ATTEMPT_KEY`, equal over all attempts of a shard.
pub(super) fn tag(run: &RunId, stage: &str, shard: u32) -> String {
    format!("{run}/{stage}/{shard}")
}

/// The list of a shard's items, each ended by a newline.
fn item_lines(process: &Process, slice: &Slice) -> String {
    let mut text = String::new();
    for item in process.items.texts(slice) {
        text.push_str(item.as_ref());
        text.push('\n');
    }
    text
}

/// Writes a small file whole.
fn write_file(path: &Path, bytes: &[u8]) -> Result<(), String> {
    std::fs::write(path, bytes).map_err(|error| format!("failed to write `{}`: {error}", path.display()))
}

/// The argv that runs the script at `path`.
fn shell_words(shell: &Shell, path: &Path) -> Vec<OsString> {
    let words: &[&str] = match shell {
        Shell::Strict => &["bash", "--noprofile", "--norc", "-euo", "pipefail", "-O", "inherit_errexit"],
        Shell::Bash => &["bash", "--noprofile", "--norc"],
        Shell::Sh => &["sh", "-e"],
        Shell::Argv(words) => {
            return words.iter().map(OsString::from).chain([path.as_os_str().to_owned()]).collect();
        }
    };
    words.iter().map(OsString::from).chain([path.as_os_str().to_owned()]).collect()
}
