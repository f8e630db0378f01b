//! Makes a new run, and takes an old one over.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::compile::{self, Compiled, Expected};
use super::desk;
use super::host::{Error, Owned};
use super::place;
use super::point;
use super::ports::{self, Clock};
use super::prepare::tag;
use super::recorded::read_unbegun;
pub use super::recorded::{Read, Recorded};
use super::secrets::{Given, Strongbox};
use super::surroundings::Surroundings;
use crate::base::{Millis, NodeIx, RunId, Span};
use crate::exec::{guard, unix};
use crate::graph::Graph;
use crate::graph::model::Work;
use crate::journal::locks::{LockRecord, Locks, Taken};
use crate::journal::summary::RunState;
use crate::journal::{self, Holder, RunDir, StateDir, snapshot};
use crate::plan::model::Lifetime;
use crate::run::event::{Began, Place, Resumed};
use crate::run::{Core, Input, Phase};

/// How long the processes of a dead engine may take to vanish once killed.
const SWEEP_PATIENCE: Duration = Duration::from_secs(10);
/// How long the lock of an engine that is dead already may stay held by what is left of it.
const DYING_PATIENCE: Duration = Duration::from_secs(5);
/// How long an engine that has just taken the lock may take to write down who it is.
const NAMING_PATIENCE: Duration = Duration::from_millis(200);
/// How often such a lock is tried again.
const DYING_BEAT: Duration = Duration::from_millis(5);

/// What a new run is made from.
pub struct New<'a> {
    /// The plan.
    pub compiled: &'a Compiled,
    /// Its id.
    pub run: RunId,
    /// `--seed`.
    pub seed: Option<u64>,
    /// `--key`, or the git commit.
    pub key: Option<String>,
    /// Who starts it.
    pub person: String,
    /// Who wrote what is run, where an approval asks for that.
    pub author: Option<String>,
}

/// Makes the run's folder and owns it. The run begins with the inputs that come back; it has `waited` for its lock.
///
/// # Errors
/// The id is taken, or the state folder cannot be written.
pub fn create(
    state: &StateDir,
    surroundings: Surroundings,
    new: &New<'_>,
    waited: Span,
) -> Result<(Owned, Vec<Input>), Error> {
    let wall_ms = ports::wall_ms();
    let files = compile::snapshot_files(new.compiled);
    let holder = Holder { pid: std::process::id(), wall_ms };
    let (dir, ownership) = state.create_run(&new.run, &files, &holder)?;
    let end = journal::Reader::open(&dir)?.end();
    let graph = Arc::clone(&new.compiled.graph);
    let mut began = began(new, &graph, wall_ms, snapshot::digests(&files));
    began.waited = waited;
    began.place = place::record(&surroundings.root, state.path());
    began.rollbacks = point::earlier_rollbacks(state, &began)?;
    let core = Core::new(vec![graph]);
    let clock = Clock::begin();
    let owned = Owned { dir, ownership, end, core, clock, surroundings, secrets: None };
    Ok((owned, vec![Input::Begin(Box::new(began))]))
}

/// What a run begins with.
pub(super) fn began(
    new: &New<'_>,
    graph: &Graph,
    wall_ms: i64,
    files: Vec<(String, crate::base::Digest)>,
) -> Began {
    let seed = new.seed.unwrap_or_else(|| {
        let hash = blake3::hash(new.run.as_str().as_bytes());
        u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("eight bytes of thirty-two"))
    });
    Began {
        run: new.run.clone(),
        plan: graph.name.clone(),
        path: new.compiled.options.path.clone(),
        wall_ms,
        jobs: graph.settings.max_parallel,
        seed,
        graph: graph.digest(),
        files,
        key: new.key.clone(),
        by: new.person.clone(),
        engine: env!("CARGO_PKG_VERSION").to_owned(),
        place: None,
        rollbacks: 0,
        back_to: new.compiled.options.back_to.as_deref().and_then(crate::base::RunId::parse),
        author: new.author.clone(),
        waited: Span::ZERO,
    }
}

impl Owned {
    /// Gives the run the secrets that were fetched for it, and keeps the variables that hold some from all others. What
    /// is to be recorded of them comes back.
    pub fn entrust(&mut self, given: &Given, secrets: Option<Strongbox>) -> Option<Input> {
        self.surroundings.withheld = given.variables();
        self.secrets = secrets.map(Arc::new);
        let facts = self.secrets.as_ref().map(|secrets| secrets.untold())?;
        (!facts.is_empty()).then_some(Input::SecretsFetched(facts))
    }
}

/// What a resume is asked to do.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    /// `-j`.
    pub jobs: Option<u32>,
    /// The edited plan, accepted.
    pub change: Option<Box<Compiled>>,
    /// Approvals above a change, by index in the new graph: asked again.
    pub changed: Vec<NodeIx>,
    /// `--rerun`.
    pub rerun: Vec<NodeIx>,
    /// `--unpause`.
    pub unpause: bool,
    /// Stop it, and undo what it has done.
    pub undo: bool,
    /// `--rerun STAGE:failed`.
    pub failed: Vec<NodeIx>,
    /// Where stages run from here on.
    pub place: Option<Place>,
    /// Who resumes.
    pub person: String,
    /// `--break-glass`.
    pub override_for: Option<String>,
    /// Only what is left of the background.
    pub drains: bool,
    /// Nothing but to record how a cancelled run ends.
    pub closes: bool,
}

/// The inputs that a resume begins with, and the core they go to.
pub fn recover(read: &Read, orders: &Orders, wall_ms: i64) -> (Core, Vec<Input>) {
    let change = orders.change.as_ref().map(|compiled| Arc::clone(&compiled.graph));
    let version = change.as_ref().map(|_| u32::try_from(read.graphs.len() + 1).expect("plans change rarely"));
    let core = read.core(change);
    let Some(began) = &read.began else {
        let (compiled, run) = (&read.compiled, read.dir.id().clone());
        let new = New { compiled, run, seed: None, key: None, person: orders.person.clone(), author: None };
        // What lies there may be of an engine that wrote other files.
        let files = read_unbegun(&read.dir).unwrap_or_else(|_| compile::snapshot_files(compiled));
        let mut began = began(&new, &read.graphs[0], wall_ms, snapshot::digests(&files));
        began.jobs = orders.jobs.unwrap_or(began.jobs);
        began.place.clone_from(&orders.place);
        return (core, vec![Input::Begin(Box::new(began))]);
    };
    let now = Clock::resume(began.wall_ms, read.last_at()).now();
    let resumed = Resumed {
        wall_ms,
        gap: now.since(read.worked_at()),
        jobs: orders.jobs.unwrap_or(began.jobs),
        by: orders.person.clone(),
        engine: env!("CARGO_PKG_VERSION").to_owned(),
        place: orders.place.clone(),
        plan: orders.change.as_ref().map(|compiled| snapshot::seal(&compile::snapshot_files(compiled))),
        drains: orders.drains,
        closes: orders.closes,
    };
    let recover = Input::Recover {
        resumed: Box::new(resumed),
        plan_version: version,
        changed: orders.changed.clone(),
        rerun: orders.rerun.clone(),
        failed: orders.failed.clone(),
    };
    let goes_on = orders.unpause.then(|| Input::Pause { on: false, by: orders.person.clone() });
    let undo = orders.undo.then(|| desk::to_undo(orders.person.clone()));
    let overrides = orders.override_for.clone();
    let overrides = overrides.map(|reason| Input::BreakGlass { by: orders.person.clone(), reason });
    (core, [recover].into_iter().chain(overrides).chain(goes_on).chain(undo).collect())
}

/// Owns an old run: takes its lock and reads its record.
///
/// # Errors
/// A live engine owns it, damage.
pub fn take_over(dir: RunDir) -> Result<(journal::Ownership, Recorded), Error> {
    let ownership = own(&dir)?;
    Ok((ownership, Recorded::read(dir)?))
}

/// Ends what a dead engine left alive of a run, but for what its record says was handed to the machine; tells
/// what was ended.
///
/// # Errors
/// Processes that will not die.
pub fn sweep(read: &Read) -> Result<Vec<String>, Error> {
    sweep_but(&read.dir, || Some(handed_over(read)))
}

/// As [`sweep`], for a run whose plan nobody needs: it is looked at only when a process of the run is alive.
///
/// # Errors
/// Processes that will not die, and a plan that is needed but cannot be read.
pub fn sweep_ended(recorded: &Recorded) -> Result<Vec<String>, Error> {
    let failed = OnceCell::new();
    let handed = || match Read::open(recorded.dir.clone(), &Expected::default()) {
        Ok(read) => Some(handed_over(&read)),
        Err(error) => {
            drop(failed.set(error));
            None
        }
    };
    let swept = sweep_but(&recorded.dir, handed)?;
    failed.into_inner().map_or(Ok(swept), Err)
}

/// `handed` finds the tags of what was handed to the machine; where it cannot, all is left alone.
fn sweep_but(dir: &RunDir, handed: impl Fn() -> Option<BTreeSet<Vec<u8>>>) -> Result<Vec<String>, Error> {
    let known = OnceCell::new();
    let is_handed = |tag: &Vec<u8>| known.get_or_init(&handed).as_ref().is_none_or(|tags| tags.contains(tag));
    let is_spared = |pid: u32| {
        guard::is_elsewhere(pid, dir.path())
            || unix::environ(pid, "ENGINE_ATTEMPT_KEY").is_some_and(|tag| is_handed(&tag))
    };
    guard::relieve(dir.id().as_str(), dir.path());
    let swept = guard::sweep_run(dir.id().as_str(), &is_spared, SWEEP_PATIENCE)?;
    Ok(swept.iter().map(|process| format!("{} ({})", process.ident.pid, process.name)).collect())
}

/// Takes the run's lock. A killed engine holds it until the last of its threads is gone, and a disk that is
/// slow to sync can delay that: a holder that is dead already is waited for.
fn own(dir: &RunDir) -> Result<journal::Ownership, Error> {
    let me = Holder { pid: std::process::id(), wall_ms: ports::wall_ms() };
    let clock = Clock::begin();
    loop {
        let refused = match journal::take(dir, &me) {
            Err(error @ journal::Error::Owned { .. }) => error,
            taken => return Ok(taken?),
        };
        let patience = match &refused {
            journal::Error::Owned { holder: Some(other), .. } if is_dead(other.pid) => DYING_PATIENCE,
            journal::Error::Owned { holder: None, .. } => NAMING_PATIENCE,
            _ => Duration::ZERO,
        };
        if clock.now().since(Millis::ZERO).duration() >= patience {
            return Err(refused.into());
        }
        ports::pause(DYING_BEAT);
    }
}

fn is_dead(pid: u32) -> bool {
    unix::stat(pid).is_none_or(|process| process.is_dead())
}

/// The tags (`ENGINE_ATTEMPT_KEY`) of what the run handed to the machine: `lifetime: host`, recorded as done.
fn handed_over(read: &Read) -> BTreeSet<Vec<u8>> {
    let state = read.state();
    let mut tags = BTreeSet::new();
    for (ix, node) in state.graph().nodes.pairs() {
        let is_host = matches!(&node.work, Work::Process(process) if process.lifetime == Lifetime::Host);
        for (shard, phase) in (0..).zip(state.phases(ix)).filter(|_| is_host) {
            if *phase == Phase::Success {
                tags.insert(tag(read.dir.id(), &node.id, shard).into_bytes());
            }
        }
    }
    tags
}

/// Writes the new version of the plan, and puts the owned run together.
///
/// # Errors
/// The disk refuses.
pub fn resume(
    ownership: journal::Ownership,
    read: Read,
    orders: &Orders,
    surroundings: Surroundings,
) -> Result<(Owned, Vec<Input>), Error> {
    if let Some(compiled) = &orders.change {
        let version = u32::try_from(read.graphs.len() + 1).expect("plans change rarely");
        snapshot::write_version(&read.dir, version, &compile::snapshot_files(compiled))?;
    }
    let (core, inputs) = recover(&read, orders, ports::wall_ms());
    let clock = match &read.began {
        Some(began) => Clock::resume(began.wall_ms, read.last_at()),
        None => Clock::begin(),
    };
    let Read { dir, end, records, .. } = read;
    // Giving a million records back takes a while, and nothing waits for it.
    let aside = std::thread::Builder::new().name("tidy".into()).spawn(move || drop(records));
    // Without a thread they were given back here.
    drop(aside);
    Ok((Owned { dir, ownership, end, core, clock, surroundings, secrets: None }, inputs))
}

/// What came of asking for a run lock.
#[derive(Debug)]
pub enum Locked {
    /// We hold it.
    Held,
    /// Another run does.
    Busy(LockRecord),
}

/// The living holder of the lock called `name`, if there is one.
///
/// # Errors
/// The disk refuses.
pub fn lock_holder(state: &StateDir, name: &str) -> Result<Option<LockRecord>, Error> {
    let Some(held) = Locks::new(state).holder(name)? else { return Ok(None) };
    Ok(why_free(state, &held.run)?.is_none().then_some(held))
}

/// Takes the lock called `name` for `run`. A run that let go of it and died before it could say so is no
/// holder.
///
/// # Errors
/// The disk refuses.
pub fn take_lock(state: &StateDir, name: &str, run: &RunId, person: &str) -> Result<Locked, Error> {
    let locks = Locks::new(state);
    let record =
        LockRecord { name: name.to_owned(), run: run.clone(), wall_ms: ports::wall_ms(), by: person.to_owned() };
    let taken = match locks.take(&record)? {
        Taken::Busy(held) => match why_free(state, &held.run)? {
            Some(why) => locks.take_over(&record, &held.run, why)?,
            None => Taken::Busy(held),
        },
        taken => taken,
    };
    Ok(match taken {
        Taken::Now | Taken::Already => Locked::Held,
        Taken::Busy(held) => Locked::Busy(held),
    })
}

/// Why a run that holds a lock does not need it any more; `None` when it does, or may.
fn why_free(state: &StateDir, run: &RunId) -> Result<Option<&'static str>, Error> {
    let dir = match state.run(run) {
        Err(journal::Error::NoRun { .. }) => return Ok(Some("its run was deleted")),
        found => found?,
    };
    if journal::is_live(&dir)? {
        return Ok(None);
    }
    // Nobody knows what a damaged run was about: a person decides.
    let Ok(summary) = journal::summary::of(&dir) else { return Ok(None) };
    Ok(match summary.state {
        _ if summary.run.is_none() => Some("its run never began"),
        RunState::Success | RunState::Cancelled | RunState::RolledBack => Some("its run is over"),
        _ => None,
    })
}
