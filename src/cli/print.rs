//! Words for the user. A closed pipe (`engine runs | head`) is not an error.

use std::io::{BufWriter, Write};

use serde::Serialize;

/// Writes `text` to standard output as it is.
pub(super) fn out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    // A reader that went away has seen all it wanted; any other failure leaves nobody to tell.
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Writes `text` and a line's end to standard output.
pub(super) fn line(text: &str) {
    out(&format!("{text}\n"));
}

/// Writes `value` to standard output as indented JSON, piece by piece.
pub(super) fn json(value: &impl Serialize) {
    let mut stdout = BufWriter::with_capacity(PIECE_BYTES, std::io::stdout().lock());
    let written = serde_json::to_writer_pretty(&mut stdout, value);
    // As above.
    let _ = written.map_err(Into::into).and_then(|()| stdout.write_all(b"\n")).and_then(|()| stdout.flush());
}

/// How much is handed over at once.
const PIECE_BYTES: usize = 64 << 10;

/// Writes `text` and a line's end to standard error.
pub(super) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
