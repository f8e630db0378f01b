//! `engine resume [RUN]`

use std::io::Write as _;
use std::sync::Arc;

use super::args::ResumeArgs;
use super::change::{self, Edited};
use super::clerk::Clerk;
use super::exit::Exit;
use super::fault::{Answer, Fault};
use super::forecast::{self, Past};
use super::observers::Wanted;
use super::settings::{self, Settings};
use super::timebox::TimeBox;
use super::{find, observers, print, run, secrets};
use crate::base::NodeIx;
use crate::driver::begin::{self, Orders, Read};
use crate::driver::guarded::Guarded;
use crate::driver::host::Manners;
use crate::driver::place;
use crate::driver::ports;
use crate::driver::secrets::Given;
use crate::driver::surroundings::Surroundings;
use crate::graph::model::Phase;
use crate::graph::{Graph, select};
use crate::journal::{RunDir, StateDir, Tail};
use crate::report::{View, hint};
use crate::run::event::NodeState;
use crate::run::{Event, decide};

/// Continues a run.
pub(super) fn run(args: &ResumeArgs, settings: &Settings) -> Answer {
    let guarded = Guarded::attach()?;
    go_on(args, settings, (guarded, Wanted::of(&args.show)?), None)
}

/// Continues a run under a front that is connected already. `lent` are secret inputs that were given once more.
pub(super) fn go_on(
    args: &ResumeArgs,
    settings: &Settings,
    (mut guarded, wanted): (Guarded, Wanted),
    lent: Option<&Given>,
) -> Answer {
    let time_box = TimeBox::read(args.time_box.as_deref())?;
    let state = find::state(settings)?;
    let Some(dir) = named_or_newest(&state, args.run.as_deref())? else {
        return nothing(&state, &args.rerun);
    };
    let (ownership, recorded) = begin::take_over(dir)?;
    let (run_id, tail) = (recorded.dir.id().clone(), recorded.tail());
    if recorded.has_ended_well() && args.rerun.is_empty() && !args.undo {
        // Nothing of its plan is needed, however large it is; but all of it must be whole.
        recorded.verify_plan()?;
        tell_findings(tail, &begin::sweep_ended(&recorded)?);
        print::line(&format!("nothing to resume: run {run_id} has ended well"));
        return Ok(Exit::Success);
    }
    let past = recorded.path().map(|path| Past::beside(&state, path, &run_id)).unwrap_or_default();
    let read = recorded.compile(&past.expected())?;
    let items = read.graphs.last().map(|graph| past.into_items(graph)).unwrap_or_default();
    // Each goes through all that was recorded, and neither needs the other.
    let seen = || View::replay(read.graphs.clone(), find::records(&read));
    let (_, mut view) = rayon::join(|| read.state(), seen);
    tell_findings(tail, &begin::sweep(&read)?);
    let settings = &at_its_place(&read, settings)?;
    let person = settings::person();
    let Some(orders) = orders(args, &read, settings, &person)? else { return Ok(Exit::NeedsPerson) };
    let compiled = orders.change.as_deref().unwrap_or(&read.compiled);
    if let Some(time_box) = &time_box {
        let graph = orders.change.as_ref().map_or(read.state().graph(), |compiled| &compiled.graph);
        refuse(time_box, &read, graph, args.drains)?;
    }
    let surroundings = Surroundings::read(settings.root.clone());
    let mut given = compiled.given.clone();
    if let Some(lent) = lent {
        given.borrow(lent);
    }
    let secrets = secrets::open(compiled, &given, &surroundings, settings)?;
    // The lock is for what counts for the verdict.
    let is_behind = args.drains || (orders.change.is_none() && read.state().goes_on_behind());
    if !is_behind && let Some(answer) = run::take_lock(&state, compiled, (&run_id, &person), time_box)? {
        return answer;
    }
    guarded.begin()?;
    let line = format!("run {run_id} was interrupted; go on with: {}", find::how_to_resume(&run_id));
    guarded.explain(&line);
    guarded.watch(&run_id, read.dir.path());
    if let Some(compiled) = &orders.change {
        view.add_version(Arc::clone(&compiled.graph));
    }
    forecast::tell(&mut view, items);
    let is_attended = run::is_attended(&args.show);
    let clerk = Clerk::resume(&state, &read, orders.change.as_deref(), &view);
    let chosen = observers::choose(wanted, settings, view, compiled, is_attended);
    let (mut owned, mut first) = begin::resume(ownership, read, &orders, surroundings)?;
    first.extend(owned.entrust(&given, secrets));
    let manners = Manners {
        is_attended,
        prompts: is_attended && !chosen.asks,
        says_yes: args.show.yes,
        person,
        observers: clerk.among(chosen.observers),
    };
    first.extend(args.no_wait.then(|| run::leave_background(&manners.person)));
    first.extend(time_box.map(|it| it.open(owned.clock.now())));
    run::work(owned, first, manners, guarded, &state)
}

/// Refuses what is still to be done by `graph` and would never fit into a time box.
fn refuse(time_box: &TimeBox, read: &Read, graph: &Graph, drains: bool) -> Result<(), Fault> {
    let was = read.state().graph();
    let is_done = |ix: NodeIx| {
        let node = &graph.nodes[ix];
        let old = was.find(&node.id);
        (drains && node.phase != Phase::Background) || old.is_some_and(|old| read.state().state(old).is_success())
    };
    time_box.refuse(graph, &is_done)
}

/// The surroundings with the root where the run goes on; says so when that is not plain.
pub(super) fn at_its_place(read: &Read, settings: &Settings) -> Result<Settings, Fault> {
    let found = read.place(&settings.root).map_err(|why| {
        Fault::new(Exit::Environment, why)
            .help("check the project out there again, or resume in a folder that has it")
            .help("a state directory that lies in the project as `.engine` goes by the project that it lies in")
    })?;
    if let Some(note) = &found.note {
        print::note(&format!("note: {note}"));
    }
    Ok(Settings { root: found.root, ..settings.clone() })
}

/// The run that was named, else the newest one that has not ended well.
pub(super) fn named_or_newest(state: &StateDir, id: Option<&str>) -> Result<Option<RunDir>, Fault> {
    match id {
        Some(id) => find::run(state, id).map(Some),
        None => find::newest_unfinished(state),
    }
}

/// Says that there is nothing to resume. A stage that was to run again must be in a run that is named.
pub(super) fn nothing(state: &StateDir, rerun: &[String]) -> Answer {
    let newest = state.runs()?.into_iter().next();
    if let (Some(stage), Some(entry)) = (rerun.first(), &newest) {
        let fault = Fault::new(Exit::NotFound, "every run has ended well: name the run that `--rerun` is for");
        let (run, stage) = (find::how_to_resume(entry.dir.id()), hint::word(stage));
        return Err(fault.help(format!("the newest: {run} --rerun {stage}")));
    }
    print::line(match newest {
        Some(_) => "nothing to resume: every run has ended well",
        None => "nothing to resume: no run yet",
    });
    Ok(Exit::Success)
}

fn tell_findings(tail: Tail, swept: &[String]) {
    if let Tail::Torn { offset, bytes } = tail {
        print::note(&format!(
            "note: the last {bytes} bytes of the journal (from byte {offset}) were never acknowledged and are cut"
        ));
    }
    if !swept.is_empty() {
        print::note(&format!("note: ended what the dead engine left running: {}", swept.join(", ")));
    }
}

/// What the resume will be asked to do; none when a change of the plan was not accepted.
fn orders(args: &ResumeArgs, read: &Read, settings: &Settings, person: &str) -> Result<Option<Orders>, Fault> {
    let mut orders =
        Orders { jobs: args.jobs, unpause: args.unpause, person: person.to_owned(), ..Orders::default() };
    orders.undo = args.undo;
    orders.drains = args.drains;
    orders.override_for = run::reason(args.break_glass.as_deref())?;
    // What is undone is what was recorded.
    let is_recorded = args.recorded || args.undo || args.drains || read.state().goes_on_undoing();
    let edited = if is_recorded { Edited::No } else { change::look(read, settings)? };
    match edited {
        Edited::No => {}
        Edited::Gone(why) => print::note(&format!("note: {why}; going on with the plan as recorded")),
        Edited::Yes(edit) => {
            rerun(&edit.compiled.graph, &args.rerun)?;
            print::note(&change::describe(&edit, read, settings.color_err));
            if let Some(why) = change::strands(&edit, read) {
                let undo = hint::rollback(read.dir.id().as_str());
                print::note(&format!("error: nothing was started: {why}"));
                print::note(
                    "help: keep the stage and its `rollback` until the run is over: what is done stays done",
                );
                print::note(&format!("help: or undo all of the run first: {undo}"));
                print::note(&format!(
                    "help: or go on with the plan as recorded: {} --recorded",
                    again(args, read)
                ));
                return Ok(None);
            }
            if !(args.accept_changes || args.show.yes || confirm(args)) {
                print::note("error: nothing was started: the edited plan was not accepted");
                let again = again(args, read);
                print::note(&format!("help: go on with the edited plan: {again} --accept-changes"));
                print::note(&format!("help: go on with the plan as recorded: {again} --recorded"));
                return Ok(None);
            }
            orders.changed.clone_from(&edit.approvals);
            orders.change = Some(edit.compiled);
        }
    }
    let graph = orders.change.as_ref().map_or_else(|| read.state().graph(), |compiled| &compiled.graph);
    orders.rerun = rerun(graph, &args.rerun)?;
    order_failed(read, &mut orders, &args.rerun)?;
    orders.place = place::record(&settings.root, read.dir.state_path());
    Ok(Some(orders))
}

/// The same resume, to be typed with one flag more.
fn again(args: &ResumeArgs, read: &Read) -> String {
    let rerun = args.rerun.iter().map(|stage| format!(" --rerun {}", hint::word(stage)));
    find::how_to_resume(read.dir.id()) + &rerun.collect::<String>()
}

/// What ends the name of a stage of which only the failed shards are to run again.
const FAILED: &str = ":failed";

/// The stage of `STAGE:failed`, unless a matrix has a cell of that name.
fn failed_of<'a>(graph: &Graph, name: &'a str) -> Option<&'a str> {
    name.strip_suffix(FAILED).filter(|_| graph.find(name).is_none())
}

/// Orders what `--rerun STAGE:failed` asks for, beside the orders that are there. Which failed shards that repeats the core
/// decides; there must be some of each name, or all of it runs again by another name.
pub(super) fn order_failed(read: &Read, orders: &mut Orders, names: &[String]) -> Result<(), Fault> {
    let graph = orders.change.as_ref().map_or_else(|| read.state().graph(), |compiled| &compiled.graph).clone();
    let mut asked = Vec::new();
    for name in names.iter().filter_map(|name| failed_of(&graph, name)) {
        let found = named(&graph, name)?;
        if let Some(node) = found.iter().find(|&&node| graph.nodes[node].rules.split.is_none()) {
            let id = &graph.nodes[*node].id;
            let fault = Fault::new(Exit::Usage, format!("`{id}` has no shards, so none of them failed"));
            return Err(fault.help(format!("run all of it again: --rerun {id}")));
        }
        orders.failed.extend(&found);
        asked.push((name, found));
    }
    if asked.is_empty() {
        return Ok(());
    }
    let again = repeated(read, orders);
    let is_empty = |(_, found): &&(&str, Vec<NodeIx>)| {
        !found.iter().any(|node| again.contains(node) || orders.rerun.contains(node))
    };
    match asked.iter().find(is_empty) {
        Some((name, found)) => Err(nothing_failed(read, &graph, name, found)),
        None => Ok(()),
    }
}

/// The nodes of which failed shards run again by these orders.
fn repeated(read: &Read, orders: &Orders) -> Vec<NodeIx> {
    let (core, inputs) = begin::recover(read, orders, ports::wall_ms());
    let mut facts = Vec::new();
    if let Some(recover) = inputs.into_iter().next() {
        decide(core.state(), read.last_at(), recover, &mut facts);
    }
    let node = |event| if let Event::ShardsReopened { node } = event { Some(node) } else { None };
    facts.into_iter().filter_map(node).collect()
}

/// Why no failed shard of `name` runs again, and what to do instead.
fn nothing_failed(read: &Read, graph: &Graph, name: &str, found: &[NodeIx]) -> Fault {
    let state = read.state();
    let was: Vec<NodeIx> = found.iter().filter_map(|&node| state.graph().find(&graph.nodes[node].id)).collect();
    let usage = |why: String| Fault::new(Exit::Usage, why);
    let go_on = format!("go on with the run: {}", find::how_to_resume(read.dir.id()));
    if state.goes_on_undoing() {
        usage("the rollback of this run goes on first, and nothing runs again before that is over".to_owned())
            .help(go_on)
    } else if was.iter().all(|&node| state.attempts(node, 0) == 0) {
        usage(format!("`{name}` has not run yet, so no shard of it failed")).help(go_on)
    } else if was.iter().any(|&node| state.state(node) == NodeState::Undone || state.has_failed_shards(node))
        && found.iter().all(|&node| graph.nodes[node].selected)
    {
        usage(format!("`{name}` was rolled back, so all of it runs again and not only what failed")).help(go_on)
    } else {
        usage(format!("no shard of `{name}` failed"))
            .help(format!("run all of it again: --rerun {}", hint::word(name)))
    }
}

/// The nodes that `--rerun` names; a matrix or a file stage means all of its nodes.
pub(super) fn rerun(graph: &Graph, names: &[String]) -> Result<Vec<NodeIx>, Fault> {
    let mut nodes = Vec::new();
    for name in names.iter().filter(|name| failed_of(graph, name).is_none()) {
        nodes.extend(named(graph, name)?);
    }
    Ok(nodes)
}

/// The nodes of one name, which the plan must have, and have still.
fn named(graph: &Graph, name: &str) -> Result<Vec<NodeIx>, Fault> {
    select::named(graph, "--rerun", name).map_err(|refusal| {
        if graph.find(name).is_none_or(|stage| graph.nodes[stage].retired.is_none()) {
            return refusal.into();
        }
        Fault::new(Exit::NotFound, format!("`{name}` is gone from the plan, and only stays to be undone"))
            .help("to run it again, put it back into the plan")
    })
}

/// Asks at the terminal.
fn confirm(args: &ResumeArgs) -> bool {
    if !run::is_attended(&args.show) {
        return false;
    }
    let mut terminal = std::io::stderr().lock();
    let _ = write!(terminal, "go on with the edited plan? [y/n] ").and_then(|()| terminal.flush());
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).is_ok() && matches!(line.trim(), "y" | "Y" | "yes")
}
