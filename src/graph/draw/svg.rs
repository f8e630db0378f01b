//! SVG: self-contained, light and dark, every text inside its box.

use std::fmt::Write as _;

use super::layout::{self, Layout, Measures, as_f64};
use super::picture::{Block, Kind, Link, Picture};
use super::words::{self, line, xml};

/// Width of a character of the monospace font, in pixels, rounded up over the common ones (0.602 em).
const CHAR: f64 = 7.3;
/// Characters of a box at most, and at least.
const CHARS: (usize, usize) = (28, 12);
/// Size of a box and of what is around it.
const MEASURES: Measures = Measures { height: 54.0, pad: 10.0, title: 20.0 };
/// Space between layers, without the padding of frames.
const GAP: f64 = 64.0;
const MARGIN: f64 = 24.0;
const HEAD: f64 = 56.0;

const CSS: &str = include_str!("svg.css");

/// A whole SVG file.
pub(super) fn file(picture: &Picture) -> String {
    let page = Page::new(picture);
    let (width, height) = page.size();
    let mut out = String::new();
    line(
        &mut out,
        format_args!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" class="engine" width="{width:.0}" height="{height:.0}" viewBox="0 0 {width:.0} {height:.0}" role="img">"#
        ),
    );
    line(&mut out, format_args!("<title>{}</title>", xml(&picture.title)));
    line(&mut out, format_args!("<style>{}{}</style>", CSS.trim(), state_css()));
    line(&mut out, format_args!(r#"<rect class="page" width="100%" height="100%"/>"#));
    out.push_str(&page.body());
    out.push_str("</svg>\n");
    out
}

/// Colours of the states, for light and dark ground.
pub(super) fn state_css() -> String {
    let mut light = String::new();
    let mut dark = String::new();
    for (name, _, _, fill, edge, night) in words::STATES {
        write!(light, "svg.engine .s-{name} .box{{fill:{fill};stroke:{edge}}}")
            .expect("a String takes every write");
        write!(dark, "svg.engine .s-{name} .box{{fill:{night}}}").expect("a String takes every write");
    }
    format!("{light}@media (prefers-color-scheme:dark){{{dark}}}")
}

/// A picture with everything placed.
pub(super) struct Page<'a> {
    picture: &'a Picture,
    layout: Layout,
    /// Left edge and width of each layer.
    columns: Vec<(f64, f64)>,
}

impl<'a> Page<'a> {
    pub(super) fn new(picture: &'a Picture) -> Self {
        let layout = layout::of(picture, MEASURES);
        let layers = picture.boxes.iter().map(|block| block.layer + 1).max().unwrap_or(0);
        let mut chars = vec![CHARS.1; layers];
        for block in &picture.boxes {
            let [label, detail, badges] = texts(block);
            let longest = words::width(&label).max(words::width(&detail)).max(words::width(&badges));
            chars[block.layer] = chars[block.layer].max(longest);
        }
        let nesting = picture.boxes.iter().map(|block| layout::around(picture, block.frame).count()).max();
        let gap = GAP + 2.0 * MEASURES.pad * as_f64(nesting.unwrap_or(0));
        let mut left = MARGIN + MEASURES.pad * as_f64(nesting.unwrap_or(0));
        let mut columns = Vec::new();
        for chars in chars {
            let width = as_f64(chars) * CHAR + 24.0;
            columns.push((left, width));
            left += width + gap;
        }
        Self { picture, layout, columns }
    }

    /// Width and height in pixels.
    pub(super) fn size(&self) -> (f64, f64) {
        let right = self.columns.last().map_or(0.0, |(left, width)| left + width);
        let frames = self.frames().map(|frame| frame.0 + frame.2).fold(right, f64::max);
        let legend = if self.picture.has_states { 24.0 } else { 0.0 };
        (
            frames.max(words_width(&self.picture.title)).max(420.0) + MARGIN,
            HEAD + self.layout.height + legend + MARGIN * 1.6,
        )
    }

    /// Left, top, width and height of each box.
    pub(super) fn boxes(&self) -> impl Iterator<Item = (f64, f64, f64, f64)> {
        self.picture.boxes.iter().zip(&self.layout.boxes).map(|(block, top)| {
            let (left, width) = self.columns[block.layer];
            (left, top + HEAD, width, MEASURES.height)
        })
    }

    /// Left, top, width and height of each frame.
    pub(super) fn frames(&self) -> impl Iterator<Item = (f64, f64, f64, f64)> {
        (0..self.picture.frames.len()).map(|at| {
            let (first, last, top, height) = self.layout.frames[at];
            let out = MEASURES.pad * as_f64(self.inner_depth(at) + 1);
            let left = self.columns[first].0 - out;
            let right = self.columns[last].0 + self.columns[last].1 + out;
            (left, top + HEAD, right - left, height)
        })
    }

    /// How many frames are nested inside frame `at`.
    fn inner_depth(&self, at: usize) -> usize {
        let frames = &self.picture.frames;
        let depth = |from: usize| layout::around(self.picture, Some(from)).position(|frame| frame == at);
        (at..frames.len()).filter_map(depth).max().unwrap_or(0)
    }

    /// Everything but the `<svg>` element and the style.
    pub(super) fn body(&self) -> String {
        let mut out = String::new();
        self.head(&mut out);
        let by_depth = |at: usize| layout::around(self.picture, Some(at)).count();
        let frames: Vec<_> = self.frames().collect();
        let mut order: Vec<usize> = (0..frames.len()).collect();
        order.sort_by_key(|&at| by_depth(at));
        for at in order {
            let (x, y, w, h) = frames[at];
            let room = chars_in(w - 2.0 * MEASURES.pad);
            line(
                &mut out,
                format_args!(
                    r#"<g class="frame"><rect x="{x:.1}" y="{y:.1}" width="{w:.1}" height="{h:.1}" rx="10"/><text x="{:.1}" y="{:.1}">{}</text></g>"#,
                    x + MEASURES.pad,
                    y + 18.0,
                    xml(&words::fit(&self.picture.frames[at].name, room, true)),
                ),
            );
        }
        let boxes: Vec<_> = self.boxes().collect();
        let (plain, critical): (Vec<usize>, Vec<usize>) =
            (0..self.picture.links.len()).partition(|&at| !self.picture.links[at].is_critical);
        for at in plain.into_iter().chain(critical) {
            self.link(&mut out, at, &boxes);
        }
        for (at, block) in self.picture.boxes.iter().enumerate() {
            draw_box(&mut out, at, block, boxes[at]);
        }
        self.legend(&mut out);
        out
    }

    fn head(&self, out: &mut String) {
        let room = chars_in(self.size().0 - 2.0 * MARGIN);
        let title = words::fit(&self.picture.title, room * 7 / 10, true);
        let subtitle = words::fit(&self.picture.subtitle, room, true);
        line(out, format_args!(r#"<text class="title" x="{MARGIN}" y="26">{}</text>"#, xml(&title)));
        line(out, format_args!(r#"<text class="sub" x="{MARGIN}" y="44">{}</text>"#, xml(&subtitle)));
    }

    /// A line that bends in the gaps between layers only.
    fn link(&self, out: &mut String, at: usize, boxes: &[(f64, f64, f64, f64)]) {
        let link: &Link = &self.picture.links[at];
        let (from, to) = (boxes[link.from], boxes[link.to]);
        let (x1, y1) = (from.0 + from.2, from.1 + from.3 / 2.0);
        let (x2, y2) = (to.0 - 7.0, to.1 + to.3 / 2.0);
        let mut path = format!("M{x1:.1} {y1:.1}");
        let bend = |path: &mut String, a: (f64, f64), b: (f64, f64)| {
            let middle = f64::midpoint(a.0, b.0);
            write!(path, "C{middle:.1} {:.1} {middle:.1} {:.1} {:.1} {:.1}", a.1, b.1, b.0, b.1)
                .expect("a String takes every write");
        };
        match self.layout.channels[at] {
            None => bend(&mut path, (x1, y1), (x2, y2)),
            Some(middle) => {
                let y = middle + HEAD;
                let (first, last) =
                    (self.picture.boxes[link.from].layer + 1, self.picture.boxes[link.to].layer - 1);
                let (enter, leave) = (self.columns[first].0, self.columns[last].0 + self.columns[last].1);
                bend(&mut path, (x1, y1), (enter, y));
                write!(path, "L{leave:.1} {y:.1}").expect("a String takes every write");
                bend(&mut path, (leave, y), (x2, y2));
            }
        }
        let critical = if link.is_critical { " critical" } else { "" };
        let failure = if link.accepts_failure { " failure" } else { "" };
        let name = |at: usize| xml(&self.picture.boxes[at].label);
        let count = if link.count > 1 { format!(" ({} needs)", link.count) } else { String::new() };
        line(
            out,
            format_args!(
                r#"<g class="link{critical}{failure}" data-from="{}" data-to="{}"><title>{} needs {}{count}</title><path d="{path}"/><path class="tip" d="M{x2:.1} {:.1}l7 4l-7 4z"/></g>"#,
                link.from,
                link.to,
                name(link.to),
                name(link.from),
                y2 - 4.0,
            ),
        );
    }

    fn legend(&self, out: &mut String) {
        let y = self.size().1 - 14.0;
        let mut x = MARGIN;
        line(
            out,
            format_args!(
                r#"<g class="legend"><path class="key critical" d="M{x} {:.1}h24"/><text x="{:.1}" y="{y:.1}">critical path</text><path class="key failure" d="M{:.1} {:.1}h24"/><text x="{:.1}" y="{y:.1}">accepts a failure</text></g>"#,
                y - 4.0,
                x + 32.0,
                x + 150.0,
                y - 4.0,
                x + 182.0,
            ),
        );
        if !self.picture.has_states {
            return;
        }
        let mut seen: Vec<usize> = self
            .picture
            .boxes
            .iter()
            .filter_map(|block| block.state.as_ref())
            .map(|shown| words::state_rank(&shown.state))
            .collect();
        seen.sort_unstable();
        seen.dedup();
        let mut row = String::new();
        for at in seen {
            let (name, symbol, ..) = words::STATES[at];
            let text = format!("{symbol} {name}");
            let width = words_width(&text) + 12.0;
            if x + width > self.size().0 - MARGIN {
                break;
            }
            write!(
                row,
                r#"<g class="s-{name}"><rect class="box" x="{x:.1}" y="{:.1}" width="{width:.1}" height="18" rx="5"/><text x="{:.1}" y="{:.1}">{text}</text></g>"#,
                y - 36.0, x + 6.0, y - 23.0,
            )
            .expect("a String takes every write");
            x += width + 8.0;
        }
        line(out, format_args!(r#"<g class="legend states">{row}</g>"#));
    }
}

fn words_width(text: &str) -> f64 {
    as_f64(words::width(text)) * CHAR
}

/// How many characters fit in so many pixels.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "widths are small and positive")]
fn chars_in(pixels: f64) -> usize {
    (pixels / CHAR).max(1.0) as usize
}

/// The three lines of a box.
fn texts(block: &Block) -> [String; 3] {
    let symbol = block.state.as_ref().map(|shown| words::STATES[words::state_rank(&shown.state)].1);
    let mut last = symbol.map(|symbol| format!("{symbol} ")).unwrap_or_default();
    if let Some(shown) = &block.state {
        last.push_str(if block.nodes.len() > 1 && !shown.note.is_empty() { &shown.note } else { &shown.state });
    } else {
        last.push_str(&block.badges.join(" · "));
    }
    let label = words::fit_name(&block.label, CHARS.0, true);
    [label, words::fit(&block.detail, CHARS.0, true), words::fit(&last, CHARS.0, true)]
}

fn draw_box(out: &mut String, at: usize, block: &Block, (x, y, w, h): (f64, f64, f64, f64)) {
    let mut classes = String::from("stage");
    for (is, class) in [
        (block.is_critical, " critical"),
        (!block.is_selected, " unselected"),
        (block.kind == Kind::Approval, " approval"),
    ] {
        classes.push_str(if is { class } else { "" });
    }
    if let Some(shown) = &block.state {
        classes.push_str(" s-");
        classes.push_str(words::STATES[words::state_rank(&shown.state)].0);
    }
    let [label, detail, badges] = texts(block).map(|text| xml(&text));
    let mut tip = format!("{}\n{}", block.label, block.detail);
    for more in block.badges.iter().chain(block.state.iter().flat_map(|shown| [&shown.state, &shown.note])) {
        tip.push('\n');
        tip.push_str(more);
    }
    line(out, format_args!(r#"<g class="{classes}" data-box="{at}"><title>{}</title>"#, xml(&tip)));
    if !matches!(block.kind, Kind::Stage | Kind::Approval) {
        line(out, format_args!(r#"<path class="behind" d="M{:.1} {:.1}v-4h{w:.1}v{h:.1}h-4"/>"#, x + 4.0, y));
    }
    let round = if block.kind == Kind::Approval { 22 } else { 8 };
    line(
        out,
        format_args!(
            r#"<rect class="box" x="{x:.1}" y="{y:.1}" width="{w:.1}" height="{h:.1}" rx="{round}"/><text class="label" x="{tx:.1}" y="{:.1}">{label}</text><text class="detail" x="{tx:.1}" y="{:.1}">{detail}</text><text class="badge" x="{tx:.1}" y="{:.1}">{badges}</text></g>"#,
            y + 19.0,
            y + 34.0,
            y + 47.0,
            tx = x + 12.0,
        ),
    );
}
