//! Where a run's stages run, also when another engine goes on with it from somewhere else.
//!
//! A state directory that is `.engine` in the project moves with it: a copy, another checkout, a CI job that was
//! handed the folder. Then stages run in the project that has it now. A state directory elsewhere says nothing,
//! so stages run where the run began, or, when that is gone, in the project at hand if it has the run's plan.

use std::path::{Path, PathBuf};

use crate::run::Event;
use crate::run::event::Place;

/// The name of a project's own state directory.
const OWN: &str = ".engine";

/// What is recorded of a run in the project at `root`, kept in `state`; none when the path is no UTF-8.
pub fn record(root: &Path, state: &Path) -> Option<Place> {
    let has_state = home(state).is_some_and(|home| home == whole(root));
    Some(Place { root: whole(root).to_str()?.to_owned(), has_state })
}

/// A run's root for a new engine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The root.
    pub root: PathBuf,
    /// What a person has to know about it; none when it is the project at hand, as it was before.
    pub note: Option<String>,
}

/// Where the run that recorded `place` goes on: its state is in `state`, the project at hand is `here`, and `plan`
/// is its plan's path from the root.
///
/// # Errors
/// The root is gone, and nothing else can be meant; the words say so.
pub fn find(place: Option<&Place>, state: &Path, here: &Path, plan: &str) -> Result<Found, String> {
    let (home, here) = (home(state), whole(here));
    let Some(place) = place else {
        // Runs of earlier engines.
        let root = home.unwrap_or_else(|| here.clone());
        let note = format!("stages run in `{}`, which the run's state belongs to", root.display());
        return Ok(Found { note: (root != here).then_some(note), root });
    };
    let began = PathBuf::from(&place.root);
    let has_plan = |root: &PathBuf| root.join(plan).is_file();
    let moved = home.clone().filter(|_| place.has_state);
    let root = moved
        .or_else(|| Some(began.clone()).filter(|began| began.is_dir()))
        .or_else(|| home.filter(has_plan))
        .or_else(|| Some(here.clone()).filter(has_plan))
        .ok_or_else(|| {
            format!("the run began in `{}`, which is gone, and `{plan}` is not here either", place.root)
        })?;
    let note = if root != began {
        Some(format!("the run began in `{}`; stages run in `{}` now", place.root, root.display()))
    } else if root != here {
        Some(format!("stages run in `{}`, where the run began", place.root))
    } else {
        None
    };
    Ok(Found { root, note })
}

/// Where the last engine that said so ran the stages.
pub fn last<'a>(events: impl DoubleEndedIterator<Item = &'a Event>) -> Option<&'a Place> {
    events.rev().find_map(|event| match event {
        Event::RunBegan(began) => began.place.as_ref(),
        Event::RunResumed(resumed) => resumed.place.as_ref(),
        _ => None,
    })
}

/// The project that a state directory is `.engine` of.
fn home(state: &Path) -> Option<PathBuf> {
    let parent = state.parent().filter(|_| state.file_name().is_some_and(|name| name == OWN))?;
    Some(whole(parent))
}

/// `path` without links, as far as it exists.
fn whole(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        _dir: tempfile::TempDir,
        root: PathBuf,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("a folder");
            let root = dir.path().canonicalize().expect("it exists");
            for project in ["a", "b", "bare"] {
                std::fs::create_dir(root.join(project)).expect("made");
            }
            for project in ["a", "b"] {
                std::fs::write(root.join(project).join("plan.yaml"), "").expect("written");
            }
            Self { _dir: dir, root }
        }

        fn at(&self, path: &str) -> PathBuf {
            self.root.join(path)
        }

        /// The root of a run of project `a`, begun with its state in `state` and resumed `then.1` with it in `then.0`.
        fn goes_on(&self, state: &str, then: (&str, &str)) -> (String, bool) {
            let place = record(&self.at("a"), &self.at(state)).expect("a UTF-8 path");
            self.find(Some(&place), then).expect("a root")
        }

        fn find(&self, place: Option<&Place>, then: (&str, &str)) -> Result<(String, bool), String> {
            let found = find(place, &self.at(then.0), &self.at(then.1), "plan.yaml")?;
            let name = found.root.strip_prefix(&self.root).expect("one of ours").to_string_lossy().into_owned();
            Ok((name, found.note.is_some()))
        }
    }

    fn root(name: &str, is_noted: bool) -> (String, bool) {
        (name.to_owned(), is_noted)
    }

    #[test]
    fn a_project_s_own_state_moves_with_it() {
        let world = World::new();
        assert_eq!(world.goes_on("a/.engine", ("a/.engine", "a")), root("a", false));
        assert_eq!(world.goes_on("a/.engine", ("a/.engine", "b")), root("a", true), "from elsewhere");
        assert_eq!(world.goes_on("a/.engine", ("b/.engine", "b")), root("b", true), "a copy, the original stands");
        assert_eq!(world.goes_on("a/.engine", ("state", "b")), root("a", true), "only the state was taken away");
    }

    #[test]
    fn state_elsewhere_leaves_a_run_where_it_began() {
        let world = World::new();
        assert_eq!(world.goes_on("state", ("state", "a")), root("a", false));
        assert_eq!(world.goes_on("state", ("state", "b")), root("a", true));
        assert_eq!(world.goes_on("bare/.engine", ("bare/.engine", "b")), root("a", true), "a name proves nothing");
        std::fs::rename(world.at("a"), world.at("moved")).expect("renamed");
        let place = Place { root: world.at("a").to_str().expect("UTF-8").to_owned(), has_state: false };
        assert_eq!(world.find(Some(&place), ("state", "moved")), Ok(root("moved", true)));
        let gone = world.find(Some(&place), ("state", "bare")).expect_err("nothing can be meant");
        assert!(gone.contains("which is gone"), "{gone}");
        assert_eq!(world.find(Some(&place), ("b/.engine", "bare")), Ok(root("b", true)));
    }

    #[test]
    fn runs_of_earlier_engines_belong_to_their_state_s_project() {
        let world = World::new();
        assert_eq!(world.find(None, ("a/.engine", "b")), Ok(root("a", true)));
        assert_eq!(world.find(None, ("state", "b")), Ok(root("b", false)));
    }
}
