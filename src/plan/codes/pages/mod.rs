//! The pages, by the room that finds the fault.

mod clocks;
mod environment;
mod graph;
mod names;
mod service;
mod shape;
mod syntax;

use std::sync::LazyLock;

use super::Page;

/// Every page, sorted by code.
pub(super) static ALL: LazyLock<Vec<Page>> = LazyLock::new(|| {
    let rooms = [
        syntax::PAGES,
        shape::PAGES,
        names::PAGES,
        clocks::PAGES,
        graph::PAGES,
        environment::PAGES,
        service::PAGES,
    ];
    let mut all: Vec<Page> = rooms.concat();
    all.sort_by_key(|page| page.code);
    all
});

/// Whether the file of a service has this fault.
#[cfg(test)]
pub(super) fn is_of_service(page: &Page) -> bool {
    service::PAGES.contains(page)
}

/// Whether only the graph builder can find this fault.
#[cfg(test)]
pub(super) fn is_of_graph(page: &Page) -> bool {
    graph::PAGES.contains(page)
}

/// Whether a reader of one language finds this fault, so that the others may not have it.
#[cfg(test)]
pub(super) fn is_of_reader(page: &Page) -> bool {
    syntax::PAGES.contains(page)
}

/// Whether it is about the files of an environment.
#[cfg(test)]
pub(super) fn is_of_environment(page: &Page) -> bool {
    environment::PAGES.contains(page)
}
