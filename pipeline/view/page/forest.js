// The forest at a glance: figures, levels, reasons, and a skyline of its trees.
import { ask, count, fill, h, lines, plural, treeLink } from "./dom.js";

const LISTED = 25;
const ORDERS = {
  "as planned": (a, b) => a[1] - b[1],
  "largest first": (a, b) => b[2] - a[2],
  "deepest first": (a, b) => b[4] - a[4] || b[2] - a[2],
  "most dropped first": (a, b) => share(b) - share(a),
};
const grounds = new Map();
// A tree: cohort, number, kept, dropped, depth, tokens.
const share = (tree) => tree[3] / Math.max(1, tree[2] + tree[3]);

export async function forest(place, [from = "0"], signal) {
  const run = await ask("run", {}, signal);
  const figures = h("div", { id: "figures" }, glance(run));
  // A growing run has other figures after a while.
  window.addEventListener("looked", ({ detail }) => figures.replaceChildren(...glance(detail)), { signal });
  fill(place, figures);
  if (run.missing) fill(place, h("p", { class: "card soft" }, run.missing));
  await trees(place, run, Number(from), signal);
}

const glance = (run) => [tiles(run), h("div", { class: "two" }, levels(run), reasons(run))];

function tiles(run) {
  const grown = run.cohorts.reduce((sum, cohort) => sum + cohort[1], 0);
  const fallen = Object.values(run.counts.dropped).reduce((a, b) => a + b, 0);
  const later = Object.values(run.refined).reduce((a, b) => a + b, 0);
  const told = [
    [count(grown), grown === 1 ? "tree" : "trees"],
    [count(run.counts.kept), "turns kept"],
    [count(fallen), "dropped while growing"],
    ...(later ? [[count(later), "left out by refine"]] : []),
    [count(run.counts.output_tokens), "tokens sampled"],
  ];
  return h("div", { class: "tiles", id: "tiles" },
    told.map(([number, what]) => h("div", { class: "card tile" }, h("b", {}, number), h("small", {}, what))));
}

function track(kept, fallen, most) {
  const part = (number) => `${(100 * number) / Math.max(1, most)}%`;
  return h("div", { class: "track" },
    h("i", { class: "fill-kept", style: { width: part(kept) } }),
    h("i", { class: "fill-dropped", style: { width: part(fallen) } }));
}

function levels(run) {
  const most = Math.max(...run.levels.map((level) => level.kept + level.dropped), 1);
  return h("section", { class: "card" }, h("h2", {}, "By level"),
    h("div", { class: "measure" }, run.levels.flatMap((level) => [
      h("span", {}, `${level.level} ${level.role}`),
      track(level.kept, level.dropped, most),
      h("span", { class: "soft" }, `${count(level.kept)} of ${count(level.kept + level.dropped)}`),
    ])));
}

function reasons(run) {
  const told = Object.entries(run.counts.dropped).sort((a, b) => b[1] - a[1]);
  const most = Math.max(...told.map(([, number]) => number), 1);
  return h("section", { class: "card" }, h("h2", {}, "Why turns fell"),
    told.length ? h("div", { class: "measure" }, told.flatMap(([reason, number]) => [
      h("a", { href: `#/dropped/${encodeURIComponent(reason)}` }, reason),
      track(0, number, most),
      h("span", { class: "soft" }, count(number)),
    ])) : h("p", { class: "soft" }, "None did."));
}

async function trees(place, run, from, signal) {
  const order = h("select", { "aria-label": "Order", id: "order" },
    Object.keys(ORDERS).map((name) => h("option", {}, name)));
  const canvas = h("canvas", { "aria-hidden": "true" });
  const tip = h("div", { class: "tip", hidden: true });
  const told = h("p", { class: "soft" });
  const list = h("div");
  fill(place,
    h("div", { class: "bar-row spread" }, h("h2", {}, "Trees"),
      h("label", { class: "soft" }, "order ", order)),
    h("div", { class: "card forest" }, h("p", { class: "legend soft" }, "each bar a tree:",
      h("i", { class: "fill-kept" }), "kept", h("i", { class: "fill-dropped" }), "dropped",
      h("i", { class: "fill-answer" }), "depth"),
    canvas, tip), told, list);
  const found = [];
  let shown = LISTED;
  const more = () => { shown += LISTED; draw(); };
  const draw = () => {
    const sorted = [...found].sort(ORDERS[order.value]);
    skyline(canvas, tip, sorted);
    list.replaceChildren(table(sorted, shown, signal));
    if (sorted.length > shown) {
      list.append(h("button", { type: "button", onclick: more }, `More of ${plural(sorted.length, "tree")}`));
    }
  };
  order.addEventListener("change", draw);
  window.addEventListener("resize", draw, { signal });
  window.addEventListener("themed", draw, { signal });
  let drawn = 0;
  for await (const line of lines("trees", { from }, signal)) {
    if (line.trees) found.push(...line.trees.map((tree) => [line.cohort, ...tree]));
    if (performance.now() - drawn > 250) { draw(); drawn = performance.now(); }
    told.textContent = `${plural(found.length, "tree")} read`;
    if (line.next) fill(place, h("p", {}, h("a", { href: `#//${line.next}` }, "The next trees")));
  }
  told.textContent = "";
  draw();
}

function skyline(canvas, tip, sorted) {
  const width = canvas.clientWidth || 600;
  const pitch = Math.max(3, Math.min(64, Math.floor(width / Math.max(1, sorted.length))));
  const perRow = Math.max(1, Math.floor(width / pitch));
  const rows = Math.max(1, Math.ceil(sorted.length / perRow));
  const high = rows > 1 ? 46 : 130;
  const ratio = window.devicePixelRatio || 1;
  canvas.width = width * ratio;
  canvas.height = rows * high * ratio;
  canvas.style.height = `${rows * high}px`;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const style = getComputedStyle(document.documentElement);
  const colours = ["--kept", "--dropped", "--answer"].map((name) => style.getPropertyValue(name));
  const most = sorted.reduce((high, tree) => Math.max(high, tree[2] + tree[3]), 1);
  const deepest = sorted.reduce((deep, tree) => Math.max(deep, tree[4]), 1);
  sorted.forEach((tree, i) => {
    const x = (i % perRow) * pitch;
    const ground = (Math.floor(i / perRow) + 1) * high - 4;
    const scale = (high - 12) / most;
    const kept = Math.max(1, tree[2] * scale);
    const wide = Math.max(1, pitch - Math.max(1, pitch * 0.18));
    pen.fillStyle = colours[0];
    pen.fillRect(x, ground - kept, wide, kept);
    pen.fillStyle = colours[1];
    pen.fillRect(x, ground - kept - tree[3] * scale, wide, tree[3] * scale);
    pen.fillStyle = colours[2];
    pen.fillRect(x, ground + 1, (wide * tree[4]) / deepest, 2);
  });
  const at = (event) => {
    const column = Math.floor(event.offsetX / pitch);
    return column < perRow ? sorted[Math.floor(event.offsetY / high) * perRow + column] : undefined;
  };
  canvas.onmousemove = (event) => {
    const tree = at(event);
    tip.hidden = !tree;
    if (!tree) return;
    tip.textContent = `tree ${tree[1]}: ${count(tree[2])} kept, ${count(tree[3])} dropped, ${tree[4]} levels`;
    tip.style.setProperty("left", `${Math.max(0, Math.min(event.offsetX + 16, width - 290))}px`);
    tip.style.setProperty("top", `${event.offsetY + canvas.offsetTop + 14}px`);
  };
  canvas.onmouseleave = () => { tip.hidden = true; };
  canvas.onclick = (event) => {
    const tree = at(event);
    if (tree) location.hash = treeLink(tree[0], tree[1]);
  };
}

// What some trees grow from, read when they are listed.
function tellRoots(shown, cells, signal) {
  for (const cohort of new Set(shown.map((tree) => tree[0]))) {
    grounds.set(cohort, grounds.get(cohort) || ask("roots", { cohort }, signal));
    grounds.get(cohort).then(({ roots }) => {
      for (const tree of shown) if (tree[0] === cohort) cells.get(tree[1]).textContent = roots[tree[1]] || "";
    }).catch(() => grounds.delete(cohort));
  }
}

function table(sorted, shown, signal) {
  const head = ["tree", "grows from", "kept", "dropped", "share dropped", "levels", "tokens"];
  const cells = new Map();
  const told = h("div", { class: "card scroll" }, h("table", {},
    h("thead", {}, h("tr", {}, head.map((name, i) => h("th", { class: i < 2 ? "left" : "" }, name)))),
    h("tbody", { id: "trees" }, sorted.slice(0, shown).map((tree) => {
      const link = treeLink(tree[0], tree[1]);
      cells.set(tree[1], h("td", { class: "left ground" }));
      return h("tr", { class: "item", tabindex: "0", onclick: () => { location.hash = link; } },
        h("td", {}, h("a", { href: link, tabindex: "-1" }, `tree ${tree[1]}`)),
        cells.get(tree[1]),
        [count(tree[2]), count(tree[3]), `${Math.round(100 * share(tree))} %`, tree[4], count(tree[5])]
          .map((cell) => h("td", {}, String(cell))));
    }))));
  tellRoots(sorted.slice(0, shown), cells, signal);
  return told;
}
