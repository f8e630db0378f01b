//! The one room where clock, journal, executor and core meet.
//!
//! [`compile`] turns a plan on disk, or a run's snapshot, into a graph. [`begin`] makes a run or takes an old
//! one over. [`host`] puts a live engine together around it. [`live`] is its loop: news become inputs, the
//! core's events go to the journal, and only what is durable is carried out and shown; [`helm`] says which thread
//! does that, and [`audience`] shows it, beside the loop.
//!
//! Invariants: one engine a run, proven by the run's lock. Nothing leaves before its event is durable, but for starts
//! that a crash may forget ([`crate::run::Horizon`]). Output and control never share a queue. The loop waits for no
//! reader.

pub mod audience;
pub mod begin;
pub mod checks;
pub mod closing;
pub mod collect;
pub mod compile;
pub mod crews;
pub mod deep;
pub mod desk;
pub mod disk;
mod early;
pub mod environments;
pub mod guarded;
pub mod helm;
pub mod host;
pub mod keys;
mod launch;
pub mod live;
pub mod merge;
pub mod news;
pub mod order;
pub mod output;
pub mod place;
pub mod point;
pub mod ports;
pub mod prepare;
pub mod record;
pub mod recorded;
pub mod replay;
pub mod secrets;
pub mod signals;
pub mod simulate;
pub mod slates;
pub mod supervise;
pub mod surroundings;
pub mod values;
