//! `engine gate …`: a gate tried by hand, and a verdict computed again from its stored samples.
//!
//! Stages whose gates start processes are this same program with `gate probe`; all others are asked for by the host inside
//! of the engine, by the same code.

use super::args::{GateArgs, GateVerb, ProbeArgs, ReplayArgs};
use super::exit::Exit;
use super::fault::{Answer, Fault};
use super::settings::Settings;
use super::{find, print};
use crate::driver::replay::{self, Again};
use crate::driver::surroundings::Surroundings;
use crate::exec::gates;
use crate::gate::KINDS;
use crate::gate::verdict::{HALTED, HELD};
use crate::plan::error::nearest;

/// Does what `engine gate` was asked.
pub(super) fn run(args: &GateArgs, settings: &Settings) -> Answer {
    match &args.verb {
        GateVerb::Probe(args) => probe(args),
        GateVerb::Replay(args) => replay(args, settings),
    }
}

fn probe(args: &ProbeArgs) -> Answer {
    if !KINDS.contains(&args.kind.as_str()) {
        let fault = Fault::new(Exit::Usage, format!("there is no gate `{}`", args.kind));
        return Err(match nearest(&args.kind, KINDS.iter().copied()) {
            Some(near) => fault.help(format!("did you mean `{near}`?")),
            None => fault.help(format!("the gates are {}", KINDS.join(", "))),
        });
    }
    let cwd = std::env::current_dir()
        .map_err(|error| Fault::new(Exit::Environment, format!("the current folder cannot be read: {error}")))?;
    let here = Surroundings::read(cwd.clone());
    let text = |word: &std::ffi::OsStr| word.to_string_lossy().into_owned();
    let variables = here.caller.iter().map(|(name, value)| (text(name), text(value))).collect();
    let mut say = |words: &[u8]| print::out(&String::from_utf8_lossy(words));
    match gates::probe(&args.kind, &args.settings, cwd, variables, &mut say) {
        Ok(0) => Ok(Exit::Success),
        Ok(HELD) => Ok(Exit::NeedsPerson),
        Ok(HALTED) => Ok(Exit::HandedOver),
        Ok(_) => Ok(Exit::Failed),
        Err(why) => Err(Fault::new(Exit::Environment, why)),
    }
}

fn replay(args: &ReplayArgs, settings: &Settings) -> Answer {
    let state = find::state(settings)?;
    let dir = find::run(&state, &args.run)?;
    let read = find::read(dir.clone())?;
    let node = find::stage(read.state().graph(), &args.stage)?;
    let again = replay::replay(&dir, &read, node).map_err(|why| Fault::new(Exit::NotFound, why))?;
    let Again { stored, judgement, recorded } = &again;
    let word = judgement.as_ref().map_or("none", |judgement| judgement.verdict.word());
    let faults = again.faults();
    if args.json {
        print::json(&serde_json::json!({
            "version": 1, "run": dir.id().as_str(), "stage": args.stage, "gate": stored.head.gate,
            "samples": stored.samples.len(), "digest": stored.digest, "recorded-digest": recorded,
            "verdict": word, "why": judgement.as_ref().map(|it| &it.why), "value": judgement.as_ref().and_then(|it| it.value),
            "recorded-verdict": stored.judgement.as_ref().map(|it| it.verdict.word()), "faults": faults,
        }));
    } else {
        print::line(&format!("{} samples of `{}` ({})", stored.samples.len(), args.stage, stored.head.gate));
        if let Some(judgement) = judgement {
            print::line(&format!("{word}: {}", judgement.why));
        }
        for fault in &faults {
            print::line(fault);
        }
        if faults.is_empty() {
            print::line("the same as recorded");
        }
    }
    Ok(if faults.is_empty() { Exit::Success } else { Exit::Damaged })
}
