//! Command lines to copy: what a person types next, in the folder that this process was started in.

use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use crate::run::event::NodeState;

use super::view::{RunWord, Standing, View};
use super::words;

/// Where this process was told to keep runs, as a word of a shell: a fact about how it was called, which is why it is
/// one for the whole process. Unset where runs are kept in the usual place.
static ELSEWHERE: OnceLock<String> = OnceLock::new();

/// From now on every command says that runs are kept in `dir`, which is written as the caller wrote it.
pub fn keep_in(dir: &Path) {
    let dir = dir.display().to_string();
    // What begins with a dash would be read as a flag.
    let dir = if dir.starts_with('-') { format!("./{dir}") } else { dir };
    ELSEWHERE.get_or_init(|| word(&dir));
}

/// Where below the project's root this process was started; unset at the root itself.
static BELOW: OnceLock<PathBuf> = OnceLock::new();

/// From now on paths of plans are written as seen from `below`, a folder given from the project's root.
pub fn stand_in(below: &Path) {
    BELOW.get_or_init(|| below.to_owned());
}

/// A path from the root as one word of a shell, as seen from the folder `below` the root.
fn from_here(path: &str, below: &Path) -> String {
    let whole = Path::new(path);
    if whole.is_absolute() {
        return word(path);
    }
    let same = whole.components().zip(below.components()).take_while(|(a, b)| a == b).count();
    let up = below.components().skip(same).map(|_| Component::ParentDir);
    let seen: PathBuf = up.chain(whole.components().skip(same)).collect();
    let seen = seen.display().to_string();
    // What begins with a dash would be read as a flag.
    word(&if seen.starts_with('-') { format!("./{seen}") } else { seen })
}

/// This program with these words, and where it finds the runs if that is not plain. Every command that is printed to be
/// copied is made here.
pub fn command(words: &str) -> String {
    called(words, ELSEWHERE.get().map(String::as_str))
}

fn called(words: &str, elsewhere: Option<&str>) -> String {
    let place = elsewhere.map_or_else(String::new, |dir| format!(" --state-dir {dir}"));
    format!("engine {words}{place}")
}

/// Continues the run.
pub fn resume(run: &str) -> String {
    command(&format!("resume {run}"))
}

/// Lets a paused run go on, whether an engine works on it or not.
pub fn unpause(run: &str) -> String {
    command(&format!("unpause {run}"))
}

/// Says yes to an approval.
pub fn approve(run: &str, stage: &str) -> String {
    command(&format!("approve {run} {}", word(stage)))
}

/// Answers each item of a checklist.
pub fn attest(run: &str, stage: &str, items: &[Box<str>]) -> String {
    let answers: Vec<String> = items.iter().map(|item| format!("-a {}", word(&format!("{item}=yes")))).collect();
    command(&format!("attest {run} {} {}", word(stage), answers.join(" ")))
}

/// What answers a question that is open to a person.
pub fn answer(view: &View, ix: crate::base::NodeIx) -> String {
    let (run, stage, items) = (view.run_id(), view.id(ix), &view.node(ix).rules.consent().items);
    let is_signed = !view.node(ix).rules.consent().keys.is_empty() && view.glass().is_none();
    let yes = if items.is_empty() { approve(run, stage) } else { attest(run, stage, items) };
    if is_signed { format!("{yes} --sign-with FILE") } else { yes }
}

/// Says no to an approval.
pub fn reject(run: &str, stage: &str) -> String {
    command(&format!("reject {run} {}", word(stage)))
}

/// Has a held gate ask again.
pub fn ask_again(run: &str, stage: &str) -> String {
    command(&format!("resolve {run} {} --as rerun", word(stage)))
}

/// What to type about a question that is open, each with why.
pub fn open(view: &View, ix: crate::base::NodeIx) -> Vec<(String, String)> {
    let (run, id, rules) = (view.run_id(), view.id(ix), &view.node(ix).rules);
    let first = |why: String| (why, answer(view, ix));
    if view.get(ix).is_halted {
        let no = ("or let its failure count".to_owned(), reject(run, id));
        return vec![first(format!("`{id}` has halted: release it to be tried again")), no];
    }
    if rules.hold.is_none() {
        let what = match (&rules.consent().keys[..], &rules.consent().items[..]) {
            ([], []) => "an approval",
            ([], _) => "its checklist",
            (_, []) => "a signed approval",
            _ => "its checklist, signed",
        };
        return vec![first(format!("`{id}` waits for {what}"))];
    }
    vec![
        first(format!("`{id}` is held: let it pass all the same")),
        ("or have it ask again, once it can know".to_owned(), ask_again(run, id)),
        ("or refuse it".to_owned(), reject(run, id)),
    ]
}

/// Says what an unknown outcome was.
pub fn resolve(run: &str, stage: &str) -> String {
    command(&format!("resolve {run} {} --as success|failed|rerun", word(stage)))
}

/// Shows everything that a stage printed.
pub fn logs(run: &str, stage: &str) -> String {
    command(&format!("logs {run} {}", word(stage)))
}

/// What to type about everything that only a person can say, with why.
pub fn asked(view: &View) -> Vec<(String, String)> {
    let run = view.run_id();
    let mut hints = Vec::new();
    for (ix, node) in view.nodes() {
        let id = view.id(ix);
        if node.awaits_person() {
            hints.extend(open(view, ix));
        } else if node.state == NodeState::Unknown && !node.is_cut_off {
            hints.push((format!("nobody knows what `{id}` did"), resolve(run, id)));
        }
        if hints.len() >= MAX_HINTS {
            break;
        }
    }
    hints
}

/// What to type now that an engine left the run, with why; none after a success that leaves nothing behind.
pub fn next(view: &View) -> Vec<(String, String)> {
    let run = view.run_id();
    let mut hints = asked(view);
    if view.is_paused() && view.verdict().is_none() {
        hints.push(("the run is paused: let it go on".to_owned(), unpause(run)));
    }
    if let Some(words) = view.frozen().filter(|_| view.verdict().is_none()) {
        hints.push((words.to_owned(), format!("{} --break-glass REASON", resume(run))));
    }
    if view.in_background() && view.background_left() > 0 {
        hints.push(("background work is left: do it".to_owned(), drain(run)));
    }
    hints.extend(dead(view));
    let go_on = match view.state() {
        RunWord::Success | RunWord::RolledBack => None,
        RunWord::Failed => Some("mend it, then go on with what is left"),
        RunWord::RollbackFailed => return choices(view, hints),
        RunWord::Cancelled if view.undone_for().is_some() => Some("go on with the rollback"),
        RunWord::Cancelled => Some("go on with what is left"),
        RunWord::HandedOver => Some("go on with the rest, as often as needed"),
        RunWord::Waiting if hints.is_empty() => Some("go on"),
        RunWord::Waiting => Some("then go on"),
        RunWord::Running | RunWord::Interrupted => Some("go on where it stopped"),
    };
    hints.extend(go_on.map(|why| (why.to_owned(), resume(run))));
    hints
}

/// Goes on with background work.
pub fn drain(run: &str) -> String {
    command(&format!("queue drain {run}"))
}

/// Queues background work again that failed for good.
pub fn requeue(run: &str, stage: &str) -> String {
    command(&format!("queue retry {run} {}", word(stage)))
}

/// Queues all background work of a run again that failed for good.
pub fn requeue_all(run: &str) -> String {
    command(&format!("queue retry {run} --dead"))
}

/// How to go on with a piece of background work that has not ended well.
pub fn work(view: &View, ix: crate::base::NodeIx) -> Option<String> {
    let (run, id) = (view.run_id(), view.id(ix));
    match view.standing(ix)? {
        Standing::Dead => Some(requeue(run, id)),
        Standing::Unknown if !view.get(ix).is_cut_off => Some(resolve(run, id)),
        Standing::Unknown | Standing::Pending => Some(drain(run)),
        Standing::Running | Standing::Done | Standing::Skipped => None,
    }
}

/// What to do about background work that failed for good.
fn dead(view: &View) -> Option<(String, String)> {
    let is_dead = |&ix: &crate::base::NodeIx| view.standing(ix) == Some(Standing::Dead);
    let mut dead = view.nodes().map(|(ix, _)| ix).filter(is_dead);
    let (first, more) = (dead.next()?, dead.count());
    let run = view.run_id();
    Some(if more == 0 {
        let id = view.id(first);
        (format!("`{id}` is dead background work: mend it, then queue it again"), requeue(run, id))
    } else {
        let count = words::count(more + 1, "background stage");
        (format!("{count} are dead: mend them, then queue them again"), requeue_all(run))
    })
}

/// What to choose from when a rollback could not undo everything.
fn choices(view: &View, mut hints: Vec<(String, String)>) -> Vec<(String, String)> {
    let run = view.run_id();
    if let Some(stage) = view.barred_by() {
        let id = view.id(stage);
        hints.push((format!("roll back past `{id}`, which stays as it is"), rollback(run)));
        hints.push((
            "or roll forward: mend it, then start a new run".to_owned(),
            command(&format!("run {}", path(view))),
        ));
    } else {
        hints.push(("mend it, then go on with the rollback".to_owned(), resume(run)));
    }
    hints
}

fn path(view: &View) -> String {
    let below = BELOW.get().map_or(Path::new(""), PathBuf::as_path);
    view.began().map_or_else(|| "PLAN".to_owned(), |began| from_here(&began.path, below))
}

/// Undoes what a run has done.
pub fn rollback(run: &str) -> String {
    command(&format!("rollback {run}"))
}

/// More stages than this are not listed one by one.
const MAX_HINTS: usize = 20;

/// A stage id as one word of a POSIX shell. Ids hold nothing that needs quotes but the values of a matrix may.
pub fn word(id: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,@%+=".contains(c);
    if !id.is_empty() && id.chars().all(plain) {
        id.to_owned()
    } else {
        format!("'{}'", id.replace('\'', r"'\''"))
    }
}

/// How to look at a ticket.
pub fn ticket(id: &str) -> String {
    command(&format!("tickets show {id}"))
}

/// How to look at all of them.
pub fn tickets() -> String {
    command("tickets list")
}

/// Runs the failed shards of a stage again.
pub fn rerun_failed(run: &str, stage: &str) -> String {
    command(&format!("resume {run} --rerun {}", word(&format!("{stage}:failed"))))
}

/// How a run stands.
pub fn status(run: &str) -> String {
    command(&format!("status {run}"))
}

/// Keeps the service of a file running, or with `flag` looks at it or ends it.
pub fn supervise(flag: &str, file: &str) -> String {
    command(&format!("supervise {flag}{}", word(file)))
}

/// Whether a run's record is whole.
pub fn verify(run: &str) -> String {
    command(&format!("verify {run}"))
}

/// How often objectives of a plan were missed.
pub fn slo(path: &str) -> String {
    if path.is_empty() { command("slo") } else { command(&format!("slo {}", word(path))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_a_shell() {
        assert_eq!(approve("r1", "rollout:eu,blue"), "engine approve r1 rollout:eu,blue");
        assert_eq!(reject("r1", "say:it's $x"), r"engine reject r1 'say:it'\''s $x'");
    }

    #[test]
    fn a_plan_is_named_as_seen_from_here() {
        let seen = |path, below| from_here(path, Path::new(below));
        assert_eq!(seen("plans/a.yaml", ""), "plans/a.yaml");
        assert_eq!(seen("plans/a.yaml", "plans"), "a.yaml");
        assert_eq!(seen("plans/a.yaml", "plans/lib"), "../a.yaml");
        assert_eq!(seen("plans/it's.yaml", "src/x"), r"'../../plans/it'\''s.yaml'");
        assert_eq!(seen("plans/-a.yaml", "plans"), "./-a.yaml");
        assert_eq!(seen("/etc/a.yaml", "plans"), "/etc/a.yaml");
    }

    #[test]
    fn a_command_says_where_runs_are_kept() {
        assert_eq!(called("resume r1", None), "engine resume r1");
        assert_eq!(called("resume r1", Some(&word("my state"))), "engine resume r1 --state-dir 'my state'");
    }
}
