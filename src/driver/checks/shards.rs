//! The cache of a sharded stage: each shard's result is kept by what its items are, and asked for all at once.

use std::path::{Component, Path};

use tokio::sync::mpsc::UnboundedSender;

use super::{Checks, Material, found};
use crate::base::{Digest, NodeIx};
use crate::driver::news::News;
use crate::graph::model::{Items, Process};
use crate::journal::objects;
use crate::run::event::{Answer, CheckKind, ShardResult};

/// Shards whose results are known, with these.
type Hits = Vec<(u32, Box<ShardResult>)>;

impl Checks {
    /// Asks the cache for every shard of a stage; what is known comes back as one message.
    pub fn ask_shards(
        &self,
        node: NodeIx,
        material: Result<Material, String>,
        process: &Process,
        news: &UnboundedSender<News>,
    ) {
        let (checks, items, news) = (self.clone(), process.items.clone(), news.clone());
        self.note_keyed(node);
        tokio::task::spawn_blocking(move || {
            let hits = material.and_then(|material| checks.recall_shards(node, &material, &items));
            let _ = news.send(match hits {
                Ok(hits) => News::Recalled { node, hits },
                Err(why) => {
                    News::Answered { node, shard: 0, kind: CheckKind::Cache, answer: Answer::Unknown(why) }
                }
            });
        });
    }

    fn recall_shards(&self, node: NodeIx, material: &Material, items: &Items) -> Result<Hits, String> {
        let mut hits = Hits::new();
        self.each_shard(material, items, |shard, key| {
            let entry = self.objects.recall(key);
            let answer = entry.map(|entry| found(&self.objects, entry, material.folder(shard), &self.in_place));
            if let Some(Ok(Answer::Yes(result))) = answer {
                hits.push((shard, result));
            } else {
                // What the shard is about to leave takes the place of what could not be used.
                self.keys().insert((node, shard), (key, None));
            }
        })?;
        Ok(hits)
    }

    /// Hands over the key of each shard.
    pub(super) fn each_shard(
        &self,
        material: &Material,
        items: &Items,
        mut each: impl FnMut(u32, Digest),
    ) -> Result<(), String> {
        let base = material.key(&self.root)?;
        let shards = u32::try_from(items.shard_count()).map_err(|_| "it has too many shards".to_owned())?;
        for shard in 0..shards {
            let place = material.is_by_place.then_some((shard, shards));
            each(shard, self.shard_key(base, items, shard, place)?);
        }
        Ok(())
    }

    /// The digest of what the stage's results depend on, and of the shard's items: of one that names a file
    /// below the root, of its content too.
    fn shard_key(
        &self,
        base: Digest,
        items: &Items,
        shard: u32,
        place: Option<(u32, u32)>,
    ) -> Result<Digest, String> {
        let slice = items.slice(shard);
        let texts: Vec<String> = items.texts(&slice).map(std::borrow::Cow::into_owned).collect();
        let files: Vec<String> = texts.iter().filter(|text| is_file(&self.root, text)).cloned().collect();
        let digests = objects::hash_files(&self.root, &files).map_err(|error| format!("an item: {error}"))?;
        let mut hash = blake3::Hasher::new_derive_key("engine cache shard 1");
        hash.update(base.as_bytes());
        for text in &texts {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
        hash.update(&(texts.len() as u64).to_le_bytes());
        for (name, digest) in files.iter().zip(digests) {
            hash.update(&(name.len() as u64).to_le_bytes());
            hash.update(name.as_bytes());
            hash.update(digest.as_bytes());
        }
        if let Some((shard, shards)) = place {
            hash.update(&shard.to_le_bytes());
            hash.update(&shards.to_le_bytes());
        }
        Ok(hash.finalize().into())
    }
}

/// Whether `item` is the path of a file below the root.
fn is_file(root: &Path, item: &str) -> bool {
    let path = Path::new(item);
    let is_inside = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    is_inside && !item.is_empty() && !item.contains('\0') && root.join(path).is_file()
}
