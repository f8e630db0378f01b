//! `engine tickets list|show|ack|close`

use serde_json::{Map, Value, json};

use super::args::{TicketArgs, TicketVerb, TicketsArgs, TicketsListArgs};
use super::exit::Exit;
use super::fault::{Answer, Fault};
use super::settings::{self, Settings};
use super::{clerk, find, print};
use crate::driver::ports;
use crate::journal::StateDir;
use crate::journal::tickets::{Listed, Mark, Tickets};
use crate::report::{clean, hint, json as shapes, words};

type Ticket = Map<String, Value>;

/// Shows and changes tickets. What dead engines left unfiled is filed first.
pub(super) fn run(args: &TicketsArgs, settings: &Settings) -> Answer {
    let state = find::state(settings)?;
    if let Err(fault) = clerk::catch_up(&state) {
        // What is there can be read, also from a disk that takes nothing.
        if !matches!(args.verb, TicketVerb::List(_) | TicketVerb::Show(_)) {
            return Err(fault);
        }
        print::note(&format!("warning: what dead engines left may be missing: {}", fault.message));
    }
    match &args.verb {
        TicketVerb::List(args) => list(args, &state),
        TicketVerb::Show(args) => show(args, &state),
        TicketVerb::Ack(args) => mark(args, Mark::Acknowledged, &state),
        TicketVerb::Close(args) => mark(args, Mark::Closed, &state),
    }
}

fn text<'a>(ticket: &'a Ticket, key: &str) -> &'a str {
    ticket.get(key).and_then(Value::as_str).unwrap_or("")
}

/// The worst first, then those seen last.
fn list(args: &TicketsListArgs, state: &StateDir) -> Answer {
    let (mut found, mut bad) = (Vec::new(), Vec::new());
    for Listed { id, ticket } in Tickets::new(state).list()? {
        match ticket {
            Ok(ticket) => found.push(ticket),
            Err(why) => bad.push((id, why)),
        }
    }
    let wanted = |ticket: &Ticket| args.all || text(ticket, "state") != Mark::Closed.word();
    found.retain(wanted);
    let rank =
        |ticket: &Ticket| ["critical", "major", "minor"].iter().position(|it| *it == text(ticket, "severity"));
    found.sort_by(|a, b| {
        let by_rank = rank(a).unwrap_or(3).cmp(&rank(b).unwrap_or(3));
        by_rank.then_with(|| text(b, "last_seen").cmp(text(a, "last_seen")))
    });
    if args.json {
        let unreadable: Vec<Value> = bad.iter().map(|(id, why)| json!({"ticket": id, "why": why})).collect();
        print::json(&json!({"version": shapes::VERSION, "tickets": found, "unreadable": unreadable}));
        return Ok(Exit::Success);
    }
    for ticket in &found {
        let count = ticket.get("count").and_then(Value::as_u64).unwrap_or(1);
        let title = clean::plain(text(ticket, "title"));
        let state = text(ticket, "state");
        let (id, severity) = (clean::plain(text(ticket, "ticket")), clean::plain(text(ticket, "severity")));
        print::line(&format!("{id:<12}  {severity:<8}  {:<12}  {count:>3}x  {title}", clean::plain(state)));
    }
    for (id, why) in &bad {
        print::note(&format!("warning: tickets/{id}.json cannot be read: {}", clean::plain(why)));
    }
    if found.is_empty() && bad.is_empty() {
        print::line(if args.all { "no ticket" } else { "no open ticket" });
    }
    Ok(Exit::Success)
}

/// The ticket called `id`; a beginning that only one has will do.
fn find_one(state: &StateDir, id: &str) -> Result<(String, Ticket), Fault> {
    let all = Tickets::new(state).list()?;
    let mut matching = all.into_iter().filter(|one| one.id.starts_with(id));
    let (first, second) = (matching.next(), matching.next());
    match (first, second) {
        (Some(Listed { id, ticket }), None) => match ticket {
            Ok(ticket) => Ok((id, ticket)),
            Err(why) => Err(Fault::new(Exit::Damaged, format!("tickets/{id}.json cannot be read: {why}"))
                .help("mend or delete the file; the next sight of the thing makes a new one")),
        },
        (None, _) => Err(Fault::new(Exit::NotFound, format!("no ticket `{id}`"))
            .help(format!("list them: {}", hint::command("tickets list --all")))),
        _ => Err(Fault::new(Exit::NotFound, format!("more than one ticket begins with `{id}`"))
            .help("write more of the id")),
    }
}

fn show(args: &TicketArgs, state: &StateDir) -> Answer {
    let (_, ticket) = find_one(state, &args.ticket)?;
    if args.json {
        print::json(&Value::Object(ticket));
        return Ok(Exit::Success);
    }
    let count = ticket.get("count").and_then(Value::as_u64).unwrap_or(1);
    let plain = |key: &str| clean::plain(text(&ticket, key));
    print::line(&format!("ticket {} {}", plain("ticket"), plain("title")));
    print::line(&format!("state    {}", plain("state")));
    print::line(&format!("severity {}", plain("severity")));
    let times = words::count(usize::try_from(count).unwrap_or(usize::MAX), "time");
    print::line(&format!("seen     {times}, {} to {}", plain("first_seen"), plain("last_seen")));
    print::line(&format!("run      {}", plain("run")));
    let of = ticket.get("shard").map_or_else(String::new, |shard| format!(" of shard {shard}"));
    for (key, title) in [("errors", "errors"), ("log", &*format!("the last lines{of}")), ("suggestion", "next")] {
        let lines = ticket.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        if !lines.is_empty() {
            print::line(&format!("{title}:"));
        }
        for line in &lines {
            print::line(&format!("  {}", clean::plain(line.as_str().unwrap_or_default())));
        }
    }
    Ok(Exit::Success)
}

fn mark(args: &TicketArgs, mark: Mark, state: &StateDir) -> Answer {
    let (id, _) = find_one(state, &args.ticket)?;
    let at = words::utc(ports::wall_ms(), crate::base::Millis::ZERO);
    let by = settings::person();
    Tickets::new(state).mark(&id, mark, (&by, &args.message), &at)?;
    if args.json {
        print::json(&json!({"version": shapes::VERSION, "ticket": id, "state": mark.word()}));
    } else {
        print::line(&format!("{} ticket {id}", mark.word()));
    }
    Ok(Exit::Success)
}
