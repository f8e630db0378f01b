//! Faults that the validator finds in clocks, limits and re-tries.

use crate::plan::codes::Page;

/// The pages.
pub(super) static PAGES: &[Page] = &[
    Page {
        code: "plan::budget",
        title: "a clean-up that takes the whole timeout",
        text: "The `budget` of `finally` is reserved inside the run's `timeout`, and must leave something for the rest.",
        bad: r"version: 1
timeout: 10m
stages: {build: {run: make}}
finally:
  budget: 10m
  stages: {tidy: {run: make clean}}
",
        good: r"version: 1
timeout: 10m
stages: {build: {run: make}}
finally:
  budget: 1m
  stages: {tidy: {run: make clean}}
",
    },
    Page {
        code: "plan::lock-wait",
        title: "a lock that waits and does not wait",
        text: "`wait` says how long to wait for the lock; with `on-busy: fail` or `skip` nobody waits.",
        bad: r"version: 1
lock: {name: deploy, on-busy: fail, wait: 5m}
stages: {build: {run: make}}
",
        good: r"version: 1
lock: {name: deploy, on-busy: wait, wait: 5m}
stages: {build: {run: make}}
",
    },
    Page {
        code: "plan::no-budget",
        title: "a clean-up that a deadline could shoot",
        text: "When the run has a `timeout`, `finally` says how much of it is kept for it.",
        bad: r"version: 1
timeout: 10m
stages: {build: {run: make}}
finally:
  stages: {tidy: {run: make clean}}
",
        good: r"version: 1
timeout: 10m
stages: {build: {run: make}}
finally:
  budget: 1m
  stages: {tidy: {run: make clean}}
",
    },
    Page {
        code: "plan::pool-weight",
        title: "a weight above its pool",
        text: "The stage would wait for ever.",
        bad: r"version: 1
pools: {cpu: 2}
stages:
  build: {run: make, pools: {cpu: 3}}
",
        good: r"version: 1
pools: {cpu: 3}
stages:
  build: {run: make, pools: {cpu: 3}}
",
    },
    Page {
        code: "plan::retry-delay",
        title: "a first delay above its maximum",
        text: "`delay` is the first wait, `max-delay` the longest.",
        bad: r"version: 1
stages:
  pull: {run: ./pull, retry: {max: 2, delay: 1m, max-delay: 30s}}
",
        good: r"version: 1
stages:
  pull: {run: ./pull, retry: {max: 2, delay: 10s, max-delay: 30s}}
",
    },
    Page {
        code: "plan::retry-within",
        title: "a `within` shorter than its parts",
        text: "`within` bounds all attempts and waits together. When it is shorter than every attempt at its \
               `timeout` plus every wait, the last attempts could never be made.",
        bad: r"version: 1
stages:
  pull: {run: ./pull, timeout: 5m, retry: {max: 2, within: 10m}}
",
        good: r"version: 1
stages:
  pull: {run: ./pull, timeout: 5m, retry: {max: 2, within: 15m}}
",
    },
    Page {
        code: "plan::unsafe-retry",
        title: "a blind second run of what must not run twice",
        text: "`idempotent: false` says that a second run could do harm. After a timeout or a kill nobody \
               knows what the first has done, so it may be tried again only with `done-if`, or on exit codes \
               alone.",
        bad: r"version: 1
stages:
  migrate: {run: ./migrate, idempotent: false, timeout: 5m, retry: 1}
",
        good: r"version: 1
stages:
  migrate:
    run: ./migrate
    idempotent: false
    timeout: 5m
    retry: 1
    done-if: {run: [./is-migrated]}
",
    },
];
