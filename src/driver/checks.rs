//! Work with files that would hold the loop up, done on threads beside it: the cache is asked, artifacts are
//! stored and put back. Every answer comes back as news.

mod shards;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::UnboundedSender;

use super::collect;
use super::disk::Disk;
use super::news::News;
use crate::base::{Digest, NodeIx, Span, Text};
use crate::graph::Graph;
use crate::graph::build::world::World;
use crate::graph::model::{Items, Process, Work};
use crate::graph::scope::Facts;
use crate::journal::objects::{self, CacheEntry, Objects};
use crate::render::mask::Masker;
use crate::run::event::{Answer, CheckKind, Outcome, ShardResult};
use crate::run::{Attempt, RunState};

/// An artifact set that has to be put back: its manifest, and the folder it belongs to.
pub type Missing = (Digest, PathBuf);

/// The helper of one engine; a copy shares what is known.
#[derive(Clone, Debug)]
pub struct Checks {
    objects: Objects,
    root: PathBuf,
    /// Manifests that are in place since this engine stored or restored them.
    in_place: Arc<Mutex<BTreeSet<Digest>>>,
    /// Cache keys of results that are not known and will be remembered.
    keys: Arc<Mutex<BTreeMap<(NodeIx, u32), Asked>>>,
    /// Stages whose keys this engine has made, or was told that they cannot be.
    keyed: Arc<Mutex<BTreeSet<NodeIx>>>,
    /// Held while files are put back: two stages that need the same ones must not both do it, for the first of
    /// them may have begun to change its copy.
    restoring: Arc<Mutex<()>>,
}

impl Checks {
    /// Works on `objects`, for stages below `root`.
    pub fn new(objects: Objects, root: PathBuf) -> Self {
        Self {
            objects,
            root,
            in_place: Arc::default(),
            keys: Arc::default(),
            keyed: Arc::default(),
            restoring: Arc::default(),
        }
    }

    /// Artifacts of what `node` needs that this engine has not yet seen in place, in the order in which they
    /// were made: of a file that two stages left, the later one counts.
    pub fn missing_artifacts(&self, graph: &Graph, node: NodeIx, state: &RunState) -> Vec<Missing> {
        let in_place = self.in_place.lock().unwrap_or_else(PoisonError::into_inner);
        let mut missing = Vec::new();
        // What undoes or heals a stage finds what the stage found, and what it left.
        let undoes = graph.nodes[node].beside();
        let mut needs: Vec<NodeIx> = graph.nodes[undoes.unwrap_or(node)]
            .needs
            .iter()
            .map(|need| need.node)
            .chain(undoes)
            .filter(|&it| !state.artifacts(it).is_empty())
            .collect();
        if needs.len() > 1 {
            needs.sort_by_key(|&need| graph.order().iter().position(|&node| node == need));
        }
        for need in needs {
            for (shard, manifest) in state.artifacts(need) {
                if !in_place.contains(manifest) {
                    missing.push((*manifest, self.folder(graph, (need, *shard), state)));
                }
            }
        }
        missing
    }

    /// The folder the artifacts of a shard are relative to.
    fn folder(&self, graph: &Graph, (node, shard): (NodeIx, u32), facts: &dyn Facts) -> PathBuf {
        match &graph.nodes[node].work {
            Work::Process(process) => {
                let cwd = process.cwd.as_ref().and_then(|text| graph.text(node, shard, text, facts).ok());
                cwd.map_or_else(|| self.root.clone(), |cwd| self.root.join(cwd))
            }
            Work::Approval { .. } => self.root.clone(),
        }
    }

    /// Whether this engine has to make the keys of `node`, which has a cache, before an attempt of it starts: an engine
    /// before asked the cache, and took the keys with it.
    pub fn lacks_keys(&self, node: NodeIx) -> bool {
        !self.keyed.lock().unwrap_or_else(PoisonError::into_inner).contains(&node)
    }

    fn note_keyed(&self, node: NodeIx) {
        self.keyed.lock().unwrap_or_else(PoisonError::into_inner).insert(node);
    }

    /// Puts artifacts back and makes the keys of a stage that lacks them, then says that `attempt` may start.
    pub fn restore(
        &self,
        attempt: Attempt,
        missing: Vec<Missing>,
        unkeyed: Option<Unkeyed>,
        news: &UnboundedSender<News>,
    ) {
        let (checks, news) = (self.clone(), news.clone());
        tokio::task::spawn_blocking(move || {
            let _alone = checks.restoring.lock().unwrap_or_else(PoisonError::into_inner);
            let in_place = || checks.in_place.lock().unwrap_or_else(PoisonError::into_inner);
            let result = missing.iter().try_for_each(|(digest, folder)| {
                if in_place().contains(digest) {
                    return Ok(());
                }
                let objects = &checks.objects;
                let restored = objects.manifest(*digest).and_then(|manifest| objects.restore(&manifest, folder));
                restored.map_err(|error| format!("failed to put artifacts back: {error}"))?;
                in_place().insert(*digest);
                Ok(())
            });
            if let Some(unkeyed) = unkeyed.filter(|_| checks.lacks_keys(attempt.node)) {
                // Why there is no key is said by the next run, which asks for it.
                let _not_cached = checks.make_keys(attempt.node, unkeyed);
                checks.note_keyed(attempt.node);
            }
            // A loop that is gone wants no answer.
            let _ = news.send(News::Restored { attempt, result });
        });
    }

    /// Stores what a successful attempt left, remembers it for the cache, then says that it is collected.
    pub fn keep(
        &self,
        (attempt, cwd): (Attempt, PathBuf),
        process: &Process,
        (mut result, took): (ShardResult, Span),
        masker: Option<Arc<Masker>>,
        news: &UnboundedSender<News>,
    ) {
        let globs = process.artifacts.clone();
        let asked = self.keys().remove(&(attempt.node, attempt.shard));
        let (objects, in_place, news) = (self.objects.clone(), Arc::clone(&self.in_place), news.clone());
        let root = self.root.clone();
        tokio::task::spawn_blocking(move || {
            let outcome = match store(&objects, &cwd, &globs, masker.as_deref()) {
                Ok(Some(digest)) => {
                    in_place.lock().unwrap_or_else(PoisonError::into_inner).insert(digest);
                    result.artifacts = Some(digest);
                    Outcome::Success
                }
                Ok(None) => Outcome::Success,
                Err(why) => Outcome::BadResult(why),
            };
            if let Some(asked) = asked.filter(|_| outcome == Outcome::Success) {
                result.notes.extend(remember(&objects, &root, &asked, &result).err());
            }
            let _ = news.send(News::Collected { attempt, outcome, took, result: Box::new(result) });
        });
    }

    /// Makes keys without asking the cache.
    fn make_keys(&self, node: NodeIx, Unkeyed { material, items }: Unkeyed) -> Result<(), String> {
        let material = material?;
        match items {
            None => {
                let key = material.key(&self.root)?;
                self.keys().insert((node, 0), (key, Some(material)));
                Ok(())
            }
            Some(items) => self.each_shard(&material, &items, |shard, key| {
                self.keys().insert((node, shard), (key, None));
            }),
        }
    }

    fn keys(&self) -> MutexGuard<'_, BTreeMap<(NodeIx, u32), Asked>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the cache whether a shard's result is known. `material` is everything but the source files that
    /// its result depends on.
    pub fn ask_cache(
        &self,
        (node, shard): (NodeIx, u32),
        material: Result<Material, String>,
        news: &UnboundedSender<News>,
    ) {
        let (checks, news) = (self.clone(), news.clone());
        self.note_keyed(node);
        tokio::task::spawn_blocking(move || {
            let answer = material.and_then(|material| {
                let key = material.key(&checks.root)?;
                let answer = match checks.objects.recall(key) {
                    Some(entry) => found(&checks.objects, entry, material.folder(0), &checks.in_place),
                    None => Ok(Answer::No),
                };
                if !matches!(answer, Ok(Answer::Yes(_))) {
                    // What the stage is about to leave takes the place of what could not be used.
                    checks.keys().insert((node, shard), (key, Some(material)));
                }
                answer
            });
            let answer = answer.unwrap_or_else(Answer::Unknown);
            let _ = news.send(News::Answered { node, shard, kind: CheckKind::Cache, answer });
        });
    }
}

/// What the keys of a stage are made from, and the items of a stage with shards.
pub struct Unkeyed {
    /// What its results depend on.
    pub material: Result<Material, String>,
    /// The items of its shards.
    pub items: Option<Items>,
}

/// A key that the cache did not have, and what it was made from. A shard keeps its key only: to hash the sources
/// of its stage again for each of a million shards would cost more than the cache saves.
type Asked = (Digest, Option<Material>);

/// What a stage's result depends on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Material {
    /// The folder it runs in: one for all shards, or one for each of them.
    pub folders: Vec<PathBuf>,
    /// Its words, environment, declared outputs, and the artifacts of what it needs; each with its name.
    pub texts: Vec<(String, String)>,
    /// Globs of its sources, from the root.
    pub sources: Vec<Text>,
    /// Whether a shard's number can decide what it leaves.
    pub is_by_place: bool,
}

impl Material {
    /// The folder that `shard` runs in.
    fn folder(&self, shard: u32) -> &Path {
        self.folders.get(shard as usize).unwrap_or(&self.folders[0])
    }

    /// The digest of all of it and of every source file's path and content, hashed in parallel.
    ///
    /// # Errors
    /// A source cannot be read, or a glob names nothing.
    fn key(&self, root: &Path) -> Result<Digest, String> {
        let disk = Disk::new(root);
        let mut names = BTreeSet::new();
        for glob in &self.sources {
            let found = disk.glob(glob).map_err(|why| format!("`cache.sources`: {why}"))?;
            if found.is_empty() {
                return Err(format!("`cache.sources`: `{glob}` names no file"));
            }
            names.extend(found);
        }
        let names: Vec<String> = names.into_iter().collect();
        let digests = objects::hash_files(root, &names).map_err(|error| format!("`cache.sources`: {error}"))?;
        let mut hasher = blake3::Hasher::new_derive_key("engine cache key 1");
        let mut put = |name: &str, text: &str| {
            for part in [name, text] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part.as_bytes());
            }
        };
        for (name, text) in &self.texts {
            put(name, text);
        }
        put("sources", &names.len().to_string());
        for (name, digest) in names.iter().zip(digests) {
            put(name, &digest.to_string());
        }
        Ok(hasher.finalize().into())
    }
}

/// A result from before: its artifacts are put in place first.
fn found(
    objects: &Objects,
    entry: CacheEntry,
    folder: &Path,
    in_place: &Mutex<BTreeSet<Digest>>,
) -> Result<Answer, String> {
    if let Some(digest) = entry.result.artifacts {
        let restored = objects.manifest(digest).and_then(|manifest| objects.restore(&manifest, folder));
        restored.map_err(|error| format!("failed to put cached artifacts back: {error}"))?;
        in_place.lock().unwrap_or_else(PoisonError::into_inner).insert(digest);
    }
    Ok(Answer::Yes(Box::new(entry.result)))
}

/// Keeps a result for the next time; the words say why not. Its key was made before the stage began. What changed
/// since then may or may not be in the result, so a key that would be another now must never lead to it.
fn remember(objects: &Objects, root: &Path, (key, material): &Asked, result: &ShardResult) -> Result<(), String> {
    let now = material.as_ref().map(|material| material.key(root)).transpose();
    let now = now.map_err(|why| format!("the result was not cached: {why}"))?;
    if now.is_some_and(|now| now != *key) {
        return Err("the result was not cached: files of `cache.sources` changed while it ran".to_owned());
    }
    let entry = CacheEntry { result: ShardResult { output: None, notes: Vec::new(), ..result.clone() } };
    objects.remember(*key, &entry).map_err(|error| format!("the result could not be cached: {error}"))
}

/// Stores the files that `globs` name below `folder`; the manifest's digest, if there are globs.
fn store(
    objects: &Objects,
    folder: &Path,
    globs: &[Text],
    masker: Option<&Masker>,
) -> Result<Option<Digest>, String> {
    if globs.is_empty() {
        return Ok(None);
    }
    let files = collect::artifact_files(folder, globs)?;
    let names = files.iter().map(|path| {
        path.to_str().map(str::to_owned).ok_or_else(|| format!("artifact `{}` has no UTF-8 name", path.display()))
    });
    let names: Vec<String> = names.collect::<Result<_, _>>()?;
    if let Some(masker) = masker
        && let Some(name) = names.iter().find(|name| masker.finds(name.as_bytes()))
    {
        return Err(format!("the name of an artifact holds a secret: `{}`", masker.mask(name)));
    }
    let (digest, _) =
        objects.store(folder, &names).map_err(|error| format!("failed to keep artifacts: {error}"))?;
    Ok(Some(digest))
}
