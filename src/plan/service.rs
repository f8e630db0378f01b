//! A service that the engine supervises, as its file says it: `engine supervise service.yaml`.
//!
//! Nothing in it is a template: a service is started again long after whoever wrote the file has gone home, so it holds
//! values, and what differs from place to place comes from a rendered `env-file`.

use super::decode;
use super::error::Report;
use super::model::Signal;
use super::source::{FileIx, Sources};
use super::syntax;
use crate::base::{Span, Text};

/// A service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Service {
    /// `name`.
    pub name: String,
    /// `description`.
    pub description: Option<String>,
    /// `cwd`, from the root.
    pub cwd: Option<String>,
    /// `env`, in written order.
    pub env: Vec<(String, String)>,
    /// `env-file`: files in the engine's dotenv dialect, from the root; a later one wins, and `env` wins over all.
    pub env_files: Vec<String>,
    /// `pass-env`.
    pub pass_env: Vec<Text>,
    /// `guard`.
    pub guard: Option<Guard>,
    /// `run`: program and arguments.
    pub run: Vec<String>,
    /// `health`.
    pub health: Option<Health>,
    /// `drain`.
    pub drain: Option<Drain>,
    /// `stop`: KILL follows the last step.
    pub stop: Vec<StopStep>,
    /// `restart`.
    pub restart: Restart,
}

/// What must hold before each start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Guard {
    /// Exit 0 lets the service start.
    pub run: Vec<String>,
    /// How long it may take.
    pub timeout: Span,
}

/// How to know that the service works.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Health {
    /// The question.
    pub probe: Probe,
    /// From one question to the next.
    pub interval: Span,
    /// Of one question.
    pub timeout: Span,
    /// So many good answers in a row and it is up.
    pub successes: u32,
    /// So many bad answers in a row and it is started again.
    pub failures: u32,
    /// It must be up within this time of its start.
    pub start_within: Span,
}

/// A question to a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Probe {
    /// A command: exit 0 is good.
    Run(Vec<String>),
    /// A GET: a status of 200 to 299 is good; redirects are not followed.
    Url(String),
}

/// What to wait for before a service is stopped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Drain {
    /// Exit 0: nothing is left to wait for.
    pub run: Vec<String>,
    /// From one question to the next.
    pub interval: Span,
    /// The longest wait.
    pub within: Span,
}

/// One step of the stop sequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StopStep {
    /// What is sent.
    pub signal: Signal,
    /// How long the service has to end after it.
    pub grace: Span,
}

/// How often a service may be started again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Restart {
    /// So often.
    pub max: u32,
    /// Within this time.
    pub within: Span,
    /// The wait before the first one; it doubles with each.
    pub delay: Span,
    /// The longest wait.
    pub max_delay: Span,
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            max: 5,
            within: Span::from_secs(15 * 60),
            delay: Span::from_secs(1),
            max_delay: Span::from_secs(60),
        }
    }
}

/// Reads `file` as a service; nothing comes back when anything in it is wrong.
pub fn read(sources: &Sources, file: FileIx, report: &mut Report) -> Option<Service> {
    let tree = syntax::read(sources, file, report)?;
    let service = decode::service(tree, sources, report);
    if report.has_errors() { None } else { service }
}
