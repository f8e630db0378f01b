"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const plane = byId("plane"), side = byId("side"), path = byId("path"), find = byId("find");
  const drawings = [...plane.querySelectorAll("svg")];
  const nodes = data.graph.nodes;
  const open = data.views.findIndex((view) => view.fold === 4294967295);
  const needs = new Map(nodes.map((node) => [node.id, []]));
  const wanted = new Map(nodes.map((node) => [node.id, []]));
  for (const edge of data.graph.edges) { needs.get(edge.to).push(edge.from); wanted.get(edge.from).push(edge.to); }
  let trail = [0], x = 0, y = 0, scale = 1;

  const element = (name, text, parent) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (parent) parent.append(made);
    return made;
  };
  const current = () => drawings[trail[trail.length - 1]];
  const move = () => { current().style.transform = `translate(${x}px,${y}px) scale(${scale})`; };
  const fit = () => {
    const svg = current(), w = +svg.dataset.w, h = +svg.dataset.h, room = plane.getBoundingClientRect();
    svg.style.width = `${w}px`; svg.style.height = `${h}px`;
    scale = Math.min(1.3, Math.max(0.35, Math.min(room.width / w, room.height / h)));
    x = Math.max(0, (room.width - w * scale) / 2); y = Math.max(0, (room.height - h * scale) / 2);
    move();
  };
  const show = (next) => {
    trail = next;
    drawings.forEach((svg) => { svg.toggleAttribute("hidden", svg !== current()); svg.classList.remove("picking"); });
    path.replaceChildren();
    trail.forEach((view, at) => {
      if (at) path.append(" / ");
      element("button", data.views[view].name, path).onclick = () => show(trail.slice(0, at + 1));
    });
    byId("open").hidden = open < 0;
    byId("open").textContent = trail[0] === open ? "fold" : "unfold all";
    side.hidden = true;
    fit(); search();
  };
  const span = (ms) => {
    if (ms === null || ms === undefined) return null;
    if (ms < 1000) return `${ms}ms`;
    const s = Math.round(ms / 1000), h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60;
    return `${h ? h + "h" : ""}${m ? m + "m" : ""}${s % 60 || s < 60 ? (s % 60) + "s" : ""}`;
  };
  const facts = (node) => {
    const table = element("table", undefined, side);
    const row = (name, value) => {
      if (value === null || value === undefined || value === "" || value.length === 0) return;
      const line = element("tr", undefined, table);
      element("td", name, line);
      element("code", String(value), element("td", undefined, line));
    };
    row("state", node.state && (node.note ? `${node.state} · ${node.note}` : node.state));
    row("about", node.description);
    row("does", node.does);
    row("if", node.if.join("\n"));
    row("group", node.group);
    row("shards", node.shards > 1 ? node.shards : null);
    row("attempts", `at most ${node.attempts}`);
    row("timeout", span(node.timeout_ms) || "none");
    row("worst case", span(node.worst_ms) || "unbounded");
    row("expected", node.expected && `${span(node.expected.p50_ms)}, p95 ${span(node.expected.p95_ms)} (${node.expected.samples} samples)`);
    row("all items", node.work && `${span(node.work.p50_ms)}, p95 ${span(node.work.p95_ms)} (runs: ${node.work.runs})`);
    row("pools", node.pools.map((pool) => `${pool.name} (${pool.weight})`).join(", "));
    row("slack", node.critical ? "none: on the critical path" : span(node.slack_ms));
    const some = (ids) => ids.length > 20 ? `${ids.slice(0, 20).join("\n")}\nand ${ids.length - 20} more` : ids.join("\n");
    row("needs", some(needs.get(node.id)));
    row("needed by", some(wanted.get(node.id)));
  };
  const select = (at) => {
    const block = data.views[trail[trail.length - 1]].boxes[at], svg = current();
    side.hidden = false; side.replaceChildren();
    const close = element("button", "×", side);
    close.className = "close"; close.onclick = () => { side.hidden = true; svg.classList.remove("picking"); };
    element("h2", block.label, side);
    if (block.nodes.length === 1) facts(nodes[block.nodes[0]]);
    else {
      const view = data.views.findIndex((other) => other.fold !== null && other.fold === block.fold);
      if (view >= 0 && view !== trail[trail.length - 1]) element("button", "unfold", side).onclick = () => show([...trail, view]);
      const list = element("ol", undefined, side);
      for (const ix of block.nodes.slice(0, 2000)) {
        const node = nodes[ix];
        element("button", node.state ? `${node.id} · ${node.state}` : node.id, element("li", undefined, list)).onclick = () => {
          side.querySelectorAll("table").forEach((old) => old.remove());
          facts(node); side.scrollTop = side.scrollHeight;
        };
      }
    }
    svg.classList.add("picking");
    svg.querySelectorAll(".near").forEach((old) => old.classList.remove("near"));
    const near = new Set([String(at)]);
    svg.querySelectorAll(".link").forEach((link) => {
      if (link.dataset.from === String(at) || link.dataset.to === String(at)) {
        link.classList.add("near"); near.add(link.dataset.from); near.add(link.dataset.to);
      }
    });
    svg.querySelectorAll(".stage").forEach((stage) => stage.classList.toggle("near", near.has(stage.dataset.box)));
  };
  const search = () => {
    const word = find.value.trim().toLowerCase(), svg = current(), view = data.views[trail[trail.length - 1]];
    svg.classList.toggle("finding", word !== "");
    svg.querySelectorAll(".stage").forEach((stage) => {
      const block = view.boxes[+stage.dataset.box];
      const hit = word !== "" && (block.label.toLowerCase().includes(word)
        || block.nodes.some((ix) => nodes[ix].id.toLowerCase().includes(word) || nodes[ix].does.toLowerCase().includes(word)));
      stage.classList.toggle("hit", hit);
    });
  };
  let grip = null, moved = false;
  plane.addEventListener("pointerdown", (e) => { grip = [e.clientX - x, e.clientY - y]; moved = false; });
  window.addEventListener("pointermove", (e) => {
    if (!grip) return;
    const [nx, ny] = [e.clientX - grip[0], e.clientY - grip[1]];
    if (Math.abs(nx - x) + Math.abs(ny - y) > 3) moved = true;
    if (moved) { x = nx; y = ny; move(); }
  });
  window.addEventListener("pointerup", () => { grip = null; });
  plane.addEventListener("click", (e) => {
    if (moved) return;
    const stage = e.target.closest(".stage");
    if (stage) select(+stage.dataset.box);
    else { side.hidden = true; current().classList.remove("picking"); }
  });
  plane.addEventListener("dblclick", (e) => {
    const stage = e.target.closest(".stage");
    const block = stage && data.views[trail[trail.length - 1]].boxes[+stage.dataset.box];
    const view = block && block.fold !== null ? data.views.findIndex((other) => other.fold === block.fold) : -1;
    if (view >= 0 && view !== trail[trail.length - 1]) show([...trail, view]);
  });
  plane.addEventListener("wheel", (e) => {
    e.preventDefault();
    const room = plane.getBoundingClientRect(), px = e.clientX - room.left, py = e.clientY - room.top;
    const next = Math.min(4, Math.max(0.1, scale * Math.exp(-e.deltaY / 500)));
    x = px - (px - x) * next / scale; y = py - (py - y) * next / scale; scale = next; move();
  }, { passive: false });
  find.addEventListener("input", search);
  byId("fit").onclick = fit;
  byId("open").onclick = () => show([trail[0] === open ? 0 : open]);
  window.addEventListener("keydown", (e) => {
    if (e.key === "/" && document.activeElement !== find) { e.preventDefault(); find.focus(); }
    if (e.key === "Escape") { find.value = ""; search(); side.hidden = true; current().classList.remove("picking"); find.blur(); }
    if (e.key === "Backspace" && document.activeElement !== find && trail.length > 1) show(trail.slice(0, -1));
  });
  show([0]);
})();
