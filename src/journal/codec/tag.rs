//! The stored number of each kind of event. A number never changes its meaning. Tags from [`FIRST_SIZED`] on are
//! followed by the length of their payload, so that an older reader can skip them; a new kind of event always gets
//! such a tag.

pub(crate) const RUN_BEGAN: u64 = 1;
pub(crate) const RUN_RESUMED: u64 = 2;
pub(crate) const PLAN_CHANGED: u64 = 3;
pub(crate) const SHARDS_STARTED: u64 = 4;
pub(crate) const SHARD_RETRIED: u64 = 5;
pub(crate) const FINISHED_PLAIN: u64 = 6;
pub(crate) const FINISHED_MEASURED: u64 = 7;
pub(crate) const FINISHED_FULL: u64 = 8;
pub(crate) const RETRY_SCHEDULED: u64 = 9;
pub(crate) const STOP_REQUESTED: u64 = 10;
pub(crate) const SHARD_LOST: u64 = 11;
pub(crate) const CHECK_STARTED: u64 = 12;
pub(crate) const CHECK_ANSWERED: u64 = 13;
pub(crate) const GATE_OPENED: u64 = 14;
pub(crate) const GATE_DECIDED: u64 = 15;
pub(crate) const NODE_EXPIRED: u64 = 16;
pub(crate) const NODE_FINISHED: u64 = 17;
pub(crate) const NODE_SKIPPED: u64 = 18;
pub(crate) const NODE_REOPENED: u64 = 19;
pub(crate) const NODE_RESOLVED: u64 = 20;
pub(crate) const PAUSE_CHANGED: u64 = 21;
pub(crate) const CANCEL_RAISED: u64 = 22;
pub(crate) const FINALLY_BEGAN: u64 = 23;
pub(crate) const RUN_SUSPENDED: u64 = 24;
pub(crate) const RUN_FINISHED: u64 = 25;
pub(crate) const NODE_ADMITTED: u64 = 26;
/// From here on a length follows the tag.
pub(crate) const FIRST_SIZED: u64 = 64;
pub(crate) const SHARD_EXPIRED: u64 = 64;
pub(crate) const SHARDS_CUT: u64 = 65;
pub(crate) const ITEMS_FROZEN: u64 = 66;
pub(crate) const FINISHED_SEALED: u64 = 67;
pub(crate) const SHARD_RECALLED: u64 = 68;
pub(crate) const STAGE_SEALED: u64 = 69;
pub(crate) const SHARDS_REOPENED: u64 = 70;
pub(crate) const BOX_OPENED: u64 = 72;
pub(crate) const NODE_DEFERRED: u64 = 73;
pub(crate) const BOX_CLOSED: u64 = 74;
pub(crate) const STAGE_RESTARTED: u64 = 71;
pub(crate) const SECRETS_FETCHED: u64 = 75;
pub(crate) const ROLLBACK_BEGAN: u64 = 80;
pub(crate) const ROLLBACK_ORDERED: u64 = 81;
pub(crate) const TICKET_RAISED: u64 = 90;
pub(crate) const OBJECTIVE_RISKED: u64 = 91;
pub(crate) const OBJECTIVE_BREACHED: u64 = 92;
pub(crate) const VOTE_CAST: u64 = 110;
pub(crate) const GLASS_BROKEN: u64 = 111;
pub(crate) const FREEZE_BEGAN: u64 = 112;
pub(crate) const FREEZE_ENDED: u64 = 113;
pub(crate) const CREW_HIRED: u64 = 100;
pub(crate) const CREW_DISMISSED: u64 = 101;
pub(crate) const CREW_GONE: u64 = 102;
pub(crate) const WORKER_LOST: u64 = 103;
pub(crate) const SHARDS_FINISHED: u64 = 104;
