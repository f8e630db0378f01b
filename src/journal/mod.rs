//! The durable record of a run: a framed, hash-chained, append-only log, and the files beside it.
