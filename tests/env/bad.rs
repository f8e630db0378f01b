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
        let project = project();
        project.write(path, text);
        refused(&project, status, words);
        assert!(!project.has("run"), "{text}");
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
