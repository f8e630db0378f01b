//! Which signals wake whom: this process hears all that it is sent, its threads sleep through the ends of children, and what it
//! starts is as if neither had been done.
//!
//! A caller may have blocked signals, and what a process blocks it passes on: an engine that cannot hear that a child has
//! ended would wait for ever. Ends of children are another matter once an engine runs stages: whoever waits for one
//! waits for its descriptor. A thread that starts a process blocks all signals meanwhile, so the end of a quick one
//! would go to another thread, which has nothing to do with it.

use std::io;
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};

/// Lets this process hear every signal, whatever the one that started it had blocked. For its first thread, before any other.
pub fn hear_all() {
    // Only a number that is no signal could be refused.
    let _never = SigSet::all().thread_unblock();
}

/// Keeps ends of children from the caller's thread and from all that it starts from here on. Their processes are to be started
/// by [`spawn`].
pub fn sleep_through_children() {
    let _never = ends().thread_block();
}

/// Starts a process that hears of its own children: the standard library passes on what the caller's thread blocks.
///
/// # Errors
/// It cannot be started.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    let before = ends().thread_swap_mask(SigmaskHow::SIG_UNBLOCK);
    let child = command.spawn();
    if let Ok(before) = before {
        let _never = before.thread_set_mask();
    }
    child
}

/// Runs a process to its end, without input, and answers with what it printed.
///
/// # Errors
/// It cannot be started, or not be heard.
pub fn output(command: &mut Command) -> io::Result<Output> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    spawn(command)?.wait_with_output()
}

fn ends() -> SigSet {
    SigSet::from(Signal::SIGCHLD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocked() -> u64 {
        let answer = output(Command::new("grep").args(["SigBlk", "/proc/self/status"])).expect("grep runs");
        let text = String::from_utf8(answer.stdout).expect("text");
        u64::from_str_radix(text.trim_start_matches("SigBlk:").trim(), 16).expect("a mask")
    }

    #[test]
    fn what_is_started_hears_of_its_children_whoever_sleeps_through_theirs() {
        let own = || SigSet::thread_get_mask().expect("a thread has one").contains(Signal::SIGCHLD);
        let thread = std::thread::spawn(move || {
            sleep_through_children();
            let first = (own(), blocked());
            assert_eq!((own(), blocked()), first, "it is asleep again");
            std::thread::spawn(own).join().expect("it says so").then_some(first)
        });
        assert_eq!(thread.join().expect("it ends"), Some((true, 0)), "threads are as the one that started them");
    }

    #[test]
    fn who_hears_all_blocks_nothing() {
        let thread = std::thread::spawn(|| {
            SigSet::all().thread_block().expect("it can");
            let is_deaf = SigSet::thread_get_mask().expect("a mask").contains(Signal::SIGINT);
            hear_all();
            (is_deaf, SigSet::thread_get_mask().expect("a mask"))
        });
        assert_eq!(thread.join().expect("it ends"), (true, SigSet::empty()));
    }
}
