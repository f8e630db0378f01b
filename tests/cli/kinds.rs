//! `engine check` without values: what no value could make right is an error, and nothing else is.

use serde_json::Value;

use super::support::Project;

const HEAD: &str = "version: 1
name: test
inputs:
  n: {type: int}
  f: {type: float, min: 1, max: 2}
  b: {type: bool}
  s: {type: string, pattern: '^v[0-9]+$'}
  e: {type: string, enum: [staging, production]}
  d: {type: duration}
  l: {type: list}
  m: {type: map}
vars:
  image: \"shop:{{ inputs.s }}\"
  twice: \"{{ inputs.n * 2 }}\"
  known: 3
stages:
  p: {outputs: {n: int, s: string, l: list, m: map, b: bool}, run: x}
  o: {if: inputs.b, outputs: {n: int}, run: x}
  t: {allow-failure: true, outputs: {n: int}, run: x}
  h: {shards: {items: [a, b, c], size: 2}, outputs: {u: string}, run: x}
  z: {needs: [p, o, t, h], ";

/// Keys of the last stage, the code, and what is marked.
const WRONG: [(&str, &str, &str); 40] = [
    (r#"run: x, if: "inputs.n + 'a'""#, "wrong-type", "inputs.n + 'a'"),
    (r#"run: x, if: "inputs.n""#, "wrong-type", "inputs.n"),
    (r#"run: x, if: "inputs.n + 1""#, "wrong-type", "inputs.n + 1"),
    (r#"run: x, if: "inputs.s | upper""#, "wrong-type", "inputs.s | upper"),
    (r#"run: x, if: "vars.image""#, "wrong-type", "vars.image"),
    (r#"run: x, if: "inputs.n == 'a'""#, "wrong-type", "inputs.n == 'a'"),
    (r#"run: x, if: "inputs.b and inputs.s > 3""#, "wrong-type", "inputs.s > 3"),
    (r#"run: x, if: "needs.p.outputs.n == 'a'""#, "wrong-type", "needs.p.outputs.n == 'a'"),
    (r#"run: x, if: "needs.p.outputs.n""#, "wrong-type", "needs.p.outputs.n"),
    (r#"run: x, if: "needs.p.state""#, "wrong-type", "needs.p.state"),
    (r#"run: x, if: "3 in inputs.n""#, "wrong-type", "3 in inputs.n"),
    (r#"run: [x, "{{ inputs.s }} {{ inputs.l }}"]"#, "wrong-type", "{{ inputs.l }}"),
    (r#"run: [x, "a {{ inputs.m }}"]"#, "wrong-type", "{{ inputs.m }}"),
    (r#"run: [x, "{{ inputs.l }}"]"#, "wrong-type", "{{ inputs.l }}"),
    (r#"run: [x, "{{ inputs.l + 1 }}"]"#, "wrong-type", "inputs.l + 1"),
    (r#"run: [x, "{{ vars.image - 1 }}"]"#, "wrong-type", "vars.image - 1"),
    (r#"run: [x, "{{ vars.twice + 'a' }}"]"#, "wrong-type", "vars.twice + 'a'"),
    (r#"run: [x, "{{ inputs.s + vars.known }}"]"#, "wrong-type", "inputs.s + vars.known"),
    (r#"run: [x, "{{ inputs.n | length }}"]"#, "wrong-type", "length"),
    (r#"run: [x, "{{ inputs.n | split('.') }}"]"#, "wrong-type", "split('.')"),
    (r#"run: [x, "{{ inputs.n[1:] }}"]"#, "wrong-type", ".n[1:]"),
    (r#"run: [x, "{{ -inputs.s }}"]"#, "wrong-type", "-inputs.s"),
    (r#"run: [x, "{{ (inputs.n + 'a') if inputs.b else (1 + inputs.s) }}"]"#, "wrong-type", "inputs.n + 'a'"),
    (r#"run: [x, "{{ inputs.s.part }}"]"#, "unknown-name", "inputs.s.part"),
    (r#"run: [x, "{{ needs.p.outputs.n.part }}"]"#, "unknown-name", "needs.p.outputs.n.part"),
    (r#"run: [x, "{{ needs.p.outputs.n + 'x' }}"]"#, "wrong-type", "needs.p.outputs.n + 'x'"),
    (r#"run: [x, "{{ needs.t.outputs.n + 'x' }}"]"#, "wrong-type", "needs.t.outputs.n + 'x'"),
    (r#"run: [x, "{{ needs.p.outputs.l }} {{ run.id }}"]"#, "wrong-type", "{{ needs.p.outputs.l }}"),
    (r#"run: [x, "{{ needs.p.outputs }}"]"#, "wrong-type", "{{ needs.p.outputs }}"),
    (r#"run: [x, "{{ needs.h.outputs['9'].u }}"]"#, "unknown-output", "needs.h.outputs['9'].u"),
    (r#"run: [x, "{{ needs.h.outputs['2'].u }}"]"#, "unknown-output", "needs.h.outputs['2'].u"),
    (r#"run: x, env: {L: "{{ inputs.m }}"}"#, "wrong-type", "{{ inputs.m }}"),
    (r#"run: x, cwd: "{{ inputs.l }}""#, "wrong-type", "{{ inputs.l }}"),
    (r#"run: x, timeout: "{{ inputs.n }}""#, "wrong-type", "\"{{ inputs.n }}\""),
    (r#"run: x, timeout: "{{ inputs.b }}""#, "wrong-type", "\"{{ inputs.b }}\""),
    (r#"run: x, retry: {max: "{{ inputs.b }}"}"#, "wrong-type", "\"{{ inputs.b }}\""),
    (r#"run: x, shards: {items: "{{ inputs.n }}"}"#, "wrong-type", "\"{{ inputs.n }}\""),
    (
        r#"run: x, shards: {items: {from: "{{ needs.p.outputs.n + 1 }}", max: 3}}"#,
        "wrong-type",
        "\"{{ needs.p.outputs.n + 1 }}\"",
    ),
    (r#"run: x, matrix: {a: "{{ inputs.s }}"}"#, "wrong-type", "\"{{ inputs.s }}\""),
    (r#"run: x, matrix: {a: "{{ inputs.l }}", c: "{{ inputs.n }}"}"#, "wrong-type", "\"{{ inputs.n }}\""),
];

/// Keys of the last stage, which some values make right.
const RIGHT: [&str; 48] = [
    r#"run: x, if: "inputs.b""#,
    r#"run: x, if: "inputs.n > 3 and inputs.e == 'production'""#,
    r#"run: x, if: "inputs.e in ['staging', 'other']""#,
    r#"run: x, if: "'x' in inputs.l or 'x' in inputs.m or 'x' in inputs.s""#,
    r#"run: x, if: "inputs.e not in inputs.l""#,
    r#"run: x, if: "not inputs.l""#,
    r#"run: x, if: "inputs.n is even and inputs.s is startingwith('v')""#,
    r#"run: x, if: "inputs.l | length > 2""#,
    r#"run: x, if: "inputs.m.flag""#,
    r#"run: x, if: "inputs.m.deep.flag | default(false)""#,
    r#"run: x, if: "inputs.l | first""#,
    r#"run: x, if: "inputs.b and inputs.n""#,
    r#"run: x, if: "inputs.e == 'never' and inputs.n + 'a' == 'x'""#,
    r#"run: x, if: "needs.p.state == 'success' and needs.p.outputs.b""#,
    r#"run: x, if: "needs.o.outputs.n | default(none) is none""#,
    r#"run: x, if: "(needs.o.outputs.n | default('none')) == 'none'""#,
    r#"run: x, if: "needs.t.outputs.n == 'nothing'""#,
    r#"run: x, if: "inputs.s == none or inputs.s | length > 3""#,
    r#"run: [x, "{{ inputs.n }} {{ inputs.f }} {{ inputs.b }} {{ inputs.s }} {{ inputs.d }}"]"#,
    r#"run: [x, "{{ inputs.n / inputs.n }}"]"#,
    r#"run: [x, "{{ inputs.n // 0 }}"]"#,
    r#"run: [x, "{{ inputs.b + 1 }}"]"#,
    r#"run: [x, "{{ inputs.s * 3 }}", "{{ '-' * inputs.n }}"]"#,
    r#"run: [x, "{{ inputs.s + '-' + inputs.e }}"]"#,
    r#"run: [x, "{{ inputs.n ~ inputs.l ~ inputs.m ~ 'x' }}"]"#,
    r#"run: [x, "{{ inputs.s | int + 1 }}", "{{ inputs.s[1:] | split('.') | first | int }}"]"#,
    r#"run: [x, "{{ (inputs.s | split('-') | last) + 1 }}"]"#,
    r#"run: [x, "{{ inputs.l | join(',') }}", "{{ inputs.l | tojson }}", "{{ inputs.m | tojson }}"]"#,
    r#"run: [x, "{{ (inputs.l + ['x']) | join(' ') }}"]"#,
    r#"run: [x, "{{ inputs.l[7] }}", "{{ inputs.l[inputs.n] + 1 }}", "{{ inputs.m[inputs.s] + 1 }}"]"#,
    r#"run: [x, "{{ (inputs.l[3] | default('a')) + 1 }}", "{{ (inputs.m.k | default('a')) + 1 }}"]"#,
    r#"run: [x, "{{ inputs.l | sum }}", "{{ inputs.l | max + 1 }}", "{{ inputs.l | sort | first }}"]"#,
    r#"run: [x, "{{ inputs.l | unique | list | length }}", "{{ inputs.s | reverse | upper | trim }}"]"#,
    r#"run: [x, "{{ inputs.n | string + 'a' }}", "{{ inputs.f | round(1) | abs }}"]"#,
    r#"run: [x, "{{ 'a' if inputs.b else 3 }}", "{{ (1 if inputs.e == 'production' else 'x') + 1 }}"]"#,
    r#"run: [x, "{{ inputs.l if inputs.b else 'none' }}"]"#,
    r#"run: [x, "{{ vars.image ~ vars.twice }}", "{{ vars.twice + vars.known }}"]"#,
    r#"run: [x, "{{ needs.p.outputs.n + 1 }}", "{{ needs.p.outputs.s }}", "{{ needs.p.outputs.m.deep.er }}"]"#,
    r#"run: [x, "{{ needs.p.outputs.l[0] + 1 }}", "{{ needs.p.outputs.l | join(',') }}"]"#,
    r#"run: [x, "{{ needs.o.outputs.n | default('-') }}", "{{ (needs.o.outputs.n | default(0)) + 1 }}"]"#,
    r#"run: [x, "{{ needs.h.outputs['0'].u }}{{ needs.h.outputs['1'].u }}", "{{ needs.h.outputs['9'] | default('-') }}"]"#,
    r#"run: [x, "{{ needs.h.outputs | length }}", "{{ run.id | lower }}", "{{ self.stage + '!' }}"]"#,
    r#"run: x, timeout: "{{ inputs.d }}", retry: {max: "{{ inputs.n }}", delay: "{{ inputs.s }}"}"#,
    r#"run: x, timeout: "{{ inputs.n }}s""#,
    r#"run: [x, "{{ shard.index + 1 }} {{ shard.item + 1 }}"], shards: {items: "{{ inputs.l }}", allow-failed: "{{ inputs.n }}"}"#,
    r#"run: x, shards: {items: {from: "{{ needs.p.outputs.l if needs.p.outputs.b else [] }}", max: 3}, size: "{{ inputs.n }}"}"#,
    r#"run: [x, "{{ matrix.a + 1 }}", "{{ matrix.a }}"], matrix: {a: "{{ inputs.l }}"}"#,
    r#"run: [x, "{{ matrix.a ~ matrix.c }}"], matrix: {a: {from: "{{ needs.p.outputs.l }}", max: 2}, c: [1, 2]}"#,
];

/// Writes a plan for each, and checks them all at once.
fn checked(project: &Project, stages: impl Iterator<Item = &'static str>, status: i32) -> Vec<Vec<String>> {
    let plans: Vec<String> = stages.map(|stage| format!("{HEAD}{stage}}}\n")).collect();
    let names: Vec<String> = (0..plans.len()).map(|at| format!("plan-{at:02}.yaml")).collect();
    for (name, plan) in names.iter().zip(&plans) {
        project.write(name, plan);
    }
    let mut words = vec!["check", "--format", "json"];
    words.extend(names.iter().map(String::as_str));
    let told = project.engine(&words).expect(status).stdout;
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let of = |name: &String, plan: &String| {
        let all = told["diagnostics"].as_array().into_iter().flatten();
        all.filter(|one| one["file"] == name.as_str()).map(|one| shown(one, plan)).collect()
    };
    names.iter().zip(&plans).map(|(name, plan)| of(name, plan)).collect()
}

/// The code and what is marked.
fn shown(one: &Value, plan: &str) -> String {
    let number = |key: &str| usize::try_from(one[key].as_u64().expect(key)).expect(key) - 1;
    let line = plan.lines().nth(number("line")).expect("a line");
    let marked: String =
        line.chars().skip(number("column")).take(number("end_column") - number("column")).collect();
    format!("{} {marked}", one["code"].as_str().expect("a code"))
}

#[test]
fn what_no_value_could_make_right_is_marked() {
    let project = Project::new();
    let found = checked(&project, WRONG.iter().map(|(stage, ..)| *stage), 3);
    for ((stage, code, marked), found) in WRONG.iter().zip(found) {
        assert_eq!(found, [format!("plan::{code} {marked}")], "{stage}");
    }
}

#[test]
fn what_some_value_makes_right_is_let_pass() {
    let project = Project::new();
    let found = checked(&project, RIGHT.iter().copied(), 0);
    for (stage, found) in RIGHT.iter().zip(found) {
        assert!(found.is_empty(), "{stage}: {found:?}");
    }
}

#[test]
fn a_file_is_given_what_its_inputs_are() {
    let project = Project::new();
    project.write("part.yaml", "version: 1\ninputs: {n: {type: int}, l: {type: list, default: []}}\nstages: {a: {run: [x, \"{{ inputs.n + 1 }}\"]}}\n");
    let plan = |with: &str| {
        format!(
            "version: 1\nname: test\ninputs: {{s: {{type: string}}, n: {{type: int}}}}\nstages:\n  p: {{outputs: {{s: string, n: int}}, run: x}}\n  z: {{needs: [p], uses: ./part.yaml, with: {with}}}\n"
        )
    };
    for with in [
        r#"{n: "{{ inputs.s }}"}"#,
        r#"{n: "{{ needs.p.outputs.s }}"}"#,
        r#"{n: 1, l: "{{ needs.p.outputs.n }}"}"#,
    ] {
        project.write("plan.yaml", plan(with));
        let told = project.engine(&["check", "plan.yaml"]).expect(3).stdout;
        assert!(told.contains("plan::bad-input") && told.contains("declared here"), "{told}");
    }
    for with in
        [r#"{n: "{{ inputs.n }}"}"#, r#"{n: "{{ needs.p.outputs.n }}", l: "{{ ['a'] if inputs.n else [] }}"}"#]
    {
        project.write("plan.yaml", plan(with));
        project.engine(&["check", "plan.yaml"]).expect(0);
    }
}
