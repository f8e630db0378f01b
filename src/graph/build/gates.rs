//! Gates that ask by themselves: their settings become words, which are checked here as far as they are known.

use super::Builder;
use crate::base::{Span, Text};
use crate::gate::Spec;
use crate::graph::model::{Command as Words, Work};
use crate::graph::rules::Rules;
use crate::plan::Diagnostic;
use crate::plan::model::Command;
use crate::plan::source::{Place, Spanned};
use crate::plan::tree::{Kind, Tree};
use crate::render::Template;

/// How long a held gate waits for a person when the plan does not say.
const HOLD: Span = Span::from_secs(24 * 3600);
/// `engine gate probe KIND`, before the settings.
const LEAD: usize = 4;

/// Where each setting is written: the key with dots, and its value's place.
pub(super) type Places = Vec<(String, Place)>;

impl Builder<'_> {
    /// The words of a gate, and where its settings are written.
    #[expect(clippy::unused_self, reason = "reads beside the words of other built-in actions")]
    pub(super) fn gate_words(&self, at: Place, kind: &str, with: &[(Spanned<Text>, Tree)]) -> (Command, Places) {
        let mut words: Vec<Tree> = ["engine", "gate", "probe", kind].map(|text| word(at, text)).into();
        let mut places = Places::new();
        for (name, tree) in with {
            flatten(name.value.as_str(), tree, &mut words, &mut places);
        }
        (Command::Argv(at, words), places)
    }

    /// Checks the settings of a gate, where no template is left in them, and what the core has to know.
    pub(super) fn check_gate(
        &mut self,
        kind: &str,
        work: &mut Work,
        places: &Places,
        (at, rules): (Place, &mut Rules),
    ) {
        let Work::Process(process) = work else { return };
        let Words::Argv(words) = &process.command else { return };
        let settings = &words[LEAD.min(words.len())..];
        process.is_engine = true;
        process.is_gate = true;
        rules.is_hosted = !Spec::starts_processes(kind, settings.iter().map(|word| &**word));
        let said = |key: &str| settings.get(settings.iter().position(|word| **word == *key)? + 1);
        rules.hold = Some(said("--hold-for").and_then(|text| Span::parse(text)).unwrap_or(HOLD));
        rules.waives_late = said("--on-expire").is_some_and(|word| **word == *"continue");
        if settings.iter().any(|word| Template::is_template(word)) || self.report.has_errors() {
            return;
        }
        if let Err(error) = Spec::parse(kind, settings) {
            let fits = |path: &str| path == error.key || error.key.starts_with(&format!("{path}."));
            let exact = places.iter().find(|(path, _)| *path == error.key);
            let found = exact.or_else(|| places.iter().find(|(path, _)| fits(path)));
            let place = found.map_or(at, |(_, place)| *place);
            self.report.push(Diagnostic::error("plan::bad-gate", place, format!("`{kind}`: {error}")));
        }
    }
}

fn word(at: Place, text: &str) -> Tree {
    Tree { at, kind: Kind::Str { text: text.into(), plain: None } }
}

/// The words of one setting: a list is the same key again and again, a map is keys with dots.
fn flatten(key: &str, tree: &Tree, words: &mut Vec<Tree>, places: &mut Places) {
    places.push((key.to_owned(), tree.at));
    let text = match &tree.kind {
        Kind::Map(entries) => {
            for (name, value) in entries {
                flatten(&format!("{key}.{}", name.text), value, words, places);
            }
            return;
        }
        Kind::List(items) => {
            for item in items {
                flatten(key, item, words, places);
            }
            return;
        }
        Kind::Str { .. } => {
            words.extend([word(tree.at, &format!("--{key}")), tree.clone()]);
            return;
        }
        Kind::Null => String::new(),
        Kind::Bool(value) => value.to_string(),
        Kind::Int(value) => value.to_string(),
        Kind::Float(value) => value.to_string(),
    };
    words.extend([word(tree.at, &format!("--{key}")), word(tree.at, &text)]);
}
