//! Every kind of news and every kind of fact is named by a test of this folder: what is added needs one.

/// News, and a test in which it decides something.
const NEWS: [(&str, &str); 22] = [
    ("Begin", "a_run_starts_what_needs_nothing_and_ends_when_all_has_ended"),
    ("Recover", "a_lost_attempt_runs_again_and_costs_no_retry"),
    ("Tick", "the_ladder_is_stop_then_force_then_lost"),
    ("Done", "a_late_or_double_answer_is_no_event"),
    ("Answered", "only_answers_of_attempts_that_run_count"),
    ("WorkerLost", "what_a_worker_had_is_done_again_and_costs_no_retry"),
    ("CrewGone", "workers_are_hired_fed_and_let_go_and_the_stage_ends_when_they_are_gone"),
    ("Lost", "an_attempt_whose_end_nobody_knows_is_lost_once_and_a_person_decides"),
    ("Silent", "silence_counts_only_with_an_idle_clock"),
    ("Checked", "done_if_is_asked_after_a_timeout_and_after_a_signal_but_not_after_an_exit"),
    ("Recalled", "results_that_are_known_start_nothing"),
    ("Decide", "approvals_wait_for_a_person"),
    ("Attest", "each_item_of_a_checklist_is_answered_and_one_no_fails_it"),
    ("BreakGlass", "a_broken_glass_lifts_the_policy_and_not_the_plan"),
    ("Resolve", "a_person_resolves_what_nobody_knows"),
    ("Pause", "a_pause_holds_starts_back_and_nothing_else"),
    ("Cancel", "a_cancel_only_rises"),
    ("SecretsFetched", "what_is_known_of_secrets_is_recorded_while_the_run_lives"),
    ("OpenBox", "what_history_says_does_not_fit_is_left_and_the_run_handed_over"),
    ("LeaveBackground", "what_is_left_of_the_background_is_for_the_next_engine"),
    ("Requeue", "a_dead_letter_is_a_ticket_and_is_queued_again_by_a_person"),
    ("Suspend", "a_suspended_run_starts_nothing_and_ends_nothing"),
];

/// Facts, and a test that shows why one is decided or what it changes.
const FACTS: [(&str, &str); 53] = [
    ("RunBegan", "nothing_moves_before_the_run_has_begun"),
    ("RunResumed", "a_failed_run_tries_again_what_had_not_succeeded"),
    ("PlanChanged", "the_rest_of_a_run_goes_by_the_new_plan"),
    ("NodeAdmitted", "a_condition_is_asked_once_and_decides"),
    ("ShardsStarted", "shards_start_in_blocks_as_slots_come_free"),
    ("ShardsCut", "shards_that_are_too_small_become_larger_until_they_are_not"),
    ("ItemsFrozen", "a_stage_without_a_condition_takes_a_list_over_without_a_word_about_one"),
    ("CellsFrozen", "places_get_the_cells_that_are_given_and_the_others_are_absent"),
    ("ShardRecalled", "results_that_are_known_start_nothing"),
    ("StageSealed", "a_sealed_stage_ends_with_the_root_over_its_shards"),
    ("ShardsReopened", "so_many_items_may_fail"),
    ("ShardRetried", "a_failure_is_retried_within_its_budget"),
    ("CrewHired", "workers_take_slots_and_pools_and_their_items_do_not"),
    ("CrewDismissed", "a_cancel_stops_the_items_and_then_the_workers_go"),
    ("CrewGone", "workers_that_nobody_says_are_gone_are_not_waited_for_for_ever"),
    ("WorkerLost", "what_may_not_be_repeated_is_unknown_when_its_worker_is_lost"),
    ("ShardsFinished", "workers_are_hired_fed_and_let_go_and_the_stage_ends_when_they_are_gone"),
    ("ShardFinished", "a_failed_shard_stops_its_stage_but_lets_running_ones_end"),
    ("RetryScheduled", "delays_grow_up_to_their_maximum_and_are_spread_by_the_seed"),
    ("StopRequested", "the_ladder_is_stop_then_force_then_lost"),
    ("ShardLost", "a_lost_attempt_that_is_not_idempotent_asks_or_waits_for_a_person"),
    ("CheckStarted", "the_cache_is_asked_before_the_first_start"),
    ("CheckAnswered", "a_question_without_an_answer_does_not_hold_the_run_for_ever"),
    ("GateOpened", "approvals_wait_for_a_person"),
    ("GateDecided", "an_approval_above_a_change_is_asked_again"),
    ("VoteCast", "the_last_of_so_many_people_decides"),
    ("NodeExpired", "an_approval_expires"),
    ("ShardExpired", "within_is_the_time_of_one_shard_and_ends_only_that_one"),
    ("NodeFinished", "a_stage_whose_within_ran_out_says_so"),
    ("NodeSkipped", "a_handler_of_no_failure_is_skipped"),
    ("NodeReopened", "a_person_runs_stages_again_with_all_that_depends_on_them"),
    ("NodeResolved", "a_handler_is_placed_anew_when_what_it_needs_is_resolved_during_the_drain"),
    ("PauseChanged", "a_pause_outlives_its_engine_but_not_its_run"),
    ("CancelRaised", "a_failure_drains_the_run_and_blocks_the_rest"),
    ("GlassBroken", "a_broken_glass_lifts_the_policy_and_not_the_plan"),
    ("FreezeBegan", "a_freeze_holds_starts_back_until_it_is_over"),
    ("FreezeEnded", "a_freeze_holds_starts_back_until_it_is_over"),
    ("SecretsFetched", "what_is_known_of_secrets_is_recorded_while_the_run_lives"),
    ("RollbackBegan", "a_rollback_begins_when_the_run_has_drained_and_goes_backwards"),
    ("Healing", "at_the_limit_the_run_halts_and_a_person_releases_it"),
    ("FinallyBegan", "the_clean_up_runs_after_success_and_after_failure"),
    ("BackgroundReleased", "background_work_is_released_in_the_batch_of_what_it_needs"),
    ("ForegroundEnded", "the_verdict_is_decided_before_background_work_and_stays"),
    ("BackgroundLeft", "what_is_left_of_the_background_is_for_the_next_engine"),
    ("BackgroundRequeued", "a_dead_letter_is_a_ticket_and_is_queued_again_by_a_person"),
    ("BoxOpened", "what_fits_goes_past_what_does_not"),
    ("NodeDeferred", "what_history_says_does_not_fit_is_left_and_the_run_handed_over"),
    ("BoxClosed", "at_the_end_of_the_box_what_runs_is_stopped_and_counts_as_not_run"),
    ("TicketRaised", "what_a_scope_contains_is_raised_once_and_in_the_same_batch"),
    ("ObjectiveRisked", "a_missed_limit_is_foreseen_by_what_is_still_to_come"),
    ("ObjectiveBreached", "a_breach_is_recorded_once_however_often_the_run_is_resumed"),
    ("RunSuspended", "a_suspended_run_starts_nothing_and_ends_nothing"),
    ("RunFinished", "a_run_without_stages_is_over_at_once"),
];

const TESTS: [&str; 18] = [
    include_str!("background.rs"),
    include_str!("consent.rs"),
    include_str!("cancel.rs"),
    include_str!("cells.rs"),
    include_str!("checks.rs"),
    include_str!("clocks.rs"),
    include_str!("crews.rs"),
    include_str!("heal.rs"),
    include_str!("holdings.rs"),
    include_str!("needs.rs"),
    include_str!("objectives.rs"),
    include_str!("pools.rs"),
    include_str!("recover.rs"),
    include_str!("shards.rs"),
    include_str!("start.rs"),
    include_str!("thought.rs"),
    include_str!("timebox.rs"),
    include_str!("undo.rs"),
];

/// The variants of `pub enum NAME`, as its source lists them.
pub(super) fn variants<'a>(source: &'a str, name: &str) -> Vec<&'a str> {
    let (_, body) = source.split_once(&format!("pub enum {name} {{")).expect("the enum is here");
    let (body, _) = body.split_once("\n}").expect("it ends");
    let lines = body.lines().filter_map(|line| line.strip_prefix("    "));
    let named = lines.filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()));
    named.map(|line| line.split(|c: char| !c.is_ascii_alphanumeric()).next().expect("a name")).collect()
}

fn check(source: &str, name: &str, table: &[(&str, &str)]) {
    let listed: Vec<&str> = table.iter().map(|it| it.0).collect();
    assert_eq!(variants(source, name), listed, "each {name} has a line, in the order of the enum");
    for (variant, test) in table {
        let is_there = TESTS.iter().any(|text| text.contains(&format!("#[test]\nfn {test}() {{")));
        assert!(is_there, "{name}::{variant}: there is no test `{test}`");
    }
}

#[test]
fn every_news_is_named_by_a_test() {
    check(include_str!("../input.rs"), "Input", &NEWS);
}

#[test]
fn every_fact_is_named_by_a_test() {
    check(include_str!("../event.rs"), "Event", &FACTS);
}
