//! Where boxes, frames and lines go: layers from left to right, frames as bands that nothing else enters.
//!
//! Every box, every frame and every long link (as a channel through the layers it crosses) is an item with a
//! range of layers and a height. A frame's items are packed inside it, then the frame is packed as one item:
//! an item is put below whatever already stands in its layers, so nothing can overlap. Order and height
//! come from the middle of an item's neighbours; of some rounds the one with the fewest crossings and the
//! shortest lines is kept. Links bend only in the gaps between layers.

use std::collections::BTreeMap;

use super::picture::Picture;

/// Space between two items of a layer.
const SPACE: f64 = 14.0;
/// Height of a channel.
const CHANNEL: f64 = 6.0;
/// Rounds of ordering.
const ROUNDS: usize = 14;
/// Links above which crossings are no longer counted.
const COUNTED_LINKS: usize = 600;

/// Measures that the drawing fixes, in pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measures {
    /// Height of a box.
    pub(super) height: f64,
    /// Space around a frame's items.
    pub(super) pad: f64,
    /// Height of a frame's title.
    pub(super) title: f64,
}

/// The result: vertical places only, horizontal ones follow from layers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layout {
    /// Top of each box.
    pub(super) boxes: Vec<f64>,
    /// Each frame: first layer, last layer, top, height. Frames of a picture are never empty.
    pub(super) frames: Vec<(usize, usize, f64, f64)>,
    /// For each link the middle of its channel, if it crosses layers.
    pub(super) channels: Vec<Option<f64>>,
    /// Height of everything.
    pub(super) height: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Item {
    Block(usize),
    Channel(usize),
    Frame(usize),
}

struct Plane<'a> {
    picture: &'a Picture,
    measures: Measures,
    /// Items of each frame, the last entry those of no frame.
    items: Vec<Vec<Item>>,
    /// Channels: first and last layer.
    channels: Vec<(usize, usize)>,
    /// Which channel a link uses.
    channel_of: Vec<Option<usize>>,
    /// Layers of frames.
    spans: Vec<(usize, usize)>,
    /// For each leaf (boxes, then channels) its neighbours before and after.
    before: Vec<Vec<usize>>,
    after: Vec<Vec<usize>>,
}

/// Lays `picture` out.
pub(super) fn of(picture: &Picture, measures: Measures) -> Layout {
    let plane = Plane::new(picture, measures);
    let leaves = picture.boxes.len() + plane.channels.len();
    let mut centers: Vec<f64> = vec![0.0; leaves];
    let mut best: Option<(f64, Layout)> = None;
    for round in 0..ROUNDS {
        let desired = if round == 0 { centers.clone() } else { plane.desired(&centers, round) };
        let layout = plane.place(&desired);
        centers = plane.centers(&layout);
        let cost = plane.cost(&layout, &centers);
        if best.as_ref().is_none_or(|(least, _)| cost < *least) {
            best = Some((cost, layout));
        }
    }
    let (_, layout) = best.expect("there is at least one round");
    layout
}

impl<'a> Plane<'a> {
    fn new(picture: &'a Picture, measures: Measures) -> Self {
        let root = picture.frames.len();
        let mut items: Vec<Vec<Item>> = vec![Vec::new(); root + 1];
        let mut spans = vec![(usize::MAX, 0); root];
        for (at, block) in picture.boxes.iter().enumerate() {
            items[block.frame.unwrap_or(root)].push(Item::Block(at));
            for frame in around(picture, block.frame) {
                spans[frame] = (spans[frame].0.min(block.layer), spans[frame].1.max(block.layer));
            }
        }
        for (at, frame) in picture.frames.iter().enumerate() {
            items[frame.parent.unwrap_or(root)].push(Item::Frame(at));
        }
        let mut plane = Self {
            picture,
            measures,
            items,
            channels: Vec::new(),
            channel_of: Vec::new(),
            spans,
            before: vec![Vec::new(); picture.boxes.len()],
            after: vec![Vec::new(); picture.boxes.len()],
        };
        plane.route();
        plane
    }

    /// Gives long links their channels, one for each source and common frame, and links leaves.
    fn route(&mut self) {
        let boxes = &self.picture.boxes;
        let mut known: BTreeMap<(usize, Option<usize>), usize> = BTreeMap::new();
        for link in &self.picture.links {
            let (from, to) = (boxes[link.from].layer, boxes[link.to].layer);
            if to == from + 1 {
                self.channel_of.push(None);
                self.join(link.from, link.to);
                continue;
            }
            let common = common(self.picture, boxes[link.from].frame, boxes[link.to].frame);
            let fresh = self.channels.len();
            let channel = *known.entry((link.from, common)).or_insert(fresh);
            if channel == fresh {
                self.channels.push((from + 1, to - 1));
                self.items[common.unwrap_or(self.picture.frames.len())].push(Item::Channel(channel));
                self.before.push(Vec::new());
                self.after.push(Vec::new());
                self.join(link.from, boxes.len() + channel);
            }
            self.channels[channel].1 = self.channels[channel].1.max(to - 1);
            self.channel_of.push(Some(channel));
            self.join(boxes.len() + channel, link.to);
        }
    }

    fn join(&mut self, from: usize, to: usize) {
        self.after[from].push(to);
        self.before[to].push(from);
    }

    /// Where leaves would like to be: the middle of those before, of those after, or of both, in turn.
    fn desired(&self, centers: &[f64], round: usize) -> Vec<f64> {
        let pull = |leaf: usize| {
            let (mut sum, mut many) = (0.0, 0.0);
            for &other in self.before[leaf].iter().filter(|_| round % 3 != 2) {
                (sum, many) = (sum + centers[other], many + 1.0);
            }
            for &other in self.after[leaf].iter().filter(|_| round % 3 != 1) {
                (sum, many) = (sum + centers[other], many + 1.0);
            }
            match (many > 0.0, self.before[leaf].is_empty() && self.after[leaf].is_empty()) {
                (true, _) => sum / many,
                (_, true) => centers.iter().sum::<f64>() / as_f64(centers.len()),
                _ => centers[leaf],
            }
        };
        (0..centers.len()).map(pull).collect()
    }

    fn place(&self, desired: &[f64]) -> Layout {
        let mut layout = Layout {
            boxes: vec![0.0; self.picture.boxes.len()],
            frames: self.spans.iter().map(|&(from, to)| (from, to, 0.0, 0.0)).collect(),
            channels: Vec::new(),
            height: 0.0,
        };
        let mut channels = vec![0.0; self.channels.len()];
        let mut wishes = vec![0.0; self.picture.frames.len()];
        for frame in (0..self.picture.frames.len()).rev() {
            wishes[frame] = self.mean(frame, desired, &wishes);
        }
        // A frame's parent comes before it, so the last frames are the innermost.
        for frame in (0..self.picture.frames.len()).rev() {
            let height = self.pack(frame, (desired, &wishes), &mut layout, &mut channels);
            layout.frames[frame].3 = height + self.measures.title + 2.0 * self.measures.pad;
        }
        layout.height = self.pack(self.picture.frames.len(), (desired, &wishes), &mut layout, &mut channels);
        self.settle(&mut layout, &mut channels);
        layout.channels = self.channel_of.iter().map(|of| of.map(|at| channels[at] + CHANNEL / 2.0)).collect();
        layout
    }

    fn mean(&self, frame: usize, desired: &[f64], wishes: &[f64]) -> f64 {
        let wish = |item: &Item| self.wish(*item, desired, wishes);
        let items = &self.items[frame];
        items.iter().map(wish).sum::<f64>() / as_f64(items.len().max(1))
    }

    fn wish(&self, item: Item, desired: &[f64], wishes: &[f64]) -> f64 {
        match item {
            Item::Block(at) => desired[at],
            Item::Channel(at) => desired[self.picture.boxes.len() + at],
            Item::Frame(at) => wishes[at],
        }
    }

    /// Packs one frame's items; their tops count from the frame's own inner top. Gives the height.
    fn pack(&self, frame: usize, to: (&[f64], &[f64]), layout: &mut Layout, channels: &mut [f64]) -> f64 {
        let wish = |item: Item| self.wish(item, to.0, to.1);
        let mut items = self.items[frame].clone();
        items.sort_by(|&a, &b| wish(a).total_cmp(&wish(b)).then(a.cmp(&b)));
        let size = |item: Item, layout: &Layout| match item {
            Item::Block(at) => {
                let layer = self.picture.boxes[at].layer;
                ((layer, layer), self.measures.height)
            }
            Item::Channel(at) => (self.channels[at], CHANNEL),
            Item::Frame(at) => (self.spans[at], layout.frames[at].3),
        };
        let mut floor: BTreeMap<usize, f64> = BTreeMap::new();
        let (mut bottom, mut zero) = (0.0f64, None);
        for item in items {
            let ((from, to), height) = size(item, layout);
            let free = (from..=to).filter_map(|layer| floor.get(&layer)).fold(0.0f64, |a, &b| a.max(b));
            let wanted = wish(item) - height / 2.0;
            let wanted = wanted - *zero.get_or_insert(wanted);
            let top = free.max(wanted.min(bottom));
            match item {
                Item::Block(at) => layout.boxes[at] = top,
                Item::Channel(at) => channels[at] = top,
                Item::Frame(at) => layout.frames[at].2 = top,
            }
            (from..=to).for_each(|layer| _ = floor.insert(layer, top + height + SPACE));
            bottom = bottom.max(top + height + SPACE);
        }
        (bottom - SPACE).max(0.0)
    }

    /// Turns tops inside frames into tops on the page.
    fn settle(&self, layout: &mut Layout, channels: &mut [f64]) {
        for frame in 0..self.picture.frames.len() {
            let inner = layout.frames[frame].2 + self.measures.title + self.measures.pad;
            for &item in &self.items[frame] {
                match item {
                    Item::Block(at) => layout.boxes[at] += inner,
                    Item::Channel(at) => channels[at] += inner,
                    Item::Frame(at) => layout.frames[at].2 += inner,
                }
            }
        }
    }

    fn centers(&self, layout: &Layout) -> Vec<f64> {
        let mut centers: Vec<f64> = layout.boxes.iter().map(|top| top + self.measures.height / 2.0).collect();
        centers.resize(self.picture.boxes.len() + self.channels.len(), 0.0);
        for (of, middle) in self.channel_of.iter().zip(&layout.channels) {
            if let (Some(at), Some(middle)) = (of, middle) {
                centers[self.picture.boxes.len() + at] = *middle;
            }
        }
        centers
    }

    /// Length of all bends, a fine for each crossing, a little for height.
    fn cost(&self, layout: &Layout, centers: &[f64]) -> f64 {
        let mut cost = layout.height * 0.5;
        let mut gaps: BTreeMap<usize, Vec<(f64, f64)>> = BTreeMap::new();
        for (at, link) in self.picture.links.iter().enumerate() {
            let (from, to) = (centers[link.from], centers[link.to]);
            let (first, last) = (self.picture.boxes[link.from].layer, self.picture.boxes[link.to].layer - 1);
            let middle = layout.channels[at];
            let bends = middle.map_or([(first, from, to), (first, to, to)], |m| [(first, from, m), (last, m, to)]);
            for (gap, a, b) in bends {
                cost += (a - b).abs();
                gaps.entry(gap).or_default().push((a, b));
            }
        }
        if self.picture.links.len() > COUNTED_LINKS {
            return cost;
        }
        for lines in gaps.values() {
            for (at, a) in lines.iter().enumerate() {
                let crossed = lines[at + 1..].iter().filter(|b| (a.0 - b.0) * (a.1 - b.1) < 0.0).count();
                cost += as_f64(crossed) * 40.0;
            }
        }
        cost
    }
}

/// A count as a length.
pub(super) fn as_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The frames around something in `frame`, itself first.
pub(super) fn around(picture: &Picture, frame: Option<usize>) -> impl Iterator<Item = usize> {
    std::iter::successors(frame, |&at| picture.frames[at].parent)
}

fn common(picture: &Picture, a: Option<usize>, b: Option<usize>) -> Option<usize> {
    let others: Vec<usize> = around(picture, b).collect();
    around(picture, a).find(|frame| others.contains(frame))
}
