//! Words for the user. A closed pipe (`engine runs | head`) is not an error.

use std::io::Write;

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

/// Writes `value` to standard output as indented JSON.
pub(super) fn json(value: &serde_json::Value) {
    line(&serde_json::to_string_pretty(value).expect("a JSON value is always written"));
}

/// Writes `text` and a line's end to standard error.
pub(super) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
