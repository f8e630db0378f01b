//! A gate's verdict computed again from the samples that it kept.

use std::path::Path;

use super::begin::Read;
use crate::base::NodeIx;
use crate::exec::gates::{Stored, read_samples};
use crate::gate::{Judgement, Sample, Spec};
use crate::journal::RunDir;
use crate::run::Event;

/// What came out.
#[derive(Clone, Debug)]
pub struct Again {
    /// What was stored.
    pub stored: Stored,
    /// What is made of it now.
    pub judgement: Option<Judgement>,
    /// The digest of the samples that the journal has.
    pub recorded: Option<String>,
}

impl Again {
    /// What differs from the record.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        match &self.recorded {
            Some(recorded) if *recorded == self.stored.digest => {}
            Some(recorded) => faults.push(format!(
                "the samples are not those of the record: their digest is {}, recorded is {recorded}",
                self.stored.digest
            )),
            None => faults.push("the record has no end of this gate".to_owned()),
        }
        if self.judgement != self.stored.judgement {
            let word = |judgement: &Option<Judgement>| {
                judgement
                    .as_ref()
                    .map_or_else(|| "none".to_owned(), |it| format!("{}: {}", it.verdict.word(), it.why))
            };
            faults.push(format!(
                "the verdict is not the one that was stored: {} instead of {}",
                word(&self.judgement),
                word(&self.stored.judgement)
            ));
        }
        faults
    }
}

/// Judges the stored samples of a stage again, round by round as they came.
///
/// # Errors
/// The stage is no gate, or has kept no samples.
pub fn replay(dir: &RunDir, read: &Read, node: NodeIx) -> Result<Again, String> {
    let graph = read.state().graph();
    let id = &graph.nodes[node].id;
    if graph.nodes[node].rules.hold.is_none() {
        return Err(format!("`{id}` is no gate that asks by itself"));
    }
    let path = dir.samples_path().join(format!("{}.jsonl", id.replace('/', "~")));
    let again = judge(&path).map_err(|why| format!("`{id}`: {why}"))?;
    let mut recorded = None;
    for (_, _, event) in &read.records {
        if let Event::ShardFinished { attempt, result, .. } = event
            && attempt.node == node
        {
            let found = result.outputs.iter().find(|(name, _)| name == "samples");
            recorded = found.and_then(|(_, value)| value.as_str()).map(str::to_owned).or(recorded);
        }
    }
    Ok(Again { recorded, ..again })
}

fn judge(path: &Path) -> Result<Again, String> {
    let stored = read_samples(path)?;
    let spec = Spec::parse(&stored.head.gate, &stored.head.words).map_err(|error| error.to_string())?;
    let mut judgement = None;
    for round in ends(&stored.samples) {
        judgement = spec.judge(&stored.samples[..round]);
        if judgement.is_some() {
            break;
        }
    }
    Ok(Again { stored, judgement, recorded: None })
}

/// How many samples there were after each round.
fn ends(samples: &[Sample]) -> impl Iterator<Item = usize> {
    let is_last = |at: usize| samples.get(at + 1).is_none_or(|next| next.at != samples[at].at);
    (0..samples.len()).filter(move |&at| is_last(at)).map(|at| at + 1)
}
