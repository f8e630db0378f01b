//! Rendering the files of environments, and checking large ones.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use engine::render::files::{Bindings, Bound, Renderer};
use rayon::prelude::*;

use crate::board::{Board, Budget};
use crate::dag::write;
use crate::machine::{in_turns, median, room, seconds};
use crate::tool::{cost, engine};

const TEMPLATES: usize = 10_000;
const VARIABLES: usize = 100;
const BYTES: usize = 2 * 1024;
const KEYS: usize = 5_000;
const ENVIRONMENTS: usize = 10;

/// The items of issue 4.
pub(crate) fn measure(board: &mut Board) {
    render(board);
    check(board);
}

/// Templates in memory: on one core beside a plain loop over minijinja's own API, and on two cores beside one.
fn render(board: &mut Board) {
    let keys: BTreeMap<String, Bound> = (0..VARIABLES)
        .map(|n| (format!("VARIABLE_{n}"), Bound::Plain(format!("value-{n}.of/the:environment").into())))
        .collect();
    let bindings = Bindings::new("bench", &keys);
    let renderer = Renderer::new(|name| Err(format!("`{name}` is not there")));
    let texts: Vec<String> = (0..TEMPLATES).map(template).collect();
    let ours = |text: &String| renderer.render("bench.j2", text, &bindings).expect("it renders").redacted.len();
    let context = minijinja::Value::from_pairs(keys.iter().map(|(key, bound)| (key.as_str(), text_of(bound))));
    let bare = |text: &String| bare(text, &context).len();
    assert_eq!(ours(&texts[0]), bare(&texts[0]), "both do the same");
    let sum =
        |each: &dyn Fn(&String) -> usize| seconds(|| assert!(texts.iter().map(each).sum::<usize>() > TEMPLATES));
    let [one, other] = in_turns(board.rounds, [&mut || sum(&ours), &mut || sum(&bare)]);
    board.judge(
        format!("{TEMPLATES} templates on one core, as a share of a loop over minijinja"),
        (one / other * 100.0, "%"),
        Budget::Most(115.0),
    );
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        seconds(|| assert!(pool.install(|| texts.par_iter().map(ours).sum::<usize>()) > TEMPLATES))
    };
    let [one, two] = in_turns(board.rounds, [&mut || on(1), &mut || on(2)]);
    board.judge(format!("{TEMPLATES} templates, two cores over one"), (one / two, "times"), Budget::Least(1.6));
}

fn text_of(bound: &Bound) -> &str {
    match bound {
        Bound::Plain(value) => value.as_str().expect("they are texts"),
        Bound::Secret(_) => unreachable!("there are none here"),
    }
}

/// What somebody would write who has nothing but minijinja: strict, without escaping, from the text to the text.
fn bare(text: &str, context: &minijinja::Value) -> String {
    thread_local! {
        static ENGINE: minijinja::Environment<'static> = {
            let mut engine = minijinja::Environment::new();
            engine.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
            engine.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
            engine
        };
    }
    ENGINE.with(|engine| {
        let template = engine.template_from_named_str("bench.j2", text).expect("a template");
        template.render(context.clone()).expect("it renders")
    })
}

/// Lines of a configuration file that together use every variable.
fn template(number: usize) -> String {
    let mut text = format!("# file {number}\n");
    for n in (0..VARIABLES).cycle() {
        if text.len() > BYTES - 40 {
            break;
        }
        writeln!(text, "KEY_{n}={{{{ VARIABLE_{} }}}}", (n + number) % VARIABLES).expect("a text grows");
    }
    text
}

/// From the start of `engine env check --declared` over all environments to its end.
fn check(board: &mut Board) {
    let room = room("env-check");
    let mut catalog = "keys:\n".to_owned();
    for n in 0..KEYS {
        let rule = ["{type: int}", "{type: url}", "{enum: [on, off]}", "{pattern: '^v[0-9]+$'}", "{}"][n % 5];
        writeln!(catalog, "  KEY_{n}: {rule}").expect("a text grows");
    }
    std::fs::create_dir_all(room.join("environments")).expect("a folder");
    write(&room, "environments/catalog.yaml", &catalog);
    let names: Vec<String> = (0..ENVIRONMENTS).map(|at| format!("place-{at}")).collect();
    for (at, name) in names.iter().enumerate() {
        let mut layer = "values:\n".to_owned();
        for n in 0..KEYS {
            let value = match n % 5 {
                0 => format!("{}", n + at),
                1 => format!("https://host-{at}.example/{n}"),
                2 => "'on'".to_owned(),
                3 => format!("v{at}{n}"),
                _ => format!("text {n} of {at}"),
            };
            writeln!(layer, "  KEY_{n}: {value}").expect("a text grows");
        }
        write(&room, &format!("environments/{name}.yaml"), &layer);
    }
    let words: Vec<&str> =
        ["env", "check", "--declared"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let walls = (0..board.rounds).map(|_| cost(&engine(&room, &words)).wall);
    let wall = median(walls.collect());
    board.judge(
        format!("check of {KEYS} keys in {ENVIRONMENTS} environments"),
        (wall * 1e3, "ms"),
        Budget::Most(500.0),
    );
}
