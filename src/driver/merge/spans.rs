//! Stages that find their size while they run. Each part has items in a row and cut them for itself, so the cuts of one part
//! go on where those of the part before it end: laid in a row they are one sequence of cuts of the joined stage, and a
//! shard of a part is a shard of that.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use super::{Joining, Joint, Misfit, part, successes};
use crate::base::{NodeIx, Span};
use crate::graph::shards::{Cut, Cuts};
use crate::run::Event;
use crate::run::event::CutReason;

/// Items in a row, and who works on them: nobody, where the parts were dealt by different histories.
type Row = Vec<(Range<u64>, Option<usize>)>;

/// The items of each such stage in their order, by part.
pub(super) fn rows(parts: &[Joining]) -> Result<BTreeMap<String, Row>, Misfit> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for (at, joining) in parts.iter().enumerate() {
        for (stage, span) in part(joining).spans.iter().filter(|(_, span)| !span.is_empty()) {
            rows.entry(stage.clone()).or_default().push((span.clone(), Some(at)));
        }
    }
    for (stage, row) in &mut rows {
        row.sort_by_key(|(span, _)| span.start);
        let (mut whole, mut next) = (Row::new(), 0);
        for (span, at) in row.drain(..) {
            let before = whole.last().and_then(|(_, at)| *at);
            if let (true, Some(one), Some(other)) = (span.start < next, before, at) {
                let (one, other) = (parts[one].state.clone(), parts[other].state.clone());
                return Err(Misfit::Shared { stage: stage.clone(), item: span.start, one, other });
            }
            if span.start > next {
                whole.push((next..span.start, None));
            }
            next = span.end;
            whole.push((span, at));
        }
        *row = whole;
    }
    Ok(rows)
}

/// What a part did of a stage.
struct Deeds<'a> {
    /// The cuts that hold, by the first shard of each.
    cuts: BTreeMap<u32, (Cut, CutReason, Span)>,
    done: BTreeMap<u32, Cow<'a, Event>>,
}

impl<'a> Deeds<'a> {
    fn of(joining: &'a Joining, stage: &str) -> Self {
        let theirs = joining.read.graphs[0].find(stage);
        let mut deeds = Self { cuts: BTreeMap::new(), done: BTreeMap::new() };
        for (_, _, event) in &joining.read.records {
            match event {
                Event::ShardsCut { node, cut, why, p95 } if Some(*node) == theirs => {
                    deeds.cuts.split_off(&cut.shard);
                    deeds.cuts.insert(cut.shard, (*cut, *why, *p95));
                }
                event => deeds.done.extend(successes(event, theirs)),
            }
        }
        deeds
    }
}

impl Joint<'_> {
    /// The shards of a stage, in order, each part's with its cuts: those that are done, and between them those that are
    /// still to do.
    pub(super) fn stage_in_spans(&mut self, stage: &str, row: &Row, parts: &[Joining]) -> Result<(), Misfit> {
        let Some(ours) = self.graph.find(stage) else { return Ok(()) };
        let deeds: Vec<Option<Deeds<'_>>> =
            row.iter().map(|(_, at)| at.map(|at| Deeds::of(&parts[at], stage))).collect();
        let is_begun = |deeds: &Option<Deeds<'_>>| deeds.as_ref().is_some_and(|deeds| !deeds.done.is_empty());
        // What nothing that is done stands behind is left to the joined run as a whole.
        let Some(last) = deeds.iter().rposition(is_begun) else { return Ok(()) };
        // Where nothing was begun, the largest shards that were found elsewhere will do.
        let sizes = deeds.iter().flatten().filter_map(|deeds| deeds.cuts.last_key_value());
        let usual = sizes.map(|(_, (cut, ..))| cut.size).max().unwrap_or(1);
        let mut base = 0;
        for (at, ((span, from), deeds)) in row.iter().zip(&deeds).enumerate().take(last + 1) {
            let mut own = Cuts::even(span.end - span.start, usual);
            let first = (Cut { shard: 0, item: 0, size: usual }, CutReason::First, Span::ZERO);
            let mut cuts = BTreeMap::from([(0, first)]);
            if let Some(deeds) = deeds {
                cuts.extend(deeds.cuts.clone());
                deeds.cuts.values().for_each(|(cut, ..)| own.push(*cut));
            }
            let done = deeds.as_ref().map(|deeds| &deeds.done);
            let end = if at == last { done.and_then(|done| Some(done.last_key_value()?.0 + 1)) } else { None };
            let mut size = usual;
            for shard in 0..end.unwrap_or_else(|| own.shards()) {
                let range = own.range(shard);
                let count = u32::try_from(range.end - range.start).expect("no more than the size of a cut");
                // The last shard of a part may be smaller: what is behind it must not seem to belong to it.
                let rest = (Cut { shard, item: range.start, size: count }, CutReason::First, Span::ZERO);
                let cut = cuts.get(&shard).copied().or_else(|| (count < size).then_some(rest));
                if let Some((cut, why, p95)) = cut {
                    size = cut.size.min(count);
                    let cut = Cut { shard: base + shard, item: span.start + range.start, size };
                    self.events.push(Event::ShardsCut { node: ours, cut, why, p95 });
                }
                let range = span.start + range.start..span.start + range.end;
                self.shard(
                    (ours, base + shard),
                    &range,
                    from.and_then(|at| Some((&parts[at], done?.get(&shard)?))),
                )?;
            }
            base += own.shards();
        }
        Ok(())
    }

    fn shard(
        &mut self,
        (node, shard): (NodeIx, u32),
        range: &Range<u64>,
        done: Option<(&Joining, &Cow<'_, Event>)>,
    ) -> Result<(), Misfit> {
        match done {
            Some((from, event)) => self.keep(from, event, (node, shard), range),
            None => {
                self.leave(node, shard);
                Ok(())
            }
        }
    }
}
