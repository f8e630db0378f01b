//! What a supervisor does next, as a pure machine: events and the time go in, orders come out.
//!
//! ```text
//! guarding -> starting -> up -> (draining ->) stopping -> over
//!    ^           |         |                     |
//!    |           '----+----'                     |
//!    '--- resting <---'--------------------------'
//! ```
//!
//! A service that ends by itself, or is not healthy in time, is started again after a rest that doubles with each
//! restart in the window; one restart more than the window allows gives it up. A guard that refuses gives it up at once:
//! what it looked at will not change by trying again.

use std::collections::VecDeque;

use crate::base::{Millis, Span};
use crate::plan::model::Signal;
use crate::plan::service::{Drain, Guard, Health, Restart, StopStep};

/// What can run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// The check before each start.
    Guard,
    /// The service itself.
    Service,
    /// One question whether it is healthy.
    Probe,
    /// One question whether it may be stopped.
    Drain,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// Something that was started is over.
    Ended {
        /// What.
        role: Role,
        /// Whether that was an exit with 0.
        is_good: bool,
        /// How, in words: `exit 1`, `killed by signal 9`.
        how: String,
    },
    /// Somebody wants the service to stop.
    Stop,
    /// Somebody wants it dead.
    Kill,
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// Start it.
    Start(Role),
    /// Send the service this signal.
    Signal(Signal),
    /// Kill it with everything below it.
    Kill(Role),
    /// Say so.
    Tell(String),
    /// The service is healthy, for the first time since it was started.
    Ready,
    /// It is being stopped.
    Leaving,
    /// There is nothing more to do.
    End(End),
}

/// How supervision ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// It was asked to.
    Stopped,
    /// The guard refused; the words say how.
    Refused(String),
    /// It ended too often; the words say how the last time.
    GivenUp(String),
}

/// What the machine goes by.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Before each start.
    pub guard: Option<Guard>,
    /// Whether it works.
    pub health: Option<Health>,
    /// Before it is stopped.
    pub drain: Option<Drain>,
    /// How it is stopped; KILL follows the last.
    pub stop: Vec<StopStep>,
    /// How often it may be started again.
    pub restart: Restart,
}

/// What comes after a stop.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Goal {
    End,
    Restart(String),
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Phase {
    New,
    Guarding { until: Millis },
    Starting { since: Millis, good: u32 },
    Up { bad: u32 },
    Draining { until: Millis, goal: Goal },
    Stopping { step: usize, until: Option<Millis>, goal: Goal },
    Resting { until: Millis },
    Over,
}

/// One service's supervisor.
#[derive(Debug)]
pub struct Machine {
    rules: Rules,
    phase: Phase,
    /// Restarts in the window.
    recent: VecDeque<Millis>,
    /// All restarts.
    restarts: u32,
    /// When the service was started last.
    started: Option<Millis>,
    /// A probe or drain question that runs, and when it has to be killed.
    asking: Option<(Role, Millis)>,
    /// When the next one is due.
    next: Millis,
}

impl Machine {
    /// A machine that has done nothing yet.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            phase: Phase::New,
            recent: VecDeque::new(),
            restarts: 0,
            started: None,
            asking: None,
            next: Millis::ZERO,
        }
    }

    /// One word for what it is doing.
    pub fn word(&self) -> &'static str {
        match self.phase {
            Phase::New | Phase::Guarding { .. } => "guarding",
            Phase::Starting { .. } => "starting",
            Phase::Up { .. } => "up",
            Phase::Draining { .. } => "draining",
            Phase::Stopping { .. } => "stopping",
            Phase::Resting { .. } => "resting",
            Phase::Over => "over",
        }
    }

    /// How often the service was started again.
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// When the service that runs was started.
    pub fn started(&self) -> Option<Millis> {
        self.started
    }

    /// When [`Machine::tick`] has to be called, if nothing happens before.
    pub fn due(&self) -> Option<Millis> {
        let asked = self.asking.map(|(_, until)| until);
        let next = match &self.phase {
            Phase::Starting { .. } | Phase::Up { .. } if self.rules.health.is_none() => None,
            Phase::Starting { .. } | Phase::Up { .. } | Phase::Draining { .. } => {
                asked.is_none().then_some(self.next)
            }
            _ => None,
        };
        let end = match &self.phase {
            Phase::Guarding { until } | Phase::Resting { until } | Phase::Draining { until, .. } => Some(*until),
            Phase::Starting { since, .. } => self.rules.health.as_ref().map(|health| *since + health.start_within),
            Phase::Stopping { until, .. } => *until,
            Phase::New | Phase::Up { .. } | Phase::Over => None,
        };
        [asked, next, end].into_iter().flatten().min()
    }

    /// Begins.
    pub fn begin(&mut self, at: Millis) -> Vec<Order> {
        let mut out = Vec::new();
        self.guard(at, &mut out);
        out
    }

    /// Takes up what happened.
    pub fn hear(&mut self, at: Millis, input: Input) -> Vec<Order> {
        let mut out = Vec::new();
        match input {
            Input::Ended { role: Role::Guard, is_good, how } => self.guarded(at, is_good, how, &mut out),
            Input::Ended { role: Role::Service, how, .. } => self.ended(at, &how, &mut out),
            Input::Ended { role: role @ (Role::Probe | Role::Drain), is_good, .. } => {
                self.asking = self.asking.filter(|(asked, _)| *asked != role);
                self.answered(at, role, is_good, &mut out);
            }
            Input::Stop => self.asked_to_stop(at, &mut out),
            Input::Kill => self.asked_to_die(&mut out),
        }
        out
    }

    /// Does what is due.
    pub fn tick(&mut self, at: Millis) -> Vec<Order> {
        let mut out = Vec::new();
        if let Some((role, _)) = self.asking.filter(|(_, until)| *until <= at) {
            // Its end is the answer; until then it is not asked again.
            self.asking = Some((role, Millis::new(u64::MAX)));
            out.push(Order::Kill(role));
        }
        match self.phase.clone() {
            Phase::Guarding { until } if until <= at => {
                self.phase = Phase::Guarding { until: Millis::new(u64::MAX) };
                out.push(Order::Kill(Role::Guard));
            }
            Phase::Starting { since, .. } => match &self.rules.health {
                Some(health) if since + health.start_within <= at => {
                    let why = format!("not healthy within {}", health.start_within);
                    self.stop(at, Goal::Restart(why), &mut out);
                }
                Some(_) => self.ask(at, Role::Probe, &mut out),
                None => {}
            },
            Phase::Up { .. } if self.rules.health.is_some() => self.ask(at, Role::Probe, &mut out),
            Phase::Draining { until, goal } if until <= at => {
                out.push(Order::Tell("not drained in time: stopped all the same".to_owned()));
                self.signal(at, 0, goal, &mut out);
            }
            Phase::Draining { .. } => self.ask(at, Role::Drain, &mut out),
            Phase::Stopping { step, until: Some(until), goal } if until <= at => {
                self.signal(at, step + 1, goal, &mut out);
            }
            Phase::Resting { until } if until <= at => self.guard(at, &mut out),
            _ => {}
        }
        out
    }

    fn guard(&mut self, at: Millis, out: &mut Vec<Order>) {
        match &self.rules.guard {
            Some(guard) => {
                self.phase = Phase::Guarding { until: at + guard.timeout };
                out.push(Order::Start(Role::Guard));
            }
            None => self.start(at, out),
        }
    }

    fn guarded(&mut self, at: Millis, is_good: bool, how: String, out: &mut Vec<Order>) {
        match self.phase {
            Phase::Guarding { .. } if is_good => self.start(at, out),
            Phase::Guarding { .. } => self.end(End::Refused(how), out),
            Phase::Stopping { .. } => self.end(End::Stopped, out),
            _ => {}
        }
    }

    fn start(&mut self, at: Millis, out: &mut Vec<Order>) {
        self.started = Some(at);
        self.next = at;
        out.push(Order::Start(Role::Service));
        if self.rules.health.is_some() {
            self.phase = Phase::Starting { since: at, good: 0 };
            self.ask(at, Role::Probe, out);
        } else {
            self.phase = Phase::Up { bad: 0 };
            out.push(Order::Ready);
        }
    }

    /// Asks when it is time to and nobody is being asked.
    fn ask(&mut self, at: Millis, role: Role, out: &mut Vec<Order>) {
        if self.asking.is_some() || self.next > at {
            return;
        }
        let (timeout, interval) = match role {
            Role::Probe => self.rules.health.as_ref().map(|health| (health.timeout, health.interval)),
            _ => self.rules.drain.as_ref().map(|drain| (drain.within, drain.interval)),
        }
        .expect("only what there is a rule for is asked");
        self.asking = Some((role, at + timeout));
        self.next = at + interval;
        out.push(Order::Start(role));
    }

    fn answered(&mut self, at: Millis, role: Role, is_good: bool, out: &mut Vec<Order>) {
        let health = || self.rules.health.clone().expect("a probe was asked");
        match (self.phase.clone(), role) {
            (Phase::Starting { since, good }, Role::Probe) => {
                let good = if is_good { good + 1 } else { 0 };
                if good >= health().successes {
                    self.phase = Phase::Up { bad: 0 };
                    out.push(Order::Tell(format!("healthy after {}", at.since(since))));
                    out.push(Order::Ready);
                } else {
                    self.phase = Phase::Starting { since, good };
                }
            }
            (Phase::Up { bad }, Role::Probe) => {
                let bad = if is_good { 0 } else { bad + 1 };
                self.phase = Phase::Up { bad };
                if bad >= health().failures {
                    let why = format!("not healthy {bad} times in a row");
                    self.stop(at, Goal::Restart(why), out);
                }
            }
            (Phase::Draining { goal, .. }, Role::Drain) if is_good => {
                out.push(Order::Tell("drained".to_owned()));
                self.signal(at, 0, goal, out);
            }
            _ => {}
        }
    }

    fn asked_to_stop(&mut self, at: Millis, out: &mut Vec<Order>) {
        match self.phase.clone() {
            Phase::New | Phase::Resting { .. } => self.end(End::Stopped, out),
            Phase::Guarding { .. } => {
                self.phase = Phase::Stopping { step: 0, until: None, goal: Goal::End };
                out.push(Order::Kill(Role::Guard));
            }
            Phase::Starting { .. } => self.signal(at, 0, Goal::End, out),
            Phase::Up { .. } => {
                out.push(Order::Leaving);
                self.stop(at, Goal::End, out);
            }
            // A restart that is under way becomes an end.
            Phase::Draining { until, goal: Goal::Restart(_) } => {
                self.phase = Phase::Draining { until, goal: Goal::End };
            }
            Phase::Stopping { step, until, goal: Goal::Restart(_) } => {
                self.phase = Phase::Stopping { step, until, goal: Goal::End };
            }
            Phase::Draining { .. } | Phase::Stopping { .. } => self.asked_to_die(out),
            Phase::Over => {}
        }
    }

    fn asked_to_die(&mut self, out: &mut Vec<Order>) {
        match self.phase {
            Phase::New | Phase::Resting { .. } => self.end(End::Stopped, out),
            Phase::Over => {}
            Phase::Guarding { .. } => {
                self.phase = Phase::Stopping { step: 0, until: None, goal: Goal::End };
                out.push(Order::Kill(Role::Guard));
            }
            _ => {
                self.phase = Phase::Stopping { step: self.rules.stop.len(), until: None, goal: Goal::End };
                out.push(Order::Kill(Role::Service));
            }
        }
    }

    /// Stops a service that runs: drains it first when it is to end for good.
    fn stop(&mut self, at: Millis, goal: Goal, out: &mut Vec<Order>) {
        if let Goal::Restart(why) = &goal {
            out.push(Order::Tell(why.clone()));
        }
        match &self.rules.drain {
            Some(drain) if goal == Goal::End => {
                self.phase = Phase::Draining { until: at + drain.within, goal };
                self.next = at;
                self.ask(at, Role::Drain, out);
            }
            _ => self.signal(at, 0, goal, out),
        }
    }

    /// The stop sequence from `step` on.
    fn signal(&mut self, at: Millis, step: usize, goal: Goal, out: &mut Vec<Order>) {
        if let Some((role, _)) = self.asking {
            out.push(Order::Kill(role));
        }
        match self.rules.stop.get(step) {
            Some(one) => {
                self.phase = Phase::Stopping { step, until: Some(at + one.grace), goal };
                out.push(Order::Signal(one.signal));
            }
            None => {
                self.phase = Phase::Stopping { step, until: None, goal };
                out.push(Order::Kill(Role::Service));
            }
        }
    }

    /// The service is gone.
    fn ended(&mut self, at: Millis, how: &str, out: &mut Vec<Order>) {
        self.started = None;
        if let Some((role, _)) = self.asking {
            out.push(Order::Kill(role));
        }
        let why = match self.phase.clone() {
            Phase::Stopping { goal: Goal::End, .. } | Phase::Draining { goal: Goal::End, .. } => {
                return self.end(End::Stopped, out);
            }
            Phase::Stopping { goal: Goal::Restart(why), .. }
            | Phase::Draining { goal: Goal::Restart(why), .. } => why,
            Phase::Over => return,
            _ => format!("ended by itself: {how}"),
        };
        let window = self.rules.restart.within;
        self.recent.retain(|one| at.since(*one) < window);
        let used = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        if used >= self.rules.restart.max {
            return self.end(End::GivenUp(why), out);
        }
        let rest = self.rest(used);
        let left = self.rules.restart.max - used - 1;
        out.push(Order::Tell(format!("{why}; starts again in {rest}, {left} more within {window}")));
        self.recent.push_back(at);
        self.restarts += 1;
        self.phase = Phase::Resting { until: at + rest };
    }

    /// The wait before a restart: doubles with each one in the window, up to the greatest.
    fn rest(&self, used: u32) -> Span {
        let Restart { delay, max_delay, .. } = self.rules.restart;
        let factor = 1u64.checked_shl(used).unwrap_or(u64::MAX);
        Span::from_ms(delay.ms().saturating_mul(factor).min(max_delay.ms().max(delay.ms())))
    }

    fn end(&mut self, end: End, out: &mut Vec<Order>) {
        self.phase = Phase::Over;
        out.push(Order::End(end));
    }
}

#[cfg(test)]
mod tests;
