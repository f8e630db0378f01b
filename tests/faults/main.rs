//! The binary under faults: killed at random instants and at chosen system calls, on disks that refuse, with
//! files that were cut or altered. What the stages say they did is compared with what the journal says.

mod damage;
mod disks;
mod kills;
mod log;
mod plan;
mod random;
mod resumes;
mod strace;
#[path = "../support/mod.rs"]
mod support;
mod syscalls;
mod watch;
mod world;
