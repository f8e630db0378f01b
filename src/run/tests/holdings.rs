//! Services that ended with their engine.

use super::*;

fn service(id: &str) -> Node {
    stage(id, |node| node.rules.is_service = true)
}

fn restart(node: u32) -> Event {
    Event::NodeReopened { node: n(node), why: ReopenReason::Restart }
}

#[test]
fn a_service_is_started_again_before_what_counts_on_it_at_any_distance() {
    let mut story =
        Story::of(vec![service("db"), after("migrate", &[0]), after("test", &[1]), after("ship", &[2])]);
    story.succeeds(0).succeeds(1).starts(&[(2, 0)]);
    story.resume().has(&restart(0)).starts(&[(0, 0)]).is(1, NodeState::Success).is(2, NodeState::Waiting);
    story.succeeds(0).starts(&[(2, 0)]);
    story.succeeds(2).starts(&[(3, 0)]).succeeds(3).run_ends(RunEnd::Success);
}

#[test]
fn a_service_that_nothing_open_counts_on_stays_as_it_ended() {
    let mut story = Story::of(vec![service("db"), after("use", &[0]), Node::plain("other")]);
    story.succeeds(0).succeeds(1).resume().starts(&[(2, 0)]).is(0, NodeState::Success);
}

#[test]
fn a_service_that_cannot_be_started_again_blocks_what_counts_on_it_until_it_can() {
    let mut parts = parts(vec![service("db"), after("use", &[0]), after("test", &[1])]);
    parts.scopes[0].policy = Policy::Continue;
    let mut story = Story::with(8, parts);
    story.succeeds(0).succeeds(1).resume().starts(&[(0, 0)]);
    story
        .fails(0)
        .is(0, NodeState::Failed)
        .has(&Event::NodeSkipped { node: n(2), why: SkipReason::Blocked { by: n(0) } });
    story.run_ends(RunEnd::Failed);
    story.resume().starts(&[(0, 0)]).is(1, NodeState::Success);
    story.succeeds(0).starts(&[(2, 0)]);
}

#[test]
fn services_that_count_on_each_other_come_up_in_order() {
    let mut story = Story::of(vec![
        service("net"),
        Node { needs: after("db", &[0]).needs, ..service("db") },
        after("test", &[1]),
    ]);
    story.succeeds(0).succeeds(1).resume().has(&restart(0)).has(&restart(1)).starts(&[(0, 0)]);
    story.succeeds(0).starts(&[(1, 0)]).succeeds(1).starts(&[(2, 0)]);
}

#[test]
fn a_service_that_is_not_idempotent_is_asked_about_or_left_to_a_person() {
    let once = |has_done_if: bool| {
        let mut db = service("db");
        (db.rules.idempotent, db.rules.has_done_if) = (false, has_done_if);
        let mut story = Story::of(vec![db, after("test", &[0])]);
        story.succeeds(0).resume();
        story
    };
    once(false).starts(&[]).is(0, NodeState::Unknown).resolves(0, Resolution::Rerun).starts(&[(0, 0)]);
    let mut story = once(true);
    story.has(&Event::CheckStarted { node: n(0), shard: 0, kind: CheckKind::DoneIf }).starts(&[]);
    story.answers(0, CheckKind::DoneIf, Answer::No).starts(&[(0, 0)]);
}

#[test]
fn a_service_is_started_again_in_a_drain_for_the_handler_of_the_failure() {
    let mut tidy = after("tidy", &[1, 2]);
    tidy.needs[0].accept = Accept { success: true, skipped: true, failed: true };
    let mut story = Story::of(vec![service("db"), after("bad", &[0]), after("slow", &[0]), tidy]);
    story.succeeds(0).fails(1).has(&Event::CancelRaised {
        level: CancelLevel::Drain,
        why: CancelReason::Failure(n(1)),
        by: String::new(),
    });
    // The new try does the failed stage again as well; both wait for the service.
    story.resume().has(&restart(0)).starts(&[(0, 0)]);
    story.succeeds(0).starts(&[(1, 0), (2, 0)]);
}

#[test]
fn a_service_whose_stage_is_run_again_on_purpose_is_no_restart() {
    let mut story = Story::of(vec![service("db"), after("use", &[0]), after("test", &[1])]);
    story.succeeds(0).succeeds(1).rerun(&[0]).has(&Event::NodeReopened { node: n(0), why: ReopenReason::Ordered });
    story.starts(&[(0, 0)]).is(1, NodeState::Pending);
}

#[test]
fn a_service_that_an_edit_leaves_out_is_waited_for_by_nobody() {
    // `db` waits for `net`, of which nobody knows; then `db` is left out.
    let version = |selected: bool| {
        let net = stage("net", |node| (node.rules.is_service, node.rules.idempotent) = (true, false));
        let db = Node { needs: after("db", &[0]).needs, selected, ..service("db") };
        graph(parts(vec![net, db, after("test", &[1])]))
    };
    let mut story = Story::versions(8, vec![version(true), version(false)]);
    story.succeeds(0).succeeds(1).resume().is(0, NodeState::Unknown).starts(&[]);
    story.tell(Input::Recover {
        resumed: Box::new(resumed(0)),
        plan_version: Some(2),
        changed: vec![],
        rerun: vec![],
        failed: vec![],
    });
    story.is(1, NodeState::Skipped).starts(&[(2, 0)]);
}

#[test]
fn a_service_that_handles_a_failure_is_missed_by_nobody_once_that_is_mended() {
    let handles = Accept { success: false, skipped: false, failed: true };
    let mut mirror = Node { needs: after("mirror", &[0]).needs, ..service("mirror") };
    mirror.needs[0].accept = handles;
    // `test` runs with the mirror where there is one.
    let mut parts = parts(vec![Node::plain("fetch"), mirror, after("test", &[1]), after("ship", &[0, 2])]);
    parts.scopes[0].policy = Policy::Continue;
    let mut story = Story::with(8, parts);
    story.fails(0).starts(&[(1, 0)]).succeeds(1).fails(2).run_ends(RunEnd::Failed);
    story.resume().has(&restart(1)).starts(&[(0, 0)]);
    story.succeeds(0).is(1, NodeState::Skipped).starts(&[(2, 0)]);
    story.succeeds(2).starts(&[(3, 0)]).succeeds(3).run_ends(RunEnd::Success);
}

/// `db` and what undoes it, and background work that counts on it; `bad`, after whose failure all of that is undone.
fn undone_service(change: impl FnOnce(&mut Node)) -> Story {
    let mut db = service("db");
    change(&mut db);
    let upload = Node { phase: Phase::Background, ..after("upload", &[0]) };
    let undo = stage("undo-db", |node| (node.phase, node.undoes) = (Phase::Rollback, Some(n(0))));
    let mut parts = parts(vec![db, Node::plain("bad"), upload, undo]);
    parts.scopes[0].policy = Policy::Rollback;
    let mut story = Story::with(8, parts);
    story.succeeds(0).fails(1).starts(&[(3, 0)]);
    story
}

/// The same, when `db` could not be undone: it is started again for the work behind the verdict, and then somebody
/// goes on with the rollback.
fn comes_up_to_be_undone(change: impl FnOnce(&mut Node)) -> Story {
    let mut story = undone_service(change);
    story.fails(3).starts(&[(2, 0)]).drains().has(&restart(0));
    story
}

#[test]
fn a_service_that_is_undone_is_not_started_again_for_background_work() {
    let mut story = undone_service(|_| ());
    story.resume().starts(&[(3, 0)]).is(0, NodeState::Success).succeeds(3).is(0, NodeState::Undone);
    story.has(&Event::NodeSkipped { node: n(2), why: SkipReason::Blocked { by: n(0) } });
    story.run_ends_as(RunEnd::RolledBack);
    // One that could not be undone is still there to be counted on.
    let mut story = undone_service(|_| ());
    story.resume().fails(3).has(&restart(0)).starts(&[(0, 0)]);
    story.succeeds(0).starts(&[(2, 0)]).succeeds(2).run_ends_as(RunEnd::RollbackFailed);
}

#[test]
fn work_that_has_begun_does_not_go_on_without_a_service_that_was_undone() {
    // The rollback fails, the work begins behind that verdict and is left, and then the rollback goes on.
    let mut story = comes_up_to_be_undone(|_| ());
    story
        .succeeds(0)
        .starts(&[(2, 0)])
        .tell(Input::LeaveBackground { how: CancelLevel::Stop, by: "ann".to_owned() });
    story.ends(2, Outcome::Signal(15)).resume().starts(&[(3, 0)]).succeeds(3).is(0, NodeState::Undone);
    story.has(&Event::NodeSkipped { node: n(2), why: SkipReason::Blocked { by: n(0) } });
    story.run_ends_as(RunEnd::RolledBack);
}

#[test]
fn a_service_comes_up_for_background_work_behind_the_verdict_and_changes_none() {
    let upload = Node { phase: Phase::Background, ..after("upload", &[0]) };
    let mut story = Story::of(vec![service("db"), Node::plain("test"), upload]);
    story.succeeds(0).resume().starts(&[(1, 0)]).is(0, NodeState::Success);
    let mut other = story.without_last(0);
    story.succeeds(1).has(&restart(0)).starts(&[(0, 0)]);
    assert_eq!(story.core.state().decided().map(|it| it.state), Some(RunEnd::Success));
    let mut bad = story.without_last(0);
    story.succeeds(0).starts(&[(2, 0)]).succeeds(2).run_ends(RunEnd::Success);
    bad.fails(0).is(2, NodeState::Failed).run_ends(RunEnd::Success);
    // An engine that leaves the work to the next one leaves it the service, too.
    other.tell(Input::LeaveBackground { how: CancelLevel::Drain, by: "ann".to_owned() });
    other.succeeds(1).starts(&[]).is(0, NodeState::Success);
    other.drains().has(&restart(0)).starts(&[(0, 0)]).succeeds(0).starts(&[(2, 0)]);
}

#[test]
fn work_that_is_queued_again_while_other_work_goes_on_has_its_service_started_again() {
    let mut story = Story::of(vec![service("db"), Node::plain("a"), behind("upload", &[0]), behind("mail", &[1])]);
    story.succeeds(0).succeeds(1).fails(2).starts(&[]).drains().starts(&[(3, 0)]);
    story.requeues(&[2]).has(&restart(0)).starts(&[(0, 0)]);
    story.succeeds(0).starts(&[(2, 0)]);
}

#[test]
fn what_queued_work_had_blocked_has_its_service_started_again() {
    let nodes = vec![service("db"), Node::plain("a"), behind("build", &[1]), behind("upload", &[0, 2])];
    let mut story = Story::of(nodes);
    story.succeeds(0).succeeds(1).fails(2).is(3, NodeState::Blocked).drains();
    // Only what is blocked counts on `db`.
    story.requeues(&[2]);
    story.has(&restart(0)).starts(&[(2, 0), (0, 0)]);
    story.succeeds(2).starts(&[]).succeeds(0).starts(&[(3, 0)]).succeeds(3).run_ends(RunEnd::Success);
}

#[test]
fn a_person_says_what_became_of_a_service_behind_the_verdict() {
    let unknown = || {
        let once = stage("db", |node| (node.rules.is_service, node.rules.idempotent) = (true, false));
        let upload = Node { phase: Phase::Background, ..after("upload", &[0]) };
        let mut story = Story::of(vec![once, Node::plain("test"), upload]);
        story.succeeds(0).resume().starts(&[(1, 0)]).succeeds(1).has(&restart(0));
        story.is(0, NodeState::Unknown).starts(&[]);
        assert!(story.core.state().needs_person());
        story
    };
    unknown().resolves(0, Resolution::Success).starts(&[(2, 0)]).succeeds(2).run_ends(RunEnd::Success);
    unknown().resolves(0, Resolution::Failed).has(&letter(2)).is(2, NodeState::Failed).run_ends(RunEnd::Success);
    let mut story = unknown();
    story.resolves(0, Resolution::Rerun).starts(&[(0, 0)]);
    assert_eq!(story.core.state().decided().map(|it| it.state), Some(RunEnd::Success), "the verdict stays");
    story.succeeds(0).starts(&[(2, 0)]).succeeds(2).run_ends(RunEnd::Success);
}

#[test]
fn a_service_that_did_not_come_up_is_tried_again_with_work_that_is_queued_again() {
    let mut story = Story::with(1, parts(vec![service("db"), behind("upload", &[0]), behind("mail", &[0])]));
    story.succeeds(0).starts(&[(1, 0)]).fails(1).starts(&[(2, 0)]).drains().starts(&[(0, 0)]);
    story.fails(0).is(2, NodeState::Failed).run_ends(RunEnd::Success);
    story.requeues(&[1]).starts(&[(0, 0)]).succeeds(0).starts(&[(1, 0)]);
    // What else it had kept from its turn is dead until it is queued again, too; the service is up by then.
    story.requeues(&[2]).starts(&[(2, 0)]).succeeds(1).succeeds(2).run_ends(RunEnd::Success);
}

fn behind(id: &str, needs: &[u32]) -> Node {
    Node { phase: Phase::Background, ..after(id, needs) }
}

/// The ticket of a piece of work that failed for good.
fn letter(node: u32) -> Event {
    let (kind, severity) = (CaseKind::Dead, Severity::Major);
    Event::TicketRaised { case: Box::new(Case { kind, severity, node: Some(n(node)), words: String::new() }) }
}

impl Story {
    fn requeues(&mut self, nodes: &[u32]) -> &mut Self {
        let nodes = nodes.iter().map(|&node| n(node)).collect();
        self.tell(Input::Requeue { nodes, by: "ann".to_owned() })
    }

    fn dead(&self) -> Vec<NodeIx> {
        self.core.state().dead().collect()
    }
}

#[test]
fn work_whose_service_could_not_be_started_behind_the_verdict_is_a_dead_letter() {
    // `db`, and `cache` that counts on it; work that needs either, or what was done with one, or other work.
    let cache = Node { needs: after("cache", &[0]).needs, ..service("cache") };
    let nodes = vec![
        service("db"),
        cache,
        after("use", &[0]),
        behind("upload", &[0]),
        behind("warm", &[1]),
        behind("mail", &[2]),
        behind("metrics", &[3]),
        behind("other", &[]),
    ];
    let mut story = Story::of(nodes);
    story.tell(Input::LeaveBackground { how: CancelLevel::Drain, by: "ann".to_owned() });
    story.succeeds(0).succeeds(1).succeeds(2).drains().starts(&[(0, 0), (7, 0)]).fails(0);
    story.has(&letter(3)).has(&letter(4)).has(&letter(5));
    let reason = "`db`, which it counts on, could not be started again".to_owned();
    story.has(&Event::NodeFinished { node: n(5), state: NodeState::Failed, reason });
    // What waits for a dead letter is blocked by it, and other work goes on.
    story.has(&Event::NodeSkipped { node: n(6), why: SkipReason::Blocked { by: n(3) } });
    story.succeeds(7).run_ends(RunEnd::Success);
    assert_eq!(story.dead(), [n(3), n(4), n(5)]);
    story.requeues(&[3, 4, 5]).starts(&[(0, 0)]).succeeds(0).starts(&[(3, 0), (1, 0), (5, 0)]);
    story.succeeds(3).starts(&[(6, 0)]).succeeds(1).starts(&[(4, 0)]);
    story.succeeds(4).succeeds(5).succeeds(6).run_ends(RunEnd::Success);
}

#[test]
fn a_service_that_only_what_dead_work_had_blocked_counts_on_is_tried_again() {
    // `upload` counts on `db` and needs `build`, which fails by itself.
    let nodes = vec![service("db"), Node::plain("a"), behind("build", &[1]), behind("upload", &[0, 2])];
    let mut story = Story::of(nodes);
    story.tell(Input::LeaveBackground { how: CancelLevel::Drain, by: "ann".to_owned() });
    story.succeeds(0).succeeds(1).drains().starts(&[(2, 0), (0, 0)]).fails(0).fails(2);
    story.has(&Event::NodeSkipped { node: n(3), why: SkipReason::Blocked { by: n(0) } });
    assert_eq!(story.dead(), [n(2)]);
    story.requeues(&[2]).starts(&[(2, 0), (0, 0)]);
    story.succeeds(0).succeeds(2).starts(&[(3, 0)]).succeeds(3).run_ends(RunEnd::Success);
}

#[test]
fn a_service_that_failed_before_the_verdict_leaves_no_dead_letter() {
    // The run failed by it, and another try of the run starts it again.
    let mut story = Story::of(vec![service("db"), after("test", &[0]), behind("upload", &[0])]);
    story.succeeds(0).resume().starts(&[(0, 0)]).fails(0).is(2, NodeState::Blocked).run_ends_as(RunEnd::Failed);
    assert_eq!(story.dead(), []);
}

#[test]
fn work_that_was_cut_off_before_its_service_failed_is_asked_about_when_it_is_queued_again() {
    let cut_off = |has_done_if: bool| {
        let mut upload = behind("upload", &[0]);
        (upload.rules.idempotent, upload.rules.has_done_if) = (!has_done_if, has_done_if);
        let mut story = Story::of(vec![service("db"), upload]);
        story.succeeds(0).starts(&[(1, 0)]).drains().starts(&[(0, 0)]).fails(0).is(1, NodeState::Failed);
        story.requeues(&[1]).starts(&[(0, 0)]).succeeds(0);
        story
    };
    cut_off(false).then_ends_with(&retried(1, 2));
    let mut story = cut_off(true);
    story.has(&Event::CheckStarted { node: n(1), shard: 0, kind: CheckKind::DoneIf }).starts(&[]);
    story.answers(1, CheckKind::DoneIf, Answer::Yes(Box::default())).run_ends(RunEnd::Success);
}

#[test]
fn work_waits_for_a_word_on_its_service_also_when_the_run_was_cancelled() {
    let cancelled = |level: CancelLevel| {
        let once = stage("db", |node| (node.rules.is_service, node.rules.idempotent) = (true, false));
        let nodes =
            vec![once, after("use", &[0]), after("test", &[1]), behind("upload", &[0]), behind("mail", &[1])];
        let mut story = Story::of(nodes);
        story.succeeds(0).succeeds(1).resume().is(0, NodeState::Unknown).cancel(level);
        story.then_ends_with(&Event::RunSuspended { why: SuspendReason::HandOver });
        assert_eq!(story.core.state().decided().map(|it| it.state), Some(RunEnd::Cancelled));
        story.drains().starts(&[]);
        assert!(story.core.state().needs_person() && story.dead().is_empty(), "{:#?}", story.last);
        story
    };
    for level in [CancelLevel::Drain, CancelLevel::Stop, CancelLevel::Kill] {
        let mut story = cancelled(level);
        story.resolves(0, Resolution::Rerun).starts(&[(0, 0)]).succeeds(0).starts(&[(3, 0), (4, 0)]);
        story.succeeds(3).succeeds(4).run_ends_as(RunEnd::Cancelled);
    }
    let mut story = cancelled(CancelLevel::Stop);
    story.resolves(0, Resolution::Success).starts(&[(3, 0), (4, 0)]);
    let mut story = cancelled(CancelLevel::Stop);
    story.resolves(0, Resolution::Failed).has(&letter(3)).has(&letter(4)).run_ends_as(RunEnd::Cancelled);
}

#[test]
fn a_service_is_not_undone_while_it_is_started_again() {
    let mut story = comes_up_to_be_undone(|_| ());
    story.resume().starts(&[(0, 0)]).is(0, NodeState::Running);
    story.succeeds(0).starts(&[(3, 0)]).succeeds(3).is(0, NodeState::Undone);
    // One that does not come up is undone all the same.
    let mut story = comes_up_to_be_undone(|_| ());
    story.resume().fails(0).is(0, NodeState::Failed).starts(&[(3, 0)]).succeeds(3);
    story.run_ends_as(RunEnd::RolledBack);
}

#[test]
fn a_service_of_which_nobody_knows_whether_it_is_up_is_undone() {
    let mut story = comes_up_to_be_undone(|db| db.rules.idempotent = false);
    story.is(0, NodeState::Unknown);
    story.resume().starts(&[(3, 0)]).succeeds(3).is(0, NodeState::Undone).run_ends_as(RunEnd::RolledBack);
}

#[test]
fn nothing_is_undone_under_a_service_that_is_started_again() {
    // `db` counts on `net`, which alone says how it is undone.
    let net = Node::plain("net");
    let db = Node { needs: after("db", &[0]).needs, ..service("db") };
    let upload = Node { phase: Phase::Background, ..after("upload", &[1]) };
    let undo = stage("undo-net", |node| (node.phase, node.undoes) = (Phase::Rollback, Some(n(0))));
    let mut parts = parts(vec![net, db, upload, undo, Node::plain("bad")]);
    parts.scopes[0].policy = Policy::Rollback;
    let mut story = Story::with(8, parts);
    story.succeeds(0).succeeds(1).fails(4).fails(3).starts(&[(2, 0)]);
    story.drains().has(&restart(1)).resume().starts(&[(1, 0)]).succeeds(1).starts(&[(3, 0)]);
}

#[test]
fn services_come_up_in_order_in_a_rollback_too() {
    let db = Node { needs: after("db", &[0]).needs, ..service("db") };
    let undo = stage("undo-use", |node| (node.phase, node.undoes) = (Phase::Rollback, Some(n(2))));
    let mut parts = parts(vec![service("net"), db, after("use", &[1]), undo, Node::plain("bad")]);
    parts.scopes[0].policy = Policy::Rollback;
    let mut story = Story::with(8, parts);
    story.succeeds(0).succeeds(1).succeeds(2).fails(4).starts(&[(3, 0)]);
    story.resume().has(&restart(0)).has(&restart(1)).starts(&[(0, 0)]);
    story.succeeds(0).starts(&[(1, 0)]).succeeds(1).starts(&[(3, 0)]);
}

#[test]
fn services_go_on_coming_up_in_a_drain_that_begins_meanwhile() {
    let db = Node { needs: after("db", &[0]).needs, ..service("db") };
    let mut tidy = after("tidy", &[1, 2]);
    tidy.needs[1].accept = Accept { success: false, skipped: false, failed: true };
    let mut story = Story::of(vec![service("net"), db, Node::plain("bad"), tidy]);
    story.succeeds(0).succeeds(1).resume().starts(&[(0, 0), (2, 0)]).fails(2).succeeds(0).starts(&[(1, 0)]);
    story.succeeds(1).starts(&[(3, 0)]);
}

#[test]
fn a_service_goes_on_coming_up_when_a_person_orders_the_rollback() {
    let undo = stage("undo-use", |node| (node.phase, node.undoes) = (Phase::Rollback, Some(n(1))));
    let mut story = Story::of(vec![service("db"), after("use", &[0]), after("test", &[0]), undo]);
    story.succeeds(0).succeeds(1).resume_to_undo().has(&restart(0)).starts(&[(0, 0)]);
    story.succeeds(0).starts(&[(3, 0)]).succeeds(3).run_ends_as(RunEnd::RolledBack);
}

#[test]
fn who_waited_for_a_service_has_all_its_time_in_the_queue_again() {
    let shares = |node: Node, queue: Option<u64>| {
        let mut node = node;
        (node.rules.pools, node.rules.queue) = (vec![(PoolIx::new(0), 1)], queue.map(Span::from_ms));
        node
    };
    let nodes = vec![service("db"), shares(Node::plain("other"), None), shares(after("use", &[0]), Some(100))];
    let mut parts = parts(nodes);
    parts.pools = vec![Pool { name: "memory".to_owned(), capacity: 1 }];
    let mut story = Story::with(8, parts);
    story.succeeds(0).wait(50).resume().starts(&[(0, 0), (1, 0)]).wait(200).succeeds(0);
    story.wait(99).is(2, NodeState::Waiting).wait(1).is(2, NodeState::TimedOut);
}
