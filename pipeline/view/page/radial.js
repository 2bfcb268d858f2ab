// A tree as a wheel: the root in the middle, a ring a level, as much room as there are leaves.
import { h, nodeLink, place, svg } from "./dom.js";

const SIZE = 1000;

export function radial(root, below, shown) {
  const children = (row) => (below.get(row.node_id) || []).filter(shown);
  const leaves = new Map();
  const weigh = (row) => {
    const weight = children(row).reduce((sum, child) => sum + weigh(child), 0) || 1;
    leaves.set(row.node_id, weight);
    return weight;
  };
  weigh(root);
  let depth = 1;
  const lines = [];
  const dots = [];
  const spots = [];
  const lay = (row, from, to, level) => {
    depth = Math.max(depth, level);
    let start = from;
    spots.push([row, (from + to) / 2, level]);
    for (const child of children(row)) {
      const wide = ((to - from) * leaves.get(child.node_id)) / leaves.get(row.node_id);
      lay(child, start, start + wide, level + 1);
      start += wide;
    }
  };
  lay(root, 0, 2 * Math.PI, 0);
  const ring = (SIZE / 2 - 20) / depth;
  const at = new Map(spots.map(([row, angle, level]) =>
    [row.node_id, [SIZE / 2 + level * ring * Math.cos(angle), SIZE / 2 + level * ring * Math.sin(angle), angle, level]]));
  const size = Math.max(3, Math.min(11, 260 / Math.sqrt(spots.length + 1) / 2));
  for (const [row, , level] of spots) {
    const [x, y, angle] = at.get(row.node_id);
    if (level) {
      const [px, py] = at.get(row.parent_id);
      const bend = [SIZE / 2 + (level - 0.5) * ring * Math.cos(angle), SIZE / 2 + (level - 0.5) * ring * Math.sin(angle)];
      lines.push(svg("path", { d: `M${px},${py} Q${bend[0]},${bend[1]} ${x},${y}`, class: row.drop_reason ? "fell" : "" }));
    }
    dots.push(svg("circle", {
      cx: x, cy: y, r: level ? size : size * 1.4,
      class: `${row.path.length ? row.role : "root"} ${row.drop_reason ? "fell" : ""}`,
      onclick: () => { location.hash = nodeLink(row); },
    }, svg("title", {}, `${place(row.path)} ${row.drop_reason || ""}\n${row.text}`)));
  }
  const picture = svg("svg", { class: "radial", viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img", "aria-label": "The tree as a wheel" }, lines, dots);
  const key = [["fill-kept", "user"], ["fill-answer", "assistant"], ["fill-dropped", "dropped (hollow)"]];
  return h("div", {}, h("p", { class: "legend soft" }, key.map(([kind, what]) => [h("i", { class: kind }), what])), picture);
}
