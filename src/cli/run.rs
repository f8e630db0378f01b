//! `engine run PLAN`

use std::path::Path;
use std::sync::Arc;

use super::args::{ResumeArgs, RunArgs};
use super::clerk::Clerk;
use super::exit::Exit;
use super::fault::{Answer, Fault};
use super::forecast::{self, ItemsPast, Past};
use super::observers::Wanted;
use super::preview::{self, Preview};
use super::settings::{self, Settings};
use super::timebox::{self, TimeBox};
use super::{check, commit, find, inputs, observers, parts, plan, print, resume, selection};
use crate::base::{RunId, Span};
use crate::driver::begin::{self, Locked, New};
use crate::driver::closing::LastWords;
use crate::driver::compile::{self, Compiled};
use crate::driver::guarded::Guarded;
use crate::driver::host::{self, Manners};
use crate::driver::live::Ending;
use crate::driver::ports;
use crate::driver::surroundings::Surroundings;
use crate::graph::Graph;
use crate::graph::build::Mode;
use crate::graph::model::LockRule;
use crate::journal::StateDir;
use crate::journal::locks::{LockRecord, Locks};
use crate::plan::model::OnBusy;
use crate::report::{View, hint};
use crate::run::event::{CancelLevel, RunEnd, SuspendReason, Verdict};
use crate::run::{Input, RunState};

/// How often a busy lock is tried again.
const LOCK_BEAT: std::time::Duration = std::time::Duration::from_millis(250);

/// Runs a plan, or continues its unfinished run with `--resume`.
pub(super) fn run(args: &RunArgs, settings: &Settings) -> Answer {
    if args.dry_run {
        return rehearse(args, settings);
    }
    let guarded = Guarded::attach()?;
    let wanted = Wanted::of(&args.show)?;
    let Asked { time_box, break_glass, past, compiled, key, unfinished } = asked(args, Mode::Run, settings)?;
    if let Some(id) = unfinished {
        return resume::go_on(&as_resume(args, &id), settings, (guarded, wanted), Some(&compiled.given));
    }
    if break_glass.is_none() {
        check_freeze(&compiled.graph)?;
    }
    let items = past.into_items(&compiled.graph);
    let launch = Launch {
        run_id: args.run_id.as_deref(),
        key,
        seed: args.seed,
        show: &args.show,
        time_box,
        break_glass,
        no_wait: args.no_wait,
    };
    self::launch((&compiled, items), &launch, (guarded, wanted), settings)
}

/// Shows what would happen: a run of the plan, of its part, or the resume of its unfinished run.
fn rehearse(args: &RunArgs, settings: &Settings) -> Answer {
    let Asked { time_box, past, compiled, unfinished, .. } = asked(args, Mode::Plan, settings)?;
    let is_json = args.show.output == super::args::Output::Json;
    if let Some(id) = unfinished {
        return preview::run(id.as_str(), &as_preview(args, is_json), settings);
    }
    if let Some(time_box) = &time_box {
        time_box.refuse(&compiled.graph, &|_| false)?;
    }
    plan::show(&compiled, &past, is_json, settings);
    Ok(Exit::Success)
}

/// What a command line asks for, whether it is done or only shown.
struct Asked {
    time_box: Option<TimeBox>,
    break_glass: Option<String>,
    past: Past,
    /// The plan, or its part.
    compiled: Compiled,
    key: Option<String>,
    /// The run that `--resume` goes on with.
    unfinished: Option<RunId>,
}

/// Reads the flags and compiles the plan.
fn asked(args: &RunArgs, mode: Mode, settings: &Settings) -> Result<Asked, Fault> {
    let time_box = TimeBox::read(args.time_box.as_deref())?;
    let break_glass = reason(args.break_glass.as_deref())?;
    let mut options =
        inputs::options(&args.plan, (&args.inputs, &args.select), (args.jobs, args.keep_going), settings)?;
    options.overrides = break_glass.is_some();
    let state = find::state(settings)?;
    let past = Past::of(&state, &options.path);
    let mut compiled = compile::from_disk(&settings.root, options, mode, &past.expected())
        .map_err(|refused| check::refuse(&refused, settings))?;
    if let Some(text) = &args.shard {
        parts::take(text, &mut compiled, &past)?;
    }
    check::warn(&compiled.found, &compiled.sources, settings);
    let key = args.key.clone().or_else(|| commit::checked_out(&settings.root));
    let mut unfinished = None;
    if args.resume
        && let Some((id, began)) = same_unfinished(&state, &compiled, (key.as_deref(), &settings.root))?
    {
        selection::keep(&args.select, id.as_str(), &began)?;
        unfinished = Some(id);
    }
    Ok(Asked { time_box, break_glass, past, compiled, key, unfinished })
}

/// What a run is begun with besides its plan.
pub(super) struct Launch<'a> {
    /// `--run-id`.
    pub(super) run_id: Option<&'a str>,
    /// `--key`, or the git commit.
    pub(super) key: Option<String>,
    /// `--seed`.
    pub(super) seed: Option<u64>,
    /// How it is shown.
    pub(super) show: &'a super::args::ShowArgs,
    /// `--time-box`.
    pub(super) time_box: Option<TimeBox>,
    /// `--break-glass`.
    pub(super) break_glass: Option<String>,
    /// `--no-wait`.
    pub(super) no_wait: bool,
}

/// Why the policy is overridden; the record wants words.
pub(super) fn reason(given: Option<&str>) -> Result<Option<String>, Fault> {
    match given.map(str::trim) {
        Some("") => Err(Fault::new(Exit::Usage, "`--break-glass` wants a reason, for the record")),
        given => Ok(given.map(str::to_owned)),
    }
}

/// Nothing is begun while the environment is frozen.
fn check_freeze(graph: &Graph) -> Result<(), Fault> {
    let now = ports::wall_ms();
    match graph.settings.freezes.iter().find(|freeze| (freeze.from_ms..freeze.to_ms).contains(&now)) {
        None => Ok(()),
        Some(freeze) => Err(Fault::new(Exit::NeedsPerson, freeze.words.clone())
            .help("a rollback may always be run; to run this all the same: --break-glass REASON")),
    }
}

/// Whether some approval does not count the author.
fn asks_for_author(graph: &Graph) -> bool {
    graph.nodes.iter().any(|node| node.rules.consent().terms().not_author)
}

/// Begins a run of a compiled plan and works on it.
pub(super) fn launch(
    (compiled, items): (&Compiled, ItemsPast),
    launch: &Launch<'_>,
    (mut guarded, wanted): (Guarded, Wanted),
    settings: &Settings,
) -> Answer {
    let state = find::state(settings)?;
    let surroundings = Surroundings::read(settings.root.clone());
    let time_box = launch.time_box;
    if let Some(time_box) = &time_box {
        time_box.refuse(&compiled.graph, &|_| false)?;
    }
    let run = match launch.run_id {
        Some(id) => RunId::parse(id).ok_or_else(|| {
            Fault::new(Exit::Usage, format!("`{id}` is no run id"))
                .help("use lower-case letters, digits, `.`, `_` and `-`, at most 64")
        })?,
        None => ports::new_run_id(ports::wall_ms()),
    };
    let person = settings::person();
    let author = if asks_for_author(&compiled.graph) { commit::author(&settings.root) } else { None };
    let new = New {
        compiled,
        run: run.clone(),
        seed: launch.seed,
        key: launch.key.clone(),
        person: person.clone(),
        author,
    };
    let secrets = super::secrets::open(compiled, &compiled.given, &surroundings, settings)?;
    let (mut owned, mut first) = match begin_with_lock(&state, &surroundings, &new, (&mut guarded, time_box))? {
        Begun::Run(begun) => *begun,
        Begun::Not(answer) => return answer,
    };
    let line = format!("run {run} was interrupted; go on with: {}", find::how_to_resume(&run));
    guarded.explain(&line);
    let mut view = View::new(vec![Arc::clone(&compiled.graph)]);
    forecast::tell(&mut view, items);
    let is_attended = is_attended(launch.show);
    let chosen = observers::choose(wanted, settings, view, compiled, is_attended);
    let clerk = Clerk::new(&state, owned.dir.clone(), Arc::clone(&compiled.graph));
    let manners = Manners {
        is_attended,
        prompts: is_attended && !chosen.asks,
        says_yes: launch.show.yes,
        person,
        observers: clerk.among(chosen.observers),
    };
    let overrides = launch.break_glass.clone();
    first.extend(overrides.map(|reason| Input::BreakGlass { by: manners.person.clone(), reason }));
    first.extend(launch.no_wait.then(|| leave_background(&manners.person)));
    first.extend(owned.entrust(&compiled.given, secrets));
    first.extend(time_box.map(|it| it.open(owned.clock.now())));
    work(owned, first, manners, guarded, &state)
}

/// What `--no-wait` tells the engine.
pub(super) fn leave_background(person: &str) -> Input {
    Input::LeaveBackground { how: CancelLevel::Drain, by: person.to_owned() }
}

/// Lets the engine work, then tidies up and tells the exit code.
pub(super) fn work(
    owned: host::Owned,
    first: Vec<Input>,
    manners: Manners,
    mut guarded: Guarded,
    state: &StateDir,
) -> Answer {
    let dir = owned.dir.clone();
    let (mut code, mut frees) = (Exit::Internal, false);
    let mut unkept = None;
    let why_unkept = &mut unkept;
    let ending = host::work(owned, first, manners, &mut guarded, |ending, run| {
        code = exit(ending, run);
        frees = run.decided().is_some_and(Verdict::frees_lock);
        let ended = matches!(ending, Ending::Finished(_)).then(|| forecast::Ended::of(run));
        let dir = &dir;
        let keep = move || {
            if let (Some(ended), Some(began)) = (ended, crate::journal::began(dir)) {
                // This makes the run's summary too.
                *why_unkept = forecast::note(state, dir, &began.path, &ended);
            }
        };
        LastWords { exit: code.code(), notes: notes(ending, run), meanwhile: Box::new(keep) }
    })?;
    if let Some(why) = unkept {
        print::note(&why);
    }
    if let Ending::Left(_) = ending {
        // The front ends what is left, and says how to go on.
        guarded.leave_work();
        return Ok(code);
    }
    if frees && matches!(ending, Ending::Finished(_) | Ending::Suspended(_)) {
        Locks::new(state).free_all(dir.id())?;
    }
    Ok(code)
}

/// What an ending means to whoever started the engine.
fn exit(ending: &Ending, state: &RunState) -> Exit {
    match ending {
        Ending::Finished(verdict) => exit_of(verdict, state),
        // Whatever becomes of the background, the verdict is given.
        Ending::Suspended(_) | Ending::Left(_) if state.in_background() => {
            state.decided().map_or(Exit::Internal, |verdict| exit_of(verdict, state))
        }
        Ending::Suspended(SuspendReason::Person) => Exit::NeedsPerson,
        Ending::Suspended(SuspendReason::HandOver) if state.is_stalled() => Exit::Failed,
        Ending::Suspended(SuspendReason::HandOver) => Exit::HandedOver,
        Ending::Left(why) => Exit::of_cancel(*why),
        Ending::JournalFailed(_) => Exit::Environment,
    }
}

/// What a verdict means.
fn exit_of(verdict: &Verdict, state: &RunState) -> Exit {
    match verdict.state {
        // What nobody knows outweighs what failed.
        RunEnd::Failed if state.has_unknown() => Exit::NeedsPerson,
        RunEnd::Failed if state.lacks_only_tools() => Exit::Environment,
        _ => Exit::of(verdict),
    }
}

fn notes(ending: &Ending, state: &RunState) -> Vec<String> {
    match ending {
        Ending::Suspended(SuspendReason::HandOver) if state.is_stalled() && !state.in_background() => {
            vec![timebox::stalled(state)]
        }
        Ending::JournalFailed(error) => {
            vec![format!("the journal could not be written, so the engine stopped everything: {error}")]
        }
        _ => Vec::new(),
    }
}

/// Whether somebody at this terminal can be asked.
pub(super) fn is_attended(show: &super::args::ShowArgs) -> bool {
    use std::io::IsTerminal as _;
    !show.no_input && !show.yes && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// The unfinished run of the same plan path, inputs and key, that goes on in this project, and how it began.
fn same_unfinished(
    state: &StateDir,
    compiled: &Compiled,
    (key, root): (Option<&str>, &Path),
) -> Result<Option<(RunId, compile::Options)>, Fault> {
    for entry in state.runs()? {
        let Some(began) = &entry.began else { continue };
        if began.path != compiled.options.path || began.key.as_deref() != key {
            continue;
        }
        let summary = crate::journal::summary::of(&entry.dir)?;
        if summary.state.is_settled() && summary.pending == 0 {
            continue;
        }
        let read = find::read(entry.dir.clone())?;
        // One of another checkout is another deployment.
        if !read.place(root).is_ok_and(|found| found.root == root) {
            continue;
        }
        let which = |compiled: &Compiled| compiled.options.part.as_ref().map(|part| (part.index, part.of));
        if which(&read.compiled) != which(compiled) {
            continue;
        }
        if read.graphs[0].frames.first().map(|frame| &frame.inputs)
            == compiled.graph.frames.first().map(|frame| &frame.inputs)
        {
            return Ok(Some((began.run.clone(), read.compiled.options)));
        }
    }
    Ok(None)
}

/// What came of beginning a run.
enum Begun {
    /// It exists, is ours, and has its lock.
    Run(Box<(host::Owned, Vec<Input>)>),
    /// It does not exist, and this is what to say.
    Not(Answer),
}

/// Makes a run that has its lock. While the lock is busy there is no run: whoever waits leaves nothing behind,
/// however the wait ends.
fn begin_with_lock(
    state: &StateDir,
    surroundings: &Surroundings,
    new: &New<'_>,
    (guarded, time_box): (&mut Guarded, Option<TimeBox>),
) -> Result<Begun, Fault> {
    let mut wait = LockWait::begin(time_box);
    let rule = new.compiled.graph.settings.lock.as_ref();
    loop {
        if let Some(why) = guarded.caught() {
            return Ok(Begun::Not(Ok(Exit::of_cancel(why))));
        }
        if let Some(rule) = rule
            && let Some(held) = begin::lock_holder(state, &rule.name)?
        {
            match wait.on(rule, &held) {
                Some(answer) => return Ok(Begun::Not(answer)),
                None => continue,
            }
        }
        guarded.begin()?;
        guarded.watch(&new.run, &state.place_of(&new.run));
        let begun = begin::create(state, surroundings.clone(), new, wait.waited())?;
        let Some(rule) = rule else { return Ok(Begun::Run(Box::new(begun))) };
        match begin::take_lock(state, &rule.name, &new.run, &new.person)? {
            Locked::Held => return Ok(Begun::Run(Box::new(begun))),
            // Somebody was faster. What never began is removed while it is ours, so that nobody takes it up.
            Locked::Busy(_) => drop(std::fs::remove_dir_all(begun.0.dir.path())),
        }
    }
}

/// Takes the lock of a run that is resumed, as its plan says; an answer when the run must not go on.
pub(super) fn take_lock(
    state: &StateDir,
    compiled: &Compiled,
    (run, person): (&RunId, &str),
    time_box: Option<TimeBox>,
) -> Result<Option<Answer>, Fault> {
    let Some(rule) = &compiled.graph.settings.lock else { return Ok(None) };
    let mut wait = LockWait::begin(time_box);
    while let Locked::Busy(held) = begin::take_lock(state, &rule.name, run, person)? {
        let answer = wait.on(rule, &held);
        if answer.is_some() {
            return Ok(answer);
        }
    }
    Ok(None)
}

/// A wait for a busy lock, no longer than the time box.
struct LockWait {
    clock: ports::Clock,
    time_box: Option<TimeBox>,
    is_told: bool,
}

impl LockWait {
    fn begin(time_box: Option<TimeBox>) -> Self {
        Self { clock: ports::Clock::begin(), time_box, is_told: false }
    }

    /// How long it was, if it was one.
    fn waited(&self) -> Span {
        if self.is_told { self.clock.now().since(crate::base::Millis::ZERO) } else { Span::ZERO }
    }

    /// The lock is held by another run: waits a moment as the plan allows, or says how this ends.
    fn on(&mut self, rule: &LockRule, held: &LockRecord) -> Option<Answer> {
        let waited = self.clock.now().since(crate::base::Millis::ZERO);
        let is_late = self.time_box.is_some_and(|it| it.left() == Span::ZERO);
        match rule.on_busy {
            OnBusy::Skip => {
                print::line(&format!("skipped: lock `{}` is held by run {}", rule.name, held.run));
                return Some(Ok(Exit::Success));
            }
            OnBusy::Wait if rule.wait.is_none_or(|most| waited < most) && !is_late => {
                if !std::mem::replace(&mut self.is_told, true) {
                    print::note(&format!("waiting for lock `{}`, held by run {}", rule.name, held.run));
                }
                ports::pause(LOCK_BEAT);
            }
            _ => return Some(Err(busy(held, waited))),
        }
        None
    }
}

fn busy(held: &LockRecord, waited: Span) -> Fault {
    let waited = if waited < Span::from_secs(1) { String::new() } else { format!(" (waited {waited})") };
    Fault::new(
        Exit::Busy,
        format!("lock `{}` is held by run {}, started by {}{waited}", held.name, held.run, held.by),
    )
    .help(format!("look at it: {}", hint::status(held.run.as_str())))
    .help(format!(
        "free it if that run will never go on: {}",
        hint::command(&format!("unlock {} --reason WHY", hint::word(&held.name)))
    ))
}

fn as_preview(args: &RunArgs, json: bool) -> Preview<'_> {
    Preview { jobs: args.jobs, rerun: &args.rerun, recorded: false, json }
}

fn as_resume(args: &RunArgs, id: &RunId) -> ResumeArgs {
    ResumeArgs {
        run: Some(id.to_string()),
        show: args.show.clone(),
        jobs: args.jobs,
        time_box: args.time_box.clone(),
        rerun: args.rerun.clone(),
        accept_changes: args.accept_changes,
        recorded: false,
        no_wait: args.no_wait,
        unpause: false,
        undo: false,
        drains: false,
        break_glass: args.break_glass.clone(),
    }
}
