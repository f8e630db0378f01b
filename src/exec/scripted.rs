//! Answers starts from a script instead of processes: for rehearsals, simulations and tests of hosts.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::local::now;
use super::{Ended, Error, Executor, Exit, Key, Listener, News, OutputSink, Spec, StopKind};

/// What an attempt does.
#[derive(Clone, Debug)]
pub struct Act {
    /// What it prints, at its start.
    pub output: Vec<u8>,
    /// How it ends by itself.
    pub exit: Exit,
    /// After how long.
    pub after: Duration,
    /// Whether it goes on when asked to terminate.
    pub is_deaf: bool,
}

impl Act {
    /// Ends at once with this code, printing nothing.
    pub fn code(code: i32) -> Self {
        Self { output: Vec::new(), exit: Exit::Code(code), after: Duration::ZERO, is_deaf: false }
    }
}

/// Chooses what an attempt does.
pub type Script = Box<dyn Fn(&Spec) -> Act + Send + Sync>;

/// An executor without processes. One thread tells the news, in the order in which acts end.
pub struct Scripted {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    script: Script,
    sink: Arc<dyn OutputSink>,
    news: Listener,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    next: u64,
    /// By due time, then by order of arrival.
    queue: BTreeMap<(Instant, u64), Step>,
    running: HashMap<Key, ((Instant, u64), bool)>,
    is_closing: bool,
}

enum Step {
    Begin(Key, Vec<u8>),
    End(Box<Ended>),
}

impl Scripted {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there is none to be had.
    pub fn new(script: Script, sink: Arc<dyn OutputSink>, news: Listener) -> Result<Self, Error> {
        let shared = Arc::new(Shared { script, sink, news, state: Mutex::default(), changed: Condvar::new() });
        let worker = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("scripted".into())
            .spawn(move || worker.run())
            .map_err(|source| Error::Setup { what: "start a thread", source })?;
        Ok(Self { shared, thread: Some(thread) })
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.shared.lock().is_closing = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A listener that panicked has said so itself.
            let _panicked = thread.join();
        }
    }
}

impl Executor for Scripted {
    fn start(&self, spec: Spec) {
        let act = (self.shared.script)(&spec);
        let at = now();
        let ended = Ended {
            key: spec.key,
            exit: act.exit,
            took: act.after,
            cpu_us: 0,
            max_rss_kib: 0,
            bytes: act.output.len() as u64,
            notes: Vec::new(),
        };
        let mut state = self.shared.lock();
        if !matches!(ended.exit, Exit::NotStarted(_)) {
            state.plan(at, Step::Begin(spec.key, act.output));
        }
        let place = state.plan(at + act.after, Step::End(Box::new(ended)));
        state.running.insert(spec.key, (place, act.is_deaf));
        drop(state);
        self.shared.changed.notify_one();
    }

    fn stop(&self, key: Key, how: StopKind) {
        let mut state = self.shared.lock();
        let Some(&(place, is_deaf)) = state.running.get(&key) else { return };
        let signal = match how {
            StopKind::Terminate if is_deaf => return,
            StopKind::Terminate => 15,
            StopKind::Kill => 9,
        };
        if let Some(Step::End(mut ended)) = state.queue.remove(&place) {
            ended.exit = Exit::Signal(signal);
            let place = state.plan(now(), Step::End(ended));
            state.running.insert(key, (place, true));
        }
        drop(state);
        self.shared.changed.notify_one();
    }
}

impl State {
    fn plan(&mut self, at: Instant, step: Step) -> (Instant, u64) {
        self.next += 1;
        self.queue.insert((at, self.next), step);
        (at, self.next)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut state = self.lock();
        while !state.is_closing {
            let at = now();
            match state.queue.first_key_value().map(|((due, _), _)| *due) {
                Some(due) if due <= at => {
                    let step = state.queue.pop_first();
                    if let Some((_, Step::End(ended))) = &step {
                        state.running.remove(&ended.key);
                    }
                    drop(state);
                    if let Some((_, step)) = step {
                        self.play(step);
                    }
                    state = self.lock();
                }
                Some(due) => {
                    let wait = self.changed.wait_timeout(state, due.saturating_duration_since(at));
                    state = wait.unwrap_or_else(PoisonError::into_inner).0;
                }
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn play(&self, step: Step) {
        match step {
            Step::Begin(key, output) => {
                (self.news)(News::Started { key, pid: 0 });
                if !output.is_empty() {
                    self.sink.write(key, &output);
                }
            }
            Step::End(ended) => (self.news)(News::Ended(ended)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::super::{Capture, Lifetime, Signal};
    use super::*;

    fn spec(key: u64) -> Spec {
        Spec {
            key: Key(key),
            argv: vec!["true".into()],
            env: crate::exec::Variables::default(),
            secrets: Vec::new(),
            cwd: "/".into(),
            stop_signal: Signal::Term,
            grace: Duration::ZERO,
            idle: None,
            tag: String::new(),
            lifetime: Lifetime::Stage,
            pipes: None,
            seen: 0,
            after: 0,
        }
    }

    fn scripted(script: Script) -> (Scripted, Arc<Capture>, Receiver<News>) {
        let (sender, news) = channel();
        let capture = Arc::new(Capture::new(100));
        let sink = Arc::<Capture>::clone(&capture);
        let told = Box::new(move |one| sender.send(one).unwrap_or(()));
        (Scripted::new(script, sink, told).expect("a thread"), capture, news)
    }

    fn end(news: &Receiver<News>) -> Ended {
        loop {
            if let News::Ended(ended) = news.recv_timeout(Duration::from_secs(20)).expect("news") {
                return *ended;
            }
        }
    }

    #[test]
    fn acts_end_in_the_order_of_their_length() {
        let after = |spec: &Spec| Duration::from_millis(40 / spec.key.0);
        let (all, capture, news) =
            scripted(Box::new(move |spec| Act { output: b"hello".to_vec(), after: after(spec), ..Act::code(3) }));
        all.start(spec(1));
        all.start(spec(4));
        assert_eq!([end(&news).key, end(&news).key], [Key(4), Key(1)]);
        assert_eq!(capture.take(Key(1)), b"hello");
    }

    #[test]
    fn what_could_not_start_was_never_started() {
        let (all, _, news) = scripted(Box::new(|_| Act { exit: Exit::NotStarted("gone".into()), ..Act::code(0) }));
        all.start(spec(1));
        assert!(matches!(news.recv(), Ok(News::Ended(ended)) if ended.exit == Exit::NotStarted("gone".into())));
    }

    #[test]
    fn stops_end_the_willing_and_kills_end_the_deaf() {
        let (all, _, news) = scripted(Box::new(|spec| Act {
            after: Duration::from_hours(1),
            is_deaf: spec.key == Key(2),
            ..Act::code(0)
        }));
        all.start(spec(1));
        all.start(spec(2));
        all.stop(Key(2), StopKind::Terminate);
        all.stop(Key(1), StopKind::Terminate);
        let ended = end(&news);
        assert_eq!((ended.key, ended.exit), (Key(1), Exit::Signal(15)));
        all.stop(Key(1), StopKind::Kill);
        all.stop(Key(2), StopKind::Kill);
        let ended = end(&news);
        assert_eq!((ended.key, ended.exit), (Key(2), Exit::Signal(9)));
        drop(all);
        assert!(news.recv().is_err(), "one end each");
    }
}
