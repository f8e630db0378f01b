//! The frozen graph: stages as nodes, needs as edges, limits resolved, everything checked.
//!
//! `build` makes it from a loaded plan and its inputs. `run` schedules it, `draw` shows it, `driver` asks it
//! how to start a node. It never changes while a run uses it.

mod assemble;
pub mod draw;
pub mod forecast;
pub mod model;
mod priority;

pub use assemble::Parts;
pub use model::{Graph, Node};
