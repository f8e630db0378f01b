//! Puts a live engine together around a run, new or old, and lets it work.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use super::audience::{Audience, Voice};
use super::checks::Checks;
use super::closing::LastWords;
use super::crews::Crews;
use super::desk::{Desk, Prompter};
use super::guarded::Guarded;
use super::helm::Helm;
use super::keys::Keys;
use super::live::{Ending, Live};
use super::news::News;
use super::order::Order;
use super::output::Captured;
use super::point::Point;
use super::ports::Clock;
use super::prepare::{Preparer, Workroom};
use super::secrets::Strongbox;
use super::signals::Ladder;
use super::surroundings::Surroundings;
use crate::exec::{self, Local, OutputSink};
use crate::graph::Graph;
use crate::journal::objects::Objects;
use crate::journal::output::Segments;
use crate::journal::{self, End, Ownership, RunDir, StateDir, Writer};
use crate::report::Observer;
use crate::run::{Core, Horizon, Input, RunState};

/// What could not be set up, or kept from working.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal room.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The executor's room.
    #[error(transparent)]
    Exec(#[from] exec::Error),
    /// The operating system.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// Another process supervises the service.
    #[error("service `{service}` is supervised by process {by}")]
    Supervised {
        /// The service.
        service: String,
        /// The other supervisor; 0 when it has not said so yet.
        by: u32,
    },
    /// A run's own record does not fit together.
    #[error("run `{run}` cannot be read: {why}")]
    Unreadable {
        /// The run.
        run: crate::base::RunId,
        /// Why.
        why: String,
    },
}

/// How the engine meets people while it works.
pub struct Manners {
    /// Who started it.
    pub person: String,
    /// `--yes`.
    pub says_yes: bool,
    /// Whether somebody at a terminal can be asked.
    pub is_attended: bool,
    /// Whether the question has to be put on standard error, because no console shows it.
    pub prompts: bool,
    /// Who is told; the first one shows the run to whoever started it.
    pub observers: Vec<Box<dyn Observer + Send>>,
}

/// A run that this process owns, ready to be worked on.
pub struct Owned {
    /// Its folder.
    pub dir: RunDir,
    /// The proof that nobody else works on it.
    pub ownership: Ownership,
    /// Where its journal ends.
    pub end: End,
    /// Its state so far.
    pub core: Core,
    /// Its clock.
    pub clock: Clock,
    /// Where it runs.
    pub surroundings: Surroundings,
    /// The secrets that its stages get; none when they get none.
    pub secrets: Option<Arc<Strongbox>>,
}

/// Works on a run until it is over or the engine has to leave. `first` are the inputs that it begins with.
/// `conclude` is asked for the exit code and what else is left once the ending is known, before observers end.
///
/// # Errors
/// The journal, the executor or the runtime could not be set up; nothing was started.
pub fn work<'a>(
    owned: Owned,
    first: Vec<Input>,
    manners: Manners,
    guarded: &mut Guarded,
    conclude: impl FnOnce(&Ending, &RunState) -> LastWords<'a>,
) -> Result<Ending, Error> {
    let runtime = guarded.take_runtime()?;
    let worked: Result<_, Error> = runtime.block_on(async {
        let helm = Arc::new(Helm::new(tokio::runtime::Handle::current()));
        helm.man(assemble(owned, manners, &guarded.sender, &helm)?);
        let mut live = helm.serve(first, &mut guarded.news).await;
        let ending = live.ending.take().expect("the loop ends with an ending");
        let last = conclude(&ending, live.core.state());
        let closed = live.close(&ending, last, &mut guarded.news).await;
        Ok((ending, closed))
    });
    // Files that are still stored belong to attempts that nobody waits for any more.
    runtime.shutdown_background();
    let (ending, closed) = worked?;
    assert!(!closed.has_panicked, "an observer of the run has panicked");
    if closed.has_left {
        guarded.leave_work();
    }
    Ok(ending)
}

fn assemble(
    owned: Owned,
    manners: Manners,
    sender: &UnboundedSender<News>,
    helm: &Arc<Helm>,
) -> Result<Live, Error> {
    let Owned { dir, ownership, end, core, clock, surroundings, secrets } = owned;
    let graph = Arc::clone(core.state().graph());
    let recorded_before = end.last.sequence;
    let tell = Arc::clone(helm);
    // First of all: while the rest comes up, its thread waits for the run's name to be on the disk.
    let writer = Writer::open(&dir, &ownership, &end, move |notice| tell.post(News::Journal(notice)))?;
    let keys = Keys::default();
    let captured = Arc::new(Captured::new(keys.clone(), clock, Segments::open(&dir)?, secrets.clone()));
    let sink: Arc<dyn OutputSink> = captured.clone();
    let (tell, told) = (Arc::clone(helm), Arc::clone(helm));
    let gates = exec::Gates::new(captured.clone(), Box::new(move |news| told.post(News::Exec(news))));
    let local = Local::new(
        hands(&graph),
        sink,
        Box::new(move |news| {
            // Nothing follows from a start.
            if !matches!(news, exec::News::Started { .. }) {
                tell.post(News::Exec(news));
            }
        }),
    )?;
    let state = StateDir::open(dir.state_path())?;
    let room = Workroom::of(&dir);
    make_room(&dir, &room.scratch)?;
    let told = sender.clone();
    let audience = Audience::new(manners.observers, &dir, &captured, &move || drop(told.send(News::Told)))?;
    let voice = manners.prompts.then(|| audience.voice());
    let prompter = manners.is_attended.then(|| prompter(sender.clone(), voice));
    Ok(Live {
        checks: Checks::new(Objects::new(&state), surroundings.root.clone()),
        preparer: Preparer::new(dir.id().clone(), surroundings, room),
        point: Point::of(&state, &dir)?,
        desk: Desk::new(manners.person, manners.says_yes, prompter)
            .since(journal::holder(&dir).map(|it| it.wall_ms)),
        audience,
        sender: sender.clone(),
        ladder: Ladder::default(),
        crews: Crews::new(helm),
        restoring: BTreeMap::new(),
        fetching: BTreeSet::new(),
        horizon: Horizon::new(recorded_before),
        order: Order::default(),
        early: BTreeSet::new(),
        unheard: BTreeMap::new(),
        last_beat: clock.now(),
        alarm: None,
        recorded_before,
        ending: None,
        is_attended: manners.is_attended,
        is_suspending: false,
        is_hurried: false,
        ownership,
        core,
        graph,
        dir,
        clock,
        writer,
        local,
        gates,
        keys,
        captured,
        secrets,
    })
}

/// How many of a run's attempts can be at work at once: a thread more would only be started and ended.
fn hands(graph: &Graph) -> usize {
    let shards = graph.nodes.iter().map(|node| if node.finds_size() { u32::MAX } else { node.rules.shards });
    let most = shards.fold(0, u32::saturating_add).min(graph.settings.max_parallel);
    usize::try_from(most).unwrap_or(usize::MAX)
}

fn make_room(dir: &RunDir, path: &Path) -> Result<(), Error> {
    // What a dead engine left there would be taken for what new attempts write.
    clear_scratch(dir);
    std::fs::create_dir_all(path).map_err(|source| Error::System { action: "make a folder for values", source })
}

/// Asks by `voice` if nobody else does, and reads one line of standard input on a thread of its own.
fn prompter(sender: UnboundedSender<News>, voice: Option<Voice>) -> Prompter {
    Prompter::new(move |question| {
        if let Some(voice) = &voice {
            voice.ask(question);
        }
        let sender = sender.clone();
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = std::io::stdin().read_line(&mut line);
            let typed = read.ok().filter(|&len| len > 0).map(|_| line);
            // A loop that is gone needs no answer.
            let _ = sender.send(News::Typed(typed));
        });
    })
}

/// Empties the folder that holds scripts and values while a run is worked on; nothing in it is needed afterwards. The folder
/// stays: a disk takes longer to remove one than to make it.
pub(super) fn clear_scratch(dir: &RunDir) {
    // What is not there, or cannot be removed now, goes with the run.
    for entry in std::fs::read_dir(dir.scratch_path()).into_iter().flatten().flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let _ = if is_folder { std::fs::remove_dir_all(entry.path()) } else { std::fs::remove_file(entry.path()) };
    }
}
