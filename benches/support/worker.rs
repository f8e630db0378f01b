//! A worker that does nothing: it answers each item as soon as it has read it, and writes when there is nothing more to
//! read at the moment.

use std::io::{BufRead, Write};

fn main() -> std::io::Result<()> {
    let mut input = std::io::BufReader::with_capacity(1 << 18, std::io::stdin().lock());
    let (mut output, mut answers) = (std::io::stdout().lock(), Vec::new());
    // The beginning of a line whose end has not come yet.
    let mut begun = Vec::new();
    loop {
        let text = input.fill_buf()?;
        if text.is_empty() {
            return Ok(());
        }
        let len = text.len();
        for part in text.split_inclusive(|&byte| byte == b'\n') {
            begun.extend_from_slice(part);
            if begun.ends_with(b"\n") {
                // {"id":7,"item":7}
                let end = begun.iter().position(|&byte| byte == b',').expect("an item follows the id");
                answers.extend_from_slice(&begun[..end]);
                answers.extend_from_slice(b"}\n");
                begun.clear();
            }
        }
        input.consume(len);
        output.write_all(&answers)?;
        output.flush()?;
        answers.clear();
    }
}
