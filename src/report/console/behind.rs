//! What is told of background work.

use crate::run::event::{Event, NodeState};

use super::super::{View, clean, hint, words};
use super::story::Story;

impl Story {
    /// The verdict and what follows it; what is left to others, and what is queued again.
    pub(super) fn tell_background(&self, view: &View, event: &Event) -> String {
        match event {
            Event::ForegroundEnded { .. } => self.tell_verdict(view),
            Event::BackgroundLeft { .. } if view.in_background() => {
                self.line(NodeState::Waiting, "left", "", "what is left of the background is for another engine")
            }
            Event::BackgroundRequeued { node, by } => {
                let by = if by.is_empty() { String::new() } else { format!(", by {}", clean::plain(by)) };
                self.line(NodeState::Waiting, "queued", view.id(*node), &format!("again{by}"))
            }
            _ => String::new(),
        }
    }

    /// The verdict is decided, and is told before any background work starts.
    fn tell_verdict(&self, view: &View) -> String {
        let count = view.background_left();
        if count == 0 {
            return String::new();
        }
        let are = if count == 1 { "is" } else { "are" };
        let rest = if view.leaves_background() {
            format!("{} {are} left to `{}`", words::count(count, "background stage"), hint::drain(view.run_id()))
        } else {
            let run = if count == 1 { "still runs" } else { "still run" };
            // The prompt does not come back although the run is over: whoever watches is told how to have it.
            let how = if self.is_live { "; Ctrl-C leaves it to the queue" } else { "" };
            format!("{} {run}{how}", words::count(count, "background stage"))
        };
        self.closing(view, view.now()) + &self.line(NodeState::Waiting, "background", "", &rest)
    }
}
