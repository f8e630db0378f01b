use super::*;

fn rules() -> Rules {
    Rules {
        guard: None,
        health: None,
        drain: None,
        stop: vec![
            StopStep { signal: Signal::Int, grace: Span::from_secs(10) },
            StopStep { signal: Signal::Term, grace: Span::from_secs(5) },
        ],
        restart: Restart::default(),
    }
}

fn health() -> Health {
    Health {
        probe: crate::plan::service::Probe::Url("http://127.0.0.1:1/".to_owned()),
        interval: Span::from_secs(5),
        timeout: Span::from_secs(2),
        successes: 2,
        failures: 3,
        start_within: Span::from_secs(30),
    }
}

/// A machine at a moment, whose words are left out.
struct Story {
    machine: Machine,
    at: Millis,
    last: Vec<Order>,
}

impl Story {
    fn begin(rules: Rules) -> Self {
        let mut machine = Machine::new(rules);
        let last = machine.begin(Millis::ZERO);
        Self { machine, at: Millis::ZERO, last }.quiet()
    }

    fn quiet(mut self) -> Self {
        self.last.retain(|order| !matches!(order, Order::Tell(_)));
        self
    }

    fn hears(mut self, input: Input) -> Self {
        self.last = self.machine.hear(self.at, input);
        self.quiet()
    }

    fn ends(self, role: Role, is_good: bool) -> Self {
        self.hears(Input::Ended { role, is_good, how: "exit 1".to_owned() })
    }

    /// Lets time pass up to the next deadline, which must be after so many seconds.
    fn due_in(mut self, seconds: u64) -> Self {
        let due = self.machine.due().expect("something is due");
        assert_eq!(due.since(self.at), Span::from_secs(seconds), "the next deadline");
        self.at = due;
        self.last = self.machine.tick(due);
        self.quiet()
    }

    fn wait(mut self, seconds: u64) -> Self {
        self.at = self.at + Span::from_secs(seconds);
        self
    }

    #[track_caller]
    fn does(self, orders: &[Order]) -> Self {
        assert_eq!(self.last, orders);
        self
    }

    #[track_caller]
    fn is(self, word: &str) -> Self {
        assert_eq!(self.machine.word(), word);
        self
    }
}

const SERVICE: Order = Order::Start(Role::Service);
const PROBE: Order = Order::Start(Role::Probe);

#[test]
fn a_guard_stands_before_each_start_and_a_refusal_ends_it() {
    let guard = Guard { run: Vec::new(), timeout: Span::from_secs(60) };
    let story = Story::begin(Rules { guard: Some(guard), ..rules() });
    let story = story.does(&[Order::Start(Role::Guard)]).ends(Role::Guard, true).does(&[SERVICE, Order::Ready]);
    let story = story.ends(Role::Service, false).is("resting").due_in(1).does(&[Order::Start(Role::Guard)]);
    story.ends(Role::Guard, false).does(&[Order::End(End::Refused("exit 1".to_owned()))]);
}

#[test]
fn a_guard_that_hangs_is_killed_and_has_refused() {
    let guard = Guard { run: Vec::new(), timeout: Span::from_secs(60) };
    let story = Story::begin(Rules { guard: Some(guard), ..rules() }).due_in(60).does(&[Order::Kill(Role::Guard)]);
    story.ends(Role::Guard, false).does(&[Order::End(End::Refused("exit 1".to_owned()))]);
}

#[test]
fn the_rest_doubles_and_one_restart_too_many_gives_it_up() {
    let mut story = Story::begin(rules());
    for rest in [1, 2, 4, 8, 16] {
        story = story.ends(Role::Service, true).is("resting").due_in(rest).does(&[SERVICE, Order::Ready]);
    }
    assert_eq!(story.machine.restarts(), 5);
    let why = "ended by itself: exit 1".to_owned();
    story.ends(Role::Service, false).does(&[Order::End(End::GivenUp(why))]);
}

#[test]
fn restarts_are_forgotten_after_their_window_and_the_rest_has_a_bound() {
    let mut story = Story::begin(rules());
    for _ in 0..20 {
        story = story.wait(200).ends(Role::Service, false).is("resting");
        let due = story.machine.due().expect("a rest").since(story.at);
        assert!(due <= Span::from_secs(16), "no more than five in fifteen minutes: {due}");
        story.at = story.at + due;
        story.last = story.machine.tick(story.at);
    }
    let restart = Restart { max: 1000, ..Restart::default() };
    let mut story = Story::begin(Rules { restart, ..rules() });
    for _ in 0..80 {
        story = story.ends(Role::Service, false);
        let rest = story.machine.due().expect("a rest").since(story.at);
        assert!(rest <= Span::from_secs(60), "{rest}");
        story.last = story.machine.tick(story.at + rest);
    }
}

#[test]
fn it_is_up_after_so_many_good_answers_in_a_row() {
    let story = Story::begin(Rules { health: Some(health()), ..rules() }).does(&[SERVICE, PROBE]);
    let story = story.ends(Role::Probe, true).does(&[]).is("starting").due_in(5).does(&[PROBE]);
    let story = story.ends(Role::Probe, false).due_in(5).ends(Role::Probe, true).due_in(5);
    story.ends(Role::Probe, true).does(&[Order::Ready]).is("up");
}

#[test]
fn one_that_is_not_up_in_time_is_stopped_and_started_again() {
    let mut story = Story::begin(Rules { health: Some(health()), ..rules() });
    for _ in 0..5 {
        story = story.ends(Role::Probe, false).due_in(5).does(&[PROBE]);
    }
    let story = story.ends(Role::Probe, false).due_in(5).does(&[Order::Signal(Signal::Int)]);
    let story = story.ends(Role::Service, true).is("resting").due_in(1).does(&[SERVICE, PROBE]);
    assert_eq!(story.machine.restarts(), 1);
}

#[test]
fn a_probe_that_hangs_is_killed_counts_as_bad_and_is_alone() {
    let story = Story::begin(Rules { health: Some(health()), ..rules() });
    let story = story.due_in(2).does(&[Order::Kill(Role::Probe)]);
    // It does not end: nothing is asked, and the start runs out of time.
    let story = story.due_in(28).does(&[Order::Kill(Role::Probe), Order::Signal(Signal::Int)]);
    let story = story.ends(Role::Service, true).due_in(1).does(&[SERVICE]);
    story.ends(Role::Probe, false).due_in(0).does(&[PROBE]);
}

#[test]
fn bad_answers_in_a_row_start_it_again_and_others_do_not() {
    let rules = Rules { health: Some(Health { successes: 1, ..health() }), ..rules() };
    let mut story = Story::begin(rules).ends(Role::Probe, true).is("up");
    for is_good in [false, false, true, false, false] {
        story = story.due_in(5).ends(Role::Probe, is_good).is("up");
    }
    story.due_in(5).ends(Role::Probe, false).does(&[Order::Signal(Signal::Int)]).is("stopping");
}

#[test]
fn a_stop_goes_down_its_steps_and_kills_at_the_end() {
    let story = Story::begin(rules()).hears(Input::Stop);
    let story = story.does(&[Order::Leaving, Order::Signal(Signal::Int)]).due_in(10);
    let story = story.does(&[Order::Signal(Signal::Term)]).due_in(5).does(&[Order::Kill(Role::Service)]);
    assert_eq!(story.machine.due(), None);
    story.ends(Role::Service, false).does(&[Order::End(End::Stopped)]);
}

#[test]
fn a_second_stop_kills_at_once() {
    let story = Story::begin(rules()).hears(Input::Stop).hears(Input::Kill).does(&[Order::Kill(Role::Service)]);
    story.ends(Role::Service, false).does(&[Order::End(End::Stopped)]);
}

#[test]
fn it_is_drained_before_it_is_stopped_for_good_and_not_before_a_restart() {
    let drain = Drain { run: Vec::new(), interval: Span::from_secs(1), within: Span::from_secs(3) };
    let rules = Rules { drain: Some(drain), ..rules() };
    let ask = Order::Start(Role::Drain);
    let story = Story::begin(rules.clone()).hears(Input::Stop).does(&[Order::Leaving, ask.clone()]);
    let story = story.ends(Role::Drain, false).due_in(1).does(std::slice::from_ref(&ask)).ends(Role::Drain, true);
    story.does(&[Order::Signal(Signal::Int)]);
    // What never drains is stopped when the time is over.
    let mut story = Story::begin(rules.clone()).hears(Input::Stop);
    for _ in 0..2 {
        story = story.ends(Role::Drain, false).due_in(1).does(std::slice::from_ref(&ask));
    }
    story.ends(Role::Drain, false).due_in(1).does(&[Order::Signal(Signal::Int)]);
    // One that ends by itself meanwhile has been stopped.
    let story = Story::begin(rules).hears(Input::Stop).ends(Role::Service, false);
    story.does(&[Order::Kill(Role::Drain), Order::End(End::Stopped)]);
}

#[test]
fn a_stop_while_it_rests_or_is_guarded_ends_it() {
    Story::begin(rules()).ends(Role::Service, false).hears(Input::Stop).does(&[Order::End(End::Stopped)]);
    let guard = Guard { run: Vec::new(), timeout: Span::from_secs(60) };
    let story = Story::begin(Rules { guard: Some(guard), ..rules() }).hears(Input::Stop);
    story.does(&[Order::Kill(Role::Guard)]).ends(Role::Guard, false).does(&[Order::End(End::Stopped)]);
}

#[test]
fn a_stop_turns_a_restart_into_an_end() {
    let rules = Rules { health: Some(Health { successes: 1, failures: 1, ..health() }), ..rules() };
    let story = Story::begin(rules).ends(Role::Probe, true).due_in(5).ends(Role::Probe, false).is("stopping");
    story.hears(Input::Stop).does(&[]).ends(Role::Service, true).does(&[Order::End(End::Stopped)]);
}
