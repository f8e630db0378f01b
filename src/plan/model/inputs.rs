//! What a plan takes in, and what an action file gives back.

use super::Type;
use crate::base::Text;
use crate::plan::source::{Place, Spanned};
use crate::plan::tree::Tree;

/// A declared input.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its name.
    pub name: Spanned<Text>,
    /// `type`.
    pub kind: Type,
    /// `description`.
    pub description: Option<String>,
    /// `default`; required when absent.
    pub default: Option<Tree>,
    /// `enum`.
    pub one_of: Option<Vec<Tree>>,
    /// `pattern`, a regular expression that must match somewhere (anchor it yourself).
    pub pattern: Option<Spanned<Text>>,
    /// `min` and `max` of a number, duration or size.
    pub min: Option<Tree>,
    /// See `min`.
    pub max: Option<Tree>,
    /// `from-env`: a variable of the caller that gives it, when the file is run itself.
    pub from_env: Option<Spanned<Text>>,
    /// `secret: true`, and where that stands: no expression reads it, and its value is kept nowhere.
    pub secret: Option<Place>,
}

/// A declared output of an action file.
#[derive(Clone, Debug)]
pub struct FileOutput {
    /// Its name.
    pub name: Spanned<Text>,
    /// `type`; string when absent.
    pub kind: Type,
    /// `value`: a template over the file's stages.
    pub value: Tree,
}
