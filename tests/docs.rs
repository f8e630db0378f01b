//! The documents hold what they promise: commands run and print what is shown, plans in them are checked, links
//! lead somewhere, tables agree with the code, pictures are those of the real binary.
//!
//! `ENGINE_BLESS=1 cargo test --test docs` draws the pictures anew.

#[path = "docs/blocks.rs"]
mod blocks;
#[path = "docs/console.rs"]
mod console;
#[path = "docs/counts.rs"]
mod counts;
#[path = "docs/guide.rs"]
mod guide;
#[path = "docs/markdown.rs"]
mod markdown;
#[path = "docs/pictures.rs"]
mod pictures;
#[path = "docs/recipes.rs"]
mod recipes;
mod support;
#[path = "docs/tables.rs"]
mod tables;
