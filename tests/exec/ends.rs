//! How attempts start and end.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use engine::exec::{Executor, Exit, Lifetime, News, Signal, StopKind};

use crate::support::{argv, bash, bench, bench_alone};
use crate::waiting::{PATIENCE, is_alive, pids, scratch, until, until_printed};

#[test]
fn codes_and_signals_are_told_apart() {
    let bench = bench(1);
    assert_eq!(bench.run(bash("exit 7")).0.exit, Exit::Code(7));
    assert_eq!(bench.run(bash("kill -KILL $$")).0.exit, Exit::Signal(9));
    assert_eq!(bench.run(argv(&["true"])).0.exit, Exit::Code(0));
}

#[test]
fn started_comes_once_and_before_the_end() {
    let bench = bench(1);
    let spec = bash("echo $$");
    let key = spec.key;
    bench.local.start(spec);
    let News::Started { key: started, pid } = bench.next() else { panic!("the start comes first") };
    assert_eq!(started, key);
    let ended = bench.end();
    assert_eq!(ended.exit, Exit::Code(0));
    assert_eq!(pids(&String::from_utf8_lossy(&bench.capture.take(key))), [pid]);
}

#[test]
fn a_thousand_quick_starts_have_one_end_each() {
    let bench = bench(8);
    let mut open = BTreeSet::new();
    for _ in 0..1000 {
        let spec = argv(&["true"]);
        open.insert(spec.key);
        bench.local.start(spec);
    }
    while !open.is_empty() {
        let ended = bench.end();
        assert_eq!(ended.exit, Exit::Code(0), "{:?}", ended.notes);
        assert!(open.remove(&ended.key), "a second end of one attempt");
        assert!(ended.notes.is_empty(), "{:?}", ended.notes);
    }
    assert!(bench.local.shutdown().is_empty());
    assert!(bench.news.try_recv().is_err(), "news after the last end");
}

#[test]
fn usage_is_measured() {
    let bench = bench(1);
    let (ended, _) = bench.run(bash("for ((i = 0; i < 200000; i++)); do :; done"));
    assert!(ended.cpu_us > 20_000, "{} us", ended.cpu_us);
    assert!(Duration::from_micros(ended.cpu_us) <= ended.took * 2, "more time than there was");
    let hungry = "x = bytearray(300 << 20)";
    let (ended, _) = bench.run(crate::support::python(hungry));
    assert!(ended.max_rss_kib > 300 << 10, "{} KiB", ended.max_rss_kib);
}

/// Why it does not start: the same from the folder of this program, which needs no change of folder, and from another.
fn why(spec: engine::exec::Spec) -> String {
    let why = |spec| match bench(1).run(spec).0.exit {
        Exit::NotStarted(why) => why,
        other => panic!("it must not start: {other:?}"),
    };
    let is_home = spec.cwd == std::env::current_dir().expect("tests stand somewhere");
    let here = why(spec.clone());
    if is_home {
        assert_eq!(why(engine::exec::Spec { cwd: std::env::temp_dir(), ..spec }), here);
    }
    here
}

#[test]
fn a_process_cannot_tell_whether_it_was_sent_to_its_folder() {
    let bench = bench(1);
    let told = |cwd: std::path::PathBuf, words: &[&str]| {
        let spec = engine::exec::Spec { cwd, ..argv(words) };
        let (ended, text) = bench.run(spec);
        assert_eq!(ended.exit, Exit::Code(0), "{text}");
        text
    };
    let here = std::env::current_dir().expect("tests stand somewhere");
    let script = "grep -E '^Sig(Blk|Ign|Cgt):' /proc/self/status; ls -l /proc/self/fd | wc -l; \
                  [ $(cut -d' ' -f5 /proc/$$/stat) = $$ ] && echo leads its group; env | grep -vE '^(PWD|ENGINE_)'";
    let words = ["/bin/bash", "--norc", "-c", script];
    let (mine, other) = (told(here.clone(), &words), told(std::env::temp_dir(), &words));
    assert_eq!(mine, other);
    // But for two signals that the C library keeps to itself.
    let ignored = mine.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    assert_eq!(ignored.map(|mask| mask & !(0b11 << 31)), Some(0), "{mine}");
    assert!(mine.contains("leads its group"), "{mine}");
    assert_eq!(
        told(here.clone(), &["pwd", "-P"]).trim_end(),
        here.canonicalize().expect("real").to_str().unwrap_or("")
    );
}

#[test]
fn what_cannot_start_says_why() {
    let (folder, _) = scratch();
    let file = |name: &str, text: &str, mode: u32| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("its mode");
        path.to_str().expect("a plain path").to_owned()
    };
    let mut spec = argv(&["ehco"]);
    spec.env.set("PATH", "/usr/bin:/bin");
    let text = why(spec);
    assert!(text.contains("`ehco`") && text.contains("/usr/bin:/bin") && text.contains("`echo`"), "{text}");

    let text = why(argv(&[&file("plain", "#!/bin/sh\n", 0o644)]));
    assert!(text.contains("not executable") && text.contains("chmod +x"), "{text}");
    let text = why(argv(&[&file("script", "#!/usr/bin/no-such-shell -e\n", 0o755)]));
    assert!(text.contains("interpreter `/usr/bin/no-such-shell`"), "{text}");
    let text = why(argv(&[&file("dos", "#!/bin/sh\r\n", 0o755)]));
    assert!(text.contains("`/bin/sh\\r`"), "{text}");
    let text = why(argv(&[&file("garbage", "\u{1}\u{2}", 0o755)]));
    assert!(text.contains("`#!` line"), "{text}");
    assert!(why(argv(&["/no/such/tool"])).contains("does not exist"));
    assert!(why(argv(&["/usr"])).contains("is a folder"));
    assert!(why(argv(&[])).contains("empty"));

    let mut spec = argv(&["true"]);
    spec.cwd = folder.path().join("gone");
    assert!(why(spec).contains("working directory"), "a missing folder");
    let mut spec = argv(&["true", "x"]);
    spec.argv[1] = OsString::from_vec(b"a\0b".to_vec());
    assert!(why(spec).contains("argument 1 contains a NUL"), "a NUL");
    let mut spec = argv(&["true"]);
    spec.env.set("ODD", OsString::from_vec(b"a\0b".to_vec()));
    assert!(why(spec).contains("variable `ODD` contains a NUL"), "a NUL");
    let mut spec = argv(&["true"]);
    spec.argv.push(OsString::from_vec(vec![b'x'; 4 << 20]));
    assert!(why(spec).contains("longer than the system takes"), "too long");
}

#[test]
fn a_program_is_found_from_the_stages_own_folder_and_path() {
    let (folder, _) = scratch();
    let tool = folder.path().join("tool");
    std::fs::write(&tool, "#!/bin/sh\necho \"$0 from $PWD\"\n").expect("a file");
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    let bench = bench(1);
    let real = folder.path().canonicalize().expect("a folder");
    for word in ["./tool", "tool"] {
        let mut spec = argv(&[word]);
        spec.cwd.clone_from(&real);
        spec.env.set("PATH", ":/usr/bin:/bin");
        let (ended, text) = bench.run(spec);
        assert_eq!(ended.exit, Exit::Code(0), "{word}");
        assert!(text.ends_with(&format!("from {}\n", real.display())), "{text}");
    }
}

#[test]
fn odd_bytes_reach_the_program_and_nothing_else_does() {
    let bench = bench(1);
    let mut spec = argv(&["printf", "%s|"]);
    spec.argv.extend([OsString::from_vec(vec![0xff, b'\n', b'"']), OsString::new(), "é $HOME *".into()]);
    let key = spec.key;
    bench.local.start(spec);
    assert_eq!(bench.end().exit, Exit::Code(0));
    assert_eq!(bench.capture.take(key), b"\xff\n\"||\xc3\xa9 $HOME *|");
    let (_, text) = bench.run(argv(&["env"]));
    let names: Vec<&str> = text.lines().filter_map(|line| line.split('=').next()).collect();
    assert_eq!(names, ["PATH", "ENGINE_ATTEMPT_KEY"], "a clean environment");
    // Whoever started the tests may have left descriptors open for all of us; none comes from the executor.
    let script = "readlink /proc/self/fd/0; ls /proc/self/fd | wc -l";
    let plain =
        std::process::Command::new("bash").args(["-c", script]).stdin(std::process::Stdio::null()).output();
    let plain = String::from_utf8(plain.expect("bash runs").stdout).expect("plain text");
    assert!(plain.starts_with("/dev/null\n"), "{plain}");
    assert_eq!(bench.run(bash(script)).1, plain, "no descriptor of ours leaks");
}

#[test]
fn terminate_reaches_the_whole_group_with_the_stages_signal() {
    let bench = bench(1);
    let (_folder, file) = scratch();
    let mut spec =
        bash(&format!("trap 'echo caught; exit 3' INT; sleep 1000 & echo $! > {}; wait", file.display()));
    spec.stop_signal = Signal::Int;
    let key = spec.key;
    bench.local.start(spec);
    let child = pids(&until_printed(&file))[0];
    bench.local.stop(key, StopKind::Terminate);
    let ended = bench.end();
    assert_eq!(ended.exit, Exit::Code(3));
    assert!(!is_alive(child));
}

#[test]
fn kill_ends_what_ignores_term_or_is_stopped() {
    let bench = bench(2);
    let (_folder, file) = scratch();
    let spec = bash(&format!("trap '' TERM; echo $$ > {}; while :; do sleep 1000; done", file.display()));
    let key = spec.key;
    bench.local.start(spec);
    until_printed(&file);
    bench.local.stop(key, StopKind::Terminate);
    bench.local.stop(key, StopKind::Kill);
    assert_eq!(bench.end().exit, Exit::Signal(9));

    let spec = bash("kill -STOP $$");
    let key = spec.key;
    bench.local.start(spec);
    let News::Started { pid, .. } = bench.next() else { panic!("it starts") };
    until(|| engine::exec::unix::stat(pid).filter(|one| one.state == b'T'));
    bench.local.stop(key, StopKind::Kill);
    assert_eq!(bench.end().exit, Exit::Signal(9));
}

#[test]
fn terminate_wakes_what_is_stopped() {
    let bench = bench(1);
    let spec = bash("kill -STOP $$; sleep 1000");
    let key = spec.key;
    bench.local.start(spec);
    let News::Started { pid, .. } = bench.next() else { panic!("it starts") };
    until(|| engine::exec::unix::stat(pid).filter(|one| one.state == b'T'));
    bench.local.stop(key, StopKind::Terminate);
    assert_eq!(bench.end().exit, Exit::Signal(15));
}

#[test]
fn stops_of_the_queued_the_ended_and_the_unknown() {
    let bench = bench(1);
    let (first, second) = (argv(&["true"]), argv(&["sleep", "1000"]));
    let (gone, key) = (first.key, second.key);
    bench.local.start(first);
    assert_eq!(bench.end().key, gone);
    bench.local.stop(gone, StopKind::Kill);
    bench.local.start(second);
    bench.local.stop(key, StopKind::Kill);
    let ended = bench.end();
    assert_eq!(ended.key, key);
    assert!(matches!(ended.exit, Exit::Signal(9) | Exit::NotStarted(_)), "{:?}", ended.exit);
    assert!(bench.news.try_recv().is_err());
}

#[test]
fn silence_is_told_once_and_only_to_the_silent() {
    let bench = bench(1);
    let (_folder, file) = scratch();
    let mut spec = bash(&format!("mkfifo {0}; read < {0}; echo done", file.display()));
    spec.idle = Some(Duration::from_millis(30));
    let key = spec.key;
    bench.local.start(spec);
    assert!(matches!(bench.next(), News::Started { .. }));
    assert!(matches!(bench.next(), News::Silent { key: silent } if silent == key));
    std::fs::write(&file, "go\n").expect("the stage reads");
    assert!(matches!(bench.next(), News::Ended(ended) if ended.exit == Exit::Code(0)));

    let mut spec = argv(&["true"]);
    spec.idle = Some(PATIENCE * 100);
    assert_eq!(bench.run(spec).0.exit, Exit::Code(0));
}

#[test]
fn a_drop_kills_and_answers_what_runs() {
    let bench = bench(2);
    for _ in 0..3 {
        bench.local.start(argv(&["sleep", "1000"]));
    }
    let pid = loop {
        if let News::Started { pid, .. } = bench.next() {
            break pid;
        }
    };
    drop(bench.local);
    assert!(!is_alive(pid));
    let ends = bench.news.try_iter().filter(|news| matches!(news, News::Ended(_))).count();
    assert_eq!(ends, 3);
}

#[test]
fn a_service_outlives_its_stage_and_ends_with_the_run() {
    let bench = bench(1);
    let (_folder, file) = scratch();
    let script = format!(
        "(trap 'echo bye >> {0}; exit' TERM; echo $BASHPID > {0}; while :; do read -t 1000 <> <(:); done) & until [ -s {0} ]; do :; done",
        file.display()
    );
    let mut spec = bash(&script);
    spec.lifetime = Lifetime::Run;
    let (ended, _) = bench.run(spec);
    assert_eq!(ended.exit, Exit::Code(0));
    assert!(ended.notes[0].contains("until the run ends"), "{:?}", ended.notes);
    let pid = pids(&std::fs::read_to_string(&file).expect("its id"))[0];
    assert_eq!(bench.run(argv(&["true"])).0.notes, Vec::<String>::new(), "the next stage is not to blame");
    assert!(is_alive(pid));
    assert!(bench.local.shutdown().is_empty());
    assert!(!is_alive(pid));
    assert!(std::fs::read_to_string(&file).expect("its last word").contains("bye"), "it was asked first");
}

#[test]
fn a_service_of_a_failed_stage_is_killed() {
    let bench = bench(1);
    let mut spec = bash("sleep 1000 & exit 1");
    spec.lifetime = Lifetime::Run;
    let (ended, _) = bench.run(spec);
    assert_eq!(ended.exit, Exit::Code(1));
    assert!(ended.notes[0].contains("killed"), "{:?}", ended.notes);
}

#[test]
fn what_goes_to_the_host_is_left_alone_and_named() {
    let bench = bench(1);
    let (_folder, file) = scratch();
    let mut spec = bash(&format!("sleep 1000 > /dev/null 2>&1 & echo $! > {}", file.display()));
    spec.lifetime = Lifetime::Host;
    let key = spec.key;
    let (ended, _) = bench.run(spec);
    let pid = pids(&std::fs::read_to_string(&file).expect("its id"))[0];
    assert!(ended.notes[0].contains(&format!("({pid})")), "{:?}", ended.notes);
    let left = bench.local.shutdown();
    assert!(is_alive(pid), "it belongs to the machine now");
    assert_eq!(left.len(), 1);
    assert!(left[0].is_intended && left[0].key == key && left[0].process.ident.pid == pid);
    assert!(engine::exec::unix::signal(left[0].process.ident, rustix::process::Signal::KILL));
}

#[test]
fn of_two_quick_attempts_each_keeps_what_it_left_itself() {
    let bench = bench_alone(2);
    let service = || {
        let mut spec = argv(&["sh", "-c", "setsid sleep 1000 > /dev/null 2>&1 & echo $!"]);
        spec.lifetime = Lifetime::Run;
        spec
    };
    for _ in 0..50 {
        for spec in [service(), service()] {
            bench.local.start(spec);
        }
        for ended in [bench.end(), bench.end()] {
            let printed = bench.capture.take(ended.key);
            let own = format!("({})", String::from_utf8_lossy(&printed).trim());
            let note = ended.notes.concat();
            assert!(
                note.contains(&own) && note.matches('(').count() == 1,
                "{own} lives on, the attempt says: {note}"
            );
        }
    }
    assert!(bench.local.shutdown().is_empty());
}
