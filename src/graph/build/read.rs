//! Reads of `needs.…outputs…` that no run could answer: a level left out, or a cell or shard that there is not.

use super::Builder;
use super::context::Needed;
use super::types;
use crate::graph::cells::label_word;
use crate::plan::error::nearest;
use crate::plan::model::{Items, Matrix, Setting, Shards, Size};
use crate::plan::tree::{Kind, Tree};
use crate::render::{Name, Template};

/// Cells whose names are worked out at most: a larger matrix is not written by hand.
const MOST_LABELS: usize = 1000;

/// Cells that are listed to whoever named another one.
const MAX_LISTED: usize = 8;

impl Needed {
    /// Which part of a name is the output.
    pub(super) fn depth(&self) -> usize {
        3 + usize::from(self.has_cells) + usize::from(self.has_shards)
    }
}

impl Builder<'_> {
    /// Refuses a name without the cell or the shard whose output it means.
    pub(super) fn check_levels(&mut self, name: &Name, tree: &Tree, needed: &Needed) -> Result<(), ()> {
        if name.is_guarded {
            return Ok(());
        }
        let stage = &name.path[1];
        let cells = needed.cells.as_ref().filter(|_| needed.has_cells);
        if let (Some(cells), Some(part)) = (cells, name.path.get(3))
            && !cells.iter().any(|cell| **cell == **part)
        {
            let message = format!("`{stage}` has no cell `{part}`");
            let listed: Vec<String> = cells.iter().take(MAX_LISTED).map(|cell| format!("`{cell}`")).collect();
            let more = match cells.len() - listed.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let near = nearest(part, cells.iter().map(String::as_str));
            let meant = near.map_or_else(String::new, |near| format!("did you mean `outputs['{near}']`? "));
            let help = format!("{meant}the cells are {}{more}", listed.join(", "));
            return self.fault("plan::unknown-output", name, tree, message, Some(help)).map(drop);
        }
        let at = 3 + usize::from(needed.has_cells);
        let Some(part) = name.path.get(at).filter(|_| needed.has_shards) else { return Ok(()) };
        let number = part.parse::<u64>().ok().filter(|number| number.to_string() == **part);
        let Some(number) = number else {
            let message =
                format!("the outputs of `{stage}` are those of its shards, and `{part}` is no shard's number");
            let before = name.path[..at].join(".");
            let help = format!("write `{before}['0'].…` for those of the first shard");
            return self.fault("plan::unknown-output", name, tree, message, Some(help)).map(drop);
        };
        let Some(shards) = needed.shards.filter(|&shards| number >= shards) else { return Ok(()) };
        let message = format!("`{stage}` has no shard `{part}`");
        let help = shards.checked_sub(1).map(|last| format!("its shards are `0` to `{last}`"));
        self.fault("plan::unknown-output", name, tree, message, help).map(drop)
    }
}

/// How many shards there are, if the items are written out.
pub(super) fn count(shards: &Shards) -> Option<u64> {
    let items = match &shards.items {
        Items::Range(Setting::Value(count)) => u64::from(count.value),
        Items::List(Tree { kind: Kind::List(items), .. }) => u64::try_from(items.len()).ok()?,
        _ => return None,
    };
    let size = match &shards.size {
        None => 1,
        Some(Setting::Value(size)) => match size.value {
            Size::Items(size) if size > 0 => u64::from(size),
            _ => return None,
        },
        Some(Setting::Template(_)) => return None,
    };
    shards.target.is_none().then(|| items.div_ceil(size))
}

/// What the cells of a matrix are called, if its values are written out.
pub(super) fn labels(matrix: &Matrix) -> Option<Vec<String>> {
    if matrix.late.is_some() || !matrix.include.is_empty() || matrix.axes.is_empty() {
        return None;
    }
    let mut labels = vec![String::new()];
    for (_, axis) in &matrix.axes {
        let Kind::List(values) = &axis.kind else { return None };
        let words: Option<Vec<String>> = values.iter().map(word).collect();
        let words = words.filter(|words| words.len() * labels.len() <= MOST_LABELS)?;
        let gap = |before: &str| if before.is_empty() { "" } else { "," };
        labels = labels
            .iter()
            .flat_map(|before| words.iter().map(move |word| format!("{before}{}{word}", gap(before))))
            .collect();
    }
    Some(labels)
}

fn word(value: &Tree) -> Option<String> {
    let is_template = value.as_str().is_some_and(Template::is_template);
    label_word(&types::literal(value)).filter(|_| !is_template)
}
