//! What the result of a stage or shard depends on, for the cache.

use std::path::PathBuf;

use super::Preparer;
use crate::base::NodeIx;
use crate::driver::checks::Material;
use crate::graph::model::{Command, Graph, Process};
use crate::graph::scope::Reads;
use crate::run::RunState;

impl Preparer {
    /// What the result of a stage or of its shards depends on; sources are hashed elsewhere, and so are the items of each
    /// shard.
    ///
    /// # Errors
    /// A template failed.
    pub fn material(
        &self,
        graph: &Graph,
        node: NodeIx,
        process: &Process,
        state: &RunState,
    ) -> Result<Material, String> {
        let cache = process.cache.as_ref().expect("only a stage with a `cache` is asked");
        let mut found = Found { graph, node, state, texts: Vec::new(), is_by_place: is_named(process) };
        found.put("stage", graph.nodes[node].id.to_string());
        match &process.command {
            Command::Argv(words) => {
                for word in words {
                    found.text("word", word)?;
                }
            }
            Command::Script { text, shell } => {
                found.put("script", text.to_string());
                found.put("shell", format!("{shell:?}"));
            }
        }
        for (name, value) in &process.env {
            found.text(&format!("env {name}"), value)?;
        }
        for (variable, name) in &process.secrets {
            found.put(&format!("secret {variable}"), name.to_string());
        }
        for name in &cache.env {
            let value = self.surroundings.var(name).map(|value| value.to_string_lossy().into_owned());
            found.put(
                &format!("caller {name}"),
                value.map_or_else(|| "unset".to_owned(), |value| format!("={value}")),
            );
        }
        for (name, kind) in &process.outputs {
            found.put(&format!("output {name}"), format!("{kind:?}"));
        }
        for glob in &process.artifacts {
            found.put("artifact", glob.to_string());
        }
        for need in &graph.nodes[node].needs {
            for (_, manifest) in state.artifacts(need.node) {
                found.put("needed artifacts", manifest.to_string());
            }
        }
        let folders = self.folders(process, &mut found)?;
        let Found { texts, is_by_place, .. } = found;
        Ok(Material { folders, texts, sources: cache.sources.clone(), is_by_place })
    }

    /// The folder that all shards run in, or that of each.
    fn folders(&self, process: &Process, found: &mut Found<'_>) -> Result<Vec<PathBuf>, String> {
        let Found { graph, node, state, .. } = *found;
        let folder = |shard| self.cwd(graph, node, shard, process, state);
        if let Some(text) = process.cwd.as_deref().filter(|text| found.reads(text).is_ok_and(|it| it.is_by_shard))
        {
            found.text("cwd", text)?;
            return (0..graph.nodes[node].rules.shards).map(folder).collect();
        }
        let cwd = folder(0)?;
        found.put("cwd", cwd.strip_prefix(self.root()).unwrap_or(&cwd).display().to_string());
        Ok(vec![cwd])
    }
}

/// What was found so far.
struct Found<'a> {
    graph: &'a Graph,
    node: NodeIx,
    state: &'a RunState,
    texts: Vec<(String, String)>,
    is_by_place: bool,
}

impl Found<'_> {
    fn put(&mut self, name: &str, value: String) {
        self.texts.push((name.to_owned(), value));
    }

    /// What `text` reads; nothing of a stage without shards, for which it is one text whatever it reads.
    fn reads(&self, text: &str) -> Result<Reads, String> {
        if self.graph.nodes[self.node].rules.split.is_none() {
            return Ok(Reads::default());
        }
        self.graph.reads(self.node, text, self.state).map_err(|error| error.to_string())
    }

    /// What `text` comes to. What each shard fills in for itself counts as it is written, with every value that it reads:
    /// the shard's items count besides.
    fn text(&mut self, name: &str, text: &str) -> Result<(), String> {
        let reads = self.reads(text)?;
        if !reads.is_by_shard {
            let value = self.graph.text(self.node, 0, text, self.state).map_err(|error| error.to_string())?;
            self.put(name, value);
            return Ok(());
        }
        self.is_by_place |= reads.is_by_place;
        self.put(name, text.to_owned());
        for (read, value) in reads.values {
            self.put(
                &format!("{name} reads {read}"),
                value.map_or_else(|| "nothing".to_owned(), |it| it.to_string()),
            );
        }
        Ok(())
    }
}

/// Whether a command asks its environment for the number of its shard.
fn is_named(process: &Process) -> bool {
    let asks = |text: &str| text.replace("ENGINE_SHARD_FILE", "").contains("ENGINE_SHARD");
    let by_command = match &process.command {
        Command::Argv(words) => words.iter().any(|word| asks(word)),
        Command::Script { text, .. } => asks(text),
    };
    by_command || process.env.iter().any(|(_, value)| asks(value))
}
