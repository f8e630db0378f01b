//! Masking secrets in what stages print.

use engine::render::mask::{Masker, Stream};
use engine::render::secret::Secret;

use crate::board::{Board, Budget};
use crate::machine::{median, seconds};

const SECRETS: u64 = 200;
const TEXT_MIB: usize = 64;
/// What one read of a pipe brings.
const READ: usize = 64 * 1024;

/// Lines as build tools print them, past two hundred secrets that are not in them.
pub(crate) fn measure(board: &mut Board) {
    let secrets: Vec<Secret> = (0..SECRETS).map(|n| Secret::new(value(n).into_bytes())).collect();
    let masker = Masker::new(&secrets).expect("there are secrets");
    let text = log(TEXT_MIB * 1024 * 1024);
    let rates = (0..board.rounds).map(|_| {
        let mut out = Vec::with_capacity(text.len() + READ);
        let took = seconds(|| {
            let mut stream = Stream::default();
            for read in text.chunks(READ) {
                stream.push(&masker, read, &mut out);
            }
            stream.finish(&masker, &mut out);
        });
        assert!(out == text, "there is no secret in it");
        #[expect(clippy::cast_precision_loss, reason = "a few dozen")]
        let mib = TEXT_MIB as f64;
        mib / took
    });
    let rate = median(rates.collect());
    board.judge(format!("masking with {SECRETS} secrets"), (rate, "MiB/s"), Budget::Least(200.0));
}

/// Forty letters and digits, as tokens are.
fn value(n: u64) -> String {
    blake3::hash(&n.to_le_bytes()).to_hex()[..20].to_owned()
        + &format!("{:020X}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn log(size: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(size + 200);
    let mut n = 0_u64;
    while text.len() < size {
        let hash = blake3::hash(&n.to_le_bytes()).to_hex();
        let line = format!(
            "2026-11-21T07:{:02}:{:02}Z INFO worker-{} compiled src/module_{n}/mod.rs in {} ms, digest {}\n",
            n / 60 % 60,
            n % 60,
            n % 8,
            n % 977,
            &hash[..24]
        );
        text.extend_from_slice(line.as_bytes());
        n += 1;
    }
    text.truncate(size);
    text
}
