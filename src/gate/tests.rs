//! Settings, verdicts and the traps on the way to them.

use super::probe::{Probe, Reply};
use super::sample::{Sample, Seen};
use super::verdict::{Effect, Verdict};
use super::*;

mod tiers;

fn spec(kind: &str, words: &str) -> Result<Spec, Error> {
    let words: Vec<String> = words.split('|').filter(|_| !words.is_empty()).map(str::to_owned).collect();
    Spec::parse(kind, &words)
}

fn good(kind: &str, words: &str) -> Spec {
    spec(kind, words).unwrap_or_else(|error| panic!("{kind} {words}: {error}"))
}

/// One probe, a sample each second.
fn values(values: &[f64]) -> Vec<Sample> {
    let each = values.iter().enumerate();
    each.map(|(at, &value)| Sample { at: at as u64 * 1000, probe: 0, took: 1, seen: Seen::value(value) }).collect()
}

/// The verdict that comes first, and after how many samples.
fn first(spec: &Spec, samples: &[Sample]) -> Option<(usize, Judgement)> {
    (1..=samples.len()).find_map(|count| spec.judge(&samples[..count]).map(|judgement| (count, judgement)))
}

const BURN: &str = "--url|http://p|--errors|e[$window]|--total|t[$window]|--objective|99.9%|--on-no-data|hold\
                    |--rules|1h/5m 14.4|--min-events|50";

#[test]
fn settings_that_make_no_sense_are_named() {
    let prom = "--url|http://p|--query|up";
    for (kind, words, key, why) in [
        ("http", "", "url", "missing"),
        ("http", "--url|ftp://x", "url", "`http://`"),
        ("http", "--url|http://x|--expect.status|2000", "expect.status", "no status"),
        ("http", "--url|http://x|--expect.json.ready|true", "expect.json.ready", "begins with `/`"),
        ("http", "--url|http://x|--value|/a", "pass", "missing"),
        ("http", "--url|http://x|--pass|< 5", "pass", "needs a number"),
        ("http", "--url|http://x|--interval|5", "interval", "not a duration"),
        ("http", "--url|http://x|--interval|99999999999999999999s", "interval", "at most `3650d`"),
        ("http", "--url|http://x|--interval|1ms", "interval", "at least"),
        ("http", "--url|http://x|--expect.identity.is|v1", "expect.identity", "one of"),
        ("http", "--url|http://x|--consecutive|0", "consecutive", "from 1"),
        ("http", "--url|http://x|--nonsense|1", "nonsense", "no setting"),
        ("tcp", "--address|host", "address", "host:port"),
        ("file", "--path|a|--expect.absent|true|--expect.contains|x", "expect.absent", "no content"),
        ("prometheus", &format!("{prom}|--pass|== 1"), "on-no-data", "missing"),
        ("prometheus", &format!("{prom}|--pass|= 1|--on-no-data|hold"), "pass", "not a bound"),
        ("prometheus", &format!("{prom}|--pass|< NaN|--on-no-data|hold"), "pass", "not a bound"),
        ("prometheus", &format!("{prom}|--pass|< 1|--on-no-data|maybe"), "on-no-data", "`hold`"),
        ("log", "--path|a|--match|[", "match", "regex"),
        ("log", "--path|a|--match|x", "for", "missing"),
        ("soak", "--for|10s|--on-no-data|hold", "metrics", "missing"),
        ("soak", "--for|10s|--on-no-data|hold|--metrics.a.pass|< 1", "metrics.a.a", "no source"),
        ("watch", "--for|10s|--on-no-data|hold|--metrics.a.file|f|--metrics.a.pass|< 1", "window", "missing"),
        (
            "soak",
            "--for|10s|--coverage|0%|--on-no-data|hold|--metrics.a.file|f|--metrics.a.pass|< 1",
            "coverage",
            "share",
        ),
        (
            "soak",
            "--for|10s|--on-no-data|hold|--metrics.a.file|f|--metrics.a.pass|< 1|--quorum|2",
            "quorum",
            "more than there are",
        ),
        (
            "burn-rate",
            "--url|http://p|--errors|e[$window]|--total|t[$window]|--objective|90%|--on-no-data|hold",
            "rules",
            "impossible",
        ),
        (
            "burn-rate",
            "--url|http://p|--errors|e|--total|t[$window]|--objective|99.9%|--on-no-data|hold",
            "errors",
            "$window",
        ),
    ] {
        let error = spec(kind, words).expect_err(words);
        assert!(error.key == key && error.why.contains(why), "{kind} {words}: {error}");
    }
}

#[test]
fn a_streak_counts_answers_in_a_row() {
    let gate = good("http", "--url|http://x|--consecutive|3|--consecutive-fail|2");
    let seen = |good: bool| if good { Seen::Good("ok".into()) } else { Seen::Bad("status 503".into()) };
    let samples = |answers: &[bool]| -> Vec<Sample> {
        let each = answers.iter().enumerate();
        each.map(|(at, &good)| Sample { at: at as u64, probe: 0, took: 0, seen: seen(good) }).collect()
    };
    let (count, passed) =
        first(&gate, &samples(&[true, false, true, true, false, true, true, true])).expect("three");
    assert_eq!((count, passed.verdict), (8, Verdict::Pass));
    let (count, failed) = first(&gate, &samples(&[true, true, false, false, true])).expect("two");
    assert_eq!((count, failed.verdict), (4, Verdict::Fail));
    assert_eq!(failed.why, "status 503, 2 times in a row");
    let mixed = [
        Sample { at: 0, probe: 0, took: 0, seen: Seen::Error("no answer".into()) },
        Sample { at: 1, probe: 0, took: 0, seen: Seen::NoData("nothing".into()) },
    ];
    assert_eq!(gate.judge(&mixed).map(|it| it.verdict), Some(Verdict::Error), "the gravest of a mixed row");
}

#[test]
fn what_is_not_a_number_never_passes() {
    let gate = good("prometheus", "--url|http://p|--query|up|--pass|< 5|--on-no-data|hold");
    for (value, verdict) in [
        (f64::NAN, Verdict::NoData),
        (f64::INFINITY, Verdict::Fail),
        (f64::NEG_INFINITY, Verdict::Pass),
        (4.9, Verdict::Pass),
        (5.0, Verdict::Fail),
    ] {
        let judgement = gate.judge(&values(&[value])).expect("one answer decides");
        assert_eq!(judgement.verdict, verdict, "{value}");
    }
    assert!(!Bound::parse("!= 3").expect("a bound").holds(f64::NAN));
    let judgement = gate.judge(&values(&[f64::NAN])).expect("a verdict");
    assert_eq!(gate.effect(&judgement), Effect::Hold);
}

#[test]
fn answers_of_prometheus_are_read_strictly() {
    let gate = good("prometheus", "--url|http://p|--query|up|--pass|< 5|--on-no-data|hold");
    let Probe::Prometheus(query) = &gate.probes[0] else { panic!("a query") };
    let reply = |text: &str| {
        query.judge(&Reply { status: 200, headers: Vec::new(), body: text.as_bytes(), is_cut: false })
    };
    let vector =
        |series: &str| format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{series}]}}}}"#);
    let one = r#"{"metric":{},"value":[1.5,"42"]}"#;
    assert_eq!(reply(&vector(one)), Seen::Value(42.0));
    assert!(matches!(reply(&vector("")), Seen::NoData(why) if why.contains("name right")));
    assert!(matches!(reply(&vector(&format!("{one},{one}"))), Seen::Error(why) if why.contains("2 series")));
    assert!(matches!(reply(&vector(r#"{"metric":{},"value":[1,"NaN"]}"#)), Seen::NoData(_)));
    assert!(
        matches!(reply(r#"{"status":"error","error":"parse error"}"#), Seen::Error(why) if why.contains("parse"))
    );
    assert!(matches!(reply("<html>"), Seen::Error(_)));
    let matrix =
        r#"{"status":"success","data":{"resultType":"matrix","result":[{"values":[[1,"1"],[2,"NaN"],[3,"7"]]}]}}"#;
    assert!(matches!(reply(matrix), Seen::Error(why) if why.contains("`range`")));
    let words = "--url|http://p|--query|q|--range|1m|--step|15s|--range-reduce|max|--pass|< 5|--on-no-data|hold";
    let Probe::Prometheus(ranged) = &good("prometheus", words).probes[0] else { panic!("a query") };
    assert_eq!(ranged.expression(), "(q)[60000ms:15000ms]", "no time is sent: only the server's clock counts");
    let reply = Reply { status: 200, headers: Vec::new(), body: matrix.as_bytes(), is_cut: false };
    assert_eq!(ranged.judge(&reply), Seen::Value(7.0));
}

#[test]
fn reducers_agree_with_their_definitions() {
    let points: Vec<(u64, f64)> =
        [3.0, 1.0, 2.0, 10.0].into_iter().zip(0..).map(|(v, at)| (at * 1000, v)).collect();
    for (word, wanted) in [
        ("avg", 4.0),
        ("min", 1.0),
        ("max", 10.0),
        ("p50", 2.0),
        ("p95", 10.0),
        ("last", 10.0),
        // 3 → 1 is a start from zero: 1, then 1, then 8.
        ("increase", 10.0),
        ("resets", 1.0),
    ] {
        let reducer = Reducer::parse(word).expect("a word");
        assert_eq!(reducer.over(&points), Some(wanted), "{word}");
    }
    let rate = Reducer::Rate.over(&points).expect("two points");
    assert!((rate - 10.0 / 3.0).abs() < 1e-12, "{rate}");
    assert_eq!(Reducer::Increase.over(&points[..1]), None, "one point has no increase");
    assert_eq!(Reducer::Avg.over(&[]), None);
    assert_eq!(reduce::rank(95, 20), 19);
    assert_eq!(reduce::rank(95, 21), 20);
}

const SOAK: &str = "--for|19s|--interval|1s|--on-no-data|hold|--metrics.p.file|f|--metrics.p.reduce|";

#[test]
fn a_soak_ends_at_its_end_or_as_soon_as_its_bound_is_lost() {
    let gate = good("soak", &format!("{SOAK}p95|--metrics.p.pass|< 100"));
    let (count, judgement) = first(&gate, &values(&[1.0; 30])).expect("a verdict");
    assert_eq!((count, judgement.verdict), (20, Verdict::Pass), "{judgement:?}");
    // Of 20 samples the p95 is the 19th: one may be over, two may not.
    let mut bad = [1.0; 20];
    bad[3] = 500.0;
    let (count, judgement) = first(&gate, &values(&bad)).expect("a verdict");
    assert_eq!((count, judgement.verdict), (20, Verdict::Pass));
    bad[5] = 500.0;
    let (count, judgement) = first(&gate, &values(&bad)).expect("a verdict");
    assert_eq!((count, judgement.verdict), (6, Verdict::Fail), "{}", judgement.why);
    let slow = good("soak", &format!("{SOAK}p95|--metrics.p.pass|< 100|--fail-fast|false"));
    assert_eq!(first(&slow, &values(&bad)).map(|it| (it.0, it.1.verdict)), Some((20, Verdict::Fail)));
}

#[test]
fn one_sample_past_the_bound_of_a_least_or_largest_value_is_enough() {
    for (reduce, pass, usual, odd, count, verdict) in [
        ("min", "== 1", 1.0, 0.0, 3, Verdict::Fail),
        ("min", "== 1", 1.0, 2.0, 20, Verdict::Pass),
        ("max", "== 1", 1.0, 2.0, 3, Verdict::Fail),
        ("max", "== 1", 1.0, 0.0, 20, Verdict::Pass),
        ("min", "> 1", 5.0, 1.0, 3, Verdict::Fail),
        ("min", ">= 1", 5.0, 1.0, 20, Verdict::Pass),
        ("max", "< 5", 1.0, 5.0, 3, Verdict::Fail),
        ("max", "<= 5", 1.0, 5.0, 20, Verdict::Pass),
    ] {
        let gate = good("soak", &format!("{SOAK}{reduce}|--metrics.p.pass|{pass}"));
        let mut samples = [usual; 20];
        samples[2] = odd;
        let found = first(&gate, &values(&samples)).map(|(count, it)| (count, it.verdict));
        assert_eq!(found, Some((count, verdict)), "{reduce} {pass} with {odd}");
    }
}

#[test]
fn missing_samples_end_a_soak_without_passing() {
    let gate = good("soak", &format!("{SOAK}avg|--metrics.p.pass|< 100"));
    let mut samples = values(&[1.0; 20]);
    // 95 % of 20: one may be missing.
    samples.remove(4);
    assert_eq!(first(&gate, &samples).map(|it| it.1.verdict), Some(Verdict::Pass));
    samples.remove(7);
    let (count, judgement) = first(&gate, &samples).expect("a verdict");
    assert_eq!((judgement.verdict, count), (Verdict::NoData, 8), "{}", judgement.why);
    assert_eq!(gate.effect(&judgement), Effect::Hold);
    let dead: Vec<Sample> = (0..20)
        .map(|at| Sample { at: at * 1000, probe: 0, took: 0, seen: Seen::Error("connection refused".into()) })
        .collect();
    let (count, judgement) = first(&gate, &dead).expect("a verdict");
    assert_eq!((count, judgement.verdict), (2, Verdict::Error), "{}", judgement.why);
    assert!(judgement.why.contains("connection refused"), "{}", judgement.why);
    assert_eq!(gate.judge(&[]), None, "nothing passes for want of data");
}

#[test]
fn a_watch_judges_each_window_that_slides_past() {
    let words = "--for|30s|--window|5s|--interval|1s|--on-no-data|hold|--metrics.p.file|f|--metrics.p.reduce|avg\
                 |--metrics.p.pass|< 10";
    let gate = good("watch", words);
    assert_eq!(first(&gate, &values(&[1.0; 40])).map(|it| (it.0, it.1.verdict)), Some((31, Verdict::Pass)));
    let mut burst = [1.0; 40];
    burst[12..16].fill(20.0);
    // The window of samples 11 to 15 has an average of 16.2; the first over 10 is that of 10 to 14 with 12.4.
    let (count, judgement) = first(&gate, &values(&burst)).expect("a verdict");
    assert_eq!((count, judgement.verdict), (15, Verdict::Fail), "{}", judgement.why);
}

#[test]
fn a_fault_that_was_there_before_is_tolerated_only_where_the_plan_says_so() {
    let base = "--url|http://p|--query|firing|--pass|== 0|--on-no-data|hold";
    let verdict = |more: &str, value: f64| {
        good("prometheus", &format!("{base}{more}")).judge(&values(&[value])).expect("a verdict").verdict
    };
    assert_eq!(verdict("", 2.0), Verdict::Fail);
    assert_eq!(verdict("|--before|2", 2.0), Verdict::Fail, "`block` is the default");
    assert_eq!(verdict("|--before|2|--preexisting|tolerate", 2.0), Verdict::Pass);
    assert_eq!(verdict("|--before|2|--preexisting|tolerate", 3.0), Verdict::Fail, "worse than before");
    assert_eq!(verdict("|--before|2|--preexisting|tolerate|--worsen-ratio|1.5", 3.0), Verdict::Pass);
    assert_eq!(verdict("|--before|0|--preexisting|tolerate", 1.0), Verdict::Fail, "it was not there before");
    assert_eq!(verdict("|--before||--preexisting|tolerate", 1.0), Verdict::Fail, "nobody knows what was before");
}

#[test]
fn metrics_come_together_as_the_plan_says() {
    let metric = |name: &str| {
        format!("|--metrics.{name}.file|{name}|--metrics.{name}.pass|< 10|--metrics.{name}.reduce|last")
    };
    let base = format!("--for|1s|--interval|1s|--on-no-data|hold{}{}{}", metric("a"), metric("b"), metric("c"));
    let verdict = |more: &str, seen: [f64; 3]| {
        let gate = good("soak", &format!("{base}{more}"));
        let each = |at: u64| {
            seen.into_iter().enumerate().map(move |(probe, value)| Sample {
                at,
                probe: u16::try_from(probe).expect("three"),
                took: 0,
                seen: Seen::value(value),
            })
        };
        let samples: Vec<Sample> = each(0).chain(each(1000)).collect();
        let judgement = gate.judge(&samples).expect("the end");
        (judgement.verdict, gate.effect(&judgement))
    };
    let nan = f64::NAN;
    assert_eq!(verdict("", [1.0, 1.0, 1.0]), (Verdict::Pass, Effect::Continue));
    assert_eq!(verdict("", [1.0, 50.0, nan]), (Verdict::Fail, Effect::Fail));
    assert_eq!(verdict("", [1.0, 1.0, nan]), (Verdict::NoData, Effect::Hold));
    assert_eq!(verdict("|--compose|any", [50.0, nan, 1.0]), (Verdict::Pass, Effect::Continue));
    assert_eq!(verdict("|--quorum|2", [50.0, 1.0, 1.0]), (Verdict::Pass, Effect::Continue));
    assert_eq!(verdict("|--quorum|2", [50.0, 50.0, 1.0]), (Verdict::Fail, Effect::Fail));
    let two = "|--authorities.correctness|a|--authorities.correctness|b|--authorities.safety|c";
    assert_eq!(verdict(two, [1.0, 1.0, 1.0]), (Verdict::Pass, Effect::Continue));
    assert_eq!(verdict(two, [1.0, 50.0, 1.0]), (Verdict::Fail, Effect::Fail), "correctness alone fails");
    assert_eq!(verdict(two, [1.0, 1.0, 50.0]), (Verdict::Fail, Effect::Hold), "safety alone holds");
    assert_eq!(verdict(two, [50.0, 1.0, 50.0]), (Verdict::Fail, Effect::Halt), "both halt");
    assert_eq!(verdict(two, [1.0, 1.0, nan]), (Verdict::NoData, Effect::Hold));
}

#[test]
fn mann_whitney_agrees_with_scipy() {
    let table: serde_json::Value =
        serde_json::from_str(include_str!("mannwhitney_scipy.json")).expect("the vectors are JSON");
    let numbers = |value: &serde_json::Value| -> Vec<f64> {
        value.as_array().expect("a list").iter().map(|it| it.as_f64().expect("a number")).collect()
    };
    let cases = table["cases"].as_array().expect("cases");
    assert!(cases.len() >= 24);
    for case in cases {
        let tail = match case[2].as_str() {
            Some("greater") => mannwhitney::Tail::Greater,
            Some("less") => mannwhitney::Tail::Less,
            _ => mannwhitney::Tail::TwoSided,
        };
        let outcome = mannwhitney::test(&numbers(&case[0]), &numbers(&case[1]), tail).expect("two samples");
        let (u, p) = (case[3].as_f64().expect("U"), case[4].as_f64().expect("p"));
        assert!((outcome.u - u).abs() < 1e-9, "{case}: U {}", outcome.u);
        let room = 1e-10_f64.max(p * 1e-8);
        assert!((outcome.p - p).abs() < room, "{case}: p {}", outcome.p);
    }
    assert_eq!(mannwhitney::test(&[], &[1.0], mannwhitney::Tail::Less), None);
    assert_eq!(mannwhitney::test(&[f64::NAN], &[1.0], mannwhitney::Tail::Less), None);
}

#[test]
fn a_canary_is_compared_with_what_ran_beside_it() {
    let words =
        "--for|19s|--interval|1s|--on-no-data|hold|--metrics.p.baseline.file|old|--metrics.p.canary.file|new";
    let gate = good("canary", words);
    let verdict = |old: &dyn Fn(u64) -> Option<f64>, new: &dyn Fn(u64) -> Option<f64>| {
        let mut samples = Vec::new();
        for at in 0..20 {
            for (probe, value) in [(0, old(at)), (1, new(at))] {
                let seen = value.map_or_else(|| Seen::NoData("not there".into()), Seen::value);
                samples.push(Sample { at: at * 1000, probe, took: 0, seen });
            }
        }
        let judgement = gate.judge(&samples).expect("the end");
        (judgement.verdict, judgement.why)
    };
    let wave = |at: u64| 100.0 + f64::from(u32::try_from(at * 7 % 11).expect("small"));
    assert_eq!(verdict(&|at| Some(wave(at)), &|at| Some(wave(at + 3))).0, Verdict::Pass);
    assert_eq!(verdict(&|at| Some(wave(at)), &|at| Some(wave(at) + 20.0)).0, Verdict::Fail);
    assert_eq!(verdict(&|at| Some(wave(at)), &|at| Some(wave(at) - 20.0)).0, Verdict::Pass, "better is not worse");
    assert_eq!(verdict(&|_| None, &|at| Some(wave(at))).0, Verdict::Fail, "only the new one has it");
    assert_eq!(verdict(&|at| Some(wave(at)), &|_| None).0, Verdict::NoData);
    assert_eq!(verdict(&|_| None, &|_| None).0, Verdict::NoData);
    let few = verdict(&|at| (at < 3).then(|| wave(at)), &|at| Some(wave(at)));
    assert_eq!(few.0, Verdict::Inconclusive, "{}", few.1);
}

#[test]
fn an_error_budget_burns_by_two_windows() {
    let gate = good("burn-rate", BURN);
    // Windows ascend: errors and total of 5 minutes, then of an hour.
    let verdict = |seen: [f64; 4]| {
        let samples: Vec<Sample> = seen
            .into_iter()
            .zip(0..)
            .map(|(value, probe)| Sample { at: 0, probe, took: 0, seen: Seen::value(value) })
            .collect();
        gate.judge(&samples).expect("one round decides").verdict
    };
    assert_eq!(verdict([20.0, 1000.0, 200.0, 10_000.0]), Verdict::Fail);
    assert_eq!(verdict([0.0, 1000.0, 200.0, 10_000.0]), Verdict::Pass, "the burst is over");
    assert_eq!(verdict([20.0, 1000.0, 20.0, 10_000.0]), Verdict::Pass, "a burst is no trend");
    assert_eq!(verdict([0.0, 0.0, 0.0, 0.0]), Verdict::NoData);
    assert_eq!(verdict([0.0, 10.0, 0.0, 20.0]), Verdict::Inconclusive);
    assert_eq!(verdict([f64::NAN, 1000.0, f64::NAN, 10_000.0]), Verdict::Pass, "no counter of errors is no error");
}
