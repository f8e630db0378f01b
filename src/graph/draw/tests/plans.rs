//! What people see, as snapshots.

use super::*;

fn at_hand(ix: NodeIx) -> Option<Expected> {
    (ix.raw() == 1).then_some(Expected { p50: Span::from_secs(62), p95: Span::from_secs(95), samples: 12 })
}

fn text(graph: &Graph, style: &Style) -> String {
    let planned =
        |(at, ix): (u64, NodeIx)| Planned { node: ix, at: Span::from_secs(at), end: Span::from_secs(at + 3) };
    let schedule =
        Schedule { starts: (0..).zip(graph.nodes.indexes()).map(planned).collect(), ..Schedule::default() };
    let forecast = Forecast::of(graph, Some(&schedule), &at_hand);
    let inputs = [("environment".to_owned(), "production".to_owned()), ("tag".to_owned(), "v1.2.3".to_owned())];
    let heading = Heading { description: Some("Build, migrate and roll out the shop"), inputs: &inputs };
    super::super::plan(Subject { graph, forecast: &forecast, states: None }, heading, style)
}

#[test]
fn colour_changes_no_text() {
    let graph = release(3);
    let plain = text(&graph, &Style::default());
    let colored = text(&graph, &Style { color: true, ..Style::default() });
    assert_ne!(plain, colored);
    assert_eq!(plain, anstream::adapter::strip_str(&colored).to_string());
}

#[test]
fn ascii_is_ascii() {
    let style = Style { unicode: false, ..Style::default() };
    let graph = release(300);
    let forecast = Forecast::of(&graph, None, &|_| None);
    let subject = Subject { graph: &graph, forecast: &forecast, states: Some(&states) };
    let drawn = super::super::graph(subject, Format::Text, &style);
    for text in [text(&graph, &style), drawn] {
        assert!(text.is_ascii(), "{text}");
    }
}

#[test]
fn the_plan_reads_like_this() {
    insta::assert_snapshot!(text(&release(300), &Style::default()), @r"
    shop-release
    Build, migrate and roll out the shop
    307 stages · 5 waves · 8 at once · 1 approval · 1 with `if`

      environment  production
      tag          v1.2.3

    ── wave 1 ────────────────────────────────────────────────────────── 2 stages ──
      group bootstrap
      ◆ check-env  env check
          timeout 5m
      • build      make image
          ≈1m2s, p95 1m35s (12 samples)

    ── wave 2 ────────────────────────────────────────────────────────── 2 stages ──
      ◆ approve   asks: Ship <inputs.tag>?
          waits at most 5m · if inputs.environment == 'production'
          after check-env, build
      • pack      ./pack --list <shard.file>
          timeout 5m · 500 shards
          after build

    ── wave 3 ─────────────────────────────────────────────────────────── 1 stage ──
      ◆ migrate   alembic upgrade head
          timeout 5m · at most 3 attempts · pool database 1/1 · not idempotent
          after approve

    ── wave 4 ──────────────────────────────────────────────────────── 300 stages ──
      ◆ rollout ×300  rollout:r0 … rollout:r299
          timeout 5m
          after migrate, pack

    ── wave 5 ─────────────────────────────────────────────────────────── 1 stage ──
      ◆ healthy   curl -f https://shop/healthz
          timeout 5m
          after check-env, rollout ×300

    ── finally ────────────────────────────────────────────────────────── 1 stage ──
      ◆ notify    ./notify.sh
          timeout 5m

    ◆ critical path: check-env → approve → migrate → rollout:r0 → healthy → notify

    expected    unknown, 1 of 306 stages have enough history
    worst case  unbounded, 1 stage without a timeout
    attempts    at most 808
    at work     ████████████████████████████████████████  3 stages at most
    limited by  max-parallel: 8 at once of 500 wanted
    on failure  what runs ends, nothing new starts

    warning: `build` has no `timeout`: set one on the stage or under `defaults`
    ");
}

#[test]
fn the_terminal_drawing_reads_like_this() {
    insta::assert_snapshot!(draw(&release(3), Format::Text, None), @r"
    shop-release - 10 stages, 6 layers
             [group bootstrap]
    ◆        check-env   ≤ 5m  env check
    │ ●      build       make image
    │ │
    ◆─┤      approve     ≤ 5m  if  asks: Ship <inputs.tag>?
    │ ●      pack ×500   ≤ 5m  ./pack --list <shard.file>
    │ │
    ◆ │      migrate     ≤ 5m  3 attempts  alembic upgrade head
    │ │      [matrix rollout]
    ├─┼─◆    rollout:r0  ≤ 5m  ./ship
    ├─┼─│─●  rollout:r1  ≤ 5m  ./ship
    ●─╯ │ │  rollout:r2  ≤ 5m  ./ship
    │   │ │
    ◆───┴─╯  healthy     ≤ 5m  curl -f https://shop/healthz
             [finally]
    ◆        notify      ≤ 5m  ./notify.sh

    ◆ critical path, 6 stages
    ");
}

#[test]
fn mermaid_reads_like_this() {
    insta::assert_snapshot!(draw(&release(2), Format::Mermaid, Some(&states)), @r##"
    flowchart LR
      n2{{"approve<br/>asks: Ship #60;inputs.tag#62;#63;"}}
      n3["migrate<br/>alembic upgrade head"]
      n4[["pack ×500<br/>./pack --list #60;shard.file#62;"]]
      n7["healthy<br/>curl -f https://shop/healthz"]
      subgraph f0 ["group bootstrap"]
        n0["check-env<br/>env check"]
        n1["build<br/>make image"]
      end
      subgraph f1 ["matrix rollout"]
        n5["rollout:r0<br/>./ship"]
        n6["rollout:r1<br/>./ship"]
      end
      subgraph f2 ["finally"]
        n8["notify<br/>./notify.sh"]
      end
      n0 --> n2
      n1 --> n2
      n1 --> n4
      n2 --> n3
      n3 --> n5
      n3 --> n6
      n4 --> n5
      n4 --> n6
      n5 --> n7
      n6 --> n7
      linkStyle 0,3,4,8 stroke:#c4441c,stroke-width:3px
      classDef st_skipped fill:#eeeeee,stroke:#9a9a9a,color:#1b1f24
      class n3 st_skipped
      classDef st_cached fill:#dceffb,stroke:#56b4e9,color:#1b1f24
      class n4 st_cached
      classDef st_success fill:#d5f0e6,stroke:#009e73,color:#1b1f24
      class n0,n7 st_success
      classDef st_waiting fill:#fdf0d2,stroke:#e69f00,color:#1b1f24
      class n5 st_waiting
      classDef st_running fill:#d3e6f5,stroke:#0072b2,color:#1b1f24
      class n2 st_running
      classDef st_blocked fill:#f6e3ee,stroke:#cc79a7,color:#1b1f24
      class n6 st_blocked
      classDef st_failed fill:#fbe0cf,stroke:#d55e00,color:#1b1f24
      class n1,n8 st_failed
      classDef critical stroke:#c4441c,stroke-width:3px
      class n0,n2,n3,n5,n7,n8 critical
    "##);
}

#[test]
fn dot_reads_like_this() {
    insta::assert_snapshot!(draw(&release(2), Format::Dot, None), @r##"
    digraph plan {
      graph [rankdir=LR, compound=true, fontname="monospace", labelloc=t, label="shop-release\n9 stages, 6 layers"];
      node [shape=box, style="rounded,filled", fillcolor="#f6f8fa", color="#8a939d", fontname="monospace", fontsize=11];
      edge [color="#8a939d"];
      n2 [label="approve\nasks: Ship <inputs.tag>?", shape=hexagon, color="#c4441c", penwidth=2.5];
      n3 [label="migrate\nalembic upgrade head", color="#c4441c", penwidth=2.5];
      n4 [label="pack ×500\n./pack --list <shard.file>", peripheries=2];
      n7 [label="healthy\ncurl -f https://shop/healthz", color="#c4441c", penwidth=2.5];
      subgraph cluster_0 {
        label="group bootstrap"; style="rounded,dashed"; color="#9aa4af";
        n0 [label="check-env\nenv check", color="#c4441c", penwidth=2.5];
        n1 [label="build\nmake image"];
      }
      subgraph cluster_1 {
        label="matrix rollout"; style="rounded,dashed"; color="#9aa4af";
        n5 [label="rollout:r0\n./ship", color="#c4441c", penwidth=2.5];
        n6 [label="rollout:r1\n./ship"];
      }
      subgraph cluster_2 {
        label="finally"; style="rounded,dashed"; color="#9aa4af";
        n8 [label="notify\n./notify.sh", color="#c4441c", penwidth=2.5];
      }
      n0 -> n2 [color="#c4441c", penwidth=2.5];
      n1 -> n2;
      n1 -> n4;
      n2 -> n3 [color="#c4441c", penwidth=2.5];
      n3 -> n5 [color="#c4441c", penwidth=2.5];
      n3 -> n6;
      n4 -> n5;
      n4 -> n6;
      n5 -> n7 [color="#c4441c", penwidth=2.5];
      n6 -> n7;
    }
    "##);
}
