//! Secrets in plans: who gets them, when they are fetched, and everything that would take them elsewhere.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::place::{SECRETS, TOKEN, pipe, project, told};
use super::support::{Live, Output, Project};

/// Writes a plan for `staging` and runs it with the secrets in the engine's environment.
fn run(project: &Project, stages: &str, status: i32) -> Output {
    project.write("plan.yaml", format!("version: 1\nenvironment: staging\n{stages}"));
    let out = project.engine_with(&SECRETS, &["run", "plan.yaml"]).expect(status);
    for text in [&out.stdout, &out.stderr] {
        assert!(!text.contains("canary"), "a secret was shown:\n{text}");
    }
    out
}

fn check(project: &Project, text: &str, status: i32, words: &[&str]) {
    project.write("plan.yaml", format!("version: 1\n{text}"));
    let out = project.engine(&["check", "plan.yaml"]).expect(status);
    for word in words {
        assert!(out.stdout.contains(word), "no `{word}` for\n{text}\n{}", out.stdout);
    }
}

#[test]
fn a_stage_gets_the_secrets_that_it_names_and_no_others() {
    let project = project();
    project.script("same", "#!/bin/sh\n[ \"$1\" = \"$(sha256sum < want)\" ]");
    project.write("want", TOKEN);
    let out = run(
        &project,
        "stages:\n  named: {secrets: [TOKEN], run: 'printf %s \"$TOKEN\" | cmp - want; echo named ${DATABASE_URL:-nothing else}'}\n  \
         renamed: {secrets: {PASSWORD: TOKEN}, run: 'printf %s \"$PASSWORD\" | cmp - want; echo renamed ${TOKEN:-only so}'}\n  \
         none: {run: 'echo none ${TOKEN:-at all}'}\n  \
         prefixed: {pass-env: ['TOK*'], run: 'echo prefixed ${TOKEN:-neither}'}\n",
        0,
    );
    for words in ["named nothing else", "renamed only so", "none at all", "prefixed neither"] {
        assert!(out.stdout.contains(words), "{words}: {}", out.stdout);
    }
}

#[test]
fn an_action_a_file_and_done_if_get_what_they_are_lent() {
    let project = project();
    project.write("want", TOKEN);
    project.write(
        "lib/ship.yaml",
        "version: 1\ninputs: {key: {secret: true}, where: {default: eu}}\nstages:\n  \
         lent: {secrets: [TOKEN], run: 'printf %s \"$TOKEN\" | cmp - want'}\n  \
         inner: {secrets: {KEY: key}, run: 'printf %s \"$KEY\" | cmp - want; echo inner is in $WHERE', env: {WHERE: '{{ inputs.where }}'}}\n",
    );
    let out = run(
        &project,
        "actions:\n  push: {secrets: {IT: key}, run: 'printf %s \"$IT\" | cmp - want; echo pushed'}\nstages:\n  \
         act: {uses: push, with: {key: '{{ secrets.TOKEN }}'}}\n  \
         file: {uses: ./lib/ship.yaml, secrets: [TOKEN], with: {key: '{{ secrets.TOKEN }}'}}\n  \
         again: {uses: ./lib/ship.yaml, secrets: {TOKEN: TOKEN}, with: {key: '{{ secrets.TOKEN }}', where: us}}\n",
        0,
    );
    for words in ["act | pushed", "file/inner | inner is in eu", "again/inner | inner is in us"] {
        assert!(out.stdout.contains(words), "{words}: {}", out.stdout);
    }
    let refused =
        "environment: staging\nstages:\n  file: {uses: ./lib/ship.yaml, with: {key: '{{ secrets.TOKEN }}'}}\n";
    check(
        &project,
        refused,
        3,
        &["plan::unknown-secret", "lib/ship.yaml:4:", "was lent no secret `TOKEN`", "`secrets: [TOKEN]`"],
    );
}

/// Everything that would take a secret elsewhere, and what is said of it.
const ELSEWHERE: &[(&str, &[&str])] = &[
    // An expression: ids, locks, names, words, conditions, limits.
    (
        "lock: {name: 'deploy/{{ inputs.token }}'}\nstages: {a: {run: x}}",
        &["plan::secret-exposed", "plan.yaml:4:", "a stage gets it as a variable"],
    ),
    ("vars: {v: '{{ inputs.token }}'}\nstages: {a: {run: x}}", &["plan::secret-exposed"]),
    ("stages: {a: {run: [x, '{{ inputs.token }}']}}", &["plan::secret-exposed", "plan.yaml:4:27"]),
    ("stages: {a: {run: x, env: {T: '{{ inputs.token | upper }}'}}}", &["plan::secret-exposed"]),
    ("stages: {a: {run: x, cwd: '{{ inputs.token }}'}}", &["plan::secret-exposed"]),
    ("stages: {a: {run: x, if: \"inputs.token == 'x'\"}}", &["plan::secret-exposed"]),
    ("stages: {a: {run: x, matrix: {m: '{{ inputs.token }}'}}}", &["plan::secret-exposed"]),
    ("stages: {a: {run: x, matrix: {m: ['{{ inputs.token }}']}}}", &["plan::secret-exposed"]),
    ("stages: {a: {run: x, shards: {items: ['{{ inputs.token }}']}}}", &["plan::secret-exposed"]),
    ("stages: {a: {uses: approval, with: {prompt: '{{ inputs.token }}?'}}}", &["plan::secret-exposed"]),
    ("stages: {a: {uses: env.render, with: {to: '{{ inputs.token }}'}}}", &["plan::secret-exposed"]),
    ("stages: {a: {run: [x, '{{ secrets.TOKEN }}']}}", &["plan::secret-outside-with", "`secrets: [TOKEN]`"]),
    ("stages: {a: {run: x, env: {T: '{{ secrets.TOKEN }}'}}}", &["plan::secret-outside-with"]),
    // The caller's variables.
    (
        "stages: {a: {run: x, pass-env: [TOKEN]}}",
        &["plan::secret-exposed", "write `secrets: [TOKEN]`", "plan.yaml:4:33"],
    ),
    (
        "stages: {a: {run: x, pass-env: [ENGINE_INPUT_TOKEN]}}",
        &["plan::secret-exposed", "`secrets: {TOKEN: token}`"],
    ),
    ("stages: {a: {run: x, cache: {sources: ['*'], env: [TOKEN]}}}", &["plan::secret-exposed", "cache key"]),
    ("defaults: {pass-env: [TOKEN]}\nstages: {a: {run: x}}", &["plan::secret-exposed"]),
    // Names.
    (
        "stages: {a: {run: x, secrets: [TOKNE]}}",
        &["plan::unknown-secret", "did you mean `TOKEN`?", "plan.yaml:4:32"],
    ),
    ("stages: {a: {run: x, secrets: [PORT]}}", &["plan::unknown-secret", "is no secret", "`{{ env.PORT }}`"]),
    ("stages: {a: {run: x, secrets: {1x: TOKEN}}}", &["plan::bad-name"]),
    ("stages: {a: {run: x, secrets: {ENGINE_RUN_ID: TOKEN}}}", &["plan::", "engine's own"]),
    ("stages: {a: {run: x, env: {TOKEN: a}, secrets: [TOKEN]}}", &["plan::bad-name", "by `env` and by `secrets`"]),
    ("stages: {a: {uses: approval, secrets: [TOKEN]}}", &["plan::misplaced-key"]),
    ("stages: {a: {run: x, secrets: []}}", &["plan::"]),
    ("stages: {a: {run: x, secrets: [{{ inputs.token }}]}}", &["plan::"]),
];

#[test]
fn whatever_would_take_a_secret_elsewhere_is_a_located_error() {
    let project = project();
    let input = "environment: staging\ninputs: {token: {secret: true}}\n";
    for (text, words) in ELSEWHERE {
        check(&project, &format!("{input}{text}\n"), 3, words);
    }
    for (text, words) in [
        ("inputs: {t: {secret: true, default: abc}}", &["plan::bad-default", "which everybody can read here"][..]),
        ("inputs: {t: {secret: true, enum: [a, b]}}", &["plan::bad-default", "an `enum`"]),
        ("inputs: {t: {secret: true, type: int}}", &["plan::bad-default", "a secret is text"]),
        ("stages: {b: {run: x, secrets: [TOKEN]}}", &["plan::unknown-secret", "the plan has no `environment`"]),
    ] {
        let rest = if text.starts_with("stages") { "" } else { "\nstages: {a: {run: x}}" };
        check(&project, &format!("{text}{rest}\n"), 3, words);
    }
}

#[test]
fn a_secret_is_handed_on_whole_to_what_is_secret() {
    let project = project();
    project.write("f.yaml", "version: 1\ninputs: {plain: {}, key: {secret: true}}\nstages: {s: {run: x}}\n");
    let input = "environment: staging\ninputs: {token: {secret: true}}\n";
    for (text, words) in [
        (
            "actions: {p: {run: [x, '{{ inputs.k }}']}}\nstages: {a: {uses: p, with: {k: '{{ secrets.TOKEN }}'}}}",
            &["plan::secret-exposed"][..],
        ),
        (
            "actions: {p: {run: x}}\nstages: {a: {uses: p, with: {k: 'x{{ secrets.TOKEN }}'}}}",
            &["plan::secret-exposed", "whole or not at all"],
        ),
        (
            "actions: {p: {run: x}}\nstages: {a: {uses: p, with: {k: '{{ inputs.token }}{{ secrets.TOKEN }}'}}}",
            &["whole or not at all"],
        ),
        (
            "stages: {a: {uses: ./f.yaml, with: {plain: '{{ secrets.TOKEN }}', key: '{{ inputs.token }}'}}}",
            &["plan::secret-exposed", "is not `secret`"],
        ),
        (
            "stages: {a: {uses: ./f.yaml, with: {plain: a, key: abc}}}",
            &["plan::secret-exposed", "stands in a file"],
        ),
    ] {
        check(&project, &format!("{input}{text}\n"), 3, words);
    }
}

#[test]
fn the_value_of_a_secret_input_comes_by_a_variable_or_a_file_and_is_recorded_nowhere() {
    let project = project();
    project.write("plan.yaml", "version: 1\ninputs: {a-token: {secret: true, pattern: '^tk-'}}\nstages: {a: {secrets: {T: a-token}, run: 'echo \"<$T>\" ${#T}'}}\n");
    project.write("in.yaml", "a-token: tk-in-a-file-42\n");
    for (env, args) in [
        (&[("ENGINE_INPUT_A_TOKEN", "tk-of-variable-42")][..], &["run", "plan.yaml"][..]),
        (&[], &["run", "plan.yaml", "--inputs", "in.yaml"]),
    ] {
        let out = project.engine_with(env, args).expect(0);
        assert!(out.stdout.contains("a | <***> 1"), "{}", out.stdout);
    }
    for run in project.runs() {
        let options = project.read(format!(".engine/runs/{run}/plan/options.json"));
        assert!(!options.contains("tk-") && !options.contains("token"), "{options}");
    }
    for (env, args, status, words) in [
        (
            &[][..],
            &["run", "plan.yaml"][..],
            9,
            &["the secret `a-token` cannot", "set `ENGINE_INPUT_A_TOKEN`", "plan.yaml:2:10"][..],
        ),
        (
            &[],
            &["run", "plan.yaml", "--set", "a-token=tk-shown"],
            3,
            &["everybody on this machine can read a command line"],
        ),
        (&[("ENGINE_INPUT_A_TOKEN", "other-canary")], &["run", "plan.yaml"], 3, &["does not match `^tk-`"]),
        (&[("ENGINE_INPUT_A_TOKEN", "")], &["run", "plan.yaml"], 3, &["does not match `^tk-`"]),
    ] {
        let out = project.engine_with(env, args).expect(status);
        for word in words {
            assert!(out.stderr.contains(word), "{word}: {}", out.stderr);
        }
        assert!(!out.stderr.contains("canary") && !out.stderr.contains("tk-shown"), "{}", out.stderr);
    }
    assert_eq!(project.runs().len(), 2, "what cannot begin leaves no run");
    // Nobody needs the value to look at the plan.
    project.engine(&["check", "plan.yaml"]).expect(0);
    project.engine(&["plan", "plan.yaml"]).expect(0);
}

#[test]
fn what_is_missing_for_good_is_told_before_anything_starts() {
    let project = project();
    project.write("plan.yaml", "version: 1\nenvironment: staging\nstages:\n  a: {run: 'touch began'}\n  b: {needs: [a], secrets: [TOKEN], run: x}\n");
    let out = project.engine(&["run", "plan.yaml"]).expect(9);
    for word in ["env::no-secret", "environments/base.yaml:3:", "the variable `TOKEN` is not set"] {
        assert!(out.stderr.contains(word), "{word}: {}", out.stderr);
    }
    assert!(!project.has("began") && project.runs().is_empty());
    // A stage that is left out wants nothing.
    project.engine(&["run", "plan.yaml", "--only", "a"]).expect(0);
}

#[test]
fn a_secret_that_an_earlier_stage_makes_is_fetched_when_it_is_needed() {
    let project = project();
    project.write("environments/catalog.yaml", "keys: {LATE: {secret: true}}\n");
    project.write("environments/base.yaml", "secrets: {LATE: {from: {file: late.txt}}}\n");
    project.write("environments/staging.yaml", "extends: base\n");
    project.write("environments/production.yaml", "extends: base\n");
    let plan = "version: 1\nenvironment: staging\nstages:\n  make: {run: 'umask 077; echo made-canary > late.txt'}\n  \
                use: {needs: [make], secrets: [LATE], run: 'echo \"<$LATE>\"'}\n  look: {needs: [use], run: cat late.txt}\n";
    project.write("plan.yaml", plan);
    let out = project.engine(&["run", "plan.yaml"]).expect(0);
    assert!(out.stderr.contains("warning[env::no-secret]"), "{}", out.stderr);
    assert!(out.stdout.contains("use | <***>") && out.stdout.contains("look | ***"), "{}", out.stdout);
    // Nobody makes it: the stage is not started, and that is a fault of the surroundings.
    fs::remove_file(project.path("late.txt")).expect("removed");
    project.write("plan.yaml", plan.replace("echo made-canary > late.txt", "true"));
    let out = project.engine(&["run", "plan.yaml"]).expect(9);
    assert!(out.stdout.contains("the secret `LATE` cannot be had: `"), "{}", out.stdout);
    // Nothing could make it: it is told at once.
    project.write("plan.yaml", plan.replace("needs: [make], ", ""));
    let out = project.engine(&["run", "plan.yaml"]).expect(9);
    assert!(out.stderr.contains("error[env::no-secret]") && !out.stdout.contains("make"), "{}", out.stderr);
}

#[test]
fn short_secrets_stop_production_and_are_warned_about_elsewhere() {
    let project = project();
    project.write("environments/catalog.yaml", super::place::CATALOG.replace(", min-length: 8", ""));
    let short = [("TOKEN", "c4nary!"), SECRETS[1]];
    for (name, status) in [("staging", 0), ("production", 9)] {
        project.write(
            "plan.yaml",
            format!(
                "version: 1\nenvironment: {name}\nstages: {{a: {{secrets: [TOKEN], run: 'echo \"<$TOKEN>\"'}}}}\n"
            ),
        );
        let out = project.engine_with(&short, &["run", "plan.yaml"]).expect(status);
        assert!(out.stderr.contains("fewer than 8 bytes"), "{}", out.stderr);
        assert!(!out.stdout.contains("c4nary!"), "{}", out.stdout);
    }
}

#[test]
fn streams_that_are_mixed_and_cut_are_masked() {
    let project = project();
    project.write(
        "plan.yaml",
        "version: 1\nenvironment: staging\nstages:\n  a:\n    secrets: [TOKEN]\n    run: |\n      for i in 1 2 3; do\n        printf %s \"${TOKEN:0:9}\"; printf %s \"${TOKEN:9}\" >&2\n        \
         printf '\\nout %s\\n' \"$TOKEN\"; printf 'err %s\\n' \"$TOKEN\" >&2\n      done\n      printf 'cana'; printf 'ry is a bird, can' >&2; printf 'ary-7 is none'\n",
    );
    let out = project.engine_with(&SECRETS, &["run", "plan.yaml"]).expect(0);
    assert!(!out.stdout.contains("canary-7f"), "{}", out.stdout);
    assert!(out.stdout.contains("a | canary is a bird, canary-7 is none"), "{}", out.stdout);
    assert_eq!(out.stdout.matches("out ***").count(), 3, "{}", out.stdout);
    assert_eq!(out.stdout.matches("err ***").count(), 3, "{}", out.stdout);
}

#[test]
fn a_secret_that_changes_while_a_run_waits_is_fetched_again_by_its_resume_and_both_are_masked() {
    let project = project();
    project.write("environments/catalog.yaml", "keys: {KEY: {secret: true}}\n");
    project.write("environments/staging.yaml", "secrets: {KEY: {from: {file: key.txt}}}\n");
    let set = |text: &str| {
        let path = project.write("key.txt", text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("our own file");
    };
    set("first-canary-1");
    project.write("plan.yaml", "version: 1\nenvironment: staging\nstages:\n  a: {secrets: [KEY], run: 'echo \"a $KEY\"; echo \"$KEY\" > seen'}\n  ok: {needs: [a], uses: approval}\n  b: {needs: [ok], secrets: [KEY], run: 'echo \"b $KEY\"; cat seen key.txt; grep -q second key.txt'}\n");
    project.engine(&["run", "plan.yaml", "--run-id", "one", "--no-input"]).expect(5);
    project.engine(&["approve", "one", "ok"]).expect(0);
    set("second-canary-2");
    let out = project.engine(&["resume", "one"]).expect(0);
    assert!(out.stdout.contains("b | b ***"), "{}", out.stdout);
    assert!(!out.stdout.contains("second-canary"), "{}", out.stdout);
}

#[test]
fn a_stage_that_hangs_in_fetching_can_be_cancelled() {
    let project = project();
    project.write("environments/catalog.yaml", "keys: {SLOW: {secret: true}}\n");
    project.write("environments/staging.yaml", "secrets: {SLOW: {from: {command: [./slow]}}}\n");
    // The first answer is quick and bad, for the stage to ask again; the second never comes.
    project.script(
        "slow",
        "#!/bin/sh\nif [ -e asked ]; then echo $$ > pid; exec sleep 1000; fi\ntouch asked; exit 1\n",
    );
    project.write("plan.yaml", "version: 1\nenvironment: staging\nstages:\n  first: {run: 'echo hello'}\n  a: {needs: [first], secrets: [SLOW], run: x}\n");
    pipe(&project, "pid");
    let live = Live::start(project.command(&["run", "plan.yaml"]));
    live.line("start  a");
    let pid = told(&project, "pid");
    live.signal(rustix::process::Signal::TERM);
    let out = live.end();
    assert_eq!(out.status, 143, "{out:?}");
    assert!(!out.stdout.contains("success  a") && out.stdout.contains("engine resume"), "{}", out.stdout);
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "what was asked for a secret lives on: {stat}");
}

#[test]
fn a_stage_that_times_out_in_fetching_has_timed_out_and_has_done_nothing() {
    let project = project();
    project.write("environments/catalog.yaml", "keys: {SLOW: {secret: true}}\n");
    project.write("environments/staging.yaml", "secrets: {SLOW: {from: {command: [./slow]}}}\n");
    project.script("slow", "#!/bin/sh\n[ -e asked ] && exec sleep 1000\ntouch asked; exit 1\n");
    project.write("plan.yaml", "version: 1\nenvironment: staging\nstages:\n  first: {run: 'echo hello'}\n  a: {needs: [first], secrets: [SLOW], run: 'echo \"it is ${#SLOW}\"', timeout: 200ms, idempotent: false}\n");
    // It was never a process, but no tool is missing.
    let out = project.engine(&["run", "plan.yaml", "--run-id", "one"]).expect(1);
    assert!(out.stdout.contains("timed-out  a"), "{}", out.stdout);
    // And although it must not be repeated, nobody is asked what it did.
    project.script("slow", "#!/bin/sh\necho canary-of-a-source\n");
    let out = project.engine(&["resume", "one"]).expect(0);
    assert!(out.stdout.contains("a | it is 18"), "{}", out.stdout);
}

#[test]
fn a_run_that_is_taken_up_hears_a_secret_input_from_its_file_again() {
    let project = project();
    project.write("in.yaml", "key: canary-of-a-file\n");
    let plan = "version: 1\ninputs: {key: {secret: true}}\nstages:\n  a: {run: test -e go}\n  \
                b: {needs: [a], secrets: {K: key}, run: 'echo \"b <$K> ${#K}\"'}\n";
    project.write("plan.yaml", plan);
    let run = ["run", "plan.yaml", "--inputs", "in.yaml"];
    project.engine(&[&run[..], &["--run-id", "one"]].concat()).expect(1);
    project.write("go", "");
    let out = project.engine(&["resume", "one"]).expect(9);
    assert!(out.stderr.contains("set `ENGINE_INPUT_KEY`"), "{}", out.stderr);
    let out = project.engine(&[&run[..], &["--resume"]].concat()).expect(0);
    assert!(out.stdout.contains("run one ") && out.stdout.contains("b | b <***> 16"), "{}", out.stdout);
}

#[test]
fn workers_and_rollbacks_get_what_their_stage_names_and_are_masked() {
    let project = project();
    project.write("want", TOKEN);
    project.write(
        "worker.py",
        "import json, os, sys\nassert os.environ['T'] == open('want').read() and 'TOKEN' not in os.environ\n\
         for line in sys.stdin:\n    item = json.loads(line)\n    print('worker has', os.environ['T'], file=sys.stderr)\n    \
         answer = {'id': item['id']}\n    if item['item'] == 'bad': answer['error'] = 'refused ' + os.environ['T']\n    \
         print(json.dumps(answer), flush=True)\n",
    );
    let out = run(
        &project,
        "on-failure: rollback\nstages:\n  ship:\n    secrets: [TOKEN]\n    run: 'true'\n    \
         rollback: {run: 'printf %s \"$TOKEN\" | cmp - want; echo \"undone with <$TOKEN>\"'}\n  \
         pack:\n    needs: [ship]\n    secrets: {T: TOKEN}\n    shards: {items: [good, bad], protocol: lines, max-parallel: 1}\n    \
         run: [python3, worker.py]\n",
        1,
    );
    for words in
        ["pack[worker 0] | worker has ***", "refused ***", "ship.rollback | undone with <***>", "rolled-back"]
    {
        assert!(out.stdout.contains(words), "{words}: {}", out.stdout);
    }
    // By hand, in another process, they are fetched again.
    let plan = "version: 1\nenvironment: staging\nstages: {a: {secrets: [TOKEN], run: 'true', rollback: {run: 'echo \"back <$TOKEN>\"'}}}\n";
    project.write("plan.yaml", plan);
    project.engine_with(&SECRETS, &["run", "plan.yaml", "--run-id", "two"]).expect(0);
    let out = project.engine(&["rollback", "two", "--yes"]).expect(9);
    assert!(out.stderr.contains("the variable `TOKEN` is not set"), "{}", out.stderr);
    let out = project.engine_with(&SECRETS, &["rollback", "two", "--yes"]).expect(0);
    assert!(out.stdout.contains("| back <***>") && !out.stdout.contains("canary"), "{}", out.stdout);
    for run in project.runs() {
        let segments = fs::read_dir(project.path(format!(".engine/runs/{run}/output"))).expect("there is output");
        for entry in segments {
            let bytes = fs::read(entry.expect("an entry").path()).expect("readable");
            assert!(!bytes.windows(6).any(|part| part == b"canary"), "{run} has stored a secret");
        }
    }
}
