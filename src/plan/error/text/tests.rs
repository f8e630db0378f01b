use super::*;
use crate::plan::source::{File, FileIx};

fn place(start: u32, end: u32) -> Place {
    Place { file: FileIx(0), start, end }
}

fn render(text_of_file: &str, one: Diagnostic) -> String {
    let mut sources = Sources::default();
    sources.add(File { path: "plans/site.toml".into(), text: text_of_file.into() });
    text(&[one], &sources, false)
}

#[test]
fn shows_the_token_and_the_help() {
    let file = format!("{}needs = [\"biuld\"]\n", "#\n".repeat(13));
    let one = Diagnostic::error(
        "plan::unknown-stage",
        place(36, 41),
        "stage `deploy` needs `biuld`, which does not exist",
    )
    .label("no stage has this name")
    .help("did you mean `build`?");
    insta::assert_snapshot!(render(&file, one), @r#"
    error[plan::unknown-stage]: stage `deploy` needs `biuld`, which does not exist
       ╭─ plans/site.toml:14:11
    14 │ needs = ["biuld"]
       │           ───── no stage has this name
       ╰─ help: did you mean `build`?

    1 error in 1 file
    "#);
}

#[test]
fn tabs_and_wide_characters_keep_the_mark_in_place() {
    let file = "\ta = \"\u{6f22}\u{5b57}\" # wrong\n";
    let at = u32::try_from(file.find('#').expect("it is there")).expect("small");
    insta::assert_snapshot!(render(file, Diagnostic::warning("plan::x", place(at, at + 7), "said")), @r#"
    warning[plan::x]: said
      ╭─ plans/site.toml:1:11
    1 │     a = "漢字" # wrong
      │                ───────
      ╰─

    1 warning in 1 file
    "#);
}

#[test]
fn a_long_line_is_cut_around_the_token() {
    let file = format!("{}token{}", "before ".repeat(100_000), " after".repeat(100_000));
    insta::assert_snapshot!(render(&file, Diagnostic::error("plan::x", place(700_000, 700_005), "said")), @r#"
    error[plan::x]: said
      ╭─ plans/site.toml:1:700001
    1 │ … before before before before before before before token after after after after after after after af…
      │                                                    ─────
      ╰─

    1 error in 1 file
    "#);
    let start = render(&file, Diagnostic::error("plan::x", place(0, 6), "said"));
    assert!(start.contains("1 │ before before"), "{start}");
    let whole = render(&file, Diagnostic::error("plan::x", place(0, 1_300_000), "said"));
    assert!(whole.lines().all(|line| line.chars().count() < MAX_EXCERPT_COLUMNS + 10), "{whole}");
}

#[test]
fn nothing_in_a_plan_reaches_the_terminal_as_a_command() {
    let one =
        Diagnostic::error("plan::x", place(0, 3), "a \u{1b}[31m in `\u{202e}x`").label("\u{7}").help("b\nc\u{1b}");
    insta::assert_snapshot!(render("\u{1b}[2J\r\n", one), @r#"
    error[plan::x]: a ␛[31m in `�x`
      ╭─ plans/site.toml:1:1
    1 │ ␛[2J
      │ ─── ␇
      ╰─ help: b
               c␛

    1 error in 1 file
    "#);
}

#[test]
fn a_place_over_lines_is_marked_to_the_end_of_its_first() {
    let one = Diagnostic::error("plan::x", place(2, 9), "said").label("from here");
    insta::assert_snapshot!(render("ab cd\nefgh\n", one), @r#"
    error[plan::x]: said
      ╭─ plans/site.toml:1:3
    1 │ ab cd
      │   ─── from here
      ╰─

    1 error in 1 file
    "#);
}

#[test]
fn the_end_of_a_file_can_be_marked() {
    insta::assert_snapshot!(render("a\n", Diagnostic::error("plan::x", place(2, 2), "said")), @r#"
    error[plan::x]: said
      ╭─ plans/site.toml:2:1
    2 │
      │ ─
      ╰─

    1 error in 1 file
    "#);
}

#[test]
fn what_is_too_much_is_counted() {
    let mut sources = Sources::default();
    sources.add(File { path: "a.yaml".into(), text: "a".into() });
    let found = vec![Diagnostic::error("plan::x", place(0, 1), "said"); MAX_ERRORS + 3];
    let shown = text(&found, &sources, false);
    assert_eq!(shown.matches("error[plan::x]").count(), MAX_ERRORS);
    assert!(shown.ends_with("… and 3 more\n\n203 errors in 1 file\n"), "{shown}");
}

#[test]
fn colour_changes_no_word() {
    let mut sources = Sources::default();
    sources.add(File { path: "a.yaml".into(), text: "abc".into() });
    let found = [Diagnostic::warning("plan::x", place(0, 1), "said").label("l").help("h")];
    let painted = text(&found, &sources, true);
    assert!(painted.contains('\u{1b}'));
    assert_eq!(anstream::adapter::strip_str(&painted).to_string(), text(&found, &sources, false));
}
