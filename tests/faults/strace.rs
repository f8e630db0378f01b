//! The engine, front and worker, under strace, which kills one of them at a chosen system call or lets that call fail.
//! It lets go of whatever runs another program, so stages are never touched.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use engine::exec::unix;
use rustix::event::{PollFd, PollFlags};

use crate::support::{PATIENCE, Project};

/// System calls that change something outside of the process, or start a process or a thread.
pub(crate) const CALLS: [&str; 14] = [
    "write",
    "pwrite64",
    "fdatasync",
    "fsync",
    "rename",
    "openat",
    "mkdir",
    "ftruncate",
    "unlink",
    "unlinkat",
    "clone",
    "clone3",
    "vfork",
    "fork",
];

/// Those of them that are told apart by file.
const FILE_CALLS: [&str; 3] = ["write", "pwrite64", "fdatasync"];

/// One call of one kind: the `nth` that a thread of the engine makes, of those on `path` when that is given.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Point {
    pub(crate) call: &'static str,
    /// A file, from the project's folder. strace counts for each thread, and the first thread to get so far is
    /// met: a file that only one thread writes is the way to meet that thread.
    pub(crate) path: Option<String>,
    pub(crate) nth: u32,
}

/// What becomes of the call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    Kill,
    Error(&'static str),
}

/// How an engine under strace ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code; a death by signal N is 128 + N.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// What strace wrote.
    pub(crate) trace: String,
}

/// Runs `engine ARGS` with something injected, until front and worker are gone.
pub(crate) fn run(project: &Project, args: &[&str], inject: Option<(&Point, Fate)>) -> Ended {
    // Both have this as their standard input, and stages have another.
    let (is_gone, held) = std::io::pipe().expect("a pipe");
    let plain = project.command(args);
    let trace = project.path("trace");
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-b", "execve", "-y", "-o"]).arg(&trace);
    let mut calls = format!("trace={}", CALLS.join(","));
    if let Some((point, fate)) = inject {
        let fate = match fate {
            Fate::Kill => "signal=KILL".to_owned(),
            Fate::Error(error) => format!("error={error}"),
        };
        calls = format!("trace={}", point.call);
        command.arg("-e").arg(format!("inject={}:{fate}:when={}", point.call, point.nth));
        if let Some(path) = &point.path {
            command.arg("-P").arg(project.path(path));
        }
    }
    command.args(["-e", &calls]).arg(plain.get_program()).args(plain.get_args());
    command.current_dir(project.path("")).env_clear();
    command.envs(plain.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let (out, err) = (project.path("engine.out"), project.path("engine.err"));
    command.stdout(File::create(&out).expect("a file")).stderr(File::create(&err).expect("a file")).stdin(held);
    let mut front = command.spawn().expect("strace is installed (`apt-get install strace`)");
    // It holds the pipe, too.
    drop(command);
    let mut polled = [PollFd::new(&is_gone, PollFlags::IN)];
    let is_over = matches!(rustix::event::poll(&mut polled, Some(&unix::timespec(PATIENCE))), Ok(1..));
    if !is_over {
        let _ = front.kill();
    }
    let status = front.wait().expect("our child");
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    let read = |path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    Ended { code: if is_over { code } else { -1 }, stdout: read(&out), stderr: read(&err), trace: read(&trace) }
}

/// Every point that a run in `project` passes, as its trace tells them: for each call, and for
/// each file that is written to, as many as the busiest thread makes.
pub(crate) fn points(trace: &str, project: &Project) -> Vec<Point> {
    let root = format!("{}/", project.path("").display().to_string().trim_end_matches('/'));
    let mut counts: BTreeMap<(&'static str, Option<String>, &str), u32> = BTreeMap::new();
    for line in trace.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        let is_call = |call: &&str| rest.strip_prefix(call).is_some_and(|rest| rest.starts_with('('));
        let Some(call) = CALLS.into_iter().find(|call| is_call(call)) else { continue };
        *counts.entry((call, None, thread)).or_default() += 1;
        let path = rest.split_once(&root).and_then(|(_, rest)| rest.split(['>', '"']).next());
        // A name with the process's id is another one next time.
        if let Some(path) = path.filter(|path| FILE_CALLS.contains(&call) && !path.contains("/.new-")) {
            *counts.entry((call, Some(path.to_owned()), thread)).or_default() += 1;
        }
    }
    let mut most: BTreeMap<(&'static str, Option<String>), u32> = BTreeMap::new();
    for ((call, path, _), count) in counts {
        let slot = most.entry((call, path)).or_default();
        *slot = count.max(*slot);
    }
    let nths = |((call, path), most): ((&'static str, Option<String>), u32)| {
        (1..=most).map(move |nth| Point { call, path: path.clone(), nth })
    };
    most.into_iter().flat_map(nths).collect()
}
