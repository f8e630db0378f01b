//! The durable record of a run: a framed, hash-chained, append-only log, and the files beside it.
//!
//! **Who calls.** `driver` creates a run ([`StateDir::create_run`]), appends what the core decided
//! ([`Writer`]) and acts only on what the writer calls durable; on resume it reads the records back
//! ([`read`]). `cli` lists, shows and verifies runs, and puts requests into the [`inbox`] of a live one.
//!
//! **Invariants.**
//! - Only the holder of [`Ownership`], an OS lock that dies with its process, writes to a run.
//! - What the writer called durable is read back whole by every later reader, or the damage is named with
//!   file and byte offset. Only bytes that were never acknowledged are ever cut.
//! - `plan/` and `journal` are the truth; everything else in a run can be rebuilt from them.
//! - Decoding any bytes whatever ends with a value or an error, never a panic.
//! - Every change to the disk goes through [`disk::Disk`], and a file that a reader may meet half-written is
//!   written aside, synced and renamed.
//!
//! `docs/journal-format.md` specifies every file, so that a reader can be written from it.

mod bytes;
mod codec;
mod codes;
pub mod disk;
mod error;
mod format;
pub mod gc;
pub mod history;
pub mod inbox;
pub mod locks;
mod memory;
pub mod objects;
pub mod output;
mod ownership;
mod reader;
pub mod snapshot;
mod state_dir;
pub mod summary;
#[cfg(test)]
mod tests;
pub mod tickets;
mod verify;
mod writer;

pub use disk::Disk;
pub use error::{Error, Holder};
pub use format::{Head, MAJOR, MINOR};
pub use memory::Memory;
pub use ownership::{Ownership, holder, is_live, take};
pub use reader::{Contents, End, Reader, Record, Step, Tail, began, decode_events, read};
pub use state_dir::{RunDir, RunEntry, StateDir};
pub use summary::Summary;
pub use verify::{Verified, verify};
pub use writer::{Counters, Notice, Writer};
