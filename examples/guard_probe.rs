//! A tiny engine for the tests of `exec::guard`: front, worker, and one stage given as a script.
//!
//! `guard_probe SCRIPT` runs the script as a stage under the guard. The worker prints `worker PID` and
//! `front PID`, each signal that reaches it once, and `ended …` when the stage is over.
//! `guard_probe --sweep RUN` kills what a dead engine left.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::exec::guard::{self, Caught};
use engine::exec::{Capture, Executor, Exit, Key, Lifetime, Local, News, Signal, Spec, StopKind, Variables};
use tokio::signal::unix::{SignalKind, signal};

enum Heard {
    News(News),
    Caught(Caught),
}

fn main() -> ExitCode {
    let words = std::env::args_os();
    let words: Vec<OsString> = words.skip(1).collect();
    if words.first().is_some_and(|word| word == "--sweep") {
        return sweep(&words[1].to_string_lossy());
    }
    if let Some(code) = guard::divide().expect("a worker") {
        return ExitCode::from(code);
    }
    work(&words[0])
}

fn sweep(run: &str) -> ExitCode {
    match guard::sweep_run(run, &|_| false, Duration::from_secs(2)) {
        Ok(killed) => {
            say(&format!("killed {}", killed.len()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn work(script: &OsString) -> ExitCode {
    let (sender, heard) = channel();
    let caught = sender.clone();
    let link = guard::attach(move |one| caught.send(Heard::Caught(one)).unwrap_or(()))
        .expect("a reachable front")
        .expect("a front");
    link.explain("resume with `probe resume`");
    let link = Arc::new(link);
    let ready = listen(Arc::clone(&link));
    ready.recv().expect("the listener starts");
    let local = start(script, sender);
    let parent = rustix::process::getppid().expect("a parent").as_raw_nonzero();
    say(&format!("worker {}\nfront {parent}", std::process::id()));
    let code = loop {
        match heard.recv().expect("news come") {
            Heard::News(News::Ended(ended)) => break ended.exit,
            Heard::News(_) => {}
            Heard::Caught(caught) => {
                say(&format!("caught {caught:?}"));
                if caught == Caught::Term {
                    local.stop(Key(1), StopKind::Kill);
                }
            }
        }
    };
    say(&format!("ended {code:?}"));
    local.shutdown();
    link.goodbye();
    match code {
        Exit::Code(code) => ExitCode::from(u8::try_from(code).unwrap_or(70)),
        _ => ExitCode::from(143),
    }
}

/// Gives the signals that reach the worker itself to the link.
fn listen(link: Arc<guard::Link>) -> std::sync::mpsc::Receiver<()> {
    let (ready, is_ready) = channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        runtime.block_on(async {
            let mut int = signal(SignalKind::interrupt()).expect("a handler");
            let mut term = signal(SignalKind::terminate()).expect("a handler");
            ready.send(()).unwrap_or(());
            loop {
                tokio::select! {
                    _ = int.recv() => link.direct(Caught::Int),
                    _ = term.recv() => link.direct(Caught::Term),
                }
            }
        });
    });
    is_ready
}

fn start(script: &OsString, news: Sender<Heard>) -> Local {
    let news = Mutex::new(news);
    let told = move |one| {
        let sender = news.lock().expect("no panic holds it");
        sender.send(Heard::News(one)).unwrap_or(());
    };
    let local = Local::new(2, Arc::new(Capture::new(1 << 20)), Box::new(told)).expect("an executor");
    let inherited = ["PATH", "ENGINE_RUN_ID"];
    let mut env: Variables = inherited.iter().filter_map(|name| Some((name, std::env::var_os(name)?))).collect();
    env.set("ENGINE_ATTEMPT_KEY", "probe");
    local.start(Spec {
        key: Key(1),
        argv: vec!["bash".into(), "-c".into(), script.clone()],
        env,
        secrets: Vec::new(),
        cwd: "/".into(),
        stop_signal: Signal::Term,
        grace: Duration::from_secs(1),
        idle: None,
        tag: "probe".into(),
        lifetime: Lifetime::Stage,
        pipes: None,
        seen: 0,
        after: 0,
    });
    local
}

fn say(text: &str) {
    writeln!(io::stdout(), "{text}").expect("the test listens");
}
