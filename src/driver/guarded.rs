//! The connection to the guarding front, and signals from the engine's first moment to its last.
//!
//! Until [`Guarded::begin`] a signal ends the process: nothing was begun, so there is nothing to let go of. From
//! then on signals wait for the loop, which goes down its ladder (see [`super::signals`]).

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::host::Error;
use super::news::News;
use super::signals::{self, Ladder, Step};
use crate::base::{RunId, limits};
use crate::exec::guard::{self, Caught, Link};
use crate::run::event::CancelReason;

/// The connection to the guarding front, made before anything else starts. When it is dropped the front hears
/// that all is done, unless the engine leaves in a hurry.
pub struct Guarded {
    link: Option<Arc<Link>>,
    pub(super) sender: UnboundedSender<News>,
    pub(super) news: UnboundedReceiver<News>,
    runtime: Option<Runtime>,
    has_begun: Arc<AtomicBool>,
    leaves_work: bool,
    is_watched: bool,
}

impl Guarded {
    /// Connects to the front, if there is one.
    ///
    /// # Errors
    /// It is there and cannot be reached.
    pub fn attach() -> Result<Self, Error> {
        let (sender, news) = unbounded_channel();
        let heard = sender.clone();
        let has_begun = Arc::new(AtomicBool::new(false));
        let begun = Arc::clone(&has_begun);
        let link = guard::attach(move |caught: Caught| {
            if begun.load(Ordering::SeqCst) {
                // A loop that is gone needs no more news.
                drop(heard.send(News::Caught(caught)));
            } else {
                signals::die_of(caught);
            }
        })?;
        Ok(Self {
            link: link.map(Arc::new),
            sender,
            news,
            runtime: None,
            has_begun,
            leaves_work: false,
            is_watched: false,
        })
    }

    /// Something is about to be begun that must not be cut off: signals wait for the loop from here on.
    ///
    /// # Errors
    /// The system refuses the loop or a handler.
    pub fn begin(&mut self) -> Result<(), Error> {
        if self.runtime.is_some() {
            return Ok(());
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(limits::MAX_FILE_THREADS)
            .build()
            .map_err(|source| Error::System { action: "start the event loop", source })?;
        let inside = runtime.enter();
        let heard = self.sender.clone();
        signals::listen(self.link.clone(), move |caught| drop(heard.send(News::Caught(caught))))
            .map_err(|source| Error::System { action: "listen for signals", source })?;
        drop(inside);
        self.has_begun.store(true, Ordering::SeqCst);
        self.runtime = Some(runtime);
        Ok(())
    }

    /// The event loop's machinery, for whoever works now.
    ///
    /// # Errors
    /// As [`Guarded::begin`].
    pub(super) fn take_runtime(&mut self) -> Result<Runtime, Error> {
        self.begin()?;
        Ok(self.runtime.take().expect("it was begun just now, and one engine works once"))
    }

    /// Why the engine was told to leave, if it was, before there is a loop that hears of it.
    pub fn caught(&mut self) -> Option<CancelReason> {
        while let Ok(one) = self.news.try_recv() {
            if let News::Caught(caught) = one {
                let (Step::Cancel(_, why) | Step::Leave(why)) = Ladder::default().step(caught);
                return Some(why);
            }
        }
        None
    }

    /// From here on processes of `run`, whose folder is or will be `home`, may live: whoever survives a kill ends them.
    /// Asked for once, as early as can be: the watch takes its time to stand, and nothing starts before.
    pub fn watch(&mut self, run: &RunId, home: &Path) {
        if let Some(link) = self.link.as_ref().filter(|_| !std::mem::replace(&mut self.is_watched, true)) {
            link.watch(run.as_str(), home);
        }
    }

    /// What whoever survives a kill says.
    pub fn explain(&self, line: &str) {
        if let Some(link) = &self.link {
            link.explain(line);
        }
    }

    /// Processes of stages are still alive: the front ends them once this process is gone.
    pub fn leave_work(&mut self) {
        self.leaves_work = true;
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let is_done = !self.leaves_work && !std::thread::panicking();
        if let Some(runtime) = self.runtime.take() {
            // The task that listens for signals holds the link, too.
            runtime.shutdown_background();
        }
        if let Some(link) = self.link.take().filter(|_| is_done).and_then(Arc::into_inner) {
            link.goodbye();
        }
    }
}
