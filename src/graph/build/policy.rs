//! What an environment's policy means for a plan: who must agree, and when nothing is started.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::Builder;
use super::body::Layers;
use super::context::Site;
use crate::base::{Text, limits};
use crate::graph::model::{Consent, Frozen, Phase, Rules, Terms, Work};
use crate::plan::Diagnostic;
use crate::plan::model::{AllowFailure, Asked, Distinct};
use crate::plan::tree::Tree;

impl Builder<'_> {
    /// What asks people.
    pub(super) fn approval(
        &mut self,
        prompt: Option<&Tree>,
        asked: &Asked,
        layers: &Layers<'_>,
        (site, rules): (Site<'_>, &mut Rules),
    ) -> Work {
        let (consent, items) = self.consent(asked, layers, site);
        if consent.policy.is_some() {
            // A no to what the policy asks for is no failure that somebody may allow.
            rules.allow_failure = AllowFailure::No;
        }
        rules.consent = Some(consent).filter(|consent| *consent != Consent::default()).map(Box::new);
        Work::Approval { prompt: prompt.map(|prompt| self.text(prompt, layers.body_cx, layers, site)), items }
    }

    /// Who must agree to an approval, and what it asks of them item by item.
    fn consent(&mut self, asked: &Asked, layers: &Layers<'_>, site: Site<'_>) -> (Consent, Vec<Text>) {
        let most = limits::MAX_APPROVALS;
        let min = asked.min.as_ref().and_then(|min| self.bounded(min, layers.body_cx, (1, most), "`min`"));
        let own = terms(min.unwrap_or(1), &asked.distinct_from);
        let policy = self.environment().and_then(|environment| environment.policy.approvals.as_ref());
        let policy = policy.map(|approvals| {
            let people = [("operator", Distinct::Operator), ("author", Distinct::Author)];
            let is_named = |word: &str| approvals.distinct_from.iter().any(|named| named == word);
            let distinct: Vec<Distinct> =
                people.into_iter().filter(|(word, _)| is_named(word)).map(|(_, who)| who).collect();
            terms(approvals.min, &distinct)
        });
        let keys = self.environment().and_then(|environment| environment.policy.approvals.as_ref());
        let keys = keys.map(|approvals| approvals.keys.clone()).unwrap_or_default();
        let items = asked.items.iter().map(|(name, _)| name.value.as_str().into()).collect();
        let texts = asked.items.iter().map(|(_, text)| self.text(text, layers.body_cx, layers, site)).collect();
        (Consent { own, policy, items, keys }, texts)
    }

    /// The times in which the environment's policy lets nothing start.
    pub(super) fn freezes(&mut self) -> Vec<Frozen> {
        let Some(environment) = self.environment() else { return Vec::new() };
        let (name, mut found, mut lost) = (environment.name.clone(), Vec::new(), Vec::new());
        for freeze in environment.policy.freeze.iter().flatten() {
            let Some(zone) = zone(&freeze.tz) else {
                lost.push(freeze.tz.clone());
                continue;
            };
            let until = freeze.to.strftime("%Y-%m-%d %H:%M");
            let words = format!("`{name}` is frozen until {until} ({}): {}", freeze.tz, freeze.reason);
            found.push(Frozen { from_ms: instant(freeze.from, &zone), to_ms: instant(freeze.to, &zone), words });
        }
        let at = self.loaded.plan.environment.as_ref().map(|tree| tree.at);
        for (tz, at) in lost.into_iter().filter_map(|tz| Some((tz, at?))) {
            let message =
                format!("the policy of `{name}` has a freeze in the time zone `{tz}`, which is not known here");
            let help = "write it as in `Europe/Berlin`; the system's own list (tzdata) must have it";
            self.report.push(Diagnostic::error("env::bad-date", at, message).help(help));
        }
        found
    }

    /// A plan whose environment asks for approvals must have one, and nothing may leave it out.
    pub(super) fn check_policy(&mut self) {
        let Some(environment) = self.environment() else { return };
        let (Some(asked), Some(tree)) = (&environment.policy.approvals, &self.loaded.plan.environment) else {
            return;
        };
        if self.request.overrides || self.is_partial || self.report.has_errors() {
            return;
        }
        let name = environment.name.clone();
        let is_asked = |node: &&crate::graph::model::Node| {
            node.phase == Phase::Main && matches!(node.work, Work::Approval { .. })
        };
        let wanted = terms(asked.min, &[]);
        if !self.nodes.iter().any(|node| is_asked(&node)) {
            let message = format!("the policy of `{name}` asks that {wanted} agree, and no stage asks anybody");
            let help = "add a stage before the first one that changes something: `approve: {uses: approval, timeout: 4h}`";
            self.report.push(Diagnostic::error("plan::needs-approval", tree.at, message).help(help));
        }
    }

    /// The same, once it is known what a person selected.
    pub(super) fn check_demanded(&mut self, graph: &crate::graph::Graph) {
        if self.request.overrides {
            return;
        }
        let lost = graph.places().filter(|(_, node)| !node.selected && node.rules.consent().policy.is_some());
        for (_, node) in lost {
            let message =
                format!("the selection leaves out `{}`, which the policy of the environment asks for", node.id);
            let help = "select it too, or override the policy, which is recorded: --break-glass REASON";
            self.report.push(Diagnostic::error("plan::needs-approval", node.place, message).help(help));
        }
    }
}

fn terms(min: u32, distinct: &[Distinct]) -> Terms {
    Terms {
        min,
        not_operator: distinct.contains(&Distinct::Operator),
        not_author: distinct.contains(&Distinct::Author),
    }
}

/// The moment that the clocks of `zone` call so. One that they skip is counted on from before the gap; of two the first counts.
fn instant(moment: DateTime, zone: &TimeZone) -> i64 {
    moment.to_zoned(zone.clone()).map_or(i64::MAX, |zoned| zoned.timestamp().as_millisecond())
}

fn zone(name: &str) -> Option<TimeZone> {
    if name == "UTC" { Some(TimeZone::UTC) } else { TimeZone::get(name).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    /// A freeze is as long as its clocks say, which is not what they show on the two days on which they are changed.
    #[test]
    fn a_freeze_over_a_change_of_clocks_ends_when_people_there_say_so() {
        let zone = zone("Europe/Berlin").expect("the system knows Berlin");
        let ms = |text: &str| instant(text.parse().expect("a moment"), &zone);
        let utc = |text: &str| text.parse::<jiff::Timestamp>().expect("a moment").as_millisecond();
        // In spring a night of four hours on the clock has three, in autumn five.
        assert_eq!(ms("2026-03-29T04:00") - ms("2026-03-29T00:00"), 3 * HOUR);
        assert_eq!(ms("2026-10-25T04:00") - ms("2026-10-25T00:00"), 5 * HOUR);
        assert_eq!(ms("2026-12-20T00:00"), utc("2026-12-19T23:00:00Z"), "an hour before UTC in winter");
        assert_eq!(ms("2026-06-20T00:00"), utc("2026-06-19T22:00:00Z"), "two in summer");
        // 02:30 never comes on the one day, and comes twice on the other.
        assert_eq!(ms("2026-03-29T02:30"), utc("2026-03-29T01:30:00Z"));
        assert_eq!(ms("2026-10-25T02:30"), utc("2026-10-25T00:30:00Z"));
    }
}
