//! A server on the loopback that answers every request the same, in threads of the bench's own process.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// Longer than any request that a gate without headers of its own sends.
const MAX_REQUEST_BYTES: usize = 4 << 10;

/// What is known of the requests so far. The threads end with the process, or with the connections.
pub(crate) struct Server {
    /// On which port it listens.
    pub(crate) port: u16,
    seen: Arc<Seen>,
}

struct Seen {
    connections: AtomicU64,
    begun: Instant,
    /// When each path, a number, was last answered; microseconds since `begun`.
    last_us: Vec<AtomicU64>,
}

impl Server {
    /// One that knows the paths `/0` to `/{paths - 1}`.
    pub(crate) fn start(paths: usize) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback has a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let last_us = (0..paths).map(|_| AtomicU64::new(0)).collect();
        let seen = Arc::new(Seen { connections: AtomicU64::new(0), begun: now(), last_us });
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                shared.connections.fetch_add(1, Ordering::Relaxed);
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || answer(stream, &shared));
            }
        });
        Self { port, seen }
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> u64 {
        self.seen.connections.load(Ordering::Relaxed)
    }

    /// Microseconds since the last answer to a path. Nothing if there was none.
    pub(crate) fn since_last_us(&self, path: usize) -> Option<u64> {
        let last = self.seen.last_us.get(path)?.load(Ordering::Relaxed);
        (last > 0).then(|| self.seen.now_us().saturating_sub(last))
    }
}

impl Seen {
    fn now_us(&self) -> u64 {
        u64::try_from(now().saturating_duration_since(self.begun).as_micros()).unwrap_or(u64::MAX)
    }
}

/// Answers one request after another until the other side has gone.
fn answer(mut stream: TcpStream, seen: &Seen) {
    // Without it the answers come as well, only later.
    let _ = stream.set_nodelay(true);
    let (mut request, mut len) = ([0; MAX_REQUEST_BYTES], 0);
    while let Ok(more @ 1..) = stream.read(&mut request[len..]) {
        len += more;
        if !request[..len].ends_with(b"\r\n\r\n") {
            continue;
        }
        let line = String::from_utf8_lossy(&request[..len]);
        let path = line.strip_prefix("GET /").and_then(|rest| rest.split(' ').next()?.parse::<usize>().ok());
        let last = path.and_then(|path| seen.last_us.get(path));
        last.expect("only known paths are asked for").store(seen.now_us(), Ordering::Relaxed);
        if stream.write_all(ANSWER).is_err() {
            return;
        }
        len = 0;
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn now() -> Instant {
    Instant::now()
}
