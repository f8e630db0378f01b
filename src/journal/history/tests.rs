use super::rows::Row;
use super::*;
use proptest::prelude::*;

fn sample(ms: u64, weight: f64) -> Sample {
    Sample { took: Span::from_ms(ms), is_good: true, weight }
}

fn history(sets: &[(&str, u64, u32, &[u32])]) -> History {
    let mut history = History::default();
    for (at, (stage, definition, size, good)) in sets.iter().enumerate() {
        let run = format!("r{at}");
        history.runs.push(RunNote {
            run: run.clone(),
            wall_ms: i64::try_from(at).expect("few"),
            ..RunNote::default()
        });
        let set =
            Set { run: run.into(), definition: *definition, size: *size, good: good.to_vec(), bad: Vec::new() };
        history.stages.entry((*stage).to_owned()).or_default().sets.push(set);
    }
    history.order();
    history
}

fn ms(found: Option<Expected>) -> Option<(u64, u64, u32)> {
    found.map(|found| (found.p50.ms(), found.p95.ms(), found.samples))
}

#[test]
fn equal_weights_give_the_nearest_rank() {
    let all: Vec<_> = (1..=100).rev().map(|at| sample(at, 1.0)).collect();
    assert_eq!(ms(quantiles(all)), Some((50, 95, 100)));
    assert_eq!(ms(quantiles(vec![sample(7, 0.3)])), Some((7, 7, 1)));
    assert_eq!(quantiles(Vec::new()), None);
}

#[test]
fn newer_runs_weigh_more() {
    // Ten old runs of 1 s, seven new ones of 9 s: counted alike the median would be 1 s.
    let old = (0..10).map(|at| sample(1000, fade(7 + at)));
    let new = (0..7).map(|at| sample(9000, fade(at)));
    assert_eq!(ms(quantiles(old.chain(new).collect())), Some((9000, 9000, 17)));
}

#[test]
fn samples_of_what_runs_now_are_preferred_if_there_are_enough() {
    let rows: Vec<(&str, u64, u32, &[u32])> =
        vec![("pack", 1, 1, &[10, 10, 10, 10]), ("pack", 2, 1, &[90, 90, 90]), ("pack", 2, 16, &[800, 800])];
    let of = |definition, size, more: &[(&'static str, u64, u32, &'static [u32])]| {
        let rows: Vec<_> = rows.iter().chain(more).copied().collect();
        ms(history(&rows).of_stage(Key { stage: "pack", definition, size }))
    };
    assert_eq!(of(1, 1, &[("pack", 1, 1, &[12])]), Some((10, 12, 5)), "the same definition and size");
    assert_eq!(of(1, 1, &[]).map(|found| found.2), Some(7), "the same size, too few of the definition");
    assert_eq!(of(1, 16, &[]).map(|found| found.2), Some(9), "every size in proportion");
    assert_eq!(of(1, 32, &[]).map(|found| found.1), Some(90 * 32), "90 ms an item, at worst");
    assert_eq!(ms(history(&rows).of_stage(Key { stage: "other", definition: 1, size: 1 })), None);
}

#[test]
fn what_is_too_old_goes() {
    let mut many = History::default();
    for at in 0..(MAX_RUNS + 3) {
        let run = format!("r{at:03}");
        many.runs.push(RunNote {
            run: run.clone(),
            wall_ms: i64::try_from(at).expect("few"),
            ..RunNote::default()
        });
        let past = many.stages.entry(if at == 0 { "gone" } else { "a" }.to_owned()).or_default();
        past.sets.push(Set { run: run.into(), good: vec![1], ..Set::default() });
    }
    many.order();
    assert_eq!(many.runs.len(), MAX_RUNS);
    assert_eq!(many.runs[0].run, format!("r{:03}", MAX_RUNS + 2));
    assert!(!many.stages.contains_key("gone"));
    assert_eq!(many.stages["a"].sets.len(), MAX_RUNS);
}

/// A command, filled in with value number `value`.
const fn filled(command: u64, value: u64) -> u64 {
    (command << 32) | value
}

/// Of a stage of 100 items that found its size in runs `r0`, `r1` and so on, of this definition and with these rows.
fn timed(runs: &[(u64, &[Row])]) -> History {
    let mut history = history(&[("pack", 7, 1, &[1])]);
    for (at, (definition, rows)) in (0..).zip(runs) {
        let rows = Rows::new(100, rows.to_vec()).of_run((&format!("r{at}"), at), *definition);
        history.stages.get_mut("pack").expect("it is there").rows.push(rows);
    }
    history.order();
    history
}

/// What so many numbers take.
fn times(history: &History, definition: u64, count: u64) -> ItemTimes<'_> {
    history.item_times(("pack", definition), &Items::Range { count, size: 1 })
}

/// What all 100 items take, and in how many runs.
fn work(history: &History, definition: u64) -> Option<(u64, u64, u32)> {
    ms(times(history, definition, 100).work().map(|work| work.took))
}

#[test]
fn items_of_another_command_say_nothing() {
    let [seven, eight, nine] = [filled(7, 1), filled(8, 1), filled(9, 1)];
    let past = timed(&[(0, &[(0, 100, 50)]), (seven, &[(0, 100, 10)]), (eight, &[(0, 100, 900)])]);
    assert_eq!(work(&past, seven), Some((10, 50, 2)), "and one of which nobody noted the definition");
    assert_eq!((work(&past, eight), work(&past, nine)), (Some((900, 900, 2)), Some((50, 50, 1))));
    assert_eq!(past.item_times(("other", seven), &Items::None).work(), None);
    assert_eq!(times(&past, seven, 99).before(99), 99, "items that may be others have no places");
    // The mean of 10 ms, and of 50 ms that count nine tenths.
    assert_eq!((times(&past, seven, 100).before(100) - 100) / 1000, 28);
}

#[test]
fn other_values_stand_in_while_there_are_too_few_runs_of_these() {
    let (slow, quick): (&[Row], &[Row]) = (&[(0, 100, 900)], &[(0, 100, 10)]);
    let mut runs = vec![(filled(7, 1), slow), (filled(8, 2), slow)];
    runs.extend(vec![(filled(7, 2), quick); 4]);
    assert_eq!(work(&timed(&runs), filled(7, 2)), Some((10, 900, 5)), "and no other command");
    runs.push((filled(7, 2), quick));
    assert_eq!(work(&timed(&runs), filled(7, 2)), Some((10, 10, 5)));
    assert_eq!(work(&timed(&runs), filled(7, 3)), Some((10, 900, 6)), "a tag that is new each time");
}

/// Parts of a plan are dealt out one after the other on one machine, by the same, though each adds a run.
#[test]
fn runs_without_items_change_nothing_of_what_items_took() {
    let mut past = timed(&[(7, &[(0, 50, 900), (50, 50, 77)]), (7, &[(0, 50, 10), (50, 50, 333)])]);
    let before: Vec<u64> = (0..=100).map(|item| times(&past, 7, 100).before(item)).collect();
    for at in 0..MAX_RUNS {
        let run = format!("part{at}");
        past.runs.push(RunNote { run: run.clone(), wall_ms: 1000, ..RunNote::default() });
        let set = Set { run: run.into(), good: vec![1], ..Set::default() };
        past.stages.get_mut("pack").expect("it is there").sets.push(set);
    }
    past.order();
    assert!(past.runs.iter().all(|run| run.run != "r0"), "it is too old for all else");
    let after: Vec<u64> = (0..=100).map(|item| times(&past, 7, 100).before(item)).collect();
    assert_eq!(after, before);
}

#[test]
fn the_newest_runs_are_kept_of_what_items_took() {
    let one: &[Row] = &[(0, 100, 5)];
    let many = timed(&vec![(7, one); limits::MAX_ITEM_RUNS + 5]);
    assert_eq!(work(&many, 7).map(|found| found.2 as usize), Some(limits::MAX_ITEM_RUNS));
    let newest = &many.stages["pack"].rows[0];
    assert_eq!(newest.run, format!("r{}", limits::MAX_ITEM_RUNS + 4));
    // So many stages that there is room for the newest run of each only.
    let large = Rows::new(1000, (0..1000).map(|at| (at, 1, 1)).collect());
    let mut past = timed(&[]);
    for stage in 0..500 {
        let rows = (0..3).map(|at| large.clone().of_run((&format!("r{at}"), at), 7)).collect();
        let sets = vec![Set { run: "r0".into(), good: vec![1], ..Set::default() }];
        past.stages.insert(format!("s{stage}"), StagePast { sets, rows, ..StagePast::default() });
    }
    past.order();
    assert!(
        past.stages
            .values()
            .filter(|it| !it.rows.is_empty())
            .all(|it| it.rows.len() == 1 && it.rows[0].run == "r2")
    );
}

#[test]
fn what_items_are_is_kept_of_the_newest_run_of_each_definition() {
    let items: Vec<Box<str>> = vec!["a".into(), "b".into()];
    let mut past = timed(&[]);
    let rows = |at: i64, definition| {
        let rows = Rows::new(2, vec![(0, 2, 5)]).given(&items);
        rows.of_run((&format!("r{at}"), at), definition)
    };
    past.stages.get_mut("pack").expect("it is there").rows = vec![rows(1, 7), rows(2, 8), rows(3, 7), rows(4, 8)];
    past.order();
    let sizes: Vec<usize> = past.stages["pack"].rows.iter().map(Rows::bytes).collect();
    let least = sizes.iter().min().expect("four");
    assert_eq!(sizes.iter().map(|size| size - least).collect::<Vec<_>>(), [16, 16, 0, 0], "the newest come first");
}

proptest! {
    /// A quantile is a sample, half of the weight is at or below the median, and p50 is never above p95.
    #[test]
    fn a_quantile_is_a_sample(samples in prop::collection::vec((0u64..500, 1u32..100), 1..40)) {
        let samples: Vec<Sample> = samples.iter().map(|&(ms, weight)| sample(ms, f64::from(weight))).collect();
        let found = quantiles(samples.clone()).expect("a sample");
        prop_assert!(samples.iter().any(|it| it.took == found.p50) && found.p50 <= found.p95);
        let all: f64 = samples.iter().map(|it| it.weight).sum();
        let upto = |limit: Span| samples.iter().filter(|it| it.took <= limit).map(|it| it.weight).sum::<f64>();
        let below = |limit: Span| samples.iter().filter(|it| it.took < limit).map(|it| it.weight).sum::<f64>();
        prop_assert!(upto(found.p50) >= all * 0.5 - 1e-6 && below(found.p50) <= all * 0.5 + 1e-6);
        prop_assert!(upto(found.p95) >= all * 0.95 - 1e-6 && below(found.p95) <= all * 0.95 + 1e-6);
    }
}
