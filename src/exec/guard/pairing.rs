//! Pairs the signals that a worker got itself with those that its front passed on.
//!
//! Ctrl-C reaches both, so one press comes over two roads; `kill -INT` of one of them comes over one. Two
//! arrivals of one kind over different roads within the window are one request. Pure: time is an argument.

use std::time::{Duration, Instant};

use super::Caught;

/// Longest time between the two copies of one signal. Long, because on a machine that has no time for us the
/// copies are far apart, and one Ctrl-C that counts as two would kill what it should only stop. Two presses
/// within it are still two: each brings its own pair. Only a signal to the worker alone waits for so long.
const WINDOW: Duration = Duration::from_secs(2);

/// What has come over one road and not yet over the other.
#[derive(Debug, Default)]
pub(super) struct Pairing {
    passed_on: Vec<(Instant, Caught)>,
    direct: Vec<(Instant, Caught)>,
}

impl Pairing {
    /// The front passed a signal on: always a request.
    pub(super) fn pass_on(&mut self, at: Instant, caught: Caught) -> Caught {
        if let Some(place) = self.direct.iter().position(|(_, other)| *other == caught) {
            self.direct.remove(place);
        } else {
            self.passed_on.push((at, caught));
        }
        caught
    }

    /// The worker got a signal itself: a request only if the front does not get it as well.
    pub(super) fn take_direct(&mut self, at: Instant, caught: Caught) {
        self.passed_on.retain(|(since, _)| at.saturating_duration_since(*since) < WINDOW);
        if let Some(place) = self.passed_on.iter().position(|(_, other)| *other == caught) {
            self.passed_on.remove(place);
        } else {
            self.direct.push((at, caught));
        }
    }

    /// Requests that came to the worker alone.
    pub(super) fn due(&mut self, at: Instant) -> Vec<Caught> {
        let is_due = |since: &Instant| at.saturating_duration_since(*since) >= WINDOW;
        let due = self.direct.iter().filter(|(since, _)| is_due(since)).map(|(_, caught)| *caught).collect();
        self.direct.retain(|(since, _)| !is_due(since));
        due
    }

    /// When `due` has to be asked next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.direct.iter().map(|(since, _)| *since + WINDOW).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Arrivals as (milliseconds, over the front, kind); answers with what was delivered, in order.
    fn play(arrivals: &[(u64, bool, Caught)]) -> Vec<Caught> {
        let zero = crate::exec::local::now();
        let mut pairing = Pairing::default();
        let mut heard = Vec::new();
        for (ms, is_passed_on, caught) in arrivals {
            let at = zero + Duration::from_millis(*ms);
            heard.extend(pairing.due(at));
            if *is_passed_on {
                heard.push(pairing.pass_on(at, *caught));
            } else {
                pairing.take_direct(at, *caught);
            }
        }
        heard.extend(pairing.due(zero + Duration::from_hours(1)));
        heard
    }

    #[test]
    fn one_press_is_one_request_in_either_order() {
        assert_eq!(play(&[(0, true, Caught::Int), (3, false, Caught::Int)]), [Caught::Int]);
        assert_eq!(play(&[(0, false, Caught::Int), (3, true, Caught::Int)]), [Caught::Int]);
    }

    #[test]
    fn two_presses_are_two_requests() {
        let presses =
            [(0, true, Caught::Int), (1, false, Caught::Int), (90, false, Caught::Int), (91, true, Caught::Int)];
        assert_eq!(play(&presses), [Caught::Int, Caught::Int]);
    }

    #[test]
    fn a_signal_over_one_road_counts() {
        assert_eq!(play(&[(0, true, Caught::Term)]), [Caught::Term]);
        assert_eq!(play(&[(0, false, Caught::Term)]), [Caught::Term]);
    }

    #[test]
    fn kinds_and_distant_arrivals_are_not_paired() {
        assert_eq!(play(&[(0, true, Caught::Int), (1, false, Caught::Hup)]), [Caught::Int, Caught::Hup]);
        assert_eq!(play(&[(0, true, Caught::Int), (4000, false, Caught::Int)]), [Caught::Int, Caught::Int]);
    }
}
