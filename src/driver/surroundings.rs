//! What an attempt inherits: the short allow-list of the caller's environment, and where things are.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::base::Text;

/// What every process gets from the engine's own environment without asking.
pub const ALLOWED: [&str; 7] = ["PATH", "HOME", "USER", "LANG", "TMPDIR", "TERM", "CI"];

/// Where a run happens and what it may inherit; read once, when the engine starts.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The project's root: stages run there.
    pub root: PathBuf,
    /// The caller's environment.
    pub caller: Vec<(OsString, OsString)>,
    /// Variables of the caller that hold secrets: a stage gets them by naming the secret.
    pub withheld: Vec<String>,
}

impl Surroundings {
    /// Reads the caller's environment.
    pub fn read(root: PathBuf) -> Self {
        let mut caller: Vec<_> = std::env::vars_os().collect();
        caller.sort();
        Self { root, caller, withheld: Vec::new() }
    }

    /// The value of one of the caller's variables.
    pub fn var(&self, name: &str) -> Option<&OsStr> {
        self.caller.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_os_str())
    }

    /// What a stage inherits: the allow-list, and what its `pass-env` names (`AWS_*` takes all that begin so).
    pub fn inherited<'a>(&'a self, pass: &'a [Text]) -> impl Iterator<Item = (OsString, OsString)> + 'a {
        let wanted = |key: &OsStr| {
            let Some(key) = key.to_str() else { return false };
            // No prefix takes a secret along; a plan that names the variable itself was refused.
            let is_named = || pass.iter().any(|name| **name == *key);
            let is_withheld = || self.withheld.iter().any(|name| name == key) && !is_named();
            ALLOWED.contains(&key) || (pass.iter().any(|pattern| matches(pattern, key)) && !is_withheld())
        };
        self.caller.iter().filter(move |(key, _)| wanted(key)).cloned()
    }
}

/// A variable of the engine's own environment, as far as it is text.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Whether `name` is what `pattern` says: the name itself, or a prefix that ends in `*`.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix) && !name.starts_with("ENGINE_"),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings(vars: &[(&str, &str)]) -> Surroundings {
        let caller = vars.iter().map(|(key, value)| (key.into(), value.into())).collect();
        Surroundings { root: PathBuf::from("/"), caller, withheld: Vec::new() }
    }

    #[test]
    fn only_the_allow_list_and_what_was_asked_for_is_inherited() {
        let here = surroundings(&[("PATH", "/bin"), ("AWS_KEY", "k"), ("SECRET", "s"), ("SSH_AUTH_SOCK", "x")]);
        let names = |pass: &[&str]| {
            let pass: Vec<Text> = pass.iter().map(|&one| one.into()).collect();
            here.inherited(&pass).map(|(key, _)| key.into_string().expect("UTF-8")).collect::<Vec<_>>()
        };
        assert_eq!(names(&[]), ["PATH"]);
        assert_eq!(names(&["AWS_*"]), ["PATH", "AWS_KEY"]);
        assert_eq!(names(&["SSH_AUTH_SOCK"]), ["PATH", "SSH_AUTH_SOCK"]);
    }

    #[test]
    fn a_prefix_never_takes_a_secret_along() {
        let mut here = surroundings(&[("API_KEY", "k"), ("API_URL", "u")]);
        here.withheld = vec!["API_KEY".to_owned()];
        let names = |pass: &str| here.inherited(&[pass.into()]).map(|(key, _)| key).collect::<Vec<_>>();
        assert_eq!(names("API_*"), ["API_URL"]);
        assert_eq!(names("*"), ["API_URL"]);
        assert_eq!(names("API_KEY"), ["API_KEY"], "the engine's own processes name what they fetch");
    }

    #[test]
    fn a_prefix_never_takes_the_engine_s_own_variables_along() {
        let here = surroundings(&[("ENGINE_RUN_ID", "outer"), ("E", "1")]);
        let pass: Vec<Text> = vec!["*".into()];
        let names: Vec<_> = here.inherited(&pass).map(|(key, _)| key).collect();
        assert_eq!(names, ["E"]);
    }
}
