//! Who does the loop's work: whoever brings news does, at once, unless somebody is at it, who then does that too.
//!
//! A slot that ends an attempt hears itself what starts next and starts it; the journal's thread carries out itself
//! what it has made durable. No other thread has to be woken for either, and a thread that would be woken costs
//! more than the work. The main thread watches clocks, signals, the inbox and everything else that is rare.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;

use super::live::Live;
use super::news::News;
use crate::run::Input;

/// How often the inbox is looked into and a live view is drawn.
const BEAT: Duration = Duration::from_millis(100);
/// How often a thread looks for more work before it leaves the rest to the main thread and does its own.
const MAX_ROUNDS: u32 = 16;

/// A live engine, shared by those who bring news.
pub struct Helm {
    live: Mutex<Option<Live>>,
    /// News that nobody has looked at yet.
    mail: Mutex<Vec<News>>,
    /// Wakes the main thread.
    watch: Notify,
    /// Where work with files is done, whoever orders it.
    runtime: Handle,
}

impl Helm {
    /// Without an engine yet.
    pub fn new(runtime: Handle) -> Self {
        Self { live: Mutex::default(), mail: Mutex::default(), watch: Notify::new(), runtime }
    }

    /// Puts the engine in.
    pub fn man(&self, live: Live) {
        *self.live.lock().expect("nobody has worked on it yet") = Some(live);
    }

    /// Takes news, and does what follows from them unless another thread is at work, which then does it.
    pub fn post(&self, news: News) {
        self.mail().push(news);
        self.help();
    }

    /// Works until the run is over or the engine has to leave, and hands it back. `first` are the inputs it
    /// begins with.
    pub async fn serve(&self, first: Vec<Input>, news: &mut UnboundedReceiver<News>) -> Live {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut heard = Vec::new();
        self.with(|live| live.begin(first));
        loop {
            let (is_done, deadline) = self.with(Live::rest);
            if is_done {
                return self.leave();
            }
            let mut is_beat = false;
            tokio::select! {
                biased;
                _ = news.recv_many(&mut heard, 1024) => {}
                () = self.watch.notified() => {}
                () = sleep(deadline) => {}
                _ = beat.tick() => is_beat = true,
            }
            self.with(|live| live.work(heard.drain(..), is_beat));
        }
    }

    /// The engine, which is done. A journal that refuses more says less than the failure that made it stop.
    fn leave(&self) -> Live {
        let mut live = self.lock().take().expect("only this function takes the engine");
        let mail = std::mem::take(&mut *self.mail());
        live.work(mail.into_iter(), false);
        live
    }

    /// Lets the main thread work, and looks for what came in meanwhile.
    fn with<T>(&self, work: impl FnOnce(&mut Live) -> T) -> T {
        let done = work(self.lock().as_mut().expect("the engine leaves last"));
        self.help();
        done
    }

    fn help(&self) {
        let _files = self.runtime.enter();
        for _ in 0..MAX_ROUNDS {
            // Whoever has it looks again when it has let go.
            let mut live = match self.live.try_lock() {
                Ok(live) => live,
                Err(TryLockError::WouldBlock) => return,
                // The main thread finds that too, and ends the engine.
                Err(TryLockError::Poisoned(_)) => return self.watch.notify_one(),
            };
            let mail = std::mem::take(&mut *self.mail());
            if let Some(live) = live.as_mut().filter(|_| !mail.is_empty())
                && live.work(mail.into_iter(), false)
            {
                self.watch.notify_one();
            }
            drop(live);
            if self.mail().is_empty() {
                return;
            }
        }
        self.watch.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Live>> {
        self.live.lock().expect("a thread that worked on the run has panicked, and has said why")
    }

    fn mail(&self) -> MutexGuard<'_, Vec<News>> {
        // Nothing in here can panic half-way.
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sleeps so long; for ever without a deadline.
async fn sleep(length: Option<Duration>) {
    match length {
        Some(length) => tokio::time::sleep(length).await,
        None => std::future::pending().await,
    }
}
