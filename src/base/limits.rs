//! Every maximum in one place, with its reason. An error about a limit names it.

/// Longest span anywhere: ten years, far below where milliseconds could overflow.
pub const MAX_SPAN_MS: u64 = 3650 * 86_400_000;
/// Stages in one graph after every expansion: what a 24 GiB machine can still check and draw.
pub const MAX_STAGES: usize = 1_000_000;
/// Edges in one graph: a matrix of 2,000 that needs a matrix of 2,000 still fits.
pub const MAX_EDGES: usize = 8_000_000;
/// Cells that an earlier stage may give to a matrix: each of them is a stage of the graph from the start.
pub const MAX_LATE_CELLS: u32 = 1000;
/// Shards of one stage.
pub const MAX_SHARDS: u64 = 2_000_000;
/// Bytes of one plan file: a generated plan of 100,000 stages has about 20 MB.
pub const MAX_FILE_BYTES: u64 = 64 << 20;
/// Nesting of values in a plan file. No hand-written plan passes 12.
pub const MAX_DEPTH: usize = 64;
/// Values in one plan file: a plan of 100,000 stages has two million, and each takes about 80 bytes.
pub const MAX_FILE_VALUES: usize = 5_000_000;
/// Nodes that alias expansion may add to a YAML file, in all.
pub const MAX_ALIAS_NODES: usize = 100_000;
/// Entries of a folder that are compared with the name of a missing file.
pub const MAX_NEIGHBOURS: usize = 10_000;
/// Columns of a source line shown in an error: what fits a terminal beside the gutter.
pub const MAX_EXCERPT_COLUMNS: usize = 100;
/// Plan and action files of one plan.
pub const MAX_FILES: usize = 1000;
/// Nesting of `uses: ./file.yaml`.
pub const MAX_USES_DEPTH: usize = 16;
/// Errors shown for one check; the rest is counted.
pub const MAX_ERRORS: usize = 200;
/// Attempts of one shard in one generation.
pub const MAX_ATTEMPTS: u16 = 100;
/// Attempts at once in one engine.
pub const MAX_PARALLEL: u32 = 4096;

/// Bodies of `heal` that are tried for one failure, unless the plan says otherwise: the reference systems' own limit.
pub const HEAL_DEPTH: u32 = 5;

/// The largest `heal-depth`: more than a person would read through before they ask what is really wrong.
pub const MAX_HEAL_DEPTH: u32 = 100;
/// Bytes a stage may write to `$ENGINE_OUTPUT`.
pub const MAX_OUTPUT_VALUES_BYTES: u64 = 1 << 20;
/// Bytes of the items that an earlier stage gives: they are one record, and a frame holds four of them.
pub const MAX_LATE_ITEM_BYTES: usize = 16 << 20;
/// Instructions one expression or template may take, so that none loops for ever.
pub const RENDER_FUEL: u64 = 200_000;
/// Words and signs of one expression: minijinja compiles a chain of operators recursively.
pub const MAX_EXPRESSION_TOKENS: usize = 1000;
/// Bytes of one journal frame's events.
pub const MAX_FRAME_BYTES: u32 = 64 << 20;
/// Attempts whose start is on no disk yet, beside as many as can run at once: what a power cut may make run again.
/// Enough for as many milliseconds of the shortest stages as records linger, so that these never wait for the disk.
pub const MAX_UNRECORDED_STARTS: u32 = 128;
/// Records that may wait for the disk: a graph of `MAX_STAGES` skips all its stages at once, three records each.
pub const MAX_QUEUED_EVENTS: usize = 4_000_000;
/// Bytes of one request in a run's inbox: a person's words, not a file.
pub const MAX_REQUEST_BYTES: u64 = 64 << 10;
/// Bytes of one chunk of output: a pipe's buffer; longer reads are cut into pieces.
pub const MAX_CHUNK_BYTES: usize = 64 << 10;
/// Bytes of one segment of output before the next is begun: small enough to open in an editor.
pub const MAX_SEGMENT_BYTES: u64 = 64 << 20;
/// Bytes that an attempt may print before its start is durable, which takes a moment; then it waits.
pub const MAX_HELD_OUTPUT_BYTES: usize = 1 << 20;
/// Item lists that stay open between attempts: more than run side by side on most machines, and no burden on its files.
pub const MAX_OPEN_ITEM_LISTS: usize = 64;
/// Threads that spawn processes: each sleeps until its child has run exec, and eight keep any machine busy.
pub const MAX_SPAWN_THREADS: usize = 8;
/// Bytes taken from a stage's pipe at once: the size of a pipe's buffer.
pub const OUTPUT_READ_BYTES: usize = 64 << 10;
/// Bytes still taken from a pipe after its stage ended, if somebody keeps writing: the largest pipe buffer.
pub const OUTPUT_DRAIN_BYTES: usize = 1 << 20;
/// Time for killed processes to be gone; what is left then sleeps in the kernel or belongs to somebody else.
pub const KILL_PATIENCE_MS: u64 = 2_000;
/// How long a killed attempt may take to be reported gone before its outcome counts as unknown.
pub const KILL_WAIT_MS: u64 = 30_000;
/// How long a `done-if` or a look into the cache may take before nobody knows the answer.
pub const CHECK_WAIT_MS: u64 = 10 * 60_000;
/// Bytes of one attempt's output that are handed to an observer at once.
pub const MAX_TOLD_BYTES: usize = 64 << 10;
/// Sentences kept for the end of a run about requests that could not be carried out: more are the same again.
pub const MAX_NOTES: usize = 100;
/// Threads that store and restore files beside an engine's loop.
pub const MAX_FILE_THREADS: usize = 8;
/// Approvals that one environment may ask for: nobody finds more people at three in the morning.
pub const MAX_APPROVALS: u32 = 20;
/// Characters of a digest that people are shown and type: 48 bits, in a file of a few plans.
pub const SUBJECT_CHARS: usize = 12;
/// Layers of one environment: `extends` deeper than this is nobody's intent.
pub const MAX_LAYERS: usize = 16;
/// Instructions one template of a file may take: a second of work, some ten thousand values.
pub const FILE_FUEL: u64 = 5_000_000;
/// How deep includes (10 each), blocks and recursive loops of a template lead into each other.
pub const MAX_TEMPLATE_DEPTH: usize = 200;
/// The stack of a thread that renders: several times what the depth above takes in a build without optimization. What is
/// not used of it costs nothing.
pub const RENDER_STACK_BYTES: usize = 32 << 20;
/// Bytes one template may render: a configuration file that is larger is data.
pub const MAX_RENDERED_BYTES: usize = 16 << 20;
/// Bytes of a secret: the size of a generous key file. A larger one is a mistake, such as the wrong file.
pub const MAX_SECRET_BYTES: usize = 64 << 10;
/// How old the value of a secret may be when an attempt that names it starts; then it is fetched again. Tokens live
/// for a few minutes at least, and a thousand attempts a minute must not be a thousand calls of a secret's source.
pub const SECRET_FRESH_MS: u64 = 60_000;
/// Values that one engine masks: a token that is another one at each fetch would grow without end else.
pub const MAX_MASKED_SECRETS: usize = 1_000;
/// How long one source of a secret may take; people wait for a run to begin.
pub const SECRET_WAIT_MS: u64 = 30_000;
/// Bytes of a server's answer that holds a secret and what belongs to it.
pub const MAX_SECRET_REPLY_BYTES: u64 = 1 << 20;
/// Bytes of one answer of a worker: as much as a process may write to `$ENGINE_OUTPUT`.
pub const MAX_ANSWER_BYTES: usize = 1 << 20;
/// Items that one worker may have unanswered: they are done again after a crash, and an answer is small.
pub const MAX_IN_FLIGHT: u32 = 16_384;
/// Workers of one stage that may end one after the other without a single answer, with ever longer rests between them.
pub const MAX_FRUITLESS_WORKERS: u32 = 10;
/// The shortest time between two rounds of a gate: faster than this is a load test.
pub const MIN_GATE_INTERVAL_MS: u64 = 10;
/// How long one question of a gate may take: longer than this is no answer.
pub const MAX_GATE_PATIENCE_MS: u64 = 300_000;
/// Rounds of one gate, all of whose samples are kept in memory: a day and more at one a second.
pub const MAX_GATE_ROUNDS: u64 = 100_000;
/// Answers in a row that a gate may ask for.
pub const MAX_GATE_STREAK: u32 = 10_000;
/// Metrics of one gate: more than this belongs into several stages.
pub const MAX_GATE_METRICS: usize = 64;
/// Bytes of an answer that a gate reads.
pub const MAX_GATE_BODY_BYTES: u64 = 1 << 20;
/// Threads that ask for all gates of a run: enough that slow answers do not hold up quick ones.
pub const MAX_GATE_THREADS: usize = 64;
/// Bytes of a log that one round reads; the rest is read in the next.
pub const MAX_GATE_LOG_BYTES: u64 = 16 << 20;
/// Bytes of a ticket's file that is read: far more than is ever written.
pub const MAX_TICKET_BYTES: u64 = 1 << 20;
/// Runs that a ticket names; the count goes on. Older ones are gone from the state directory by then.
pub const MAX_TICKET_RUNS: usize = 100;
/// Last lines of a stage's output in a ticket, as many as are shown of a failed stage.
pub const MAX_TICKET_LINES: usize = 40;
/// Characters of one line in a ticket: people read it in a terminal or a chat.
pub const MAX_TICKET_LINE: usize = 500;
/// Runs that one look at error budgets reads: their journals are read whole.
pub const MAX_SLO_RUNS: u64 = 1_000;
/// Runs of which a plan's history keeps what items took, for each stage that finds its size: of what the newest ones took
/// p50 and p95 are told, and an older one hardly counts beside twenty newer ones.
pub const MAX_ITEM_RUNS: usize = 20;
/// Items of an earlier stage that a plan's history knows each by its text, of the newest run: some two megabytes on the disk, which each
/// run reads and writes. Of more it knows how many they were.
pub const MAX_KNOWN_ITEMS: usize = 100_000;
/// Bytes of what items took in one plan's history, which each run reads and writes whole. The newest run of each stage is
/// kept beyond that.
pub const MAX_ITEM_TIME_BYTES: usize = 8 << 20;
