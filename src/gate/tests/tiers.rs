//! What is weighed: scores over metrics, and what is left of an error budget.

use super::*;

const METRICS: &str = "--for|10s|--on-no-data|hold|--metrics.a.file|f|--metrics.a.pass|< 1";

#[test]
fn weights_and_tiers_that_make_no_sense_are_named() {
    for (kind, words, key, why) in [
        ("soak", &format!("{METRICS}|--score.marginal|50%"), "score.pass", "missing"),
        ("soak", &format!("{METRICS}|--score.pass|0"), "score.pass", "share"),
        ("soak", &format!("{METRICS}|--score.pass|110%"), "score.pass", "share"),
        ("soak", &format!("{METRICS}|--score.pass|50%|--score.marginal|60%"), "score.marginal", "above"),
        ("soak", &format!("{METRICS}|--score.pass|50%|--score.weights.b|2"), "score.weights.b", "no metric"),
        ("soak", &format!("{METRICS}|--score.pass|50%|--score.weights.a|0"), "score.weights.a", "above 0"),
        ("soak", &format!("{METRICS}|--score.pass|50%|--score.best|1"), "score.best", "no setting"),
        ("soak", &format!("{METRICS}|--score.pass|50%|--compose|any"), "compose", "exclude each other"),
        ("soak", &format!("{METRICS}|--metrics.a.critical|true"), "metrics.a.critical", "`score`"),
        ("soak", &format!("{METRICS}|--metrics.a.group|x"), "metrics.a.group", "`score`"),
        ("burn-rate", &format!("{BURN}|--budget.hold-below|20%"), "budget.over", "missing"),
        ("burn-rate", &format!("{BURN}|--budget.over|30d|--budget.hold-below|120%"), "budget.hold-below", "share"),
        (
            "burn-rate",
            &format!("{BURN}|--budget.over|30d|--budget.fail-at|25%"),
            "budget.fail-at",
            "below `hold-below`",
        ),
        ("burn-rate", &format!("{BURN}|--budget.over|30d|--budget.for|1d"), "budget.for", "no setting"),
    ] {
        let error = spec(kind, words).expect_err(words);
        assert!(error.key == key && error.why.contains(why), "{kind} {words}: {error}");
    }
}

#[test]
fn a_tier_of_the_budget_holds_or_fails_whatever_the_rules_say() {
    // Windows ascend: errors and total of 5 minutes, of an hour, of 30 days; 0.1 % may fail.
    let judge = |more: &str, [short, long, all]: [f64; 3]| {
        let gate = good("burn-rate", &format!("{BURN}|--budget.over|30d{more}"));
        let seen = [short, 1e3, long, 1e4, all, 1e6];
        let samples = seen.into_iter().zip(0..);
        let samples: Vec<Sample> =
            samples.map(|(value, probe)| Sample { at: 0, probe, took: 0, seen: Seen::value(value) }).collect();
        let judgement = gate.judge(&samples).expect("one round decides");
        (judgement.verdict, gate.effect(&judgement), judgement.why)
    };
    let tier = |more: &str, errors: [f64; 3]| {
        let (verdict, effect, _) = judge(more, errors);
        (verdict, effect)
    };
    let (passes, held) = ((Verdict::Pass, Effect::Continue), (Verdict::Fail, Effect::Hold));
    let (fails, burns) = ((Verdict::Fail, Effect::Fail), [20.0, 200.0, 800.0]);
    assert_eq!(tier("", [0.0, 0.0, 750.0]), passes, "a quarter is enough");
    assert_eq!(tier("", [0.0, 0.0, 751.0]), held);
    assert_eq!(tier("", [0.0, 0.0, 999.0]), held);
    assert_eq!(tier("", [0.0, 0.0, 1000.0]), fails, "nothing is left");
    assert_eq!(tier("", [0.0, 0.0, 5000.0]), fails);
    assert_eq!(tier("|--budget.hold-below|10%|--budget.fail-at|5%", [0.0, 0.0, 890.0]), passes);
    assert_eq!(tier("|--budget.hold-below|10%|--budget.fail-at|5%", [0.0, 0.0, 949.0]), held);
    assert_eq!(tier("|--budget.hold-below|10%|--budget.fail-at|5%", [0.0, 0.0, 950.0]), fails);
    // A rule that fires is the graver one, unless the plan makes nothing of it.
    assert_eq!(tier("", burns), fails);
    assert_eq!(tier("|--on-fail|continue", [20.0, 200.0, 0.0]), (Verdict::Fail, Effect::Continue));
    assert_eq!(tier("|--on-fail|continue", burns), held);
    assert_eq!(tier("|--on-fail|continue", [0.0, 0.0, 1000.0]), fails);
    assert_eq!(tier("|--on-fail|hold", [20.0, 200.0, 1000.0]), fails);
    let says = |errors: f64| judge("", [0.0, 0.0, errors]).2;
    assert_eq!(says(876.0), "12.4% of the error budget of 30d is left, `hold-below` is 25%");
    assert_eq!(says(1200.0), "-20% of the error budget of 30d is left, `fail-at` is 0%");
    let passed = "the budget burns at most 0.00 times too fast; 90% of the error budget of 30d is left";
    assert_eq!(says(100.0), passed);
}

#[test]
fn a_score_weighs_groups_and_no_score_outweighs_a_critical_metric() {
    let metric = |name: &str| {
        format!("|--metrics.{name}.file|{name}|--metrics.{name}.pass|< 10|--metrics.{name}.reduce|last")
    };
    let names = ["errors", "p50", "p95", "p99"].map(metric).concat();
    let groups = "|--metrics.p50.group|latency|--metrics.p95.group|latency|--metrics.p99.group|latency";
    let base =
        format!("--for|1s|--interval|1s|--on-no-data|hold|--score.pass|90%|--score.marginal|60%{names}{groups}");
    let judge = |more: &str, seen: [f64; 4]| {
        let gate = good("soak", &format!("{base}{more}"));
        let each = |at: u64| {
            let probes = seen.into_iter().zip(0..);
            probes.map(move |(value, probe)| Sample { at, probe, took: 0, seen: Seen::value(value) })
        };
        let samples: Vec<Sample> = each(0).chain(each(1000)).collect();
        gate.judge(&samples).expect("the end")
    };
    let (ok, bad, nan) = (1.0, 50.0, f64::NAN);
    let verdict = |more: &str, seen: [f64; 4]| judge(more, seen).verdict;
    assert_eq!(verdict("", [ok, ok, ok, ok]), Verdict::Pass);
    // Each group is a half, each figure about latency a sixth: 83 %, 67 %, 50 %.
    assert_eq!(verdict("", [ok, ok, ok, bad]), Verdict::Inconclusive);
    assert_eq!(verdict("", [ok, ok, bad, bad]), Verdict::Inconclusive);
    assert_eq!(verdict("", [ok, bad, bad, bad]), Verdict::Fail);
    assert_eq!(verdict("", [bad, ok, ok, ok]), Verdict::Fail);
    // 3 to 1: 92 %, 75 %, 25 %.
    let weights = "|--score.weights.errors|3";
    assert_eq!(verdict(weights, [ok, ok, ok, bad]), Verdict::Pass);
    assert_eq!(verdict(weights, [ok, bad, bad, bad]), Verdict::Inconclusive);
    assert_eq!(verdict(weights, [bad, ok, ok, ok]), Verdict::Fail);
    // What is not there counts nothing, and is what kept it from passing.
    assert_eq!(verdict("", [ok, ok, ok, nan]), Verdict::NoData);
    assert_eq!(verdict("", [nan, ok, ok, ok]), Verdict::NoData);
    assert_eq!(verdict("", [bad, ok, ok, nan]), Verdict::Fail);
    assert_eq!(verdict(weights, [ok, ok, ok, nan]), Verdict::Pass);
    let critical = format!("{weights}|--metrics.p99.critical|true");
    assert_eq!(verdict(&critical, [ok, ok, ok, bad]), Verdict::Fail);
    assert_eq!(verdict(&critical, [ok, ok, ok, nan]), Verdict::NoData);
    assert_eq!(verdict(&critical, [ok, ok, bad, ok]), Verdict::Pass);
    let passed = judge(weights, [ok, ok, ok, bad]);
    assert!(passed.why.starts_with("score 91.7%, `pass` is 90%: errors: last 1 is < 10; "), "{}", passed.why);
    assert!(passed.value.is_some_and(|value| (value - 11.0 / 12.0).abs() < 1e-12), "{passed:?}");
    let held = judge("", [ok, ok, ok, bad]);
    assert_eq!(held.why, "score 83.3%, `pass` is 90%: p99: last 50 is not < 10");
    let failed = judge("", [bad, ok, ok, ok]);
    assert_eq!(failed.why, "score 50%, `marginal` is 60%: errors: last 50 is not < 10");
    let fatal = judge(&critical, [ok, ok, ok, bad]);
    assert_eq!(fatal.why, "critical: p99: last 50 is not < 10");
}

#[test]
fn a_score_that_is_lost_ends_a_soak_before_its_time() {
    let metric = |name: &str| format!("|--metrics.{name}.file|{name}|--metrics.{name}.pass|< 10");
    let words = format!("--for|9s|--interval|1s|--on-no-data|hold|--score.pass|60%{}{}", metric("a"), metric("b"));
    let gate = good("soak", &words);
    let sample =
        |at: u64, probe: u16, value: f64| Sample { at: at * 1000, probe, took: 0, seen: Seen::value(value) };
    let samples: Vec<Sample> =
        (0..10).flat_map(|at| [sample(at, 0, 1.0), sample(at, 1, if at == 3 { 50.0 } else { 1.0 })]).collect();
    let rounds = |count: usize| gate.judge(&samples[..count * 2]);
    assert_eq!(rounds(3), None);
    let lost = rounds(4).expect("a half is less than 60 %");
    assert_eq!((lost.verdict, lost.value), (Verdict::Fail, None));
    assert!(lost.why.starts_with("score at most 50%, `marginal` is 60%: b: "), "{}", lost.why);
}
