//! The plan's environment: its name, what `env.…` means, and the stages that check, render and compare it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::context::{Context, Site, Status};
use super::eval::Eval;
use super::world::Recorded;
use super::{Builder, Request, nearest};
use crate::base::Text;
use crate::graph::model::{Deployed, Work};
use crate::plan::environment::{Environment, SecretSource};
use crate::plan::model::{Command, EnvVerb};
use crate::plan::source::{Place, Spanned};
use crate::plan::tree::{Kind, Tree};
use crate::plan::{Diagnostic, Loaded, Report};
use crate::render::{Kinds, Name, Tree as Prepared, Value};

/// The name of the plan's environment, as far as it is known with these inputs. What is wrong with it is told when the
/// graph is built.
pub fn environment_name(loaded: &Loaded, request: &Request) -> Option<String> {
    let tree = loaded.plan.environment.as_ref()?;
    let (world, mut unheard) = (Recorded::default(), Report::default());
    let mut builder = Builder::new(loaded, request, &world, &mut unheard);
    let cx = builder.plan_context();
    match builder.value(tree, &cx, Site::default()) {
        Eval::Known(Value::String(name)) => Some(name),
        _ => None,
    }
}

impl Builder<'_> {
    /// Tells what is wrong with the text that names the environment.
    pub(super) fn check_environment(&mut self, cx: &Context) {
        let Some(tree) = &self.loaded.plan.environment else { return };
        let kinds = match self.value(tree, cx, Site::default()) {
            Eval::Known(value) => Kinds::of(&value),
            Eval::Late(kinds) | Eval::Unknown(kinds) => kinds,
            Eval::Failed => return,
        };
        if !kinds.may_be(Kinds::TEXT) {
            let message = format!("`environment` must be a name, this is {}", kinds.noun());
            self.error("plan::wrong-type", tree.at, message);
        }
    }

    /// What expressions see of the environment.
    pub(super) fn deployed(&self) -> Option<Arc<Deployed>> {
        let environment = self.environment()?;
        let values = environment.entries.iter().filter_map(|(key, entry)| Some((key.clone(), entry.value()?)));
        Some(Arc::new(Deployed {
            name: environment.name.clone(),
            values: values.collect(),
            secrets: environment.secrets().count(),
            policy: environment.policy.lines(),
        }))
    }

    /// `env` for a scope.
    pub(super) fn env_tree(&self) -> Prepared {
        self.deployed().map_or_else(|| Prepared::map(&serde_json::Map::new()), |env| Prepared::map(&env.values))
    }

    /// `env.KEY`
    pub(super) fn env_name(&mut self, name: &Name, tree: &Tree) -> Result<Status, ()> {
        if self.loaded.plan.environment.is_none() {
            let message = "`env` is only known in a plan with an `environment`".to_owned();
            let help = "name one at the top level: `environment: staging`".to_owned();
            return self.fault("plan::no-environment", name, tree, message, Some(help));
        }
        let Some(environment) = self.environment() else { return Ok(Status::Unknown(Kinds::ANY)) };
        let Some(key) = name.path.get(1) else { return Ok(Status::Known) };
        match environment.entries.get(&**key) {
            Some(entry) if entry.secret().is_some() => {
                let message = format!("`{key}` is a secret, so no expression can read it");
                let help = format!("a stage gets it as a variable: `secrets: [{key}]`");
                self.fault("plan::secret-outside-with", name, tree, message, Some(help))
            }
            Some(_) => Ok(Status::Known),
            None if name.is_guarded => Ok(Status::Known),
            None => {
                let message = match environment.rule(key) {
                    Some(_) => format!("`{}` gives no value for `{key}`", environment.name),
                    None => format!("the catalog of `{}` has no key `{key}`", environment.name),
                };
                let near = nearest(key, environment.entries.keys().map(String::as_str));
                let help = near.map(|near| format!("did you mean `{near}`?"));
                self.fault("plan::unknown-env", name, tree, message, help)
            }
        }
    }

    /// The words of the process that a built-in action on an environment is.
    pub(super) fn env_words(
        &mut self,
        at: Place,
        verb: EnvVerb,
        with: &[(Spanned<Text>, Tree)],
    ) -> Option<Command> {
        let word = |text: &str| Tree { at, kind: Kind::Str { text: text.into(), plain: None } };
        let given = |key: &str| with.iter().find(|(name, _)| name.value == *key).map(|(_, tree)| tree.clone());
        let mut words = vec![word("engine"), word("env"), word(verb_word(verb)), word("--stage")];
        match (given("environment"), self.environment(), &self.loaded.plan.environment) {
            (Some(tree), ..) => words.push(tree),
            (None, Some(environment), _) => {
                let digest = environment.digest(&self.loaded.sources).to_string();
                words.extend([word(&environment.name), word("--files-digest"), word(&digest)]);
                for (key, text) in &environment.platform {
                    words.extend([word("--platform"), word(&format!("{key}={text}"))]);
                }
            }
            (None, None, Some(tree)) => words.push(tree.clone()),
            (None, None, None) => {
                let message = "the stage works on the plan's environment, and the plan has none";
                let help = "name one at the top level (`environment: staging`), or under `with`";
                self.report.push(Diagnostic::error("plan::no-environment", at, message).help(help));
                return None;
            }
        }
        words.extend(given("with"));
        for (key, flag) in [("file", "--file"), ("to", "--to"), ("max-drift", "--max-drift")] {
            if let Some(tree) = given(key) {
                words.extend([word(flag), tree]);
            }
        }
        if given("declared").is_some_and(|tree| tree.kind == Kind::Bool(true)) {
            words.push(word("--declared"));
        }
        if verb == EnvVerb::Render {
            words.push(word("--outputs"));
        }
        Some(Command::Argv(at, words))
    }

    /// Lets a process of the engine's own see what the engine sees: the variables that secrets come from, by their
    /// names, and whatever else the commands want that are asked for secrets.
    pub(super) fn lend_environment(&mut self, work: &mut Work) {
        let Work::Process(process) = work else { return };
        process.is_engine = true;
        let mut names = BTreeSet::from(["*".to_owned()]);
        let declared = self.environment().into_iter().flat_map(Environment::secrets);
        names.extend(declared.filter_map(|decl| match &decl.from {
            SecretSource::Env(name) => Some(name.clone()),
            _ => None,
        }));
        for name in names {
            if !process.pass_env.iter().any(|known| **known == *name) {
                process.pass_env.push(name.into());
            }
        }
    }
}

const fn verb_word(verb: EnvVerb) -> &'static str {
    match verb {
        EnvVerb::Check => "check",
        EnvVerb::Render => "render",
        EnvVerb::Diff => "diff",
        EnvVerb::Parity => "parity",
    }
}
