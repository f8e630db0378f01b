//! Questions that need no protocol: a port, a file, the lines of a log, a process.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::ask::{Memory, Place};
use crate::base::{Span, limits};
use crate::exec::hearing;
use crate::gate::Seen;
use crate::gate::probe::{CommandProbe, FileProbe, Log, measured};

/// Whether something listens at `address`.
pub(super) fn tcp(address: &str, patience: Duration) -> Seen {
    let addresses = match address.to_socket_addrs() {
        Ok(addresses) => addresses,
        Err(error) => return Seen::Error(format!("`{address}` cannot be looked up: {error}")),
    };
    let mut last = format!("`{address}` has no address");
    for one in addresses {
        match TcpStream::connect_timeout(&one, patience) {
            Ok(_) => return Seen::Good(format!("{address} accepts connections")),
            Err(error) => last = format!("{address}: {error}"),
        }
    }
    Seen::Bad(last)
}

/// What a file is like.
pub(super) fn file(probe: &FileProbe, place: &Place) -> Seen {
    let path = place.cwd.join(&probe.path);
    let read = File::open(&path).and_then(|mut file| {
        let age = file.metadata()?.modified()?.elapsed().unwrap_or_default();
        let mut bytes = Vec::new();
        file.by_ref().take(limits::MAX_GATE_BODY_BYTES).read_to_end(&mut bytes)?;
        Ok((bytes, Span::from(age)))
    });
    match read {
        Ok((bytes, age)) => probe.judge(&bytes, age),
        Err(error) if error.kind() == ErrorKind::NotFound && probe.absent => {
            Seen::Good(format!("`{}` is not there", probe.path))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let why = format!("`{}` is not there", probe.path);
            if probe.value.is_some() { Seen::NoData(why) } else { Seen::Bad(why) }
        }
        Err(error) => Seen::Error(format!("`{}` cannot be read: {error}", probe.path)),
    }
}

/// How far a log was read.
pub(super) struct Progress {
    inode: u64,
    offset: u64,
    count: u32,
}

/// How many lines of a log have matched so far.
pub(super) fn log(log: &Log, memory: &mut Memory, place: &Place) -> Seen {
    match read_on(log, memory, place) {
        Ok(count) => Seen::value(f64::from(count)),
        Err(error) => Seen::Error(format!("`{}` cannot be read: {error}", log.path)),
    }
}

fn read_on(log: &Log, memory: &mut Memory, place: &Place) -> std::io::Result<u32> {
    let mut file = File::open(place.cwd.join(&log.path))?;
    let about = file.metadata()?;
    let begin = if log.from_start { 0 } else { about.len() };
    let read = memory.log.get_or_insert(Progress { inode: about.ino(), offset: begin, count: 0 });
    if read.inode != about.ino() || about.len() < read.offset {
        // Another file has its name, or it was emptied: what is in it now is new.
        (read.inode, read.offset) = (about.ino(), 0);
    }
    file.seek(SeekFrom::Start(read.offset))?;
    let mut reader = BufReader::new(file).take(limits::MAX_GATE_LOG_BYTES);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        // A line that is still being written is read when it is whole.
        if line.last() != Some(&b'\n') && reader.limit() > 0 {
            break;
        }
        read.offset += line.len() as u64;
        let text = String::from_utf8_lossy(&line);
        read.count = read.count.saturating_add(u32::from(log.pattern.is_match(text.trim_end())));
        line.clear();
    }
    Ok(read.count)
}

/// How a process ends.
pub(super) fn command(probe: &CommandProbe, patience: Duration, place: &Place) -> Seen {
    let mut words = probe.run.iter();
    let program = words.next().map_or("", String::as_str);
    let mut command = Command::new(program);
    command
        .args(words)
        .current_dir(&place.cwd)
        .env_remove(super::SAMPLES_VAR)
        .env_remove("ENGINE_OUTPUT")
        .stdin(Stdio::null())
        .stdout(if probe.value.is_some() { Stdio::piped() } else { Stdio::inherit() })
        .process_group(0);
    match hearing::spawn(&mut command) {
        Ok(child) => await_child(child, probe, patience),
        Err(error) => Seen::Error(format!("`{program}` cannot be started: {error}")),
    }
}

fn await_child(mut child: Child, probe: &CommandProbe, patience: Duration) -> Seen {
    let group = rustix::process::Pid::from_child(&child);
    let stdout = child.stdout.take();
    let (sender, ended) = mpsc::channel();
    // One thread reads and waits, so that this one can end both when the time is over.
    let waiter = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(stdout) = stdout {
            let _ = stdout.take(limits::MAX_GATE_BODY_BYTES).read_to_end(&mut bytes);
        }
        // Who hears it has gone only when the process is being killed.
        let _ = sender.send((child.wait(), bytes));
    });
    let Ok((status, bytes)) = ended.recv_timeout(patience) else {
        // It may have ended in this very moment.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = waiter.join();
        return Seen::Error(format!("did not end within {}", Span::from(patience)));
    };
    match status.map(|status| status.code()) {
        Ok(Some(code)) if probe.exit.contains(&code) => match &probe.value {
            Some(pointer) => measured(&bytes, pointer),
            None => Seen::Good(format!("exit code {code}")),
        },
        Ok(Some(code)) if probe.value.is_some() => Seen::NoData(format!("exit code {code}")),
        Ok(Some(code)) => Seen::Bad(format!("exit code {code}")),
        Ok(None) => Seen::Bad("it was killed by a signal".to_owned()),
        Err(error) => Seen::Error(format!("its end cannot be read: {error}")),
    }
}
