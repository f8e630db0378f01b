//! The plans that deploy something real (`plans/tdex`, `plans/hxo`, `plans/lib`), on a real database,
//! front, ssh server and supervisor, as Debian packages them. Each test has a place of its own with ports of its own, and leaves nothing behind.

#[path = "docs/blocks.rs"]
mod blocks;
#[path = "seeds/hxo.rs"]
mod hxo;
#[path = "seeds/lab.rs"]
mod lab;
#[path = "docs/shown.rs"]
mod shown;
#[path = "seeds/strategies.rs"]
mod strategies;
mod support;
#[path = "seeds/tdex.rs"]
mod tdex;
