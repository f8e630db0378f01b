//! The frozen graph: stages as nodes, needs as edges, limits resolved, everything checked.
//!
//! `build` makes it from a loaded plan and its inputs. `run` schedules it, `draw` shows it, `driver` asks it
//! how to start a node. It never changes while a run uses it.

mod aside;
mod assemble;
pub mod build;
mod cells;
mod compare;
mod digest;
pub mod draw;
pub mod forecast;
mod gaps;
pub mod model;
mod more;
pub mod objective;
pub mod outlook;
pub mod part;
mod priority;
mod retire;
mod rules;
pub mod scope;
pub mod select;
pub mod shards;
pub mod undo;
mod work;

pub use assemble::{Knots, Parts};
pub use build::world::World;
pub use build::{Given, GivenValue, Mode, Request, build};
pub use cells::{cells_of, named_place};
pub use compare::{Change, ChangeKind, FieldChange, compare};
pub use model::{Graph, Node};
pub use scope::{Facts, Foreseen};
pub use select::Selection;
