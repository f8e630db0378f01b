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
