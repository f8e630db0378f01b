//! Every feature of the plan language and of a run, through the real binary with real processes.

#[path = "flows/audience.rs"]
mod audience;
#[path = "flows/background.rs"]
mod background;
#[path = "flows/boxes.rs"]
mod boxes;
#[path = "flows/cells.rs"]
mod cells;
#[path = "flows/clocks.rs"]
mod clocks;
#[path = "flows/consent.rs"]
mod consent;
#[path = "flows/edited.rs"]
mod edited;
#[path = "flows/failures.rs"]
mod failures;
#[path = "flows/files.rs"]
mod files;
#[path = "flows/given.rs"]
mod given;
#[path = "flows/heal.rs"]
mod heal;
#[path = "flows/jobs.rs"]
mod jobs;
#[path = "flows/kept.rs"]
mod kept;
#[path = "flows/language.rs"]
mod language;
#[path = "flows/lines.rs"]
mod lines;
#[path = "flows/locks.rs"]
mod locks;
#[path = "flows/misfits.rs"]
mod misfits;
#[path = "flows/odd.rs"]
mod odd;
#[path = "flows/parts.rs"]
mod parts;
#[path = "flows/pauses.rs"]
mod pauses;
#[path = "flows/people.rs"]
mod people;
#[path = "flows/places.rs"]
mod places;
#[path = "flows/promises.rs"]
mod promises;
#[path = "flows/recut.rs"]
mod recut;
#[path = "flows/rollback.rs"]
mod rollback;
#[path = "flows/screen.rs"]
mod screen;
#[path = "flows/services.rs"]
mod services;
#[path = "flows/sharded.rs"]
mod sharded;
#[path = "flows/shown.rs"]
mod shown;
#[path = "flows/signals.rs"]
mod signals;
#[path = "flows/signed.rs"]
mod signed;
#[path = "flows/slates.rs"]
mod slates;
#[path = "flows/supervised.rs"]
mod supervised;
mod support;
#[path = "flows/tool.rs"]
mod tool;
