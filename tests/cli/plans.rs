//! Plans that several tests use.

/// Three stages in a row, an input, nothing that fails.
pub(crate) const SHOP: &str = r#"version: 1
name: shop
description: Build, test and ship the shop
inputs:
  tag: {type: string, default: v1}
defaults: {timeout: 5m}
stages:
  build: {run: "echo compiling; echo key=build", outputs: {}}
  test: {needs: [build], run: "echo tested"}
  ship: {needs: [test], run: ["echo", "shipped", "{{ inputs.tag }}"]}
"#;

/// The second of three stages fails until `mended` exists.
pub(crate) const BROKEN: &str = r#"version: 1
name: broken
defaults: {timeout: 5m}
stages:
  build: {run: ["echo", "built"]}
  test: {needs: [build], run: "echo looking; test -e mended || { echo not mended >&2; exit 3; }"}
  ship: {needs: [test], run: ["echo", "shipped"]}
"#;

/// A question between two stages, and a clean-up.
pub(crate) const GATED: &str = r#"version: 1
name: gated
defaults: {timeout: 5m}
stages:
  build: {run: ["echo", "built"]}
  go: {needs: [build], uses: approval, with: {prompt: "Ship it?"}, timeout: 4h}
  ship: {needs: [go], run: ["echo", "shipped"]}
finally:
  budget: 10m
  stages: {note: {run: ["echo", "bye"]}}
"#;

/// One stage that says `up` and then waits for a writer of the named pipe `go`.
pub(crate) const HELD: &str = r#"version: 1
name: held
defaults: {timeout: 5m}
lock: {name: site, on-busy: fail}
stages:
  hold: {run: "echo up; cat go; echo down", stop: {grace: 1s}}
  after: {needs: [hold], run: ["echo", "after"]}
"#;

/// Skips, allowed failures, retries and shards.
pub(crate) const MIXED: &str = r#"version: 1
name: mixed
defaults: {timeout: 5m}
stages:
  skipped: {run: "true", if: "false"}
  flaky: {needs: [skipped], run: "test -e once || { touch once; exit 7; }", retry: {max: 2, delay: 10ms}}
  maybe: {needs: [flaky], run: "exit 3", allow-failure: true}
  pack: {needs: [maybe], shards: {items: [a, b, c], size: 1, max-parallel: 1}, run: ["echo", "{{ shard.item }}"]}
  missing: {needs: [pack], run: [no-such-tool], allow-failure: true}
"#;

/// Three mistakes.
pub(crate) const WRONG: &str = r"version: 1
name: wrong
stages:
  build: {run: make, timout: 5m}
  ship: {needs: [biuld], run: ship, timeout: 5}
";

/// A circle and a script that wants to interpolate.
pub(crate) const CIRCLE: &str = r#"version = 1
name = "circle"
[stages.a]
needs = ["b"]
run = "x"
[stages.b]
needs = ["a"]
run = "y {{ inputs.z }}"
"#;

/// Words that are known before the run beside words that are not, also through an action; needs that follow
/// from others.
pub(crate) const FORESEEN: &str = r#"version: 1
name: foreseen
inputs: {tag: {type: string, default: v1}}
vars: {image: "shop:{{ inputs.tag }}"}
defaults: {timeout: 5m}
actions:
  tell: {run: ["echo", "{{ inputs.text }}", "{{ inputs.loud }}"]}
stages:
  build: {run: "echo digest=abc >> $ENGINE_OUTPUT", outputs: {digest: string}}
  test: {needs: [build], run: ["echo", "{{ self.id }} {{ vars.image }}"]}
  ship:
    needs: [build, test]
    matrix: {region: [eu, us]}
    run: ["echo", "{{ matrix.region }}", "{{ vars.image }}@{{ needs.build.outputs.digest }}", "run {{ run.id }}"]
  pack: {needs: [build], shards: {items: [a, b], size: 1}, run: ["cat", "{{ shard.file }}"]}
  ask:
    needs: [build, ship]
    uses: approval
    with: {prompt: "Is {{ needs.build.outputs.digest }} live as {{ inputs.tag }}?"}
  said:
    needs: [build, ask]
    uses: tell
    with: {text: "live: {{ needs.build.outputs.digest }} ({{ inputs.tag }})", loud: "{{ inputs.tag | upper }}"}
  page: {needs: [build, {stage: ship, accept: [failed]}], run: ["echo", "page {{ needs.ship.state }}"]}
"#;
