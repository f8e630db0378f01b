use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::exec::unix;

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    fn file(&self, name: &str, bytes: &[u8], mode: u32) -> &Self {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).expect("a file in our own folder");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("our own file");
        self
    }

    fn sources(&self, vars: &[(&str, &str)]) -> Sources {
        let path = std::env::var_os("PATH").expect("a PATH");
        let mut caller: Vec<(OsString, OsString)> = vec![("PATH".into(), path)];
        caller.extend(vars.iter().map(|(key, value)| (key.into(), value.into())));
        Sources::new(self.folder.path().to_owned(), caller)
    }

    fn fetch(&self, from: SecretSource) -> Result<String, String> {
        fetch(&self.sources(&[]), from)
    }

    fn command(&self, script: &str) -> Result<String, String> {
        self.fetch(SecretSource::Command(vec!["bash".to_owned(), "-c".to_owned(), script.to_owned()]))
    }
}

fn fetch(sources: &Sources, from: SecretSource) -> Result<String, String> {
    let fetched = sources.fetch(&SecretDecl::plain("TOKEN", from))?;
    Ok(String::from_utf8(fetched.value.expose().to_vec()).expect("text"))
}

#[test]
fn a_variable_of_the_caller() {
    let place = Place::new();
    let sources = place.sources(&[("TOKEN", "s3cret-value"), ("NONE", "")]);
    assert_eq!(fetch(&sources, SecretSource::Env("TOKEN".into())), Ok("s3cret-value".to_owned()));
    let missing = fetch(&sources, SecretSource::Env("OTHER".into())).expect_err("not set");
    assert_eq!(missing, "the variable `OTHER` is not set in the engine's environment; export it");
    assert_eq!(fetch(&sources, SecretSource::Env("NONE".into())), Err("it is empty".to_owned()));
}

#[test]
fn a_file_loses_its_last_line_ending_and_no_other() {
    let place = Place::new();
    place.file("a", b"one\ntwo\n\n", 0o600).file("b", b"dos\r\n", 0o400);
    assert_eq!(place.fetch(SecretSource::File("a".into())), Ok("one\ntwo\n".to_owned()));
    assert_eq!(place.fetch(SecretSource::File("b".into())), Ok("dos".to_owned()));
}

#[test]
fn a_file_that_others_may_read_or_change_is_refused() {
    let place = Place::new();
    for (mode, words) in [
        (0o604, "it can be read by everybody on this machine"),
        (0o602, "it can be changed by everybody on this machine"),
        (0o620, "it can be changed by its whole group"),
    ] {
        place.file("key", b"hunter2-hunter2", mode);
        let error = place.fetch(SecretSource::File("key".into())).expect_err("others may");
        assert!(error.contains(words) && error.contains("chmod 0600"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    place.file("key", b"hunter2-hunter2", 0o640);
    assert!(
        place.fetch(SecretSource::File("key".into())).is_ok(),
        "a group that only reads was chosen by somebody"
    );
}

#[test]
fn what_is_no_secret_is_told_from_one() {
    let place = Place::new();
    place.file("empty", b"\n", 0o600).file("nul", b"a\0b", 0o600).file("big", &vec![b'x'; 70_000], 0o600);
    place.file("most", &vec![b'x'; limits::MAX_SECRET_BYTES], 0o600);
    std::fs::create_dir(place.folder.path().join("folder")).expect("our own folder");
    let error = |name: &str| place.fetch(SecretSource::File(name.into())).expect_err("no secret");
    assert_eq!(error("empty"), "it is empty");
    assert!(error("nul").contains("NUL"));
    assert_eq!(error("big"), "it is larger than 64 KiB, the limit of a secret");
    assert!(error("folder").ends_with("is not a regular file"));
    assert!(error("absent").contains("No such file"));
    assert!(place.fetch(SecretSource::File("most".into())).is_ok());
}

#[test]
fn a_command_runs_in_the_root_and_its_output_is_the_secret() {
    let place = Place::new();
    place.file("store", b"from the store\n", 0o600);
    assert_eq!(place.command("cat store; echo noise >&2"), Ok("from the store".to_owned()));
}

#[test]
fn a_command_that_fails_says_nothing_of_what_it_printed() {
    let place = Place::new();
    let error = place.command("echo hunter2-hunter2; exit 3").expect_err("it fails");
    assert_eq!(error, "the command failed with exit status: 3; run it by hand to see what it says");
    let missing = place.fetch(SecretSource::Command(vec!["no-such-tool-here".into()])).expect_err("absent");
    assert_eq!(missing, "`no-such-tool-here` was not found on the PATH; install it");
    assert_eq!(place.command("true"), Err("it is empty".to_owned()));
}

#[test]
fn a_command_that_floods_is_cut() {
    let place = Place::new();
    let error = place.command("yes hunter2-hunter2 | head -c 100000000").expect_err("too much");
    assert_eq!(error, "it is larger than 64 KiB, the limit of a secret");
}

#[test]
fn a_command_that_hangs_is_killed_with_what_it_started() {
    let place = Place::new();
    let sources = place.sources(&[]).patient_for(Duration::from_millis(300));
    let script = "sleep 1000 & echo $! > child; echo hunter2; wait";
    let words = ["bash", "-c", script].map(str::to_owned).to_vec();
    let error = fetch(&sources, SecretSource::Command(words)).expect_err("it hangs");
    assert_eq!(error, "the command gave no whole answer within 0.3 s");
    let child = std::fs::read_to_string(place.folder.path().join("child")).expect("it got that far");
    let pid: u32 = child.trim().parse().expect("a number");
    if let Some(stat) = unix::stat(pid) {
        unix::wait_any(&[stat.named()], Duration::from_secs(20));
    }
    assert!(unix::stat(pid).is_none_or(|stat| stat.is_dead()), "{pid} lives");
}

#[test]
fn a_credential_of_systemd() {
    let place = Place::new();
    place.file("db", b"from systemd", 0o440);
    let folder = place.folder.path().to_str().expect("text").to_owned();
    let sources = place.sources(&[("CREDENTIALS_DIRECTORY", &folder)]);
    assert_eq!(fetch(&sources, SecretSource::Credential("db".into())), Ok("from systemd".to_owned()));
    let error = place.fetch(SecretSource::Credential("db".into())).expect_err("no systemd");
    assert!(error.contains("LoadCredential="), "{error}");
}

/// Answers one request as Vault's documentation shows it, and gives back the request's head.
fn vault(status: &str, body: &str) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("bound"));
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("one caller");
        let mut head = String::new();
        for line in BufReader::new(stream.try_clone().expect("a socket")).lines() {
            let line = line.expect("text");
            if line.is_empty() {
                break;
            }
            head += &(line + "\n");
        }
        stream.write_all(answer.as_bytes()).expect("the caller listens");
        head
    });
    (address, server)
}

fn of_vault(field: &str, version: Option<u32>) -> SecretSource {
    SecretSource::Vault { path: "kv/app/db".into(), field: field.into(), address: None, token_file: None, version }
}

const REPLY: &str = r#"{"request_id":"1","data":{"data":{"password":"v4ult-value","port":5432},
    "metadata":{"created_time":"2026-10-01T12:30:00.5Z","deletion_time":"","destroyed":false,"version":7}}}"#;

#[test]
fn a_field_of_vault_with_its_version_and_age() {
    let place = Place::new();
    let (address, server) = vault("200 OK", REPLY);
    let sources =
        place.sources(&[("VAULT_ADDR", &address), ("VAULT_TOKEN", "t0ken"), ("VAULT_NAMESPACE", "team")]);
    let fetched = sources.fetch(&SecretDecl::plain("TOKEN", of_vault("password", Some(7)))).expect("an answer");
    assert_eq!(fetched.value.expose_text(), Some("v4ult-value"));
    assert_eq!(fetched.version.as_deref(), Some("7"));
    assert_eq!(fetched.rotated_at, Some(jiff::civil::date(2026, 10, 1)));
    let head = server.join().expect("the server answered").to_lowercase();
    assert!(head.starts_with("get /v1/kv/data/app/db?version=7 "), "{head}");
    assert!(head.contains("x-vault-token: t0ken\n") && head.contains("x-vault-namespace: team\n"), "{head}");
}

#[test]
fn vault_says_no() {
    let place = Place::new();
    for (status, body, field, words) in [
        ("403 Forbidden", "{}", "password", "the token may not read `kv/app/db` (403)"),
        ("404 Not Found", "{}", "password", "there is no secret `kv/app/db`, or its version was deleted (404)"),
        ("200 OK", REPLY, "user", "`kv/app/db` has no field `user`"),
        ("200 OK", "{\"data\": \"v4ult-value\"}", "password", "gave no answer of a key-value store of version 2"),
        ("302 Found", "", "password", "redirects (302)"),
    ] {
        let (address, server) = vault(status, body);
        let sources = place.sources(&[("VAULT_ADDR", &address), ("VAULT_TOKEN", "t0ken")]);
        let error = fetch(&sources, of_vault(field, None)).expect_err("no value");
        assert!(error.contains(words) && !error.contains("v4ult"), "{error}");
        server.join().expect("the server answered");
    }
    let error = place.fetch(of_vault("password", None)).expect_err("no server");
    assert_eq!(error, "no server is named: give `address`, or set `VAULT_ADDR`");
}
