//! Random plans whose outcome does not depend on when they are interrupted.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::random::Random;

/// What a stage does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Works for a moment.
    Plain,
    /// Writes an output, which stages that need it compare.
    Output,
    /// Fails so often before it succeeds.
    Retry(u32),
    /// Hangs the first time, until its timeout ends it.
    Hang,
    /// Leaves a process in a session of its own that holds its pipe.
    Escape,
    /// So many shards.
    Shards(u32),
    /// `idempotent: false` with a `done-if` that looks at its effect.
    Asked,
    /// `idempotent: false` without a `done-if`.
    Unsure,
    /// Fails always.
    Broken,
}

/// A stage of the plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Stage {
    pub(crate) id: String,
    pub(crate) kind: Kind,
    /// Indexes of stages before it.
    pub(crate) needs: Vec<usize>,
    /// Rounds of an empty loop, so that stages last differently long.
    pub(crate) rounds: usize,
    pub(crate) is_finally: bool,
}

impl Stage {
    /// How many shards it has.
    pub(crate) const fn shards(&self) -> u32 {
        if let Kind::Shards(count) = self.kind { count } else { 1 }
    }
}

/// A whole plan.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) stages: Vec<Stage>,
    policy: &'static str,
    jobs: usize,
}

/// What every stage runs. Each start and end is a line of `side.log`, written with one append. A lock that
/// whatever the stage starts inherits shows two attempts that live at once.
pub(crate) const STEP: &str = r#"kind=$1 rounds=$2 count=$3
me="$ENGINE_STAGE.$ENGINE_SHARD"
log() { echo "$1 $me $ENGINE_ATTEMPT $$" >> side.log; }
log start
exec 9> "lock/$me"
flock -n 9 || log overlap
i=0; while [ "$i" -lt "$rounds" ]; do i=$((i+1)); done
tried=0
if [ -e "tried/$me" ]; then while read -r _; do tried=$((tried+1)); done < "tried/$me"; fi
case $kind in
  output) echo "x=$me" >> "$ENGINE_OUTPUT" ;;
  retry) if [ "$tried" -lt "$count" ]; then echo x >> "tried/$me"; log fail; exit 4; fi ;;
  hang) if [ "$tried" -lt 1 ]; then echo x >> "tried/$me"; exec sleep 600; fi ;;
  escape)
    setsid sh -c 'echo x > "$1"; exec sleep 600' - "tried/$me.$$" &
    while [ ! -s "tried/$me.$$" ]; do :; done ;;
  effect) echo x >> "effect/$me" ;;
  broken) log fail; exit 3 ;;
esac
if [ -n "${WANT_X-}" ]; then [ "$GOT_X" = "$WANT_X" ] || log wrong; fi
log end
"#;

impl Plan {
    /// The plan of a seed.
    pub(crate) fn random(random: &mut Random) -> Self {
        let count = 3 + random.below(8);
        let shape = random.below(3);
        let mut stages: Vec<Stage> = Vec::new();
        let mut is_broken = !random.once_in(5);
        for at in 0..count {
            let mut kind = any_kind(random);
            // Two failures would race for which of them drains the run first.
            if kind == Kind::Broken && std::mem::replace(&mut is_broken, true) {
                kind = Kind::Plain;
            }
            let needs = needs(random, shape, at);
            let rounds = random.below(20) * random.below(400);
            stages.push(Stage { id: format!("s{at}"), kind, needs, rounds, is_finally: false });
        }
        if random.once_in(2) {
            let id = "tidy".to_owned();
            stages.push(Stage { id, kind: Kind::Plain, needs: Vec::new(), rounds: 100, is_finally: true });
        }
        let policy = if random.once_in(2) { "drain" } else { "continue" };
        // A drain at once leaves it to chance what else has started: then only one may run at a time.
        let has_broken = stages.iter().any(|stage| stage.kind == Kind::Broken);
        // A failed run may end before a person has said what an unknown outcome was.
        for stage in stages.iter_mut().filter(|stage| has_broken && stage.kind == Kind::Unsure) {
            stage.kind = Kind::Asked;
        }
        let jobs = if has_broken && policy == "drain" { 1 } else { 1 + random.below(4) };
        Self { stages, policy, jobs }
    }

    /// Its YAML.
    pub(crate) fn yaml(&self) -> String {
        let mut text = format!(
            "version: 1\nname: killed\nmax-parallel: {}\non-failure: {}\nstages:\n",
            self.jobs, self.policy
        );
        for stage in self.stages.iter().filter(|stage| !stage.is_finally) {
            self.put(&mut text, stage, "  ");
        }
        if self.stages.iter().any(|stage| stage.is_finally) {
            text.push_str("finally:\n  budget: 1m\n  stages:\n");
            for stage in self.stages.iter().filter(|stage| stage.is_finally) {
                self.put(&mut text, stage, "    ");
            }
        }
        text
    }

    fn put(&self, text: &mut String, stage: &Stage, indent: &str) {
        let (word, count, keys) = match stage.kind {
            Kind::Plain => ("plain", 0, String::new()),
            Kind::Output => ("output", 0, "outputs: {x: string}".to_owned()),
            Kind::Retry(count) => ("retry", count, "retry: {max: 60, delay: 1ms, jitter: true}".to_owned()),
            Kind::Hang => ("hang", 0, "timeout: 700ms\nretry: {max: 60, delay: 1ms, when: [timeout]}".to_owned()),
            Kind::Escape => ("escape", 0, String::new()),
            Kind::Shards(count) => {
                let items: Vec<String> = (0..count).map(|item| format!("i{item}")).collect();
                ("plain", 0, format!("shards: {{items: [{}], size: 1}}", items.join(", ")))
            }
            Kind::Asked => {
                let done_if = format!("done-if: {{run: [test, -s, effect/{}.0]}}", stage.id);
                ("effect", 0, format!("idempotent: false\n{done_if}"))
            }
            Kind::Unsure => ("effect", 0, "idempotent: false".to_owned()),
            Kind::Broken => ("broken", 0, String::new()),
        };
        let rounds = stage.rounds;
        let mut put = |line: &str| writeln!(text, "{indent}  {line}").expect("a String takes it");
        put("# a stage");
        let run = format!("run: [sh, step.sh, {word}, \"{rounds}\", \"{count}\"]");
        put(&run);
        if !stage.needs.is_empty() {
            let needs: Vec<&str> = stage.needs.iter().map(|&need| &*self.stages[need].id).collect();
            put(&format!("needs: [{}]", needs.join(", ")));
        }
        if let Some(need) = stage.needs.iter().map(|&at| &self.stages[at]).find(|need| need.kind == Kind::Output) {
            put(&format!("env: {{WANT_X: {0}.0, GOT_X: \"{{{{ needs.{0}.outputs.x }}}}\"}}", need.id));
        }
        keys.lines().for_each(&mut put);
        let head = format!("{indent}  # a stage\n");
        let at = text.rfind(&head).expect("it was just written");
        text.replace_range(at..at + head.len(), &format!("{indent}{}:\n", stage.id));
    }

    /// How many attempts run at once.
    pub(crate) const fn jobs(&self) -> usize {
        self.jobs
    }

    /// Whether a shard's stage may be run again by whoever does not know that it ran.
    pub(crate) fn may_repeat(&self, shard: &str) -> bool {
        let id = shard.split('.').next().unwrap_or_default();
        self.find(id).is_some_and(|stage| !matches!(stage.kind, Kind::Asked | Kind::Unsure))
    }

    /// The stage with this id.
    pub(crate) fn find(&self, id: &str) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.id == id)
    }

    /// Stages that a failed stage keeps from running.
    pub(crate) fn below_broken(&self) -> BTreeSet<usize> {
        let mut below = BTreeSet::new();
        for (at, stage) in self.stages.iter().enumerate() {
            if stage.needs.iter().any(|&need| self.stages[need].kind == Kind::Broken || below.contains(&need)) {
                below.insert(at);
            }
        }
        below
    }
}

fn any_kind(random: &mut Random) -> Kind {
    match random.below(16) {
        0 | 1 => Kind::Output,
        2 => Kind::Retry(1 + u32::try_from(random.below(3)).expect("small")),
        3 => Kind::Hang,
        4 => Kind::Escape,
        5 | 6 => Kind::Shards(2 + u32::try_from(random.below(6)).expect("small")),
        7 | 8 => Kind::Asked,
        9 => Kind::Unsure,
        10 => Kind::Broken,
        _ => Kind::Plain,
    }
}

/// A chain, a fan, or any graph.
fn needs(random: &mut Random, shape: usize, at: usize) -> Vec<usize> {
    match (shape, at) {
        (_, 0) => Vec::new(),
        (0, _) => vec![at - 1],
        (1, _) => vec![0],
        _ => {
            let chosen: BTreeSet<usize> = (0..random.below(3)).map(|_| random.below(at)).collect();
            chosen.into_iter().collect()
        }
    }
}
