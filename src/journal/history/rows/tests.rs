use super::*;
use proptest::prelude::*;

/// Of the numbers up to `count`.
fn some(rows: &[Rows], count: u64) -> ItemTimes<'_> {
    ItemTimes::of(rows.iter(), &Items::Range { count, size: 1 })
}

/// Of as many items as there were last.
fn of(rows: &[Rows]) -> ItemTimes<'_> {
    some(rows, rows.first().map_or(0, |rows| rows.items))
}

fn list(items: &[&str]) -> Items {
    let items = std::sync::Arc::new(items.iter().map(|&item| item.into()).collect());
    Items::List { items, size: 1, is_json: false }
}

/// Milliseconds of each of `now`, when `before` took these by rows of so many.
fn known(before: &[&str], rows: &[(u64, u32)], now: &[&str]) -> Vec<u64> {
    let mut next = 0;
    let rows = rows.iter().map(|&(count, ms)| {
        next += count;
        (next - count, count, ms)
    });
    let before = list(before);
    let rows = [Rows::new(before.count(), rows.collect()).known_by(&before, Vec::new())];
    let items = list(now);
    let times = ItemTimes::of(rows.iter(), &items);
    (0..items.count()).map(|at| (times.before(at + 1) - times.before(at)) / 1000).collect()
}

#[test]
fn what_an_item_took_goes_with_its_text() {
    let rows = [(1, 900), (1, 20), (1, 10)];
    let of = |now: &[&str]| known(&["a", "b", "c"], &rows, now);
    assert_eq!(of(&["a", "b", "c"]), [900, 20, 10]);
    assert_eq!(of(&["c", "a", "b"]), [10, 900, 20], "in another order");
    assert_eq!(of(&["x", "a", "b", "c", "y"]), [310, 900, 20, 10, 310], "what is new takes what is usual");
    assert_eq!(of(&["c", "z"]), [10, 310], "what is gone is no matter");
    assert_eq!(of(&["x", "y"]), [310, 310], "nobody knows any of them");
    assert_eq!(of(&["a", "a", "b"]), [900, 310, 20], "a second one was not there");
}

#[test]
fn items_that_were_timed_together_go_together() {
    let (before, rows) = (["a", "b", "c", "d", "e", "f"], [(2, 1000), (3, 30), (1, 8)]);
    let of = |now: &[&str]| known(&before, &rows, now);
    assert_eq!(of(&["c", "d", "e", "f", "a", "b"]), [10, 10, 10, 8, 500, 500], "a block was moved");
    assert_eq!(of(&["a", "b", "c", "x", "d", "e", "f"])[..5], [500, 500, 10, 10, 10], "one was put into a row");
    assert_eq!(of(&["a", "b", "c", "e", "f"]), [500, 500, 10, 10, 8], "one was taken out of a row");
    let usual = 1038 / 6;
    assert_eq!(of(&["f", "e", "d", "c", "b", "a"]), [8, usual, usual, usual, usual, usual], "who knows which");
    // The same items again and again: each row is where it was.
    assert_eq!(known(&["a"; 6], &rows, &["a"; 6]), [500, 500, 10, 10, 10, 8]);
}

#[test]
fn numbers_are_known_by_their_places_however_many_there_are() {
    let range = |count| Items::Range { count, size: 1 };
    let rows = [Rows::new(4, vec![(0, 2, 200), (2, 2, 2)]).known_by(&range(4), Vec::new())];
    let of = |count| {
        let times = some(&rows, count);
        (0..count).map(|at| (times.before(at + 1) - times.before(at)) / 1000).collect::<Vec<_>>()
    };
    assert_eq!((of(3), of(6)), (vec![100, 100, 1], vec![100, 100, 1, 1, 50, 50]));
    // Words that happen to be as many are others.
    assert_eq!(ItemTimes::of(rows.iter(), &list(&["a"; 6])).before(6), 6, "nobody knows");
}

#[test]
fn items_weigh_what_they_took_and_others_what_is_usual() {
    let rows = [Rows::new(100, vec![(0, 10, 90), (10, 10, 10), (40, 200, 600)])];
    let before = |item| of(&rows).before(item);
    assert_eq!(before(0), 0);
    assert_eq!(before(5), 45_000 + 5);
    assert_eq!(before(20), 100_000 + 20);
    // 80 items took 700 ms, so 8.75 ms is usual.
    assert_eq!(before(40), 100_000 + 20 * 8_750 + 40);
    assert_eq!(before(100), 700_000 + 20 * 8_750 + 100, "the last row ends with the items");
}

#[test]
fn a_shard_takes_what_its_items_took_or_its_share_of_all_if_there_are_others() {
    let rows = Rows::new(100, vec![(0, 10, 900), (10, 90, 100)]);
    let took = |places, all| rows.took(&places, all).ms();
    assert_eq!([took(0..5, 100), took(5..10, 100), took(10..100, 100)], [450, 450, 100]);
    assert_eq!([took(0..50, 200), took(0..200, 200), took(0..1, 1)], [500, 2000, 10], "10 ms an item");
    assert_eq!((took(0..0, 100), took(7..7, 3)), (0, 0));
}

#[test]
fn runs_that_differ_have_a_p50_below_their_p95_and_are_counted() {
    let took = |ms: u32| Rows::new(10, vec![(0, 10, ms)]);
    let work = |runs: &[Rows], all: u64| {
        some(runs, all).work().map(|it| (it.took.p50.ms(), it.took.p95.ms(), it.took.samples))
    };
    assert_eq!(work(&[took(300), took(900), took(100)], 10), Some((300, 900, 3)));
    assert_eq!(work(&[took(300), took(900), took(100)], 20), Some((600, 1800, 3)), "twice as many items");
    // Two newer runs count more than two older ones.
    assert_eq!(work(&[took(900), took(900), took(100), took(100)], 10), Some((900, 900, 4)));
    assert_eq!(work(&[took(300)], 10), Some((300, 300, 1)));
    assert_eq!((work(&[], 10), work(&[Rows::new(10, vec![])], 10)), (None, None));
}

#[test]
fn of_items_that_come_late_there_are_as_many_as_last_time_and_each_run_counts_with_its_own() {
    let runs = [Rows::new(3, vec![(0, 3, 30)]), Rows::new(100, vec![(0, 100, 2000)])];
    let late = Items::Late { text: "".into(), max: 9, size: 1, is_json: false };
    let work = ItemTimes::of(runs.iter(), &late).work().expect("two runs");
    assert_eq!((work.items, work.took.p50.ms(), work.took.p95.ms()), (3, 30, 2000));
}

fn texts(items: &[&str]) -> Vec<Box<str>> {
    items.iter().map(|&item| item.into()).collect()
}

/// Milliseconds of each of these items in a run to which an earlier stage gave them.
fn given(items: &[(&str, u32)]) -> Rows {
    let names: Vec<&str> = items.iter().map(|it| it.0).collect();
    let rows = (0..).zip(items).map(|(at, it)| (at, 1, it.1)).collect();
    Rows::new(items.len() as u64, rows).known_by(&list(&names), Vec::new()).given(&texts(&names))
}

#[test]
fn items_that_come_late_are_expected_to_be_those_of_last_time() {
    let late = Items::Late { text: "".into(), max: 9, size: 1, is_json: false };
    let runs = [given(&[("b", 20), ("a", 10)]), given(&[("slow", 4000), ("a", 30), ("b", 40)])];
    let times = ItemTimes::of(runs.iter(), &late);
    let work = times.work().expect("two runs");
    assert_eq!((work.items, work.took.p50.ms(), work.took.p95.ms()), (2, 30, 70), "`slow` was not there");
    let each = |at: usize| [0..1, 1..2].map(|places| times.runs()[at].0.took(&places, 2).ms());
    assert_eq!((each(0), each(1)), ([20, 10], [40, 30]), "each at its place of last time");
    let mut runs = runs;
    runs[0].forget_items();
    let work = ItemTimes::of(runs.iter(), &late).work().expect("two runs");
    assert_eq!((work.items, work.took.p95.ms()), (2, 4070), "of such that nobody knows each run has its own");
}

#[test]
fn items_that_are_given_take_what_their_texts_took() {
    let known = KnownItems(vec![given(&[("b", 20), ("a", 10)]), given(&[("slow", 4000), ("a", 30), ("b", 40)])]);
    let took = |items: &[&str]| known.took(&texts(items)).map(Span::ms);
    assert_eq!((took(&["a"]), took(&["b", "a"])), (Some(10), Some(30)));
    assert_eq!(took(&["slow"]), Some(4000), "the newer run knows nothing of it, and says nothing");
    assert_eq!((took(&[]), KnownItems(Vec::new()).took(&texts(&["a"]))), (Some(0), None));
    let without = KnownItems(vec![Rows::new(2, vec![(0, 2, 60)])]);
    assert_eq!(without.took(&texts(&["a", "b", "c"])).map(Span::ms), Some(90), "by their number");
}

#[test]
fn a_run_that_did_little_says_little() {
    let whole = Rows::new(1000, vec![(0, 500, 9_000), (500, 500, 1_000)]);
    // It came to an end after ten items.
    let cut = Rows::new(1000, vec![(0, 10, 900)]);
    let runs = [cut, whole];
    let work = of(&runs).work().expect("two runs").took;
    assert_eq!((work.p50.ms(), work.samples), (10_000, 2), "90 s would be the guess of ten items");
    let halves = of(&runs);
    let (first, all) = (halves.before(500), halves.before(1000));
    assert!(first > all * 4 / 5, "the first half is the long one: {first} of {all}");
}

#[test]
fn an_older_run_counts_less_than_a_newer_one() {
    // Ten items at either end took all the time.
    let (front, back) =
        (Rows::new(20, vec![(0, 10, 1000), (10, 10, 0)]), Rows::new(20, vec![(0, 10, 0), (10, 10, 1000)]));
    let half = |runs: &[Rows]| of(runs).before(10) - 10;
    assert_eq!(half(&[front.clone(), front.clone()]), 1_000_000);
    let newer = half(&[front.clone(), back.clone()]);
    let older = half(&[back, front]);
    assert_eq!((newer / 1000, older / 1000), (526, 473), "1 and 0.9 of 1.9");
}

proptest! {
    #[test]
    fn weights_never_fall(runs in prop::collection::vec(prop::collection::vec((0u64..300, 1u64..40, 0u32..5000), 0..20), 0..5)) {
        let runs: Vec<Rows> = runs.into_iter().map(|rows| Rows::new(250, rows)).collect();
        let all: Vec<u64> = (0..=250).map(|item| of(&runs).before(item)).collect();
        prop_assert!(all.is_sorted());
    }
}

proptest! {
    /// However a list is shuffled, cut and filled up: items that were timed one by one keep their times, and all
    /// others take what is usual.
    #[test]
    fn each_known_text_keeps_its_time(times in prop::collection::vec(1u32..5000, 1..40), order in prop::collection::vec(0usize..60, 0..60)) {
        let name = |at: usize| format!("item {at}");
        let before: Vec<String> = (0..times.len()).map(name).collect();
        let mut now: Vec<usize> = Vec::new();
        for at in order {
            if !now.contains(&at) {
                now.push(at);
            }
        }
        let rows: Vec<(u64, u32)> = times.iter().map(|&ms| (1, ms)).collect();
        let after: Vec<String> = now.iter().map(|&at| name(at)).collect();
        let before: Vec<&str> = before.iter().map(String::as_str).collect();
        let after: Vec<&str> = after.iter().map(String::as_str).collect();
        let found = known(&before, &rows, &after);
        let usual = times.iter().map(|&ms| u64::from(ms) * 1000).sum::<u64>() / times.len() as u64;
        for (&at, found) in now.iter().zip(found) {
            let expected = times.get(at).map_or(usual / 1000, |&ms| u64::from(ms));
            prop_assert!(found.abs_diff(expected) <= 1, "item {}: {} beside {}", at, found, expected);
        }
    }
}
