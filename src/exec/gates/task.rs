//! One gate at work: its rounds, its samples, its end.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::ask::{Asker, Memory, Place};
use super::record::Record;
use super::{SAMPLES_VAR, now};
use crate::base::{Span, limits};
use crate::exec::{Exit, Spec as Start};
use crate::gate::verdict::OUTPUTS;
use crate::gate::{Judge, Judgement, Sample, Spec, Verdict};

/// Words before the settings: the engine, `gate`, `probe`, the kind.
const LEAD: usize = 4;

/// A gate at work.
pub(super) struct Task {
    spec: Spec,
    samples: Vec<Sample>,
    begun: Instant,
    /// The gate's own time when this engine took it up.
    base: Span,
    /// Rounds of this engine, the next one not counted.
    round: u64,
    memory: Vec<Memory>,
    place: Place,
    record: Option<Record>,
    outputs: Option<PathBuf>,
    /// What was said last, so that only news are said.
    said: String,
}

/// A gate that is over.
pub(super) struct End {
    /// How.
    pub(super) exit: Exit,
}

impl Task {
    /// Reads its settings and takes up what an earlier engine left.
    pub(super) fn begin(start: &Start) -> Result<Self, String> {
        let words: Vec<String> = start.argv.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let kind = words.get(LEAD - 1).map_or("", String::as_str);
        let settings = words.get(LEAD..).unwrap_or_default();
        let samples = start.env.get(SAMPLES_VAR).map(PathBuf::from);
        let outputs = start.env.get("ENGINE_OUTPUT").map(PathBuf::from);
        let mut variables: Vec<(String, String)> = Vec::new();
        for (name, value) in start.env.iter() {
            variables.push((name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()));
        }
        for (name, secret) in &start.secrets {
            let text = String::from_utf8_lossy(secret.expose()).into_owned();
            variables.push((name.to_string_lossy().into_owned(), text));
        }
        Self::new(kind, settings, Place { cwd: start.cwd.clone(), variables }, (samples, outputs))
    }

    fn new(
        kind: &str,
        settings: &[String],
        place: Place,
        (samples, outputs): (Option<PathBuf>, Option<PathBuf>),
    ) -> Result<Self, String> {
        let spec = Spec::parse(kind, settings).map_err(|error| format!("`{kind}`: {error}"))?;
        let memory = spec.probes.iter().map(|_| Memory::default()).collect();
        let (record, earlier) = match samples {
            Some(path) => {
                let (record, earlier) = Record::open(&path, kind, settings)?;
                (Some(record), earlier)
            }
            None => (None, Vec::new()),
        };
        let base = earlier.last().map_or(Span::ZERO, |last| Span::from_ms(last.at + spec.interval.ms()));
        let (begun, said) = (now(), String::new());
        Ok(Self { spec, samples: earlier, begun, base, round: 0, memory, place, record, outputs, said })
    }

    /// How long this engine has been at it.
    pub(super) fn took(&self) -> Duration {
        now().saturating_duration_since(self.begun)
    }

    /// When its next round is due.
    pub(super) fn due(&self) -> Instant {
        let wait = self.spec.interval.ms().saturating_mul(self.round);
        self.begun + Duration::from_millis(wait)
    }

    /// Asks all probes once, and judges. What is to be shown comes into `words`.
    pub(super) fn round(&mut self, asker: &Asker, words: &mut Vec<u8>) -> Option<End> {
        let at = self.base.ms() + self.round * self.spec.interval.ms();
        let mut fresh = Vec::new();
        for (probe, (question, memory)) in self.spec.probes.iter().zip(&mut self.memory).enumerate() {
            let asked = now();
            let seen = asker.ask(question, self.spec.patience.duration(), memory, &self.place);
            let took = u64::try_from(now().saturating_duration_since(asked).as_millis()).unwrap_or(u64::MAX);
            let probe = u16::try_from(probe).expect("`MAX_GATE_METRICS` is small");
            fresh.push(Sample { at, probe, took, seen });
        }
        self.say(&fresh, words);
        if let Some(record) = &mut self.record {
            record.add(&fresh);
        }
        self.samples.extend(fresh);
        let judgement = self.spec.judge(&self.samples).or_else(|| self.exhausted());
        self.forget();
        // Rounds whose time has passed are missed, and what is missed counts.
        let passed = u64::try_from(self.took().as_millis()).unwrap_or(u64::MAX) / self.spec.interval.ms();
        self.round = (self.round + 1).max(passed);
        judgement.map(|judgement| self.finish(&judgement, words))
    }

    /// A question that nobody ever answers well is not asked for ever.
    fn exhausted(&self) -> Option<Judgement> {
        let most = limits::MAX_GATE_ROUNDS;
        (self.round + 1 >= most)
            .then(|| Judgement::new(Verdict::Error, format!("asked {most} times without a verdict")))
    }

    /// What a streak has seen long ago decides nothing any more.
    fn forget(&mut self) {
        if let Judge::Streak(streak) = &self.spec.judge {
            let wanted = streak.passes.max(streak.fails.unwrap_or(0)).max(1);
            let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
            if self.samples.len() > wanted.saturating_mul(2) {
                self.samples.drain(..self.samples.len() - wanted);
            }
        }
    }

    /// Says what is new since the last round.
    fn say(&mut self, fresh: &[Sample], words: &mut Vec<u8>) {
        let is_streak = matches!(self.spec.judge, Judge::Streak(_));
        let mut text = String::new();
        for sample in fresh {
            let said = match &self.spec.judge {
                Judge::Streak(streak) => streak.class(sample).1,
                _ if sample.seen.number().is_some() => continue,
                _ => sample.seen.words(),
            };
            let _ = write!(text, "{}{said}", if text.is_empty() { "" } else { "; " });
        }
        if text != self.said && (is_streak || !text.is_empty()) {
            let at = Span::from_ms(fresh.first().map_or(0, |sample| sample.at));
            let _ = writeln!(words, "{at}: {text}");
        }
        self.said = text;
    }

    /// Keeps the verdict and says it.
    fn finish(&mut self, judgement: &Judgement, words: &mut Vec<u8>) -> End {
        let effect = self.spec.effect(judgement);
        let _ = writeln!(words, "{}: {}", judgement.verdict.word(), judgement.why);
        let digest = self.record.as_mut().map(|record| record.end(judgement));
        let digest = match digest.transpose() {
            Ok(digest) => digest.unwrap_or_default(),
            Err(why) => {
                let _ = writeln!(words, "{why}");
                return End { exit: Exit::NotStarted(why) };
            }
        };
        if let Some(path) = &self.outputs
            && let Err(why) = write_outputs(path, judgement, &digest)
        {
            let _ = writeln!(words, "{why}");
            return End { exit: Exit::NotStarted(why) };
        }
        End { exit: Exit::Code(effect.exit_code()) }
    }
}

fn write_outputs(path: &Path, judgement: &Judgement, digest: &str) -> Result<(), String> {
    let value = judgement.value.map(|value| value.to_string()).unwrap_or_default();
    let values = [judgement.verdict.word(), &value, &judgement.why, digest];
    let map: serde_json::Map<String, serde_json::Value> =
        OUTPUTS.iter().zip(values).map(|(name, value)| ((*name).to_owned(), value.into())).collect();
    let line = format!("{}\n", serde_json::Value::from(map));
    std::fs::write(path, line).map_err(|error| format!("failed to write `{}`: {error}", path.display()))
}

/// Runs one gate in this process until its verdict, telling `say` what it would print; the exit code. It is how gates that
/// start processes run, and how any gate is tried by hand.
///
/// # Errors
/// Its settings cannot be read, or its samples cannot be kept.
pub fn probe(
    kind: &str,
    settings: &[String],
    cwd: PathBuf,
    variables: Vec<(String, String)>,
    say: &mut dyn FnMut(&[u8]),
) -> Result<i32, String> {
    let var = |name: &str| variables.iter().find(|(key, _)| key == name).map(|(_, value)| PathBuf::from(value));
    let files = (var(SAMPLES_VAR), var("ENGINE_OUTPUT"));
    let mut task = Task::new(kind, settings, Place { cwd, variables }, files)?;
    let asker = Asker::default();
    let (_never, quiet) = std::sync::mpsc::channel::<()>();
    loop {
        // Nobody sends: this is a wait for the time of the next round.
        let _ = quiet.recv_timeout(task.due().saturating_duration_since(now()));
        let mut words = Vec::new();
        let end = task.round(&asker, &mut words);
        say(&words);
        match end {
            None => {}
            Some(End { exit: Exit::Code(code) }) => return Ok(code),
            Some(End { exit: Exit::NotStarted(why) }) => return Err(why),
            Some(End { .. }) => return Err("it ended without a verdict".to_owned()),
        }
    }
}
