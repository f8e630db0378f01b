//! A project that has canaries for secrets, and stages that do their worst.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::canary::{Canary, flock};
use super::search::Search;
use super::support::Project;

/// Prints a variable in the forms that programs have, whole and byte by byte, on both streams.
const SPEAK: &str = r#"
import base64, json, os, shlex, sys, urllib.parse
def put(stream, text):
    os.write(stream, (text + "\n").encode())
for name in sys.argv[1:]:
    value = os.environ[name]
    raw = value.encode()
    forms = [value, raw.hex(), raw.hex().upper(), json.dumps(value), json.dumps({"k": value}, ensure_ascii=False)]
    forms += [shlex.quote(value), urllib.parse.quote(value, safe=""), urllib.parse.quote_plus(value)]
    for before in ["", "u", "uv"]:
        text = (before + value + "\n").encode()
        forms += [base64.b64encode(text).decode(), base64.urlsafe_b64encode(text).decode()]
        forms += [base64.encodebytes(text).decode()]
    for at, form in enumerate(forms):
        put(1 + at % 2, f"{name} {at}: {form} :end")
    for line in value.splitlines():
        put(1, f"line <{line}>")
    # Byte by byte, so that every cut is one between two reads.
    for byte in raw[:3000] if len(raw) < 3000 else raw[:64] + b"\n":
        os.write(1, bytes([byte]))
    put(2, "")
    # Each half in a write of its own, with the other stream's text before and behind.
    half = len(raw) // 2
    put(2, "before"); os.write(1, raw[:half]); os.write(1, raw[half:]); put(2, "behind")
put(1, "spoken")
"#;

const PLAN: &str = r#"version: 1
name: canaries
inputs: {token: {secret: true}}
environment: cage
on-failure: continue
stages:
  check: {uses: env.check}
  render: {needs: [check], uses: env.render}
  speak:
    needs: [{stage: render, accept: [success, failed]}]
    secrets: {SHORT: SHORT, LONG: LONG, LINES: LINES, QUOTES: QUOTES, UNICODE: UNICODE, COMMAND: COMMAND, TOKEN: token}
    run: [python3, speak.py, SHORT, LONG, LINES, QUOTES, UNICODE, COMMAND, TOKEN]
  thief:
    needs: [{stage: render, accept: [success, failed]}]
    run: |
      cat cage/LINES cage/LONG app.env; echo; base64 cage/UNICODE
      if env | grep -E '^(SHORT|QUOTES|COMMAND|TOKEN)='; then exit 3; fi
  hand-on:
    secrets: [UNICODE]
    outputs: {it: string}
    run: 'echo "it=<$UNICODE>" >> "$ENGINE_OUTPUT"'
    allow-failure: true
  no-number:
    secrets: [SHORT]
    outputs: {it: int}
    run: 'echo "it=$SHORT" >> "$ENGINE_OUTPUT"'
    allow-failure: true
  as-json:
    secrets: [QUOTES]
    outputs: {it: map}
    run: [python3, -c, "import json, os; open(os.environ['ENGINE_OUTPUT'], 'w').write(json.dumps({'it': {'a': [os.environ['QUOTES']]}}))"]
    allow-failure: true
  named-file:
    secrets: [COMMAND]
    artifacts: ["made/*"]
    run: 'mkdir -p made; echo x > "made/$COMMAND"'
    allow-failure: true
  cached:
    secrets: [COMMAND]
    cache: {sources: [speak.py]}
    outputs: {it: string}
    run: 'echo "it=fine" >> "$ENGINE_OUTPUT"; echo "$COMMAND"'
  sharded:
    secrets: [SHORT]
    shards: {items: {range: 8}, size: 2}
    run: 'echo "$SHORT in $ENGINE_SHARD"'
  asked:
    secrets: [SHORT]
    idempotent: false
    done-if: {run: 'echo "$SHORT"; echo "$SHORT" >&2; exit 1'}
    timeout: 1s
    run: 'echo "$SHORT"; exec sleep 1000'
    stop: {grace: 1s}
    allow-failure: true
finally:
  budget: 1m
  stages: {last: {secrets: [LINES], run: 'echo "$LINES"; [ -z "${GATE:-}" ] || true'}}
"#;

/// A project, its canaries, and the environment that the engine is started with.
pub(crate) struct Cage {
    pub(crate) project: Project,
    pub(crate) canaries: Vec<Canary>,
}

impl Cage {
    pub(crate) fn new() -> Self {
        let (project, canaries) = (Project::new(), flock());
        let mut catalog = "keys:\n  HOST: {default: localhost}\n".to_owned();
        let mut layer = "files: {app: {template: app.env.j2, to: app.env, format: dotenv}}\nsecrets:\n".to_owned();
        for canary in canaries.iter().filter(|canary| canary.name != "token") {
            let name = canary.name;
            catalog.push_str(&["  ", name, ": {secret: true}\n"].concat());
            let from = match name {
                "QUOTES" => "{env: QUOTES}".to_owned(),
                "COMMAND" => "{command: [cat, cage/COMMAND]}".to_owned(),
                _ => format!("{{file: cage/{name}}}"),
            };
            layer.push_str(
                &["  ", name, ": {from: ", &from, ", version: v7, rotated-at: '2026-11-01'}\n"].concat(),
            );
            let path = project.write(format!("cage/{name}"), &canary.value);
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("our own file");
        }
        project.write("environments/catalog.yaml", catalog);
        project.write("environments/cage.yaml", layer);
        project.write(
            "templates/app.env.j2",
            "{% for key, value in env | items -%}\n{{ key }}={{ value | dotenv }}\n{% endfor -%}\n",
        );
        project.write("speak.py", SPEAK);
        project.write("plan.yaml", PLAN);
        fs::create_dir(project.path("tmp")).expect("a folder for temporary files");
        Self { project, canaries }
    }

    pub(crate) fn value(&self, name: &str) -> &str {
        &self.canaries.iter().find(|canary| canary.name == name).expect("one of the flock").value
    }

    /// The engine with the canaries that come from its environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.project.command(args);
        command.env("QUOTES", self.value("QUOTES")).env("ENGINE_INPUT_TOKEN", self.value("token"));
        command.env("TMPDIR", self.project.path("tmp"));
        command
    }

    pub(crate) fn search(&self) -> Search {
        Search::of(&self.canaries)
    }
}
