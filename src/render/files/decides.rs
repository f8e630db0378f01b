//! Whether anything in a template is decided by the value of a secret.

use super::{Bindings, Bounded, FileError, FileFault, Rendered};
use crate::render::lex;
use crate::render::secret::Secret;

/// A secret may have another name by now (that of a loop, of `set`, of a macro), and a comparison with what stands for
/// it is silently false. So the template is rendered once more with the values themselves: when another text comes of
/// it, something was decided by a value.
pub(super) fn openly(
    (name, text): (&str, &str),
    template: &minijinja::Template<'_, '_>,
    bindings: &Bindings,
    rendered: &Rendered,
) -> Result<(), FileError> {
    let mut out = Bounded(Vec::with_capacity(text.len() * 2));
    let opened = template.render_captured_to(bindings.open_context(), &mut out).map(drop);
    let text_of_it = Secret::new(out.0);
    if opened.is_ok() && text_of_it.expose() == rendered.sealed.expose() {
        return Ok(());
    }
    Err(FileError {
        kind: FileFault::Misuse,
        template: name.to_owned(),
        range: first_decision(text),
        message: "a secret is compared, tested or measured by another name".to_owned(),
        help: Some("let a key that is no secret decide".to_owned()),
    })
}
/// Whether a template only writes names out, with or without filters, so that nothing in it decides anything.
pub(super) fn is_straight(text: &str) -> bool {
    let is_plain = |tag: &str| {
        tag.bytes().all(|c| c.is_ascii_alphanumeric() || b"_.|- \t\n".contains(&c))
            && !tag.split_ascii_whitespace().any(|word| matches!(word, "if" | "is" | "in" | "not" | "and" | "or"))
    };
    !text.contains("{%") && text.split("{{").skip(1).all(|rest| rest.split("}}").next().is_some_and(is_plain))
}

/// The first tag that compares or tests something.
fn first_decision(text: &str) -> Option<std::ops::Range<usize>> {
    let mut from = 0;
    while let Some(at) = text[from..].find('{').map(|at| from + at) {
        let inner = at + 2;
        let end = match text.as_bytes().get(at + 1) {
            Some(b'{') => lex::end_of_expression(text, inner)?,
            Some(b'%') => lex::end_of_statement(text, inner)?,
            _ => {
                from = at + 1;
                continue;
            }
        };
        let tag = &text[inner..end];
        let tokens = lex::tokens(tag);
        let is_loop = tokens.iter().any(|token| token.text(tag) == "for");
        let decides = |word: &str| matches!(word, "==" | "!=" | "<" | ">" | "<=" | ">=" | "is" | "if" | "elif");
        if tokens.iter().any(|token| decides(token.text(tag)) || (token.text(tag) == "in" && !is_loop)) {
            return Some(at..end);
        }
        from = end;
    }
    None
}
