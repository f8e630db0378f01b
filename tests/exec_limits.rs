//! The executor in a process of its own with few descriptors, as some shells and CI runners allow.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use engine::exec::{Capture, Executor, Exit, Key, Lifetime, Local, News, Signal, Spec};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const ATTEMPTS: u64 = 400;

fn sleeper(key: u64) -> Spec {
    Spec {
        key: Key(key),
        argv: vec!["/bin/sleep".into(), "1000".into()],
        env: engine::exec::Variables::default(),
        secrets: Vec::new(),
        cwd: Path::new("/").into(),
        stop_signal: Signal::Term,
        grace: Duration::ZERO,
        idle: None,
        tag: format!("limits-{key}"),
        lifetime: Lifetime::Stage,
        pipes: None,
        seen: 0,
        after: 0,
    }
}

#[test]
fn more_attempts_than_the_shell_allows_descriptors() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(256), maximum }).expect("lower is allowed");
    let (sender, news) = channel();
    let told = Box::new(move |one| sender.send(one).unwrap_or(()));
    let local = Local::new(4, Arc::new(Capture::new(0)), told).expect("an executor");
    (0..ATTEMPTS).for_each(|key| local.start(sleeper(key)));
    for _ in 0..ATTEMPTS {
        let next = news.recv_timeout(Duration::from_mins(1)).expect("news in time");
        assert!(matches!(next, News::Started { .. }), "{next:?}");
    }
    assert!(local.shutdown().is_empty());
    let ends: Vec<Exit> = news
        .try_iter()
        .filter_map(|one| if let News::Ended(ended) = one { Some(ended.exit) } else { None })
        .collect();
    assert_eq!(ends, vec![Exit::Signal(9); 400]);
}
