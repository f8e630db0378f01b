//! Secrets from those who keep them, through the binary: a real `age`, a credential as systemd passes it, and Vault's
//! key-value store (which Debian has no package of) as a server that answers as its documentation says.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

use super::place::project;
use super::support::Project;

const VALUE: &str = "canary-kept $x \"quoted\"";

/// A project whose `TOKEN` comes from `source`; its stage proves that it was given [`VALUE`].
fn from(source: &str) -> Project {
    let project = project();
    project.write(
        "environments/base.yaml",
        format!("values: {{LOG_LEVEL: info}}\nsecrets: {{TOKEN: {{from: {source}}}}}\n"),
    );
    let catalog = project.read("environments/catalog.yaml");
    let catalog: Vec<_> = catalog.lines().filter(|line| !line.contains("DATABASE_URL")).collect();
    project.write("environments/catalog.yaml", catalog.join("\n") + "\n");
    project.write("want", VALUE);
    project.write(
        "plan.yaml",
        "version: 1\nenvironment: staging\nstages:\n  use: {secrets: [TOKEN], run: 'printf %s \"$TOKEN\" | cmp - want && echo \"it is $TOKEN\"'}\n",
    );
    project
}

/// Runs the plan; what was printed, without the secret.
fn run(project: &Project, env: &[(&str, &str)], status: i32) -> String {
    let out = project.engine_with(env, &["run", "plan.yaml", "--events", "events"]).expect(status);
    let said = out.stdout + &out.stderr;
    assert!(!said.contains("canary"), "a secret was shown:\n{said}");
    said
}

fn private(project: &Project, path: &str) {
    fs::set_permissions(project.path(path), fs::Permissions::from_mode(0o600)).expect("our own file");
}

/// Runs a program in the project's folder; it must succeed.
fn tool(project: &Project, program: &str, args: &[&str]) -> String {
    let mut command = Command::new(program);
    let out = command.args(args).current_dir(project.path("")).output().expect("a Debian package has it");
    assert!(out.status.success(), "{program}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("text")
}

#[test]
fn age_opens_what_was_closed_for_its_key_and_nothing_else() {
    let project = from("{age: {file: token.age, identity: key}}");
    for name in ["key", "other"] {
        tool(&project, "age-keygen", &["-o", name]);
        private(&project, name);
    }
    let close = |name: &str| {
        let to = tool(&project, "age-keygen", &["-y", name]);
        tool(&project, "age", &["-r", to.trim(), "-o", "token.age", "want"]);
    };
    close("key");
    let said = run(&project, &[], 0);
    assert!(said.contains("use | it is ***"), "{said}");
    close("other");
    let said = run(&project, &[], 9);
    assert!(said.contains("the secret `TOKEN` cannot be had: `age` failed with exit status: 1"), "{said}");
    project.write("token.age", "no such thing");
    run(&project, &[], 9);
    close("key");
    fs::set_permissions(project.path("key"), fs::Permissions::from_mode(0o644)).expect("our own file");
    let said = run(&project, &[], 9);
    assert!(said.contains("key` has mode 0644") && said.contains("chmod 0600"), "{said}");
}

#[test]
fn a_credential_is_read_where_systemd_puts_it() {
    let project = from("{credential: token}");
    project.write("credentials/token", format!("{VALUE}\n"));
    let folder = project.path("credentials").display().to_string();
    let said = run(&project, &[("CREDENTIALS_DIRECTORY", &folder)], 0);
    assert!(said.contains("use | it is ***"), "{said}");
    fs::remove_file(project.path("credentials/token")).expect("it was there");
    let said = run(&project, &[("CREDENTIALS_DIRECTORY", &folder)], 9);
    assert!(said.contains("credentials/token` cannot be read"), "{said}");
}

/// A server with one secret in two versions, for whoever has the token.
const VAULT: &str = r#"
import json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit
class Vault(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlsplit(self.path)
        version = int(parse_qs(url.query).get("version", ["2"])[0])
        status, told = 404, {"errors": []}
        if self.headers.get("X-Vault-Token") != "right": status, told = 403, {"errors": ["permission denied"]}
        elif url.path == "/v1/kv/data/app/token":
            value = open("want").read() if version == 2 else "canary-of-before"
            told = {"data": {"data": {"it": value}, "metadata": {"version": version, "created_time": "2026-10-01T12:30:00.5Z"}}}
            status = 200
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
server = HTTPServer(("127.0.0.1", 0), Vault)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

/// Ends with the test.
struct Vault(Child);

impl Drop for Vault {
    fn drop(&mut self) {
        // It holds nothing that a kill could harm.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn vault_gives_a_field_to_who_has_its_token() {
    let project = from("{vault: {path: kv/app/token, field: it}}");
    let mut command = Command::new("python3");
    command.args(["-c", VAULT]).current_dir(project.path("")).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut server = Vault(command.spawn().expect("python3 is there"));
    let mut port = String::new();
    BufReader::new(server.0.stdout.take().expect("a pipe")).read_line(&mut port).expect("it says its port");
    let address = format!("http://127.0.0.1:{}", port.trim());
    let with = |token: &'static str| [("VAULT_ADDR", address.clone()), ("VAULT_TOKEN", token.to_owned())];
    let run = |token, status| {
        let env = with(token);
        run(&project, &env.each_ref().map(|(name, value)| (*name, &**value)), status)
    };
    let said = run("right", 0);
    assert!(said.contains("use | it is ***"), "{said}");
    let known = project.read("events");
    let said = run("wrong", 9);
    assert!(said.contains("the token may not read `kv/app/token` (403)"), "{said}");
    // Its version and its day are known of it, and an older version is another value.
    assert!(known.contains("\"version\":\"2\"") && known.contains("2026-10-01"), "{known}");
    let base = project.read("environments/base.yaml").replace("field: it", "field: it, version: 1");
    project.write("environments/base.yaml", base);
    let said = run("right", 1);
    assert!(said.contains("differ"), "{said}");
    drop(server);
    let said = run("right", 9);
    assert!(said.contains("cannot be asked"), "{said}");
}
