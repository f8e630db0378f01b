//! How a live engine lets go of a run.
//!
//! What `lifetime: run` left is stopped with its grace, the journal is closed, observers are told the end. None
//! of that may take the engine hostage: while it waits the ladder of signals goes on. The second one ends every
//! grace, the third leaves at once, what still lives to the front; and no signal waits for a reader.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;

use super::audience::Audience;
use super::host;
use super::live::{Ending, Live};
use super::news::News;
use super::signals::{Ladder, Step};
use crate::exec::{Haste, Leftover};
use crate::report::Summary;
use crate::run::event::CancelLevel;

/// What a last word may take of somebody's time who wants the engine gone.
const LEAVING_PATIENCE: Duration = Duration::from_millis(200);

/// What is known once an engine has let go.
#[derive(Clone, Copy, Debug)]
pub struct Closed {
    /// It left before everything was ended.
    pub has_left: bool,
    /// An observer broke one of its own invariants; it said so when it did.
    pub has_panicked: bool,
}

/// What is left to be said and done once the ending is known.
pub struct LastWords<'a> {
    /// The exit code, for those who watch.
    pub exit: u8,
    /// Closing notes, for those who watch.
    pub notes: Vec<String>,
    /// Work with the record, which is whole. Done once, while others let go if they keep nobody waiting.
    pub meanwhile: Box<dyn FnOnce() + 'a>,
}

impl Live {
    /// Lets go of everything, with `last` words.
    pub async fn close(self, ending: &Ending, last: LastWords<'_>, news: &mut UnboundedReceiver<News>) -> Closed {
        let LastWords { exit, mut notes, meanwhile } = last;
        let mut meanwhile = Some(meanwhile);
        let Self { core, local, writer, audience, mut desk, mut ladder, .. } = self;
        self.captured.release_all();
        if let Some(secrets) = &self.secrets {
            secrets.leave();
        }
        let haste = local.haste();
        if core.state().cancel().is_some_and(|(level, _)| level >= CancelLevel::Kill) {
            haste.make();
        }
        // Nothing more is decided, and what is left to do may take as much room.
        drop(core);
        let mut has_left = matches!(ending, Ending::Left(_));
        let mut is_hurried = self.is_hurried;
        let has_services = local.has_services();
        let work = aside(move || {
            let left = if has_left {
                // Dropping it would end, and wait for, what the front ends now.
                std::mem::forget(local);
                Vec::new()
            } else {
                local.shutdown()
            };
            (left, writer.close())
        });
        // While somebody has a grace to wait for, signals must be heard.
        if let Some(meanwhile) = meanwhile.take_if(|_| !has_services && !has_left) {
            meanwhile();
        }
        let done = tokio::select! {
            done = work => done.ok(),
            () = leave(&mut ladder, &haste, news, &mut is_hurried), if !has_left => None,
            () = tokio::time::sleep(LEAVING_PATIENCE), if has_left => None,
        };
        has_left |= done.is_none();
        if let Some((left, counters)) = done {
            desk.file_mail(&self.dir, self.recorded_before + counters.records);
            notes.extend(left.iter().filter(|one| !one.is_intended).map(say_left));
        }
        notes.extend(desk.take_notes());
        self.captured.flush();
        let fault = self.captured.fault();
        let is_output_cut = fault.is_some();
        notes.extend(fault.map(|why| format!("what stages printed is not stored in full: {why}")));
        audience.end(Summary { at: self.clock.now(), exit, is_output_cut, notes });
        // While they are told.
        if !matches!(ending, Ending::Left(_)) {
            host::clear_scratch(&self.dir);
        }
        tokio::select! {
            () = everybody_knows(&audience, news) => {}
            () = tokio::time::sleep(LEAVING_PATIENCE), if has_left || is_hurried => {}
        }
        drop(self.ownership);
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        Closed { has_left, has_panicked: audience.has_panicked() }
    }
}

fn say_left(left: &Leftover) -> String {
    format!("process {} ({}) could not be ended", left.process.ident.pid, left.process.name)
}

/// Goes down the ladder, and returns at its end. Whoever takes a step waits for no reader afterwards.
async fn leave(ladder: &mut Ladder, haste: &Haste, news: &mut UnboundedReceiver<News>, is_hurried: &mut bool) {
    while let Some(one) = news.recv().await {
        let News::Caught(caught) = one else { continue };
        *is_hurried = true;
        match ladder.step(caught) {
            Step::Cancel(CancelLevel::Kill, _) => haste.make(),
            // What is left is being stopped already.
            Step::Cancel(..) => {}
            Step::Leave(_) => return,
        }
    }
}

/// Until everybody was told everything, or somebody has had enough.
async fn everybody_knows(audience: &Audience, news: &mut UnboundedReceiver<News>) {
    while audience.is_telling() {
        if let News::Caught(_) = news.recv().await.expect("the engine holds a sender itself") {
            return;
        }
    }
}

/// Does `work` on a thread of its own, so that its end can be waited for beside other news. A machine that has no thread
/// left gets it done here and now: a run ends all the same.
fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
    let (told, done) = oneshot::channel();
    let work = Arc::new(Mutex::new(Some(move || {
        // Nobody waits any more for what was left.
        let _ = told.send(work());
    })));
    let taken = Arc::clone(&work);
    let thread = std::thread::Builder::new().name("close".into());
    let spawned = thread.spawn(move || {
        let work = taken.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(work) = work {
            work();
        }
    });
    if spawned.is_err() {
        let work = work.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(work) = work {
            work();
        }
    }
    done
}
