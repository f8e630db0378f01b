//! One seed: a plan, a project, engines that are killed, and what must hold after each death.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use engine::exec::unix::{self, Ident};
use engine::journal::{RunDir, StateDir};
use serde_json::Value;

use crate::log::{self, Line, Recorded};
use crate::plan::{Kind, Plan, STEP};
use crate::random::Random;
use crate::support::Project;
use crate::watch::{self, Engine, Grace};

/// How long anything of a run may live once its engine was killed (product.md, promise 4).
const GRACE: Duration = Duration::from_secs(2);
/// Deaths of one seed at most.
const MAX_KILLS: usize = 6;

/// Who is killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    Worker,
    Front,
    Both,
}

/// When.
#[derive(Clone, Copy, Debug)]
enum Instant {
    /// So many lines were written to the side log since the start.
    Lines(usize),
    /// So many bytes were written to the journal since the start.
    Bytes(u64),
    /// Looked so often whether it had ended.
    Looks(usize),
}

/// One project and its run.
pub(crate) struct World {
    random: Random,
    plan: Plan,
    project: Project,
    run: String,
    /// The exit code and the stages' states of the same plan, never interrupted.
    expected: (i32, Vec<(String, String)>),
    /// Lines of the side log when the last engine died.
    seen: usize,
    /// Shards that were recorded as done by then.
    done: BTreeSet<String>,
    /// Attempts that were ordered by then.
    ordered: BTreeSet<(String, u16)>,
    /// Starts that were allowed to leave no record, for their engine died before it was durable (ADR 0008).
    forgotten: BTreeSet<(String, u32)>,
    /// Processes that outlived an engine of which front and worker were killed.
    survivors: Vec<Ident>,
    /// How many of them are of engines before the last one.
    outlived: usize,
    deaths: Vec<String>,
}

impl World {
    /// Makes the plan, and runs it once without a disturbance to know how it ends.
    pub(crate) fn new(seed: u64) -> Result<Self, String> {
        let mut random = Random::new(seed);
        let plan = Plan::random(&mut random);
        let run = format!("killed-{}-{seed}", std::process::id());
        let calm = project(&plan);
        let name = format!("{run}-calm");
        let code = Engine::start(&calm, &["run", "plan.yaml", "--run-id", &name, "--no-input"]).end()?;
        let expected = (code, states(&calm, &name)?);
        let project = project(&plan);
        let (done, ordered, forgotten) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let (survivors, deaths) = (Vec::new(), Vec::new());
        let (seen, outlived) = (0, 0);
        Ok(Self {
            random,
            plan,
            project,
            run,
            expected,
            seen,
            done,
            ordered,
            forgotten,
            survivors,
            outlived,
            deaths,
        })
    }

    /// Kills and resumes until the run is over; answers who was killed.
    pub(crate) fn live(mut self) -> Result<Vec<Target>, String> {
        let result = self.all();
        for survivor in watch::alive(&self.run) {
            watch::kill(survivor.pid);
        }
        result.map_err(|why| {
            let deaths = self.deaths.join(", ");
            let side = std::fs::read_to_string(self.side()).unwrap_or_default();
            let out = std::fs::read_to_string(self.project.path("engine.out")).unwrap_or_default();
            format!(
                "{why}\n--- killed: {deaths}\n--- plan\n{}\n--- side log\n{side}\n--- engines\n{out}",
                self.plan.yaml()
            )
        })
    }

    fn all(&mut self) -> Result<Vec<Target>, String> {
        let kills = 1 + self.random.below(MAX_KILLS);
        let mut done = Vec::new();
        for _ in 0..kills {
            done.extend(self.disturb()?);
            self.look_back()?;
        }
        let code = self.finish()?;
        self.judge(code)?;
        Ok(done)
    }

    fn side(&self) -> PathBuf {
        self.project.path("side.log")
    }

    fn dir(&self) -> Option<RunDir> {
        let state = StateDir::open(self.project.path(".engine")).expect("a state directory, or none");
        let run = engine::base::RunId::parse(&self.run).expect("an id");
        state.run(&run).ok()
    }

    /// The command that goes on.
    fn start(&self) -> Engine {
        if self.dir().is_some() {
            Engine::start(&self.project, &["resume", &self.run, "--no-input"])
        } else {
            Engine::start(&self.project, &["run", "plan.yaml", "--run-id", &self.run, "--no-input"])
        }
    }

    /// Starts an engine and kills it at some instant; none when it ended before.
    fn disturb(&mut self) -> Result<Option<Target>, String> {
        if self.recorded()?.verdict.is_some() {
            return Ok(None);
        }
        let instant = match self.random.below(4) {
            0 => Instant::Looks(self.random.below(120)),
            1 => Instant::Bytes(1 + u64::try_from(self.random.below(2500)).expect("small")),
            _ => Instant::Lines(1 + self.random.below(2 * self.plan.stages.len())),
        };
        let target = [Target::Worker, Target::Worker, Target::Front, Target::Both][self.random.below(4)];
        let is_asked_twice = self.random.once_in(4);
        let spin = self.random.below(20) * self.random.below(500);
        self.deaths.push(format!("{target:?} at {instant:?}"));
        let mut engine = self.start();
        if !self.reach(&engine, instant)? {
            self.deaths.push("(ended before)".to_owned());
            return self.ended_alone(engine.end()?).map(|()| None);
        }
        (0..spin).for_each(|_| std::hint::spin_loop());
        let worker = engine.worker();
        if let Some(worker) = worker.filter(|_| is_asked_twice) {
            self.ask_second(worker)?;
        }
        self.kill(&mut engine, worker, target)?;
        Ok(Some(target))
    }

    fn reach(&self, engine: &Engine, instant: Instant) -> Result<bool, String> {
        let side = self.side();
        let journal = self.project.path(format!(".engine/runs/{}/journal", self.run));
        match instant {
            Instant::Lines(more) => {
                let wanted = self.seen + more;
                let lines = || std::fs::read_to_string(&side).map_or(0, |text| text.matches('\n').count());
                engine.watch(|| lines() >= wanted)
            }
            Instant::Bytes(more) => {
                let wanted = watch::length(&journal) + more;
                engine.watch(|| watch::length(&journal) >= wanted)
            }
            Instant::Looks(mut left) => engine.watch(|| {
                left = left.saturating_sub(1);
                left == 0
            }),
        }
    }

    /// A second engine ends at once and names the first (promise 5). The first is held meanwhile, so that it
    /// cannot end.
    fn ask_second(&self, worker: u32) -> Result<(), String> {
        watch::hold(worker);
        let is_owned = self.dir().is_some_and(|dir| engine::journal::is_live(&dir).unwrap_or(false));
        if is_owned {
            let answer = self.project.engine(&["resume", &self.run, "--no-input"]);
            // Held between taking the lock and writing its name, it has none yet.
            let lock = self.project.path(format!(".engine/runs/{}/lock", self.run));
            let is_named = std::fs::read_to_string(lock).is_ok_and(|text| text.contains(&worker.to_string()));
            let names = !is_named || answer.stderr.contains(&format!("process {worker}"));
            if answer.status != 7 || !names {
                return Err(format!("a second engine ended with {}: {}", answer.status, answer.stderr));
            }
        }
        watch::release(worker);
        Ok(())
    }

    /// Kills, and checks that nothing outlives the engine (promise 4).
    fn kill(&mut self, engine: &mut Engine, worker: Option<u32>, target: Target) -> Result<(), String> {
        let Some(worker) = worker else {
            // The front had not started its worker yet, or had lost it already.
            engine.kill_front();
            engine.end()?;
            return self.expect_gone(&mut Grace::new(GRACE));
        };
        match target {
            Target::Worker => watch::kill(worker),
            Target::Front => engine.kill_front(),
            Target::Both => {
                engine.kill_front();
                watch::kill(worker);
            }
        }
        let mut grace = Grace::new(GRACE);
        engine.ends_within(&mut grace);
        let code = engine.end()?;
        if target == Target::Both {
            watch::wait_gone(worker, &mut grace);
            self.survivors.extend(watch::alive(&self.run));
            return Ok(());
        }
        if !watch::wait_gone(worker, &mut grace) {
            return Err(format!("the worker {worker} lives although its front was killed ({code})"));
        }
        self.expect_gone(&mut grace)
    }

    fn expect_gone(&self, grace: &mut Grace) -> Result<(), String> {
        loop {
            // An engine that was killed before it had begun has not ended what an earlier one left.
            let is_new = |one: &Ident| !self.survivors.contains(one);
            let alive: Vec<Ident> = watch::alive(&self.run).into_iter().filter(is_new).collect();
            if alive.is_empty() {
                return Ok(());
            }
            if grace.is_over() {
                return Err(format!("{GRACE:?} after the engine's death these live: {alive:?}"));
            }
        }
    }

    /// An engine that nobody killed had a reason to end.
    fn ended_alone(&mut self, code: i32) -> Result<(), String> {
        let recorded = self.recorded()?;
        if recorded.verdict.is_some() && code == self.expected.0 || code == 5 && !recorded.unknown.is_empty() {
            return Ok(());
        }
        Err(format!("an engine that nobody killed ended with {code}"))
    }

    fn recorded(&self) -> Result<Recorded, String> {
        self.dir().map_or_else(|| Ok(Recorded::default()), |dir| log::read_journal(&dir))
    }

    /// What must hold whenever no engine lives.
    fn look_back(&mut self) -> Result<(), String> {
        let lines = log::read_side(&self.side())?;
        if self.dir().is_none() {
            return if lines.is_empty() { Ok(()) } else { Err("stages ran before the run existed".to_owned()) };
        }
        let recorded = self.recorded()?;
        let verified = self.project.engine(&["verify", &self.run]);
        if verified.status != 0 {
            return Err(format!("verify ended with {}: {}{}", verified.status, verified.stdout, verified.stderr));
        }
        self.check_survivors(&lines)?;
        self.forget(&lines, &recorded)?;
        self.compare(&lines, &recorded)?;
        if let Some(lost) =
            self.done.iter().find(|shard| !recorded.done.contains(*shard) && !shard.starts_with("tidy"))
        {
            return Err(format!("`{lost}` was recorded as done, and is no more"));
        }
        self.done = recorded.done;
        self.ordered = recorded.ordered;
        self.seen = lines.len();
        self.outlived = self.survivors.len();
        Ok(())
    }

    /// An attempt that ran and is not in the journal: only a first one of a stage that may be repeated, and no more
    /// of them at a death than can run at once. A survivor that had said nothing when its engine died is found
    /// later, by the successor of the same number.
    fn forget(&mut self, lines: &[Line], recorded: &Recorded) -> Result<(), String> {
        let mut starts: BTreeMap<(&str, u16), Vec<u32>> = BTreeMap::new();
        for line in lines.iter().filter(|line| line.word == "start") {
            starts.entry((&line.shard, line.attempt)).or_default().push(line.pid);
        }
        let mut more = BTreeSet::new();
        for ((shard, attempt), pids) in starts {
            let is_recorded = recorded.ordered.contains(&(shard.to_owned(), attempt));
            let unrecorded = &pids[..pids.len() - usize::from(is_recorded)];
            if !unrecorded.is_empty() && (attempt > 1 || !self.plan.may_repeat(shard)) {
                return Err(format!("attempt {attempt} of `{shard}` ran and is not in the journal"));
            }
            more.extend(unrecorded.iter().map(|&pid| (shard.to_owned(), pid)));
        }
        let new = more.difference(&self.forgotten).count();
        let deaths = 1 + self.survivors.len().min(1);
        if new > deaths * self.plan.jobs() {
            return Err(format!("{new} attempts ran and are not in the journal: {more:?}"));
        }
        self.forgotten.extend(more);
        Ok(())
    }

    /// What ran against what was recorded.
    fn compare(&self, lines: &[Line], recorded: &Recorded) -> Result<(), String> {
        let mut started: BTreeSet<(&str, u16)> = BTreeSet::new();
        let mut ended: BTreeSet<&str> = BTreeSet::new();
        let finished: BTreeSet<u32> =
            lines.iter().filter(|line| line.word == "end").map(|line| line.pid).collect();
        for (at, line) in lines.iter().enumerate() {
            let what = format!("attempt {} of `{}`", line.attempt, line.shard);
            match line.word.as_str() {
                "start" => {
                    let is_forgotten = self.forgotten.contains(&(line.shard.clone(), line.pid));
                    if !is_forgotten && !started.insert((&line.shard, line.attempt)) {
                        return Err(format!("{what} started twice"));
                    }
                    if at >= self.seen && self.done.contains(&line.shard) && !line.shard.starts_with("tidy") {
                        return Err(format!("{what} started after `{}` was done", line.shard));
                    }
                    self.check_needs(line, &ended)?;
                    // Killed between its effect and its last line: `done-if` or a person says that it is done.
                    if !finished.contains(&line.pid) && !self.plan.may_repeat(&line.shard) {
                        ended.insert(&line.shard);
                    }
                }
                "end" => {
                    ended.insert(&line.shard);
                }
                "fail" => {}
                word => return Err(format!("{what} says {word}")),
            }
        }
        for (shard, count) in &recorded.successes {
            if *count != 1 || !ended.contains(shard.as_str()) {
                return Err(format!("`{shard}` was recorded as a success {count} times"));
            }
        }
        Ok(())
    }

    /// Everything a stage needs has ended before it starts.
    fn check_needs(&self, line: &Line, ended: &BTreeSet<&str>) -> Result<(), String> {
        let id = line.shard.split('.').next().unwrap_or_default();
        let stage = self.plan.find(id).ok_or_else(|| format!("`{id}` is no stage"))?;
        for need in stage.needs.iter().map(|&at| &self.plan.stages[at]) {
            for shard in 0..need.shards() {
                if !ended.contains(format!("{}.{shard}", need.id).as_str()) {
                    return Err(format!("`{}` started before `{}.{shard}` was done", line.shard, need.id));
                }
            }
        }
        Ok(())
    }

    /// What outlived a killed engine did nothing once the next one had started anything. Until then it may have
    /// written more lines, so attempts are told apart by which engine ordered them, or forgot to.
    fn check_survivors(&self, lines: &[Line]) -> Result<(), String> {
        let is_old = |line: &&Line| {
            self.ordered.contains(&(line.shard.clone(), line.attempt))
                || self.survivors[..self.outlived].iter().any(|one| one.pid == line.pid)
                || self.forgotten.contains(&(line.shard.clone(), line.pid))
        };
        let new = lines.iter().skip_while(is_old);
        match new.into_iter().find(is_old) {
            Some(line) => Err(format!(
                "attempt {} of `{}` went on after its engine's death, while a new one worked",
                line.attempt, line.shard
            )),
            None => Ok(()),
        }
    }

    /// Goes on, undisturbed, until the run is over; a person answers what nobody knows.
    fn finish(&mut self) -> Result<i32, String> {
        for _ in 0..20 {
            if let Some(verdict) = self.recorded()?.verdict {
                return Ok(engine::cli::exit::Exit::of(&verdict).code().into());
            }
            let code = self.start().end()?;
            self.look_back()?;
            let alive: Vec<_> = self.survivors.iter().filter(|one| is_alive(one)).collect();
            if !alive.is_empty() {
                return Err(format!("a resume left processes of the dead engine alive: {alive:?}"));
            }
            let unknown = self.recorded()?.unknown;
            if code != 5 {
                return Ok(code);
            }
            for stage in unknown {
                self.resolve(&stage)?;
            }
        }
        Err("the run does not come to an end".to_owned())
    }

    fn resolve(&self, stage: &str) -> Result<(), String> {
        if self.plan.find(stage).is_none_or(|stage| stage.kind != Kind::Unsure) {
            return Err(format!("`{stage}` has an unknown outcome, and can be asked or repeated"));
        }
        // A stage that was killed between the two has made the file and written nothing: as its `done-if` would say.
        let effect = self.project.path(format!("effect/{stage}.0"));
        let is_done = std::fs::metadata(effect).is_ok_and(|found| found.len() > 0);
        let outcome = if is_done { "success" } else { "rerun" };
        let answer = self.project.engine(&["resolve", &self.run, stage, "--as", outcome]);
        if answer.status == 0 {
            Ok(())
        } else {
            Err(format!("resolve ended with {}: {}", answer.status, answer.stderr))
        }
    }

    /// The end is that of the undisturbed run.
    fn judge(&self, code: i32) -> Result<(), String> {
        if code != self.expected.0 {
            return Err(format!("it ended with {code}, undisturbed with {}", self.expected.0));
        }
        let states = states(&self.project, &self.run)?;
        if states != self.expected.1 {
            return Err(format!("states are {states:?}, undisturbed {:?}", self.expected.1));
        }
        let blocked = self.plan.below_broken();
        for (at, stage) in self.plan.stages.iter().enumerate() {
            let is_effect = matches!(stage.kind, Kind::Asked | Kind::Unsure);
            let has_run = states.iter().any(|(id, state)| *id == stage.id && state == "success");
            if is_effect && has_run && !blocked.contains(&at) {
                let effect = self.project.read(format!("effect/{}.0", stage.id));
                if effect != "x\n" {
                    return Err(format!("`{}` took effect {} times", stage.id, effect.lines().count()));
                }
            }
        }
        Ok(())
    }
}

fn project(plan: &Plan) -> Project {
    let project = Project::with_plan(&plan.yaml());
    project.write("step.sh", STEP);
    for folder in ["lock", "tried", "effect"] {
        std::fs::create_dir(project.path(folder)).expect("a folder");
    }
    project
}

/// Each stage's state, as `status` tells it.
fn states(project: &Project, run: &str) -> Result<Vec<(String, String)>, String> {
    let answer = project.engine(&["status", run, "--json"]);
    let status: Value =
        serde_json::from_str(&answer.stdout).map_err(|error| format!("status: {error}: {}", answer.stderr))?;
    let stages = status["stages"].as_array().ok_or("status has no stages")?;
    let text = |stage: &Value, key: &str| stage[key].as_str().unwrap_or_default().to_owned();
    Ok(stages.iter().map(|stage| (text(stage, "id"), text(stage, "state"))).collect())
}

fn is_alive(ident: &Ident) -> bool {
    unix::stat(ident.pid).is_some_and(|now| now.ident == *ident && !now.is_dead())
}
