//! A project folder of its own, and the engine's binary run in it.
//!
//! Every project is its own root (an empty `.git` folder marks it), so tests share nothing and may run side by
//! side. The engine gets a small environment, the same on every machine: nothing of the caller's CI or `ENGINE_…`
//! reaches it. Nothing here sleeps; whatever waits has [`PATIENCE`] and then says what was printed so far.

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

/// How long anything may take on a slow machine before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// A folder with plans, removed at the end.
pub(crate) struct Project {
    dir: TempDir,
}

/// What an ended engine left.
#[derive(Debug)]
pub(crate) struct Output {
    /// The exit code; a death by signal N is 128 + N, as a shell tells it.
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// An engine that runs. Dropped before its end it is killed with its process group.
pub(crate) struct Live {
    pid: Pid,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    error_lines: Receiver<String>,
    ended: Receiver<ExitStatus>,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
    readers: Vec<std::thread::JoinHandle<()>>,
    is_over: bool,
}

impl Project {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("engine-test-").tempdir().expect("a temporary folder");
        fs::create_dir(dir.path().join(".git")).expect("a root's mark");
        Self { dir }
    }

    /// A project with one plan, `plan.yaml`.
    pub(crate) fn with_plan(text: &str) -> Self {
        let project = Self::new();
        project.write("plan.yaml", text);
        project
    }

    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Writes a file, and the folders above it.
    pub(crate) fn write(&self, path: impl AsRef<Path>, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("folders");
        fs::write(&path, text).expect("a file");
        path
    }

    /// Writes a script that can be run.
    pub(crate) fn script(&self, path: impl AsRef<Path>, text: &str) -> PathBuf {
        let path = self.write(path, text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("mode bits");
        path
    }

    /// Brings a folder of the repository to the same place in the project, with its mode bits.
    pub(crate) fn bring(&self, folder: &str) {
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &self.path(folder));
    }

    pub(crate) fn read(&self, path: impl AsRef<Path>) -> String {
        let path = self.path(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub(crate) fn has(&self, path: impl AsRef<Path>) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    /// The engine with these arguments in this folder, not yet started: for more environment or another folder.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.program(env!("CARGO_BIN_EXE_engine"));
        command.args(args);
        command
    }

    /// Another program in this folder, with the same environment.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        let path = std::env::var_os("PATH").expect("tests have a PATH");
        command.current_dir(self.dir.path()).env_clear();
        command.env("PATH", path).env("HOME", self.dir.path()).env("USER", "ann").env("LANG", "C.UTF-8");
        command
    }

    /// Runs the engine to its end.
    pub(crate) fn engine(&self, args: &[&str]) -> Output {
        Live::start(self.command(args)).end()
    }

    /// Runs the engine to its end with more environment.
    pub(crate) fn engine_with(&self, env: &[(&str, &str)], args: &[&str]) -> Output {
        let mut command = self.command(args);
        command.envs(env.iter().copied());
        Live::start(command).end()
    }

    /// Starts the engine, to be watched, signalled or killed.
    pub(crate) fn start(&self, args: &[&str]) -> Live {
        Live::start(self.command(args))
    }

    /// The id of the only run that exists.
    pub(crate) fn only_run(&self) -> String {
        let names = self.runs();
        assert_eq!(names.len(), 1, "one run, not {names:?}");
        names[0].clone()
    }

    /// The ids of all runs, sorted.
    pub(crate) fn runs(&self) -> Vec<String> {
        let Ok(dir) = fs::read_dir(self.path(".engine/runs")) else { return Vec::new() };
        let mut names: Vec<String> =
            dir.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl Output {
    /// Asserts the exit code, showing everything that was printed otherwise.
    #[track_caller]
    pub(crate) fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, status, "\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }
}

impl Live {
    /// Starts a command with pipes, in a process group of its own.
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().expect("the engine starts");
        let pid = Pid::from_child(&child);
        let (stdout, stderr) = (Arc::default(), Arc::default());
        let (line_sender, lines) = channel();
        let (error_sender, error_lines) = channel();
        let (end_sender, ended) = channel();
        let out = child.stdout.take().expect("a pipe");
        let err = child.stderr.take().expect("a pipe");
        let stdin = child.stdin.take();
        let (kept_out, kept_err) = (Arc::clone(&stdout), Arc::clone(&stderr));
        let readers = vec![
            std::thread::spawn(move || collect(out, &kept_out, |line| line_sender.send(line).unwrap_or(()))),
            std::thread::spawn(move || collect(err, &kept_err, |line| error_sender.send(line).unwrap_or(()))),
        ];
        std::thread::spawn(move || end_sender.send(child.wait().expect("our child")).unwrap_or(()));
        Self { pid, stdin, lines, error_lines, ended, stdout, stderr, readers, is_over: false }
    }

    /// The process that the user would signal.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits for the next line of standard output that contains `text`.
    #[track_caller]
    pub(crate) fn line(&self, text: &str) -> String {
        self.await_line(&self.lines, text)
    }

    /// Waits for the next line of standard error that contains `text`.
    #[track_caller]
    pub(crate) fn error_line(&self, text: &str) -> String {
        self.await_line(&self.error_lines, text)
    }

    #[track_caller]
    fn await_line(&self, lines: &Receiver<String>, text: &str) -> String {
        loop {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return line,
                Ok(_) => {}
                Err(why) => panic!("no line with `{text}` ({why})\n{}", self.printed()),
            }
        }
    }

    /// Writes to its standard input.
    pub(crate) fn say(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("standard input is open");
        stdin.write_all(text.as_bytes()).expect("somebody reads");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("it lives");
    }

    /// Kills the worker behind the front: what a `kill -9` of the engine's busy process is.
    #[track_caller]
    pub(crate) fn kill_worker(&self) {
        let front = self.pid.as_raw_nonzero();
        let children = fs::read_to_string(format!("/proc/{front}/task/{front}/children")).expect("it lives");
        let worker = children.split_whitespace().next().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
        kill_process(worker.expect("a front has its worker"), Signal::KILL).expect("it lives");
    }

    /// Kills front and worker at once, and waits for the end: nobody is left to clean up or to say anything.
    #[track_caller]
    pub(crate) fn kill(self) {
        kill_process_group(self.pid, Signal::KILL).expect("it lives");
        self.end().expect(137);
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn end(mut self) -> Output {
        drop(self.stdin.take());
        self.end_open()
    }

    /// Waits for the end with standard input left open, as a terminal is.
    #[track_caller]
    pub(crate) fn end_open(mut self) -> Output {
        let status = match self.ended.recv_timeout(PATIENCE) {
            Ok(status) => status,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                panic!("the engine does not end\n{}", self.printed())
            }
        };
        self.is_over = true;
        for reader in self.readers.drain(..) {
            reader.join().expect("a reader ends with its pipe");
        }
        let status = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        Output { status, stdout: taken(&self.stdout), stderr: taken(&self.stderr) }
    }

    fn printed(&self) -> String {
        format!("--- stdout\n{}\n--- stderr\n{}", taken(&self.stdout), taken(&self.stderr))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if !self.is_over {
            // It may have ended by itself meanwhile.
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
    }
}

/// Copies a folder with everything in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("folders");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            // The mode bits come along.
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

/// A port that was free a moment ago, for what must know its port before it starts.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a free port").port()
}

/// Keeps what a pipe says, line by line, so that a stuck process still shows what it said.
fn collect(pipe: impl Read, kept: &Mutex<String>, mut told: impl FnMut(String)) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while pipe.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        let text = String::from_utf8_lossy(&line).into_owned();
        kept.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
        told(text.trim_end_matches('\n').to_owned());
        line.clear();
    }
}

fn taken(kept: &Mutex<String>) -> String {
    kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Not every test binary needs every word of this module: here they are all used.
const _: fn() = || {
    let _ = (Project::with_plan, Project::only_run, Project::engine, Project::engine_with);
    let _ = (Project::start, Output::expect, Live::pid, Live::line, Live::error_line, Live::say);
    let _ = (Live::signal, Live::kill_worker, Live::kill, Live::end_open);
    let _: [fn(&Project, &'static str) -> String; 1] = [Project::read];
    let _: [fn(&Project, &'static str); 1] = [Project::bring];
    let _: fn() -> u16 = free_port;
    let _: [fn(&Project, &'static str) -> bool; 1] = [Project::has];
    let _: [fn(&Project, &'static str, &'static str) -> PathBuf; 1] = [Project::write];
    let _: [fn(&Project, &'static str, &str) -> PathBuf; 1] = [Project::script];
    let _ = |output: &Output| (output.status, output.stdout.len(), output.stderr.len());
};
