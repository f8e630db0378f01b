//! Which secrets the stages of a file may name, and what a stage gets.
//!
//! A secret is never a value of an expression. It has a name: a key of the plan's environment, or `inputs.token` for
//! a secret input. `secrets:` of a stage says which variable holds which of them; `with` hands one to a file or an
//! action, whole or not at all, where it is a secret input. So nothing that shapes the graph, and nothing that is
//! recorded, can depend on a value.

use std::collections::BTreeMap;

use super::body::Layers;
use super::context::{Context, Status};
use super::{Builder, nearest};
use crate::base::Text;
use crate::graph::model::{INPUT_SECRET, Process};
use crate::graph::scope::under;
use crate::plan::Diagnostic;
use crate::plan::decode::is_env_name;
use crate::plan::environment::{Entry, Environment, SecretSource};
use crate::plan::model::{Input, Stage};
use crate::plan::source::{Place, Spanned};
use crate::plan::tree::Tree;
use crate::render::{Name, Template};

/// Secrets by the names that a file has for them.
pub(super) type Names = BTreeMap<Box<str>, Box<str>>;

/// The secrets that a text may hand on or a stage may name.
#[derive(Clone, Debug, Default)]
pub(super) struct Lent {
    /// Secret inputs, as expressions write them.
    pub(super) inputs: Names,
    /// What a file was lent; none in the plan itself, whose stages may name all of its environment.
    pub(super) keys: Option<Names>,
}

/// The code of everything that would take a secret where it must not go.
const EXPOSED: &str = "plan::secret-exposed";

impl<'a> Builder<'a> {
    /// Refuses to read a secret in an expression.
    pub(super) fn read_secret(&mut self, name: &Name, tree: &Tree, part: &str) -> Result<Status, ()> {
        let message = format!("`{}` is secret, so no expression can read it", name.dotted());
        let help = format!("a stage gets it as a variable: `secrets: {{{}: {part}}}`", part.to_uppercase());
        self.fault("plan::secret-exposed", name, tree, message, Some(help))
    }

    /// The secret inputs of the plan itself.
    pub(super) fn own_secrets(&self) -> Lent {
        let secret = self.loaded.plan.inputs.iter().filter(|input| input.secret.is_some());
        let inputs = secret.map(|input| {
            let name = under(&input.name.value);
            (name.as_str().into(), format!("{INPUT_SECRET}{name}").into())
        });
        Lent { inputs: inputs.collect(), keys: None }
    }

    /// What `secrets` of a stage that uses a file lends to it.
    pub(super) fn lend(&mut self, stage: &'a Stage, cx: &Context) -> Names {
        let found = stage.secrets.iter().filter_map(|(inner, name)| {
            let secret = self.secret(name, cx)?;
            Some((inner.value.as_str().into(), secret))
        });
        found.collect()
    }

    /// A value of `with` that hands a secret on: which one. None when it is an ordinary value.
    pub(super) fn handed(&mut self, tree: &Tree, cx: &Context) -> Option<Result<Box<str>, ()>> {
        let text = tree.as_str().filter(|text| Template::is_template(text))?;
        let template = Template::parse(text).ok()?;
        let is_secret = |name: &Name| match (&*name.path[0], name.path.get(1)) {
            ("secrets", Some(_)) => true,
            ("inputs", Some(part)) => cx.inputs.get(part) == Some(&Status::Secret),
            _ => false,
        };
        let names: Vec<Name> = template.names().collect();
        let name = names.iter().find(|name| is_secret(name))?;
        let at = tree.place_of(name.range.clone());
        if template.sole_expr().and_then(|expr| expr.sole_name()).is_none() {
            let message = format!("`{}` is a secret, so it is handed on whole or not at all", name.dotted());
            let help = format!("write `\"{{{{ {} }}}}\"` and nothing beside it", name.dotted());
            self.report.push(Diagnostic::error(EXPOSED, at, message).help(help));
            return Some(Err(()));
        }
        let part = &name.path[1];
        if &*name.path[0] == "inputs" {
            return cx.lent.inputs.get(part).cloned().map(Ok);
        }
        Some(self.secret(&Spanned::new(part.as_ref().into(), at), cx).ok_or(()))
    }

    /// Says that a secret was handed to an input that is none.
    pub(super) fn refuse_handed(&mut self, input: &Input, at: Place) {
        let name = &input.name.value;
        let message = format!("input `{name}` is not `secret`, so its value would be shown and stored");
        let found = Diagnostic::error(EXPOSED, at, message).related(input.name.at, "declared here");
        self.report.push(found.help("declare it with `secret: true`"));
    }

    /// Says that an ordinary value was given to a secret input.
    pub(super) fn refuse_plain(&mut self, input: &Input, at: Place) {
        let name = &input.name.value;
        let message = format!("input `{name}` is secret, and this value stands in a file");
        let help = "hand a secret on: `\"{{ secrets.NAME }}\"`, or `\"{{ inputs.name }}\"` of a secret input";
        self.report
            .push(Diagnostic::error(EXPOSED, at, message).related(input.name.at, "declared here").help(help));
    }

    /// The secret that is called `name` here.
    fn secret(&mut self, name: &Spanned<Text>, cx: &Context) -> Option<Box<str>> {
        let written = name.value.as_str();
        if let Some(found) = cx.lent.inputs.get(&*under(written)) {
            return Some(found.clone());
        }
        let message = match &cx.lent.keys {
            Some(keys) => match keys.get(written) {
                Some(found) => return Some(found.clone()),
                None => format!("this file was lent no secret `{written}`"),
            },
            None if self.loaded.plan.environment.is_none() => {
                format!("there is no secret `{written}`: the plan has no `environment`")
            }
            // Which environment it is is only known with all inputs, or it could not be read, which was said.
            None => match self.environment()?.entries.get(written) {
                Some(entry) if entry.secret().is_some() => return Some(written.into()),
                found => self.no_secret(written, found.is_some()),
            },
        };
        let mut found = Diagnostic::error("plan::unknown-secret", name.at, message);
        found.help = self.secret_help(written, cx);
        self.report.push(found);
        None
    }

    fn no_secret(&self, name: &str, is_value: bool) -> String {
        let environment = self.environment().expect("the caller has looked into it");
        match environment.rule(name) {
            _ if is_value => format!("`{name}` of `{}` is no secret", environment.name),
            Some(rule) if rule.is_secret => {
                format!("`{}` does not say where the secret `{name}` comes from", environment.name)
            }
            _ => format!("the catalog of `{}` has no secret `{name}`", environment.name),
        }
    }

    fn secret_help(&self, name: &str, cx: &Context) -> Option<String> {
        let entries = self.environment().map(|environment| &environment.entries);
        if entries.is_some_and(|entries| entries.get(name).is_some_and(|entry| entry.secret().is_none())) {
            return Some(format!("read it as `{{{{ env.{name} }}}}`"));
        }
        if cx.lent.keys.is_some() {
            return Some(format!("name it where the file is used: `secrets: [{name}]`"));
        }
        let keys = entries.into_iter().flatten().filter(|(_, entry)| entry.secret().is_some());
        let known = keys.map(|(key, _)| key.as_str()).chain(cx.lent.inputs.keys().map(|key| &**key));
        nearest(name, known).map(|near| format!("did you mean `{near}`?"))
    }

    /// What a stage names, and that nothing else of it takes a secret along.
    pub(super) fn stage_secrets(&mut self, layers: &Layers<'_>, process: &mut Process) {
        let mut written = vec![(layers.own, layers.own_cx)];
        if !std::ptr::eq(layers.own, layers.body) {
            written.push((layers.body, layers.body_cx));
        }
        for (stage, cx) in written {
            for (variable, name) in &stage.secrets {
                let Some(secret) = self.secret(name, cx) else { continue };
                if self.is_variable(variable, process)
                    && !process.secrets.iter().any(|(known, _)| **known == *variable.value)
                {
                    process.secrets.push((variable.value.clone(), secret));
                }
            }
        }
        let sources = self.variables_of_secrets();
        if sources.is_empty() {
            return;
        }
        let passed = layers.common.iter().flat_map(|(common, _)| &common.pass_env).map(|name| ("pass-env", name));
        let caches = [layers.own, layers.body].into_iter().filter_map(|stage| stage.cache.as_ref());
        let hashed = caches.flat_map(|cache| &cache.env).map(|name| ("cache.env", name));
        let exposed: Vec<Diagnostic> = passed
            .chain(hashed)
            .filter_map(|(key, name)| Some(exposed(key, name, sources.get(name.value.as_str())?)))
            .collect();
        for one in exposed {
            self.report.push(one);
        }
    }

    /// Whether `variable` may hold a secret.
    fn is_variable(&mut self, variable: &Spanned<Text>, process: &Process) -> bool {
        let name = variable.value.as_str();
        let (message, help) = if !is_env_name(name) {
            (format!("`{name}` is no variable's name"), format!("`secrets: {{TOKEN: {name}}}`"))
        } else if name.starts_with("ENGINE_") {
            (format!("`{name}` is one of the engine's own variables"), "choose another name".to_owned())
        } else if process.env.iter().any(|(known, _)| **known == *name) {
            (format!("`{name}` is set by `env` and by `secrets`"), "keep one of them".to_owned())
        } else {
            return true;
        };
        self.report.push(Diagnostic::error("plan::bad-name", variable.at, message).help(help));
        false
    }

    /// The caller's variables that hold secrets, and what those are called.
    fn variables_of_secrets(&self) -> BTreeMap<String, String> {
        let inputs = self.loaded.plan.inputs.iter().filter(|input| input.secret.is_some());
        let inputs = inputs.map(|input| (input_variable(&input.name.value), input.name.value.to_string()));
        let entries = self.environment().into_iter().flat_map(|environment| environment.entries.values());
        let declared = entries.filter_map(Entry::secret).filter_map(|decl| match &decl.from {
            SecretSource::Env(variable) => Some((variable.clone(), decl.name.value.to_string())),
            _ => None,
        });
        inputs.chain(declared).collect()
    }

    /// The environment, when it could be loaded.
    pub(super) fn environment(&self) -> Option<&Environment> {
        self.loaded.environment.as_deref()
    }
}

/// The variable of the caller that gives a value to the input `name`.
pub fn input_variable(name: &str) -> String {
    format!("ENGINE_INPUT_{}", under(name).to_uppercase())
}

fn exposed(key: &str, name: &Spanned<Text>, secret: &str) -> Diagnostic {
    let message = match key {
        "cache.env" => format!("`{}` holds the secret `{secret}`, which must not decide a cache key", name.value),
        _ => format!("`{}` holds the secret `{secret}`, which a stage gets by naming it", name.value),
    };
    let help = match key {
        "cache.env" => "let a value that is no secret say what changed, such as a version".to_owned(),
        _ if is_env_name(secret) && name.value == secret => format!("write `secrets: [{secret}]`"),
        _ => format!("write `secrets: {{{}: {secret}}}`", name.value.trim_start_matches("ENGINE_INPUT_")),
    };
    Diagnostic::error(EXPOSED, name.at, message).help(help)
}
