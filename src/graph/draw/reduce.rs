//! Leaves out of a drawing the links that follow from others: where `deploy` needs `build` and `test`, and
//! `test` needs `build`, the way from `build` leads through `test`. JSON keeps all needs.

use super::picture::Link;

/// The links of `links` that say something of their own, in their order. `layers` are those of the boxes.
///
/// A link goes when a way of other links says the same: its needs take what a need takes without `accept`, and
/// so do those on the way, or less. So a link that accepts a failure stays, and what leads past one. A step of
/// the critical path stays, too: it is what the drawing is to show.
pub(super) fn reduced(links: Vec<Link>, layers: &[usize]) -> Vec<Link> {
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); layers.len()];
    for link in links.iter().filter(|link| !link.accepts_failure) {
        next[link.from].push(link.to);
    }
    let stays = |link: &Link| link.is_critical || !link.is_plain || !has_detour(link, &next, layers);
    links.into_iter().filter(stays).collect()
}

/// Whether a way of two steps or more leads where `link` leads.
fn has_detour(link: &Link, next: &[Vec<usize>], layers: &[usize]) -> bool {
    let mut is_seen = vec![false; next.len()];
    let mut open: Vec<usize> = next[link.from].iter().copied().filter(|&to| to != link.to).collect();
    while let Some(at) = open.pop() {
        if at == link.to {
            return true;
        }
        // A way never leads back to a lower layer.
        if layers[at] < layers[link.to] && !std::mem::replace(&mut is_seen[at], true) {
            open.extend(&next[at]);
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(from: usize, to: usize) -> Link {
        Link { from, to, count: 1, is_critical: false, accepts_failure: false, is_plain: true }
    }

    fn ends(links: Vec<Link>, layers: &[usize]) -> Vec<(usize, usize)> {
        reduced(links, layers).iter().map(|link| (link.from, link.to)).collect()
    }

    #[test]
    fn what_follows_from_others_goes() {
        let links = vec![link(0, 1), link(0, 2), link(0, 3), link(1, 2), link(2, 3), link(1, 3)];
        assert_eq!(ends(links, &[0, 1, 2, 3]), [(0, 1), (1, 2), (2, 3)]);
    }

    #[test]
    fn two_ways_of_one_step_both_stay() {
        let links = vec![link(0, 1), link(0, 2), link(1, 3), link(2, 3)];
        assert_eq!(ends(links, &[0, 1, 1, 2]), [(0, 1), (0, 2), (1, 3), (2, 3)]);
    }

    #[test]
    fn a_step_of_the_critical_path_stays() {
        let critical = Link { is_critical: true, ..link(0, 2) };
        assert_eq!(ends(vec![link(0, 1), critical, link(1, 2)], &[0, 1, 2]), [(0, 1), (0, 2), (1, 2)]);
    }

    #[test]
    fn a_link_that_accepts_a_failure_neither_goes_nor_makes_others_go() {
        let handler = Link { accepts_failure: true, is_plain: false, ..link(1, 2) };
        assert_eq!(ends(vec![link(0, 1), link(0, 2), handler], &[0, 1, 2]), [(0, 1), (0, 2), (1, 2)]);
        let handler = Link { accepts_failure: true, is_plain: false, ..link(0, 2) };
        assert_eq!(ends(vec![link(0, 1), handler, link(1, 2)], &[0, 1, 2]), [(0, 1), (0, 2), (1, 2)]);
    }

    #[test]
    fn a_link_that_takes_less_than_usual_stays() {
        let strict = Link { is_plain: false, ..link(0, 2) };
        assert_eq!(ends(vec![link(0, 1), strict, link(1, 2)], &[0, 1, 2]), [(0, 1), (0, 2), (1, 2)]);
    }
}
