//! Supervises one service: carries out what [`machine`] orders, with processes, questions over HTTP and a record.
//!
//! The service's processes live below this engine as those of a stage do, so a front, a worker and a sentinel see to it
//! that nothing of it outlives a supervisor that was killed. What it prints is passed on as it is; what its probes print
//! is not. A lock in the state directory lets one supervisor be responsible for a service; a record beside it says how
//! the service is.

pub mod machine;
mod notify;
pub mod record;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use self::machine::{End, Input, Machine, Order, Role, Rules};
use self::record::{Held, Record};
use super::host::Error;
use super::ports::{self, Clock};
use super::signals;
use super::surroundings::Surroundings;
use crate::exec::guard::{self, Link};
use crate::exec::{
    self, Executor as _, Exit, Key, Lifetime, Local, News, OutputSink, Spec, StopKind, Variables, unix, web,
};
use crate::plan::model::Signal;
use crate::plan::service::{Probe, Service};
use crate::render::dotenv;

/// Where a service is supervised.
#[derive(Clone, Debug)]
pub struct Place {
    /// The project's root and the caller's environment.
    pub surroundings: Surroundings,
    /// The state directory.
    pub state_dir: PathBuf,
}

/// Who hears of it.
pub struct Manners<'a> {
    /// Takes what the service and its guard print.
    pub out: Box<dyn Write + Send>,
    /// Hears a line for everything that happens.
    pub tell: &'a mut dyn FnMut(&str),
}

/// What reaches the loop.
enum Word {
    Exec(News),
    Probed(bool, String),
    Caught,
}

/// Passes on what the service and its guard print.
struct Passage(Mutex<Box<dyn Write + Send>>);

impl OutputSink for Passage {
    fn write(&self, key: Key, bytes: &[u8]) {
        if matches!(role(key), Role::Service | Role::Guard) {
            let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // A reader that is gone does not end a service.
            let _unread = out.write_all(bytes).and_then(|()| out.flush());
        }
    }
}

/// Roles by the last two bits of a key.
const ROLES: [Role; 4] = [Role::Guard, Role::Service, Role::Probe, Role::Drain];

fn role(key: Key) -> Role {
    ROLES[usize::try_from(key.0 % 4).expect("below four")]
}

/// Supervises `service` until it is stopped or given up.
///
/// # Errors
/// Another supervisor has it; or the system refuses what is needed before anything can start.
pub fn supervise(service: &Service, place: &Place, manners: Manners<'_>) -> Result<End, Error> {
    let (sender, words) = channel();
    let heard = sender.clone();
    let link = guard::attach(move |_| drop(heard.send(Word::Caught)))?.map(Arc::new);
    let end = keep(service, place, manners, (link.as_ref(), sender, &words));
    // Also when nothing could be begun: the front has nothing to clean up.
    if let Some(link) = link {
        link.goodbye();
    }
    end
}

fn keep(
    service: &Service,
    place: &Place,
    Manners { out, tell }: Manners<'_>,
    (link, sender, words): (Option<&Arc<Link>>, Sender<Word>, &Receiver<Word>),
) -> Result<End, Error> {
    let held = record::hold(&place.state_dir, &service.name)?;
    listen(link.cloned(), sender.clone())?;
    let id = format!("service-{}-{}", service.name, ports::new_run_id(ports::wall_ms()));
    if let Some(link) = link {
        link.watch(&id, &place.state_dir);
    }
    let news = sender.clone();
    let passage = Arc::new(Passage(Mutex::new(out)));
    let local = Local::new(2, passage, Box::new(move |one| drop(news.send(Word::Exec(one)))))?;
    let rules = Rules {
        guard: service.guard.clone(),
        health: service.health.clone(),
        drain: service.drain.clone(),
        stop: service.stop.clone(),
        restart: service.restart,
    };
    let mut keeper = Keeper {
        service,
        place,
        id,
        local: &local,
        sender,
        clock: Clock::begin(),
        machine: Machine::new(rules),
        running: BTreeMap::new(),
        pid: Arc::new(AtomicU32::new(0)),
        next: 1,
        last: String::new(),
        held,
        tell,
    };
    let end = keeper.keep(words);
    local.shutdown();
    Ok(end)
}

/// Hears the signals that this process gets itself, on a thread of its own.
fn listen(link: Option<Arc<Link>>, sender: Sender<Word>) -> Result<(), Error> {
    let refused = |source| Error::System { action: "listen for signals", source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(refused)?;
    {
        let _inside = runtime.enter();
        signals::listen(link, move |_| drop(sender.send(Word::Caught))).map_err(refused)?;
    }
    let wait = move || runtime.block_on(std::future::pending::<()>());
    std::thread::Builder::new().name("signals".into()).spawn(wait).map_err(refused)?;
    Ok(())
}

/// The loop's state.
struct Keeper<'a> {
    service: &'a Service,
    place: &'a Place,
    id: String,
    local: &'a Local,
    sender: Sender<Word>,
    clock: Clock,
    machine: Machine,
    running: BTreeMap<Role, Key>,
    /// The service's process, once it exists.
    pid: Arc<AtomicU32>,
    next: u64,
    last: String,
    held: Held,
    tell: &'a mut dyn FnMut(&str),
}

impl Keeper<'_> {
    fn keep(&mut self, words: &Receiver<Word>) -> End {
        let mut stops = 0;
        let mut orders = self.machine.begin(self.clock.now());
        loop {
            if let Some(end) = self.obey(orders) {
                self.note();
                return end;
            }
            self.note();
            let wait = self.machine.due().map(|due| due.since(self.clock.now()).duration());
            let word = match wait {
                Some(wait) => words.recv_timeout(wait.min(Duration::from_hours(1))).ok(),
                None => words.recv().ok(),
            };
            let at = self.clock.now();
            orders = match word {
                None => self.machine.tick(at),
                Some(Word::Caught) => {
                    stops += 1;
                    self.machine.hear(at, if stops == 1 { Input::Stop } else { Input::Kill })
                }
                Some(Word::Probed(is_good, how)) => {
                    self.machine.hear(at, Input::Ended { role: Role::Probe, is_good, how })
                }
                Some(Word::Exec(News::Started { key, pid })) => {
                    if role(key) == Role::Service {
                        self.pid.store(pid, Ordering::Relaxed);
                        self.say(&format!("started, process {pid}"));
                    }
                    Vec::new()
                }
                Some(Word::Exec(News::Silent { .. })) => Vec::new(),
                Some(Word::Exec(News::Ended(ended))) => self.ended(&ended),
            };
        }
    }

    fn ended(&mut self, ended: &exec::Ended) -> Vec<Order> {
        let role = role(ended.key);
        self.running.remove(&role);
        if role == Role::Service {
            self.pid.store(0, Ordering::Relaxed);
        }
        for note in &ended.notes {
            self.say(note);
        }
        let (is_good, how) = said(&ended.exit);
        self.machine.hear(self.clock.now(), Input::Ended { role, is_good, how })
    }

    /// Carries orders out; the end, when one of them is that.
    fn obey(&mut self, orders: Vec<Order>) -> Option<End> {
        for order in orders {
            match order {
                Order::Start(role) => self.start(role),
                Order::Signal(signal) => self.signal(signal),
                Order::Kill(role) => {
                    if let Some(key) = self.running.get(&role) {
                        self.local.stop(*key, StopKind::Kill);
                    }
                }
                Order::Tell(line) => self.say(&line),
                Order::Ready => notify::tell("READY=1"),
                Order::Leaving => notify::tell("STOPPING=1"),
                Order::End(end) => {
                    self.last = match &end {
                        End::Stopped => "stopped".to_owned(),
                        End::Refused(how) => format!("not started: the guard refuses: {how}"),
                        End::GivenUp(why) => format!("given up: {why}"),
                    };
                    let line = self.last.clone();
                    self.say(&line);
                    return Some(end);
                }
            }
        }
        None
    }

    fn say(&mut self, line: &str) {
        line.clone_into(&mut self.last);
        (self.tell)(line);
    }

    fn signal(&mut self, signal: Signal) {
        let pid = self.pid.load(Ordering::Relaxed);
        self.say(&format!("asked to stop: {}", signal.name()));
        if pid != 0 {
            unix::signal_group(pid, unix::raw_signal(signal));
        } else if let Some(key) = self.running.get(&Role::Service) {
            self.local.stop(*key, StopKind::Terminate);
        }
    }

    fn start(&mut self, role: Role) {
        if let (Role::Probe, Some(Probe::Url(url))) = (role, self.service.health.as_ref().map(|it| &it.probe)) {
            let timeout = self.service.health.as_ref().map_or(Duration::from_secs(1), |it| it.timeout.duration());
            return self.probe(url.clone(), timeout);
        }
        let argv = match role {
            Role::Guard => self.service.guard.as_ref().map(|guard| &guard.run),
            Role::Service => Some(&self.service.run),
            Role::Drain => self.service.drain.as_ref().map(|drain| &drain.run),
            Role::Probe => self.service.health.as_ref().and_then(|health| match &health.probe {
                Probe::Run(argv) => Some(argv),
                Probe::Url(_) => None,
            }),
        };
        let argv: Vec<OsString> = argv.into_iter().flatten().map(OsString::from).collect();
        let at = ROLES.iter().position(|one| *one == role).expect("every role has its place");
        let key = Key(self.next * 4 + at as u64);
        self.next += 1;
        let tag = format!("{}/{}", self.id, key.0);
        match self.environment(&tag) {
            Ok(env) => {
                self.running.insert(role, key);
                self.local.start(Spec {
                    key,
                    argv,
                    env,
                    cwd: self.folder(),
                    stop_signal: Signal::Term,
                    grace: Duration::from_secs(1),
                    idle: None,
                    tag,
                    lifetime: Lifetime::Stage,
                    // One that starts again trusts no earlier look.
                    seen: 0,
                    after: 1,
                    secrets: Vec::new(),
                    pipes: None,
                });
            }
            Err(why) => {
                let ended = exec::Ended::not_started(key, why);
                // Heard as any other end, after the orders that came with this one.
                drop(self.sender.send(Word::Exec(News::Ended(Box::new(ended)))));
            }
        }
    }

    fn folder(&self) -> PathBuf {
        let root = &self.place.surroundings.root;
        self.service.cwd.as_ref().map_or_else(|| root.clone(), |cwd| root.join(cwd))
    }

    /// The complete environment of one process; files are read anew, for they may have been rendered again.
    fn environment(&self, tag: &str) -> Result<Variables, String> {
        let here = &self.place.surroundings;
        let mut env: BTreeMap<OsString, OsString> = here.inherited(&self.service.pass_env).collect();
        for path in &self.service.env_files {
            env.extend(read_variables(&here.root, path)?);
        }
        env.extend(self.service.env.iter().map(|(key, value)| (key.into(), value.into())));
        env.insert("ENGINE_RUN_ID".into(), self.id.clone().into());
        env.insert("ENGINE_ATTEMPT_KEY".into(), tag.into());
        env.insert("ENGINE_SERVICE".into(), self.service.name.clone().into());
        Ok(env.into_iter().collect())
    }

    /// Asks over HTTP, on a thread of its own: it ends by its timeout.
    fn probe(&self, url: String, timeout: Duration) {
        let sender = self.sender.clone();
        let ask = move || {
            let answer = get(&url, timeout);
            let (is_good, how) = match answer {
                Ok(status) => ((200..300).contains(&status), format!("status {status}")),
                Err(why) => (false, why),
            };
            // A loop that is gone wants no answer.
            drop(sender.send(Word::Probed(is_good, how)));
        };
        if let Err(error) = std::thread::Builder::new().name("probe".into()).spawn(ask) {
            let how = format!("no thread can be started: {error}");
            drop(self.sender.send(Word::Probed(false, how)));
        }
    }

    /// Writes down how the service is. A disk that refuses does not stop a service.
    fn note(&mut self) {
        let now = Record {
            service: self.service.name.clone(),
            state: self.machine.word().to_owned(),
            supervisor: record::supervisor(),
            process: Some(self.pid.load(Ordering::Relaxed)).filter(|pid| *pid != 0),
            started_ms: self.machine.started().map(|at| {
                let since = self.clock.now().since(at).ms();
                ports::wall_ms().saturating_sub(i64::try_from(since).unwrap_or(i64::MAX))
            }),
            restarts: self.machine.restarts(),
            last: self.last.clone(),
        };
        if let Err(error) = self.held.write(&now) {
            tracing::warn!("the record of service {} cannot be written: {error}", self.service.name);
        }
    }
}

fn get(url: &str, timeout: Duration) -> Result<u16, String> {
    // What is asked runs on this machine, so no proxy stands between.
    let agent = web::agent(timeout).proxy(None).build().new_agent();
    agent.get(url).call().map(|response| response.status().as_u16()).map_err(|error| error.to_string())
}

fn read_variables(root: &Path, path: &str) -> Result<Vec<(OsString, OsString)>, String> {
    let text =
        std::fs::read_to_string(root.join(path)).map_err(|error| format!("`{path}` cannot be read: {error}"))?;
    let found = dotenv::parse(&text).map_err(|fault| format!("{path}:{}: {}", fault.line, fault.message))?;
    Ok(found.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
}

/// Whether an end is good, and how it was.
fn said(exit: &Exit) -> (bool, String) {
    match exit {
        Exit::Code(0) => (true, "exit 0".to_owned()),
        Exit::Code(code) => (false, format!("exit {code}")),
        Exit::Signal(signal) => (false, format!("killed by signal {signal}")),
        Exit::NotStarted(why) => (false, why.clone()),
        Exit::Lost(why) => (false, format!("lost: {why}")),
    }
}
