//! A project with two environments, for the tests beside it.

use super::support::{Output, PATIENCE, Project};

/// Secrets that never may be seen.
pub(crate) const TOKEN: &str = "canary-7f3a $x \"quoted\"";
pub(crate) const SECRETS: [(&str, &str); 2] =
    [("TOKEN", TOKEN), ("DATABASE_URL", "postgresql://shop:canary-8b21@db:5432/shop")];

pub(crate) const CATALOG: &str = "\
keys:
  HOST: {default: localhost, parity: presence}
  PORT: {type: int, default: 8000}
  LOG_LEVEL: {enum: [debug, info, warn]}
  GREETING: {default: 'hello $USER'}
  DATABASE_URL: {type: url, secret: true, rotate-every: 90d}
  TOKEN: {secret: true, min-length: 8}
";

pub(crate) const STAGING: &str = "\
extends: base
values: {LOG_LEVEL: debug}
files:
  app: {template: app.env.j2, to: run/app.env, mode: '0400', format: dotenv}
  conf: {template: conf.json.j2, to: run/conf.json, format: json}
policy: {parity: {with: production}}
";

/// So many days before today, or behind it.
pub(crate) fn day(ago: i64) -> String {
    use jiff::ToSpan as _;
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date().saturating_sub(ago.days()).to_string()
}

/// The layer that both environments extend; its secret was changed `ago` days before today.
pub(crate) fn base(ago: i64) -> String {
    BASE.replace("DAY", &day(ago))
}

const BASE: &str = "\
values: {LOG_LEVEL: info}
secrets:
  TOKEN: {from: {env: TOKEN}, version: v3}
  DATABASE_URL: {from: {env: DATABASE_URL}, rotated-at: 'DAY'}
";

pub(crate) const APP: &str = "\
{% for key, value in env | items -%}
{{ key }}={{ value | dotenv }}
{% endfor -%}
";

/// A project whose environments are right.
pub(crate) fn project() -> Project {
    let project = Project::new();
    project.write("environments/catalog.yaml", CATALOG);
    project.write("environments/base.yaml", base(20));
    project.write("environments/staging.yaml", STAGING);
    project.write("environments/production.yaml", "extends: base\npolicy: {production: true}\n");
    project.write("templates/app.env.j2", APP);
    project.write("templates/conf.json.j2", "{\"PORT\": {{ PORT }}, \"token\": {{ TOKEN | json }}}\n");
    project
}

/// A pipe by the name of `path`, for a process to tell something.
pub(crate) fn pipe(project: &Project, path: &str) {
    let made = std::process::Command::new("mkfifo").arg(project.path(path)).status().expect("mkfifo runs");
    assert!(made.success());
}

/// What a process tells through the pipe at `path`, waited for as long as a slow machine may need.
pub(crate) fn told(project: &Project, path: &str) -> String {
    let (path, (sender, heard)) = (project.path(path), std::sync::mpsc::channel());
    std::thread::spawn(move || sender.send(std::fs::read_to_string(path)));
    let text = heard.recv_timeout(PATIENCE).expect("somebody tells").expect("it is text");
    text.trim().to_owned()
}

/// Runs the engine with the secrets in its environment.
pub(crate) fn env(project: &Project, args: &[&str]) -> Output {
    let out = project.engine_with(&SECRETS, &[&["env"], args].concat());
    for text in [&out.stdout, &out.stderr] {
        assert!(!text.contains("canary"), "a secret was shown:\n{text}");
    }
    out
}
