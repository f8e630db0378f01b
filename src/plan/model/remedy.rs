//! What a stage says of the time after it went wrong.

use super::{Setting, Stage};
use crate::base::Span;

/// How a stage is undone.
#[derive(Clone, Debug)]
pub enum Rollback {
    /// `none`: there is nothing to undo.
    Nothing,
    /// `forward-only`: it can't be undone.
    Never,
    /// A body, as a stage that has the id of the one that it undoes.
    Body(Box<Stage>),
}

/// One item of `heal`.
#[derive(Clone, Debug)]
pub struct Remedy {
    /// What is run, as a stage that has the id of the one that failed.
    pub body: Box<Stage>,
    /// `cool-down`: how long to wait after it.
    pub cool_down: Option<Setting<Span>>,
}
