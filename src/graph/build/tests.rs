//! Plans as text become graphs or errors.

mod bounds;

use std::collections::BTreeMap;

use super::world::Recorded;
use super::*;
use crate::base::Span;
use crate::graph::model::{Command, FoldKind, Items, Work};
use crate::graph::{Facts, scope};
use crate::plan::Diagnostic;
use crate::plan::source::Loader;

struct Memory(BTreeMap<String, String>);

impl Loader for Memory {
    fn load(&self, path: &str) -> Result<String, String> {
        self.0.get(path).cloned().ok_or_else(|| "no such file".to_owned())
    }
}

/// Builds `plan.yaml`; a line `# file: PATH` begins another file. Without `version` and `name` these are added.
fn built(text: &str, request: &Request) -> Result<Graph, Vec<Diagnostic>> {
    let mut files = BTreeMap::new();
    let mut path = "plan.yaml".to_owned();
    let mut part = "version: 1\nname: test\n".to_owned();
    for line in text.lines() {
        if let Some(next) = line.strip_prefix("# file: ") {
            files.insert(
                std::mem::replace(&mut path, next.to_owned()),
                std::mem::replace(&mut part, "version: 1\n".to_owned()),
            );
        } else {
            part.extend([line, "\n"]);
        }
    }
    files.insert(path, part);
    let mut report = Report::default();
    let loaded = crate::plan::load(&Memory(files), "plan.yaml", &mut report);
    let world = Recorded {
        globs: [("a/*".to_owned(), vec!["a/1".to_owned(), "a/2".to_owned(), "a/3".to_owned()])].into(),
        items: [("list.txt".to_owned(), "x\ny\n".to_owned())].into(),
    };
    let graph = loaded.ok().and_then(|loaded| build(&loaded, request, &world, &mut report).ok());
    graph.ok_or_else(|| report.sorted())
}

fn graph(text: &str) -> Graph {
    built(text, &Request { mode: Mode::Run, ..Request::default() }).expect("a right plan")
}

/// The first error of a plan that is wrong: code and message.
fn wrong(text: &str) -> (String, String, String) {
    let found = built(text, &Request { mode: Mode::Run, ..Request::default() }).expect_err("a wrong plan");
    let first = found.first().expect("a finding");
    (first.code.to_owned(), first.message.clone(), first.help.clone().unwrap_or_default())
}

fn ids(graph: &Graph) -> Vec<&str> {
    graph.nodes.iter().map(|node| &*node.id).collect()
}

fn needs<'g>(graph: &'g Graph, id: &str) -> Vec<&'g str> {
    let node = &graph.nodes[graph.find(id).expect(id)];
    node.needs.iter().map(|need| &*graph.nodes[need.node].id).collect()
}

fn argv(graph: &Graph, id: &str) -> Vec<String> {
    match &graph.nodes[graph.find(id).expect(id)].work {
        Work::Process(process) => match &process.command {
            Command::Argv(words) => words.iter().map(ToString::to_string).collect(),
            Command::Script { text, .. } => vec![text.to_string()],
        },
        Work::Approval { .. } => Vec::new(),
    }
}

/// Everything succeeded; outputs by node id.
struct Past(Vec<(NodeIx, Vec<(String, Value)>)>);

impl Facts for Past {
    fn state(&self, node: NodeIx) -> &'static str {
        if self.outputs(node).is_some() { "success" } else { "failed" }
    }

    fn outputs(&self, node: NodeIx) -> Option<&[(String, Value)]> {
        self.0.iter().find(|(known, _)| *known == node).map(|(_, outputs)| &outputs[..])
    }

    fn run_id(&self) -> &'static str {
        "run-1"
    }

    fn run_state(&self) -> &'static str {
        "failed"
    }

    fn shard_file(&self, _: NodeIx, shard: u32) -> Option<&str> {
        (shard == 1).then_some("/tmp/items-1")
    }
}

fn facts(graph: &Graph, outputs: &[(&str, &str, &str)]) -> Past {
    let outputs = outputs
        .iter()
        .map(|(id, name, value)| (graph.find(id).expect(id), vec![((*name).to_owned(), Value::from(*value))]))
        .collect();
    Past(outputs)
}

fn render(graph: &Graph, id: &str, shard: u32, facts: &dyn Facts) -> String {
    let node = graph.find(id).expect(id);
    let words: Vec<String> =
        argv(graph, id).iter().map(|word| graph.text(node, shard, word, facts).expect("a text")).collect();
    words.join(" ")
}

mod told;

#[test]
fn inputs_vars_and_settings_have_values() {
    let graph = graph(
        "inputs:\n  tag: {type: string, default: v1}\n  jobs: {type: int, default: 3}\n\
         vars:\n  image: \"shop:{{ inputs.tag }}\"\nmax-parallel: \"{{ inputs.jobs }}\"\n\
         stages:\n  a: {run: [echo, \"{{ vars.image }}\", \"{{ inputs.jobs }}\"], timeout: 5m}\n",
    );
    assert_eq!(argv(&graph, "a"), ["echo", "shop:v1", "3"]);
    assert_eq!(graph.settings.max_parallel, 3);
}

#[test]
fn given_inputs_are_checked() {
    let text =
        "inputs:\n  tag: {type: string, pattern: '^v'}\nstages:\n  a: {run: [echo, \"{{ inputs.tag }}\"]}\n";
    let with = |mode, given: &[(&str, &str)]| {
        let inputs = given
            .iter()
            .map(|(name, value)| Given {
                name: (*name).to_owned(),
                value: GivenValue::Text((*value).to_owned()),
                source: "--set".to_owned(),
            })
            .collect();
        built(text, &Request { mode, inputs, ..Request::default() })
    };
    assert_eq!(argv(&with(Mode::Run, &[("tag", "v2")]).expect("right"), "a"), ["echo", "v2"]);
    assert_eq!(argv(&with(Mode::Check, &[]).expect("unknown"), "a"), ["echo", "{{ inputs.tag }}"]);
    let code = |result: Result<Graph, Vec<Diagnostic>>| result.expect_err("wrong")[0].code;
    assert_eq!(code(with(Mode::Plan, &[])), "plan::missing-input");
    assert_eq!(code(with(Mode::Run, &[("tag", "2")])), "plan::bad-input");
    assert_eq!(code(with(Mode::Run, &[("tag", "v2"), ("tga", "v2")])), "plan::unknown-input");
}

#[test]
fn a_value_never_becomes_a_template() {
    let graph = graph(
        "inputs:\n  evil: {type: string, default: \"{{ '{{ run.id }}' }}\"}\n\
         stages:\n  a: {run: [echo, \"{{ inputs.evil }}\"]}\n",
    );
    let nothing = facts(&graph, &[]);
    assert_eq!(render(&graph, "a", 0, &nothing), "echo {{ '{{ run.id }}' }}");
}

#[test]
fn a_matrix_becomes_cells() {
    let graph = graph(
        "stages:\n  a:\n    run: [echo, \"{{ matrix.region }}-{{ matrix.colour }}\"]\n    matrix:\n      region: [eu, us]\n      colour: [blue, red]\n\
         \x20     exclude: [{region: us, colour: red}]\n      include: [{region: ap, colour: red}]\n      max-parallel: 1\n      on-failure: kill\n\
         \x20 b: {needs: [a], run: [echo]}\n  c:\n    needs: [{stage: a, same: [region]}]\n    run: [echo]\n    matrix: {region: [eu, ap]}\n",
    );
    assert_eq!(ids(&graph), ["a:eu,blue", "a:eu,red", "a:us,blue", "a:ap,red", "b", "c:eu", "c:ap"]);
    assert_eq!(needs(&graph, "b").len(), 4);
    assert_eq!(needs(&graph, "c:eu"), ["a:eu,blue", "a:eu,red"]);
    assert_eq!(needs(&graph, "c:ap"), ["a:ap,red"]);
    assert_eq!(argv(&graph, "a:us,blue"), ["echo", "us-blue"]);
    let node = &graph.nodes[NodeIx::new(0)];
    assert_eq!(graph.scopes[node.scope].policy, Policy::Kill);
    assert_eq!(graph.pools[node.rules.pools[0].0].capacity, 1);
    assert_eq!(graph.folds[0].kind, FoldKind::Matrix);
}

/// `find` gives regions, `a` is a matrix over them.
fn late(more: &str, rest: &str) -> String {
    format!(
        "stages:\n  find: {{run: [find], outputs: {{regions: list}}}}\n  a:\n    needs: [find]\n    run: [echo, \"{{{{ matrix.region }}}}\"]\n    matrix: {{region: {{from: \"{{{{ needs.find.outputs.regions }}}}\", max: 2}}{more}}}\n{rest}"
    )
}

#[test]
fn a_late_axis_has_a_place_for_each_cell_that_there_may_be() {
    let mut graph = graph(&late(", color: [blue, red]", "  b: {needs: [a], run: [echo]}\n"));
    assert_eq!(ids(&graph), ["find", "a:?,blue", "a:?,red", "a:?2,blue", "a:?2,red", "b"]);
    let shown = |graph: &Graph| graph.stages().map(|(_, node)| node.id.to_string()).collect::<Vec<_>>();
    assert_eq!(shown(&graph), ["find", "a:?,blue", "b"]);
    assert_eq!(needs(&graph, "b").len(), 4);
    assert_eq!(graph.matrices[0].promise(), "up to 4 cells from needs.find.outputs.regions");
    let before = graph.digest();
    graph.give_cells(NodeIx::new(1), &["\"eu\"".into(), "".into()]);
    assert_eq!(ids(&graph), ["find", "a:eu,blue", "a:eu,red", "a:?2,blue", "a:?2,red", "b"]);
    assert_eq!(shown(&graph), ["find", "a:eu,blue", "a:eu,red", "b"]);
    assert_eq!(graph.find("a:eu,red"), Some(NodeIx::new(2)));
    let facts = facts(&graph, &[]);
    assert_eq!(render(&graph, "a:eu,red", 0, &facts), "echo eu");
    assert_ne!(graph.digest(), before, "ids are part of it");
    graph.give_cells(NodeIx::new(1), &[]);
    assert_eq!(shown(&graph), ["find", "a:eu,blue", "b"], "one place says that there are none");
}

#[test]
fn what_is_known_of_a_late_axis_before_the_run_is_checked() {
    let cases = [
        (late(", include: [{region: x}]", ""), "plan::bad-matrix", "whose values a stage gives"),
        (late(", exclude: [{region: x}]", ""), "plan::bad-matrix", "whose values a stage gives"),
        (late("", "    timeout: \"{{ matrix.region }}\"\n"), "plan::late-value", "only known while the plan runs"),
        (
            late(
                "",
                "  b:\n    needs: [{stage: a, same: [region]}]\n    run: [echo]\n    matrix: {region: [x]}\n",
            ),
            "plan::bad-matrix",
            "`same` cannot tie by `region`",
        ),
        (late("", "").replace("outputs.regions", "outputs.region"), "plan::unknown-output", "no output `region`"),
        (late("", "").replace("needs: [find]", "needs: []"), "plan::unknown-need", "does not wait for `find`"),
        (late("", "").replace("max: 2", "max: 1001"), "plan::out-of-range", "1000"),
        (late("", "").replace("max: 2", "max: \"{{ 0 }}\""), "plan::out-of-range", "from 1 to 1000, this is 0"),
        (late("", "").replace("{{ matrix.region }}", "{{ matrix.zone }}"), "plan::unknown-axis", "matrix.zone"),
        // A list that is known already is one that is written in the plan.
        (late("", "").replace("{{ needs.find.outputs.regions }}", "{{ [1, 2, 3] }}"), "plan::too-large", "are 3"),
        (late("", "").replace("{{ needs.find.outputs.regions }}", "{{ ['a/b'] }}"), "plan::bad-matrix", "no name"),
        (
            late("", "").replace("run: [echo, \"{{ matrix.region }}\"]", "uses: ./lib.yaml")
                + "# file: lib.yaml\n"
                + &late("", ""),
            "plan::bad-matrix",
            "cannot stand inside a cell of another",
        ),
    ];
    for (text, code, message) in cases {
        let (found, said, _) = wrong(&text);
        assert!(found == code && said.contains(message), "{text}\n{found}: {said}");
    }
}

const FILE: &str = "stages:\n  build: {run: [make], outputs: {digest: string}}\n\
    \x20 ship:\n    needs: [build]\n    if: needs.build.state == 'success'\n    uses: ./lib.yaml\n    with: {image: \"app@{{ needs.build.outputs.digest }}\"}\n\
    \x20 tell: {needs: [ship], run: [echo, \"{{ needs.ship.outputs.url | default('none') }}\"]}\n\
    # file: lib.yaml\ninputs:\n  image: {type: string}\noutputs:\n  url: {value: \"http://{{ needs.start_up.outputs.host }}\"}\n\
    stages:\n  pull: {run: [pull, \"{{ inputs.image }}\"]}\n  start-up: {needs: [pull], run: [up], outputs: {host: string}}\n";

#[test]
fn a_file_is_inlined_between_its_outer_needs() {
    let graph = graph(FILE);
    assert_eq!(ids(&graph), ["build", "ship/pull", "ship/start-up", "tell"]);
    assert_eq!(needs(&graph, "ship/pull"), ["build"]);
    assert_eq!(needs(&graph, "tell"), ["ship/start-up"]);
    let facts =
        facts(&graph, &[("build", "digest", "abc"), ("ship/pull", "x", ""), ("ship/start-up", "host", "h1")]);
    assert_eq!(render(&graph, "ship/pull", 0, &facts), "pull app@abc");
    assert_eq!(render(&graph, "tell", 0, &facts), "echo http://h1");
    for id in ["ship/pull", "ship/start-up"] {
        assert_eq!(graph.holds(graph.find(id).expect(id), &facts), Ok(true));
    }
}

#[test]
fn what_did_not_succeed_has_no_outputs() {
    let graph = graph(FILE);
    let nothing = facts(&graph, &[]);
    assert_eq!(render(&graph, "tell", 0, &nothing), "echo none");
    assert_eq!(graph.holds(graph.find("ship/pull").expect("it"), &nothing), Ok(false));
}

#[test]
fn an_action_reads_its_own_inputs_and_its_caller_its_own() {
    let graph = graph(
        "inputs:\n  who: {type: string, default: me}\nactions:\n  greet: {run: [echo, \"{{ inputs.word }}\"], env: {A: action, B: action}}\n\
         stages:\n  a: {run: [true-it], outputs: {x: string}}\n\
         \x20 b: {needs: [a], uses: greet, with: {word: \"{{ needs.a.outputs.x }}\"}, env: {B: \"{{ inputs.who }}\", C: \"{{ needs.a.outputs.x }}\"}}\n",
    );
    let facts = facts(&graph, &[("a", "x", "hello")]);
    assert_eq!(render(&graph, "b", 0, &facts), "echo hello");
    let b = graph.find("b").expect("b");
    let Work::Process(process) = &graph.nodes[b].work else { panic!("a process") };
    let env: Vec<String> =
        process.env.iter().map(|(k, v)| format!("{k}={}", graph.text(b, 0, v, &facts).expect("text"))).collect();
    assert_eq!(env, ["A=action", "B=me", "C=hello"]);
}

#[test]
fn shards_are_frozen() {
    let graph = graph(
        "stages:\n  a: {run: [x, \"{{ shard.index }}\", \"{{ shard.file }}\"], shards: {items: {glob: 'a/*'}, size: 2}}\n\
         \x20 b: {run: [x], shards: {items: {range: 10}, size: 3, max-parallel: 4}}\n  c: {run: [x, \"{{ shard.item }}\"], shards: {items: {file: list.txt}, size: 1}}\n\
         \x20 d: {run: [x], shards: {items: [p, q], size: 1}}\n",
    );
    let shards: Vec<u32> = graph.nodes.iter().map(|node| node.rules.shards).collect();
    assert_eq!(shards, [2, 4, 2, 2]);
    let facts = facts(&graph, &[]);
    assert_eq!(render(&graph, "a", 1, &facts), "x 1 /tmp/items-1");
    assert_eq!(render(&graph, "c", 1, &facts), "x y");
    let Work::Process(process) = &graph.nodes[NodeIx::new(1)].work else { panic!("a process") };
    assert_eq!(process.items, Items::Range { count: 10, size: 3 });
}

#[test]
fn groups_scopes_and_defaults_reach_their_stages() {
    let graph = graph(
        "on-failure: kill\ndefaults: {timeout: 15m, stop: {grace: 3s}, env: {A: '1'}}\npools: {db: 2}\n\
         groups:\n  g: {on-failure: continue}\n  h: {}\n\
         stages:\n  a: {group: g, run: [x, \"{{ group.name }}\"], pools: {db: 2}}\n  b: {group: h, run: [x], timeout: 1m, retry: 2}\n  c: {uses: approval, with: {prompt: 'ok?'}}\n",
    );
    let node = |id: &str| &graph.nodes[graph.find(id).expect(id)];
    assert_eq!(graph.scopes[node("a").scope].policy, Policy::Continue);
    assert_eq!(graph.scopes[node("b").scope].policy, Policy::Kill);
    assert_eq!(argv(&graph, "a"), ["x", "g"]);
    assert_eq!(node("a").rules.timeout, Some(Span::from_secs(900)));
    assert_eq!(node("a").rules.grace, Span::from_secs(3));
    assert_eq!(node("b").rules.timeout, Some(Span::from_secs(60)));
    assert_eq!(node("b").rules.retry.as_ref().map(|retry| retry.max), Some(2));
    assert_eq!((node("c").rules.timeout, node("c").rules.is_approval), (None, true));
}

#[test]
fn the_clean_up_sees_the_run() {
    let graph = graph(
        "stages:\n  a: {run: [x]}\nfinally:\n  budget: 3m\n  stages:\n    n: {run: [tell, \"{{ run.state }}\", \"{{ needs.a.state }}\"], timeout: 1m}\n",
    );
    let facts = facts(&graph, &[]);
    assert_eq!(render(&graph, "n", 0, &facts), "tell failed failed");
}

#[test]
fn a_default_that_is_longer_than_the_clean_up_s_budget_leaves_the_bound_to_the_budget() {
    let timeout = |default: &str| {
        let graph = graph(&format!(
            "defaults: {{timeout: {default}}}\nstages:\n  a: {{run: [x]}}\nfinally:\n  budget: 3m\n  stages: {{n: {{run: [x]}}}}\n"
        ));
        graph.nodes[graph.find("n").expect("declared")].rules.timeout
    };
    assert_eq!((timeout("15m"), timeout("1m")), (None, Some(Span::from_secs(60))));
}

#[test]
fn wrong_plans_are_refused_with_their_code() {
    for (code, text) in [
        ("plan::cycle", "stages:\n  a: {needs: [b], run: [x]}\n  b: {needs: [a], run: [x]}\n"),
        ("plan::unknown-input", "stages:\n  a: {run: [x, \"{{ inputs.tag }}\"]}\n"),
        ("plan::unknown-variable", "vars: {image: x}\nstages:\n  a: {run: [x, \"{{ vars.imgae }}\"]}\n"),
        ("plan::unknown-need", "stages:\n  a: {run: [x]}\n  b: {run: [x, \"{{ needs.a.state }}\"]}\n"),
        (
            "plan::unknown-output",
            "stages:\n  a: {run: [x]}\n  b: {needs: [a], run: [x, \"{{ needs.a.outputs.y }}\"]}\n",
        ),
        ("plan::unknown-axis", "stages:\n  a: {run: [x, \"{{ matrix.regoin }}\"], matrix: {region: [eu]}}\n"),
        ("plan::unknown-name", "stages:\n  a: {if: production, run: [x]}\n"),
        ("plan::wrong-type", "inputs:\n  e: {type: string, default: p}\nstages:\n  a: {if: inputs.e, run: [x]}\n"),
        ("plan::wrong-type", "stages:\n  a: {if: \"'yes'\", run: [x]}\n"),
        ("plan::run-time-name", "stages:\n  a: {if: \"run.state == 'failed'\", run: [x]}\n"),
        ("plan::secret-outside-with", "stages:\n  a: {run: [x, \"{{ secrets.A }}\"]}\n"),
        ("plan::late-value", "stages:\n  a: {run: [x], timeout: \"{{ run.id }}\"}\n"),
        ("plan::bad-expression", "stages:\n  a: {run: [x, \"{% if x %}\"]}\n"),
        (
            "plan::bad-expression",
            "inputs:\n  e: {type: bool, default: true}\nstages:\n  a: {if: \"{{ inputs.e }}\", run: [x]}\n",
        ),
        (
            "plan::output-may-miss",
            "inputs:\n  e: {type: bool, default: true}\nstages:\n  a: {if: inputs.e, run: [x], outputs: {o: string}}\n  b: {needs: [a], run: [x, \"{{ needs.a.outputs.o }}\"]}\n",
        ),
        (
            "plan::output-may-miss",
            "stages:\n  a: {run: [x], outputs: {o: string}}\n  b: {needs: [{stage: a, accept: [success, failed]}], run: [x]}\n  \
             c: {needs: [b], run: [x, \"{{ needs.a.outputs.o }}\"]}\n",
        ),
        (
            "plan::unknown-need",
            "stages:\n  a: {matrix: {r: [e, w]}, run: [x]}\n  b: {matrix: {r: [e, w]}, needs: [{stage: a, same: [r]}], run: [x]}\n  \
             c: {matrix: {r: [e, w]}, needs: [{stage: b, same: [r]}], run: [x, \"{{ needs.a.state }}\"]}\n",
        ),
        (
            "plan::budget",
            "stages:\n  a: {run: [x]}\nfinally:\n  budget: 1m\n  stages:\n    n: {run: [x], timeout: 2m}\n",
        ),
        ("plan::no-items", "stages:\n  a: {run: [x], shards: {items: {file: none.txt}, size: 1}}\n"),
        (
            "plan::bad-matrix",
            "inputs:\n  l: {type: list, default: []}\nstages:\n  a: {run: [x], matrix: {r: \"{{ inputs.l }}\"}}\n",
        ),
        (
            "plan::bad-matrix",
            "stages:\n  a: {run: [x], matrix: {r: [eu]}}\n  b: {run: [x], needs: [{stage: a, same: [r]}], matrix: {r: [us]}}\n",
        ),
        (
            "plan::missing-input",
            "stages:\n  a: {uses: ./lib.yaml}\n# file: lib.yaml\ninputs:\n  i: {type: string}\nstages:\n  b: {run: [x]}\n",
        ),
    ] {
        let (found, message, _) = wrong(text);
        assert_eq!(found, code, "{message}\n{text}");
    }
}

#[test]
fn help_names_what_was_meant() {
    let help = |text: &str| wrong(text).2;
    assert_eq!(
        help("vars: {image: x}\nstages:\n  a: {run: [x, \"{{ vars.imgae }}\"]}\n"),
        "did you mean `image`?"
    );
    let hyphen = "stages:\n  check-env: {run: [x]}\n  b: {needs: [check-env], if: \"needs.check-env.state == 'success'\", run: [x]}\n";
    assert_eq!(help(hyphen), "in an expression `-` is written `_`: `check_env`");
    assert_eq!(
        help("stages:\n  a: {run: [x]}\n  b: {if: \"needs.a.state == 'success'\", run: [x]}\n"),
        "add `a` to `needs`"
    );
}

#[test]
fn the_same_condition_lets_an_output_be_read() {
    let graph = graph(
        "inputs:\n  e: {type: bool, default: true}\nstages:\n  a: {if: inputs.e, run: [x], outputs: {o: string}}\n\
         \x20 b: {if: inputs.e, needs: [a], run: [x, \"{{ needs.a.outputs.o }}\"]}\n  c: {needs: [a], run: [x, \"{{ needs.a.outputs.o | default('-') }}\"]}\n",
    );
    assert_eq!(ids(&graph).len(), 3);
}

#[test]
fn a_late_name_is_written_as_expressions_write_it() {
    assert_eq!(scope::under("check-env"), "check_env");
}

#[test]
fn one_fault_is_told_once() {
    for (plan, code) in [
        ("inputs: {n: {type: int, default: 5, max: 3}}\nstages: {a: {run: [x]}}", "plan::bad-default"),
        ("inputs: {u: {type: url, default: \"http:///x\"}}\nstages: {a: {run: [x]}}", "plan::bad-default"),
        ("lock: {name: \"\"}\nstages: {a: {run: [x]}}", "plan::empty"),
        ("pools: {p: 2}\nstages: {a: {run: [x], pools: {p: 5}}}", "plan::pool-weight"),
        ("timeout: 5m\nstages: {a: {run: [x]}}\nfinally: {budget: 10m, stages: {c: {run: [y]}}}", "plan::budget"),
        ("stages: {a: {run: [x], needs: [a]}}", "plan::self-need"),
        ("stages: {a: {run: [x], shards: {items: {range: 5}, size: 0}}}", "plan::out-of-range"),
        ("stages: {a: {run: [x], matrix: {v: [a, a, b]}}}", "plan::duplicate-cell"),
        ("stages: {a: {run: [x], matrix: {v: []}}}", "plan::empty"),
        ("stages: {a: {run: [x], matrix: {v: [a], include: [{w: b}]}}}", "plan::unknown-axis"),
        ("stages: {a: {run: [x], matrix: {v: [a], exclude: [{z: c}]}}}", "plan::unknown-axis"),
        ("stages: {a: {run: [x], matrix: {v: [[a], b]}}}", "plan::wrong-type"),
        ("stages: {a: {run: [\"{{ vars.no }}\"], matrix: {v: [a, b, c]}}}", "plan::unknown-variable"),
        (
            "defaults: {timeout: \"{{ vars.no }}\"}\nstages: {a: {run: [x]}, b: {run: [x]}}",
            "plan::unknown-variable",
        ),
    ] {
        let found = built(plan, &Request::default()).expect_err("a wrong plan");
        let codes: Vec<&str> = found.iter().map(|one| one.code).collect();
        assert_eq!(codes, [code], "{plan}\n{found:?}");
    }
}

#[test]
fn two_faults_are_told_both() {
    let plan = "stages: {a: {run: [x], matrix: {v: [1.5, \"a b\"]}}, b: {run: [x], needs: [c]}, c: {run: [x], needs: [b, d]}}";
    let found = built(plan, &Request::default()).expect_err("a wrong plan");
    let codes: Vec<&str> = found.iter().map(|one| one.code).collect();
    assert_eq!(codes, ["plan::bad-matrix", "plan::unquoted", "plan::cycle", "plan::unknown-stage"]);
}

#[test]
fn what_a_run_keeps_has_no_shards() {
    let (code, message, help) = wrong("stages: {a: {shards: {items: [x, y]}, lifetime: run, run: make}}");
    assert_eq!(code, "plan::misplaced-key");
    assert!(message.contains("`lifetime: run` does not fit `shards`") && help.contains("`matrix`"), "{message}");
    let _ = graph("stages: {a: {matrix: {of: [x, y]}, lifetime: run, run: make}}");
    let _ = graph("stages: {a: {shards: {items: [x, y]}, lifetime: host, run: make}}");
}
