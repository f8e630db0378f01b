//! No news from the outside brings a secret to the core, and so none gets into the journal.
//!
//! What people and the system say is masked. What a stage hands on must be whole: an output that holds a secret
//! fails its stage, because `***` in its place would break whoever reads it.

use serde_json::Value;

use crate::render::mask::Masker;
use crate::run::Input;
use crate::run::event::{Answer, CheckKind, Outcome, ShardResult};

/// Masks what `input` says.
pub fn input(masker: &Masker, input: &mut Input) {
    match input {
        Input::Done { outcome, result, .. } => done(masker, outcome, result),
        Input::Checked { kind, answer, .. } => self::answer(masker, *kind, answer),
        // A result of before secrets were what they are now is not known.
        Input::Recalled { hits, .. } => hits.retain_mut(|(_, result)| {
            result.notes.iter_mut().for_each(|note| text(masker, note));
            leaking(masker, result).is_none()
        }),
        Input::Decide { by, note, .. } | Input::Resolve { by, note, .. } => {
            text(masker, by);
            text(masker, note);
        }
        Input::Attest { vote, .. } => {
            let said = vote.answers.iter_mut().map(|answer| &mut answer.words);
            said.chain([&mut vote.by, &mut vote.note]).for_each(|words| text(masker, words));
        }
        Input::BreakGlass { by, reason } => {
            text(masker, by);
            text(masker, reason);
        }
        Input::WorkerLost { why: Some(why), .. } => text(masker, why),
        Input::Cancel { by, .. }
        | Input::Pause { by, .. }
        | Input::LeaveBackground { by, .. }
        | Input::Requeue { by, .. } => text(masker, by),
        Input::Begin(_)
        | Input::Recover { .. }
        | Input::Tick
        | Input::Answered { .. }
        | Input::WorkerLost { why: None, .. }
        | Input::CrewGone { .. }
        | Input::Lost { .. }
        | Input::Silent { .. }
        | Input::SecretsFetched(_)
        | Input::OpenBox { .. }
        | Input::Suspend(_) => {}
    }
}

/// Masks how an attempt ended, and fails it when it hands a secret on.
pub fn done(masker: &Masker, outcome: &mut Outcome, result: &mut ShardResult) {
    result.notes.iter_mut().for_each(|note| text(masker, note));
    match outcome {
        Outcome::NotStarted(why) | Outcome::BadResult(why) => text(masker, why),
        Outcome::Success => {
            if let Some(why) = leaking(masker, result) {
                result.outputs.clear();
                *outcome = Outcome::BadResult(why);
            }
        }
        Outcome::Exit(_) | Outcome::Signal(_) | Outcome::TimedOut(_) | Outcome::Cancelled => {}
    }
}

fn answer(masker: &Masker, kind: CheckKind, answer: &mut Answer) {
    match answer {
        Answer::Unknown(why) => text(masker, why),
        Answer::Yes(result) => {
            result.notes.iter_mut().for_each(|note| text(masker, note));
            if let Some(why) = leaking(masker, result) {
                *answer = match kind {
                    CheckKind::Cache => Answer::No,
                    CheckKind::DoneIf => Answer::Unknown(format!("`done-if` says that it is done, but {why}")),
                };
            }
        }
        Answer::No => {}
    }
}

/// Why the outputs of a result must not be kept.
fn leaking(masker: &Masker, result: &ShardResult) -> Option<String> {
    let (name, _) = result.outputs.iter().find(|(_, value)| holds(masker, value))?;
    Some(format!(
        "output `{name}` holds a secret, and outputs are stored and shown: let the stage that wants the secret name it \
         under `secrets`"
    ))
}

/// Whether a secret stands anywhere in `value`.
fn holds(masker: &Masker, value: &Value) -> bool {
    match value {
        Value::String(text) => masker.finds(text.as_bytes()),
        Value::Array(items) => items.iter().any(|item| holds(masker, item)),
        Value::Object(map) => map.iter().any(|(key, item)| masker.finds(key.as_bytes()) || holds(masker, item)),
        Value::Number(number) => masker.finds(number.to_string().as_bytes()),
        Value::Null | Value::Bool(_) => false,
    }
}

fn text(masker: &Masker, text: &mut String) {
    if masker.finds(text.as_bytes()) {
        *text = masker.mask(text);
    }
}
