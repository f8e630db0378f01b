//! Bad input to a rendering: told at its place, nothing half written, the old files as they were.

use std::fs;
use std::process::Command;

use super::place::{CATALOG, SECRETS, STAGING, env, project};
use super::support::{Live, Project};

/// A rendering that is refused leaves what was there, and nothing beside it.
fn refused(project: &Project, status: i32, words: &[&str]) {
    let before = project.has("run/app.env").then(|| project.read("run/app.env"));
    let out = env(project, &["render", "staging"]).expect(status);
    for word in words {
        assert!(out.stderr.contains(word), "no `{word}` in\n{}", out.stderr);
    }
    assert_eq!(project.has("run/app.env").then(|| project.read("run/app.env")), before);
    if let Ok(folder) = fs::read_dir(project.path("run")) {
        for entry in folder {
            let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
            assert!(["app.env", "conf.json"].contains(&&*name), "`{name}` was left");
        }
    }
}

#[test]
fn a_bad_template_is_told_by_file_line_column_and_name() {
    for (text, words) in [
        ("A=1\nB={{ PROT }}\n", &["error[env::undefined]: `PROT` is not defined", "templates/app.env.j2:2:6"][..]),
        ("{% for a in env %}\n", &["env::bad-template", "templates/app.env.j2"]),
        ("A=1\r\n", &["env::bad-template", "carriage return", "templates/app.env.j2:1:4"]),
        ("\u{feff}A=1\n", &["env::bad-template", "byte order mark", "templates/app.env.j2:1:1"]),
        ("A=\0\n", &["env::bad-template", "NUL", "templates/app.env.j2:1:3"]),
        ("{% include 'app.env.j2' %}", &["env::include", "circle", "templates/app.env.j2:1:"]),
        ("{% include '../secret' %}", &["env::include", "outside of the root", "templates/app.env.j2:1:"]),
        ("{% include 'linked' %}", &["env::include", "outside of the root", "templates/app.env.j2:1:"]),
        ("{% include 'part' %}", &["env::undefined", "`GONE` is not defined", "templates/part:1:"]),
        (
            "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
            &["env::too-much", "FILE_FUEL", "templates/app.env.j2:1:"],
        ),
        ("{% extends 'app.env.j2' %}", &["env::include", "circle", "templates/app.env.j2:1:"]),
        ("{% block a %}{{ self.a() }}{% endblock %}", &["env::include", "circle", "templates/app.env.j2:1:"]),
        ("{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}", &["env::include", "circle"]),
        ("A={{ 'x' | indent(1000000000000) }}", &["env::bad-rendering", "MAX_RENDERED_BYTES", "app.env.j2:1:"]),
        (
            "{% set x = range(9999) | join('x') %}{{ x | replace('x', x) }}",
            &["env::bad-rendering", "MAX_RENDERED_BYTES", "templates/app.env.j2:1:"],
        ),
        ("{{ range(9999) | join(range(9999) | join) }}", &["env::bad-rendering", "MAX_RENDERED_BYTES"]),
        ("{% include '/etc/passwd' %}", &["env::include", "outside of the root", "templates/app.env.j2:1:"]),
        ("{% include './../../secret' %}", &["env::include", "outside of the root", "templates/app.env.j2:1:"]),
        ("X={{ TOKEN ~ 'x' }}\n", &["env::secret-misused", "`TOKEN`", "templates/app.env.j2"]),
        (
            "X={{ 1 if TOKEN == 'a' else 2 }}\n",
            &["env::secret-misused", "`TOKEN` is compared", "templates/app.env.j2:1:11"],
        ),
        (
            "GREETING={{ GREETING }}\n",
            &["env::bad-rendering", "line 1 of what was rendered is no dotenv", "| dotenv"],
        ),
        ("PORT=80{{ PORT }}\n", &["env::bad-rendering", "`PORT` reads back as another value"]),
        ("TOKEN={{ TOKEN }}\n", &["env::bad-rendering", "line 1 of what was rendered is no dotenv"]),
    ] {
        let project = project();
        project.write("secret", "root:x\n");
        project.write("templates/part", "{{ GONE }}");
        std::os::unix::fs::symlink(project.path("secret"), project.path("templates/linked")).expect("linked");
        env(&project, &["render", "staging"]).expect(0);
        project.write("templates/app.env.j2", text);
        refused(&project, 3, words);
    }
}

/// With `text` at `path` an environment is refused.
fn nothing_is_rendered(path: &str, text: &str, status: i32, words: &[&str]) {
    let project = project();
    project.write("secret", "root:x\n");
    std::os::unix::fs::symlink(project.path("secret"), project.path("templates/linked")).expect("linked");
    project.write(path, text);
    refused(&project, status, words);
    assert!(!project.has("run"), "{text}");
}

#[test]
fn a_bad_environment_is_told_before_anything_is_rendered() {
    for (path, text, status, words) in [
        (
            "environments/staging.yaml",
            "extends: staging\n",
            3,
            &["env::cycle", "environments/staging.yaml:1:10"][..],
        ),
        (
            "environments/base.yaml",
            "extends: staging\n",
            3,
            &["env::cycle", "base.yaml:1:10", "`staging` → `base`"],
        ),
        ("environments/base.yaml", "values: {PORT: eighty}\n", 9, &["env::bad-value", "base.yaml:1:16"]),
        ("environments/base.yaml", "values: {PORTT: 80}\n", 3, &["env::unknown-key", "base.yaml:1:10", "`PORT`"]),
        ("environments/base.yaml", "values: {TOKEN: x}\n", 3, &["env::secret-in-file", "base.yaml:1:10"]),
        (
            "environments/base.yaml",
            "values: {HOST: \"a\\0b\"}\n",
            3,
            &["env::bad-value", "U+0000", "base.yaml:1:16"],
        ),
        (
            "environments/base.yaml",
            "values: {LOG_LEVEL: info, LOG_LEVEL: info}\n",
            3,
            &["plan::duplicate-key", "base.yaml:1:27"],
        ),
        ("environments/base.yaml", "values: {LOG_LEVEL: loud}\n", 9, &["env::missing"]),
        (
            "environments/catalog.yaml",
            "keys: {PORT: {type: port}}\n",
            3,
            &["plan::unknown-word", "catalog.yaml:1:21"],
        ),
        ("environments/base.yaml", "values: {}\nnot a map\n", 3, &["environments/base.yaml:2"]),
        ("environments/base.yaml", "\u{0}", 3, &["plan::control-character"]),
    ] {
        nothing_is_rendered(path, text, status, words);
    }
    let project = project();
    fs::remove_file(project.path("templates/app.env.j2")).expect("removed");
    refused(
        &project,
        3,
        &["env::template-unreadable", "environments/staging.yaml:4:19", "`app.env.j2` does not exist"],
    );
    project.write(
        "environments/catalog.yaml",
        CATALOG.replace("PORT: {type: int, default: 8000}", "PORT: {type: int, default: x}"),
    );
    refused(&project, 9, &["env::bad-value", "environments/catalog.yaml:3"]);
}

#[test]
fn a_file_has_a_place_of_its_own_and_a_template_below_its_folder() {
    for (text, words) in [
        (
            "extends: base\nfiles: {app: {template: app.env.j2, to: ../app.env}}\n",
            &["env::bad-place", "staging.yaml:2:41", "`../app.env` is outside of the root"][..],
        ),
        (
            "extends: base\nfiles: {a: {template: app.env.j2, to: a}, b: {template: app.env.j2, to: ./x/../a}}\n",
            &["env::bad-place", "staging.yaml:2:73", "`b` and `a` are rendered to the same place"],
        ),
        (
            "extends: base\nfiles: {app: {template: ../secret, to: run/a}}\n",
            &["env::template-unreadable", "staging.yaml:2:25", "outside of the root"],
        ),
        (
            "extends: base\nfiles: {app: {template: linked, to: run/a}}\n",
            &["env::template-unreadable", "staging.yaml:2:25", "is a link to"],
        ),
    ] {
        nothing_is_rendered("environments/staging.yaml", text, 3, words);
    }
}

#[test]
fn crlf_and_a_byte_order_mark_do_no_harm_in_environment_files() {
    let project = project();
    project.write("environments/staging.yaml", format!("\u{feff}{}", STAGING.replace('\n', "\r\n")));
    env(&project, &["render", "staging"]).expect(0);
    assert!(!project.read("run/app.env").contains('\r'));
}

#[test]
fn a_full_disk_leaves_the_old_files() {
    let project = project();
    env(&project, &["render", "staging"]).expect(0);
    let old = project.read("run/app.env");
    let big = format!("# {}\n", "x".repeat(40)).repeat(3000);
    project.write("templates/app.env.j2", format!("{big}{}", super::place::APP));
    // A file that may not grow is what a full disk is to a process; two blocks are enough for the small file.
    let mut shell = Command::new("bash");
    let base = project.command(&[]);
    shell.args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$ENGINE\" env render staging"]);
    shell.current_dir(project.path("")).env_clear().env("ENGINE", env!("CARGO_BIN_EXE_engine"));
    shell.envs(base.get_envs().filter_map(|(key, value)| Some((key, value?)))).envs(SECRETS);
    let out = Live::start(shell).end().expect(9);
    assert!(out.stderr.contains("run/app.env` cannot be written"), "{}", out.stderr);
    assert_eq!(project.read("run/app.env"), old);
    let names: Vec<_> =
        fs::read_dir(project.path("run")).expect("a folder").map(|it| it.expect("one").file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    env(&project, &["render", "staging"]).expect(0);
}

/// A small file system of its own, where this machine lets us mount one. Elsewhere the test above stands for it.
#[test]
fn a_file_system_that_is_full_leaves_the_old_files() {
    let project = project();
    let user = if rustix::process::geteuid().is_root() { &[][..] } else { &["--user", "--map-root-user"] };
    let private = |script: &str| {
        let base = project.command(&[]);
        let mut command = Command::new("unshare");
        command.args(user).args(["--mount", "bash", "-euc", script]).current_dir(project.path("")).env_clear();
        command.envs(base.get_envs().filter_map(|(key, value)| Some((key, value?)))).envs(SECRETS);
        command.env("ENGINE", env!("CARGO_BIN_EXE_engine"));
        Live::start(command).end()
    };
    let mount = "mkdir -p run; mount -t tmpfs -o size=128k engine-full run";
    if private(mount).status != 0 {
        return;
    }
    let big = format!("# {}\n", "x".repeat(40)).repeat(6000);
    project.write("templates/big.j2", format!("{big}{}", super::place::APP));
    let out = private(&format!(
        "{mount}\n\"$ENGINE\" env render staging > /dev/null; cp run/app.env old; mv templates/big.j2 templates/app.env.j2\n\
         code=0; \"$ENGINE\" env render staging || code=$?; cmp run/app.env old; echo $code $(ls -A run)"
    ))
    .expect(0);
    assert_eq!(out.stdout, "9 app.env conf.json\n", "{}", out.stderr);
    assert!(out.stderr.contains("run/app.env` cannot be written: No space left on device"), "{}", out.stderr);
    assert!(project.read(".engine/environments/staging/manifest.json").contains("\"number\": 1"));
}

#[test]
fn memory_is_asked_for_where_it_must_be() {
    let project = project();
    project.write("environments/staging.yaml", STAGING.replace("mode: '0400'", "require-tmpfs: true"));
    refused(&project, 9, &["lies on a disk, and `require-tmpfs` wants memory"]);
    let memory = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    let to = memory.path().join("app.env");
    env(&project, &["render", "staging", "--file", "app", "--to", &to.display().to_string()]).expect(0);
    assert!(fs::read_to_string(&to).expect("rendered").contains("PORT=8000"));
}

#[test]
fn two_renderings_at_once_have_their_own_numbers() {
    let project = project();
    let start = || {
        let mut command = project.command(&["env", "render", "staging", "--json"]);
        command.envs(SECRETS);
        Live::start(command)
    };
    let all: Vec<Live> = (0..4).map(|_| start()).collect();
    let mut numbers: Vec<u64> = all
        .into_iter()
        .map(|live| {
            let told: serde_json::Value = serde_json::from_str(&live.end().expect(0).stdout).expect("JSON");
            told["manifest"]["number"].as_u64().expect("a number")
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4]);
}
