//! What a plan's secrets are declared by, and the values of secret inputs: taken out of everything else that was
//! given, so that nothing else can store or show them.

use std::collections::BTreeMap;
use std::sync::Arc;

use regex::Regex;

use crate::driver::compile::Options;
use crate::exec::secrets::Sources;
use crate::graph::build::{input_variable, types};
use crate::graph::scope::under;
use crate::plan::environment::{Entry, Environment, SecretSource};
use crate::plan::model::{Input, Plan, Type};
use crate::plan::{Diagnostic, Place, Report};
use crate::render::Value;
use crate::render::secret::Secret;

/// The declarations of a run's secrets, and the values of its secret inputs as far as they were given.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// The plan's environment.
    pub environment: Option<Arc<Environment>>,
    inputs: BTreeMap<String, SecretInput>,
}

/// One secret input.
#[derive(Clone, Debug)]
struct SecretInput {
    name: String,
    at: Place,
    kind: Type,
    pattern: Option<String>,
    value: Option<Arc<Secret>>,
}

impl SecretInput {
    /// What is wrong with `value`, without any of it.
    fn refusal(&self, value: &str) -> Option<String> {
        if self.kind == Type::Url && types::read(Type::Url, value).is_err() {
            return Some("its value is no URL".to_owned());
        }
        let pattern = self.pattern.as_ref()?;
        // A pattern that is none has been refused with the plan.
        let regex = Regex::new(pattern).ok()?;
        (!regex.is_match(value)).then(|| format!("its value does not match `{pattern}`"))
    }
}

/// Takes the values of secret inputs out of `options`.
pub fn take(plan: &Plan, options: &mut Options, report: &mut Report) -> Given {
    let mut inputs = BTreeMap::new();
    for input in plan.inputs.iter().filter(|input| input.secret.is_some()) {
        let mut found = SecretInput {
            name: input.name.value.to_string(),
            at: input.name.at,
            kind: input.kind,
            pattern: input.pattern.as_ref().map(|pattern| pattern.value.to_string()),
            value: None,
        };
        let is_it = |name: &str| under(name) == under(&input.name.value);
        let (given, others) = std::mem::take(&mut options.inputs).into_iter().partition(|one| is_it(&one.name));
        options.inputs = others;
        let given: Vec<_> = given;
        for one in given.into_iter().rev() {
            let ((Some(text), _) | (None, Some(Value::String(text)))) = (one.text, one.value) else {
                refuse(input, &one.source, "a secret is text", "put it in quotes", report);
                continue;
            };
            if one.source.starts_with("--set") {
                let help = format!("give it by `{}` or `--inputs FILE`", input_variable(&input.name.value));
                let why = "it is secret, and everybody on this machine can read a command line";
                refuse(input, &one.source, why, &help, report);
            }
            if let Some(why) = found.refusal(&text) {
                refuse(input, &one.source, &why, "", report);
            }
            found.value = Some(Arc::new(Secret::new(text.into_bytes())));
        }
        inputs.insert(under(&input.name.value), found);
    }
    Given { environment: None, inputs }
}

fn refuse(input: &Input, source: &str, why: &str, help: &str, report: &mut Report) {
    let message = format!("{source}: input `{}`: {why}", input.name.value);
    let found = Diagnostic::error("plan::bad-input", input.name.at, message);
    report.push(if help.is_empty() { found } else { found.help(help) });
}

impl Given {
    /// Takes over the values of secret inputs that `other` was given and this one was not: a resume works on recorded
    /// inputs, and these are recorded nowhere.
    pub fn borrow(&mut self, other: &Self) {
        for (name, own) in &mut self.inputs {
            let lent = other.inputs.get(name).and_then(|input| input.value.clone());
            own.value = own.value.take().or(lent);
        }
    }

    /// The caller's variables that hold secrets: no prefix in `pass-env` takes them along.
    pub fn variables(&self) -> Vec<String> {
        let declared = self.environment.iter().flat_map(|environment| environment.entries.values());
        let declared = declared.filter_map(Entry::secret).filter_map(|decl| match &decl.from {
            SecretSource::Env(name) => Some(name.clone()),
            _ => None,
        });
        declared.chain(self.inputs.keys().map(|name| input_variable(name))).collect()
    }

    /// The name of a secret input as the plan writes it.
    pub(super) fn written<'n>(&'n self, name: &'n str) -> &'n str {
        self.inputs.get(name).map_or(name, |input| &input.name)
    }

    /// Whether a stage can be given the secret that it calls `name`.
    pub fn declares(&self, name: &str) -> bool {
        let entry = || self.environment.as_ref()?.entries.get(name).and_then(Entry::secret);
        self.inputs.contains_key(super::key(name)) || entry().is_some()
    }

    /// Where a secret input is declared.
    pub(super) fn place(&self, name: &str) -> Place {
        let found = self.inputs.get(super::key(name));
        found.map_or(Place { file: crate::plan::FileIx(0), start: 0, end: 0 }, |input| input.at)
    }

    /// The value of a secret input: as it was given, else of the variable that would give it.
    pub(super) fn input(&self, name: &str, sources: &Sources) -> Result<Secret, String> {
        let variable = input_variable(name);
        let input = self.inputs.get(name).ok_or("the plan does not declare it any more")?;
        let value = match &input.value {
            Some(value) => Secret::new(value.expose().to_vec()),
            None => sources
                .variable(&variable)
                .map_err(|_| format!("it is a secret input, whose value is never recorded: set `{variable}`"))?,
        };
        match value.expose_text().map(|text| input.refusal(text)) {
            Some(None) => Ok(value),
            Some(Some(why)) => Err(why),
            None => Err("its value is not text".to_owned()),
        }
    }
}
