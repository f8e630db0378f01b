//! Consoles against hostile output, and the live view against a small terminal.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use proptest::prelude::*;

use super::console::{GitHub, GitLab, Look, Plain, Quiet, Size, Tty};
use super::script::{self, BUILD, TEST, attempt};
use super::*;
use crate::run::event::{NodeState, Outcome};

/// A terminal that knows what the live view may use: line feeds, carriage returns, colours, cursor up, erase.
#[derive(Debug, Default)]
struct Screen {
    lines: Vec<Vec<char>>,
    row: usize,
    column: usize,
    width: usize,
}

impl Screen {
    fn new(width: usize) -> Self {
        Self { lines: vec![Vec::new()], width, ..Self::default() }
    }

    fn feed(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '\n' => self.down(),
                '\r' => self.column = 0,
                c => self.put(c),
            }
        }
    }

    fn down(&mut self) {
        self.row += 1;
        self.column = 0;
        if self.row == self.lines.len() {
            self.lines.push(Vec::new());
        }
    }

    fn put(&mut self, c: char) {
        if self.column == self.width {
            self.down();
        }
        let line = &mut self.lines[self.row];
        line.resize(line.len().max(self.column + 1), ' ');
        line[self.column] = c;
        self.column += 1;
    }

    /// What is to be seen, scrollback included.
    fn text(&self) -> String {
        let each = self.lines.iter().map(|line| line.iter().collect::<String>().trim_end().to_owned());
        each.collect::<Vec<_>>().join("\n")
    }

    /// Feeds bytes as they came from the live view.
    fn show(&mut self, bytes: &[u8]) {
        let text = std::str::from_utf8(bytes).expect("UTF-8");
        let mut rest = text;
        while let Some(at) = rest.find('\u{1b}') {
            self.feed(&rest[..at]);
            let end = rest[at..].find(|c: char| c.is_ascii_alphabetic()).expect("an order ends") + at;
            let (body, last) = (&rest[at + 2..end], &rest[end..=end]);
            match last {
                "m" => {}
                "A" => self.row -= body.parse::<usize>().expect("a number"),
                "K" => self.lines[self.row].truncate(self.column),
                "J" => {
                    self.lines.truncate(self.row + 1);
                    self.lines[self.row].truncate(self.column);
                }
                _ => panic!("the live view may not send {last}"),
            }
            rest = &rest[end + 1..];
        }
        self.feed(rest);
    }
}

/// A writer that others can look at.
#[derive(Clone, Debug, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A live view of the scripted graph on a terminal of this size.
fn live(out: Shared, colour: bool, columns: u16, rows: u16) -> Tty<Shared> {
    let mut view = View::new(vec![script::graph()]);
    view.expect(BUILD, crate::base::Span::from_secs(40));
    Tty::new(view, out, Look { colour, output: true }, Box::new(move || Some(Size { columns, rows })))
}

/// Plays steps up to the `nth` tick.
fn up_to_tick(nth: usize) -> Vec<script::Step> {
    let mut left = nth;
    let mut steps = script::failing();
    let at = steps.iter().position(|step| {
        left -= usize::from(matches!(step, script::Step::Tick(_)));
        left == 0
    });
    steps.truncate(at.expect("the script ticks often enough") + 1);
    steps
}

/// Plays without an end.
fn feed(steps: &[script::Step], to: &mut dyn Observer) {
    for (step, seq) in steps.iter().zip(1..) {
        match step {
            script::Step::Record(at, event) => to.record(seq, Millis::new(*at), event),
            script::Step::Output(attempt, bytes) => to.output(*attempt, bytes),
            script::Step::Tick(at) => to.tick(Millis::new(*at)),
        }
    }
}

#[test]
fn the_live_region_shows_what_runs() {
    let out = Shared::default();
    let mut tty = live(out.clone(), true, 80, 24);
    feed(&up_to_tick(1), &mut tty);
    let mut screen = Screen::new(80);
    screen.show(&out.0.borrow());
    insta::assert_snapshot!(screen.text(), @r#"
    run 20261121-033105-7f3a shop-release
      skipped  notify  its `if` is false
      running  build     8.9s/40.0s  ::set-env name=X::1
      running  1/6 stages · 1 running · 9.0s
    "#);

    let out = Shared::default();
    let mut tty = live(out.clone(), true, 80, 24);
    feed(&up_to_tick(2), &mut tty);
    let mut screen = Screen::new(80);
    screen.show(&out.0.borrow());
    insta::assert_snapshot!(screen.text(), @r#"
    run 20261121-033105-7f3a shop-release
      skipped  notify  its `if` is false
      success  build  12.3s
        retry  test  exit 69; attempt 2 of 2 in 2.0s
     retrying  test      2.6s     attempt 2 in 1.0s after exit 69
      running  pack      2.6s     ▒░░░░░░░░░░░░░░░░░░░ 0/50 shards
      running  2/6 stages · 2 running · 15.0s
    "#);

    let out = Shared::default();
    let mut tty = live(out.clone(), true, 80, 24);
    feed(&up_to_tick(3), &mut tty);
    let mut screen = Screen::new(80);
    screen.show(&out.0.borrow());
    insta::assert_snapshot!(screen.text(), @r#"
    run 20261121-033105-7f3a shop-release
      skipped  notify  its `if` is false
      success  build  12.3s
        retry  test  exit 69; attempt 2 of 2 in 2.0s
       failed  pack[7]  signal 9 (KILL)
        retry  pack[7]  signal 9 (KILL); attempt 2 in 50ms
      running  test      13.6s    attempt 2
      running  pack      13.6s    ███████████████████▒ 49/50 shards  279ms left
      running  2/6 stages · 2 running · 26.0s
    "#);
}

#[test]
fn the_live_region_says_until_when() {
    let out = Shared::default();
    let mut view = View::new(vec![script::graph()]);
    for ix in script::graph().nodes.indexes() {
        view.expect(ix, crate::base::Span::from_secs(40));
    }
    let tty = Tty::new(view, out.clone(), Look::PLAIN, Box::new(|| Some(Size { columns: 80, rows: 24 })));
    let mut tty = tty.in_zone(jiff::tz::TimeZone::fixed(jiff::tz::offset(1)));
    feed(&up_to_tick(1), &mut tty);
    let mut screen = Screen::new(80);
    screen.show(&out.0.borrow());
    // It began at 04:47:25.
    assert!(screen.text().contains(" left, until 04:"), "{}", screen.text());
}

#[test]
fn the_live_region_leaves_no_trace() {
    for (columns, rows) in [(80, 24), (30, 5), (44, 3), (200, 60), (1, 1)] {
        let out = Shared::default();
        let mut tty = live(out.clone(), false, columns, rows);
        script::play(&script::failing(), &mut tty);
        drop(tty);
        let mut wide = Screen::new(usize::from(columns));
        wide.show(&out.0.borrow());
        let mut log = Screen::new(usize::from(columns));
        let blind = Shared::default();
        let mut tty = Tty::new(View::new(vec![script::graph()]), blind.clone(), Look::PLAIN, Box::new(|| None));
        script::play(&script::failing(), &mut tty);
        drop(tty);
        log.show(&blind.0.borrow());
        // Lines break between words here and there; nothing else may differ.
        let marks = |text: String| text.split_whitespace().collect::<String>();
        assert_eq!(marks(wide.text()), marks(log.text()), "{columns}x{rows}");
        assert!(columns < 200 || wide.text() == log.text());
        assert!(wide.text().replace(['\n', ' '], "").contains("engineresume20261121-033105-7f3a"));
    }
}

#[test]
fn our_own_lines_break_between_words() {
    let out = Shared::default();
    let mut tty = live(out.clone(), false, 44, 24);
    script::play(&script::failing(), &mut tty);
    drop(tty);
    let mut screen = Screen::new(44);
    screen.show(&out.0.borrow());
    let text = screen.text();
    let ours: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("│ case")).collect();
    insta::assert_snapshot!(ours.join("\n"), @r"
    run 20261121-033105-7f3a shop-release
      skipped  notify  its `if` is false
      success  build  12.3s
        retry  test  exit 69; attempt 2 of 2 in
               2.0s
       failed  pack[7]  signal 9 (KILL)
        retry  pack[7]  signal 9 (KILL); attempt
               2 in 50ms
      success  pack  13.7s, 50/50 shards
     approve?  approve  Ship v1.2.0? (within
               4h00m)
               engine approve 20261121-033105-7f
    3a approve
    run 20261121-033105-7f3a shop-release
      resumed  after 1m00s: 3 of 6 stages are
               done
         lost  test  nobody knows how this
               attempt ended
     approved  approve  by eva: ship <it>
      success  approve  1m08s, approved by eva:
               ship <it>
         stop  test  its timeout ran out
    timed-out  test  5m17s, timeout ran out
      blocked  deploy  needs `test`, which timed
               out

    ── test: timeout ran out
       │ assertion failed: � left != ``` right :
    :error::
       ╰ the last 40 lines; all of them: engine
    logs 20261121-033105-7f3a test

       failed  run 20261121-033105-7f3a  in
               5m30s: 3 done, 1 failed, 1
               skipped, 1 blocked of 6 stages
         next  mend it, then go on with what is
               left:
               engine resume 20261121-033105-7f3
    a
      warning  2 files are missing
    ");
}

#[test]
fn an_answer_typed_at_the_region_leaves_no_trace_of_it() {
    let out = Shared::default();
    let mut tty = live(out.clone(), false, 80, 24).asking(true);
    let mut steps = script::waiting();
    *steps.last_mut().expect("some") = script::Step::Tick(27_000);
    feed(&steps, &mut tty);
    let mut screen = Screen::new(80);
    screen.show(&out.0.take());
    assert!(screen.text().contains("type y or n, then Enter"), "{}", screen.text());
    // What the terminal echoes.
    screen.show(b"y\r\n");
    let (by, note) = ("eva".to_owned(), super::console::AT_TERMINAL.to_owned());
    tty.record(200, Millis::new(28_000), &Event::GateDecided { node: script::APPROVE, approved: true, by, note });
    tty.tick(Millis::new(28_000));
    drop(tty);
    screen.show(&out.0.take());
    assert!(!screen.text().contains("then Enter"), "{}", screen.text());
    assert!(!screen.text().contains("stages ·"), "{}", screen.text());
    assert!(screen.text().contains("approved  approve  by eva: answered at the terminal"), "{}", screen.text());
}

#[test]
fn a_file_has_no_size() {
    let file = tempfile::tempfile().expect("a temporary file");
    assert_eq!(Tty::<Shared>::size_of(&file), None);
}

#[test]
fn a_panic_leaves_a_clean_place() {
    let out = Shared::default();
    let mut tty = live(out.clone(), false, 80, 24);
    feed(&up_to_tick(2), &mut tty);
    drop(tty);
    let mut screen = Screen::new(80);
    screen.show(&out.0.borrow());
    assert!(!screen.text().contains("stages"), "{}", screen.text());
    assert_eq!(screen.column, 0);
}

#[test]
fn nothing_is_drawn_of_a_resumed_run_before_its_name_is_told() {
    let out = Shared::default();
    let look = Look { colour: false, output: true };
    let size: super::console::Sizer = Box::new(|| Some(Size { columns: 80, rows: 24 }));
    let mut tty = Tty::new(script::view(&script::failing()), out.clone(), look, size);
    tty.tick(Millis::new(90_000));
    assert_eq!(*out.0.borrow(), b"");
}

#[test]
fn a_closed_pipe_ends_the_telling_only() {
    #[derive(Debug)]
    struct Closed(u32);
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            self.0 += 1;
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut plain = Plain::new(View::new(vec![script::graph()]), Closed(0), Look::PLAIN);
    script::play(&script::failing(), &mut plain);
    assert_eq!(plain.into_inner().0, 1);
}

/// Everything that a console writes with this output of `test`, which then fails.
fn with_output(chunks: &[Vec<u8>], reason: &str, make: impl FnOnce(View, Shared) -> Box<dyn Observer>) -> String {
    let out = Shared::default();
    let mut console = make(View::new(vec![script::graph()]), out.clone());
    let one = attempt(TEST, 0, 1);
    let bad = Outcome::NotStarted(reason.to_owned());
    let mut steps =
        vec![script::Step::Record(0, script::began()), script::Step::Record(1, script::started(TEST, 0, 1))];
    steps.extend(chunks.iter().map(|chunk| script::Step::Output(one, chunk.clone())));
    steps.push(script::Step::Tick(5));
    steps.push(script::Step::Record(9, script::finished(one, bad, 8)));
    steps.push(script::Step::Record(9, script::ended(TEST, NodeState::Failed)));
    script::play(&steps, console.as_mut());
    drop(console);
    let bytes = out.0.borrow().clone();
    String::from_utf8(bytes).expect("consoles write UTF-8")
}

/// Bytes that terminals and parsers stumble over, and others.
fn bytes() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let piece = prop_oneof![
        Just(b"\x1b[2J".to_vec()),
        Just(b"\x1b]0;title\x07".to_vec()),
        Just(b"\n::error::x\n".to_vec()),
        Just(b"]]></pre></system-out>&<!--".to_vec()),
        Just("\u{9b}31m\u{202e}\u{ffff}".as_bytes().to_vec()),
        Just(b"\r\x1b[0Ksection_end:1:x\r".to_vec()),
        prop::collection::vec(any::<u8>(), 0..40),
    ];
    prop::collection::vec(piece, 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_output_steers_a_terminal(chunks in bytes(), reason in "\\PC{0,20}|[\u{0}-\u{1f}]{0,9}") {
        let look = Look { colour: true, output: true };
        let colour = regex::Regex::new("\u{1b}\\[[0-9;:]*m").expect("a pattern");
        let plain = with_output(&chunks, &reason, |view, out| Box::new(Plain::new(view, out, look)));
        let quiet = with_output(&chunks, &reason, |view, out| Box::new(Quiet::new(view, out, look)));
        let hub = with_output(&chunks, &reason, |view, out| {
            Box::new(GitHub::new(view, out, look, "t0k3n", super::console::Lines::new()))
        });
        for text in [plain, quiet, hub.clone()] {
            let rest = colour.replace_all(&text, "");
            prop_assert!(!rest.chars().any(|c| c.is_control() && c != '\n'), "{rest:?}");
        }
        let mut is_shielded = false;
        for line in hub.lines() {
            match line {
                "::stop-commands::t0k3n" => is_shielded = true,
                "::t0k3n::" => is_shielded = false,
                _ => prop_assert!(
                    is_shielded || !line.contains("::") || line.starts_with("::group::test (")
                        || line.starts_with("::error title=test failed::") || line == "::endgroup::", "{line:?}"),
            }
        }
        let lab = with_output(&chunks, &reason, |view, out| Box::new(GitLab::new(view, out, look)));
        prop_assert_eq!(lab.matches("section_end:").count(), lab.matches("section_start:").count());
        let live = with_output(&chunks, &reason, |view, out| {
            Box::new(Tty::new(view, out, look, Box::new(|| Some(Size { columns: 60, rows: 20 }))))
        });
        Screen::new(60).show(live.as_bytes());
    }

    #[test]
    fn documents_stay_well_formed(chunks in bytes(), reason in any::<String>()) {
        let one = attempt(TEST, 0, 1);
        let mut view = View::new(vec![script::graph()]);
        let mut tails = Tails::default();
        view.record(1, Millis::ZERO, &script::began());
        view.record(2, Millis::new(1), &script::started(TEST, 0, 1));
        for chunk in &chunks {
            tails.output(one, chunk);
        }
        let end = script::finished(one, Outcome::BadResult(reason), 8);
        tails.record(&end);
        view.record(3, Millis::new(9), &end);
        view.record(4, Millis::new(9), &script::ended(TEST, NodeState::Failed));
        well_formed(&junit::render(&view, &tails), &["?xml"])?;
        let page = html::render(&view, &tails, &jiff::tz::TimeZone::UTC);
        well_formed(&page, &["!doctype", "meta"])?;
        prop_assert!(!page.contains("src=") && !page.contains("href=") && !page.contains("url("));
    }
}

/// Checks that tags nest, attributes are quoted and text holds neither raw mark-up nor control characters.
fn well_formed(text: &str, void: &[&str]) -> Result<(), TestCaseError> {
    let bad = |c: char| (c.is_control() && c != '\n') || ('\u{fffe}'..='\u{ffff}').contains(&c);
    prop_assert!(!text.contains(bad), "a control character");
    let entity = regex::Regex::new("&(amp|lt|gt|quot|#39);").expect("a pattern");
    let attributes = regex::Regex::new("^( [a-zA-Z-]+(=\"[^\"<]*\")?)*\\??/?$|^ html$").expect("a pattern");
    prop_assert!(!entity.replace_all(text, "").contains('&'), "a bare ampersand");
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        prop_assert!(!rest[..at].contains('>') || open.last() == Some(&"style"), "a bare `>`");
        let end = rest[at..].find('>').map(|end| at + end);
        let Some(end) = end else { return Err(TestCaseError::fail("an unclosed tag")) };
        let tag = &rest[at + 1..end];
        let name = tag.split([' ', '/']).find(|name| !name.is_empty()).unwrap_or("");
        if tag.starts_with('/') {
            prop_assert_eq!(open.pop(), Some(name));
        } else {
            let after = &tag[name.len().min(tag.len())..];
            prop_assert!(attributes.is_match(after), "{}", tag);
            if !tag.ends_with('/') && !void.contains(&name) {
                open.push(name);
            }
        }
        rest = &rest[end + 1..];
    }
    prop_assert_eq!(open, Vec::<&str>::new());
    Ok(())
}

/// The live view's bytes up to its second and third tick, to `cat` in a real terminal.
#[test]
#[ignore = "writes files to look at, to the folder in REPORT_DIR"]
fn frames_to_look_at() {
    let folder = std::path::PathBuf::from(std::env::var("REPORT_DIR").expect("REPORT_DIR is set"));
    for nth in 1..=4 {
        let out = Shared::default();
        let mut tty = live(out.clone(), true, 80, 24);
        feed(&up_to_tick(nth), &mut tty);
        let bytes = out.0.borrow().clone();
        std::fs::write(folder.join(format!("frame-{nth}")), bytes).expect("a folder to write to");
    }
}
