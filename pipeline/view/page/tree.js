// One tree: indented with folding, or radial.
import { ask, chip, count, fill, h, nodeLink, place as placeOf, plural } from "./dom.js";
import { radial } from "./radial.js";

const FOLD_BELOW = 400;

export async function tree(place, [cohort, number, view = "indented"], signal) {
  const told = await ask("tree", { cohort, tree: number }, signal);
  const below = new Map();
  for (const row of told.rows) {
    if (!below.has(row.parent_id)) below.set(row.parent_id, []);
    below.get(row.parent_id).push(row);
  }
  const root = told.rows[0];
  const open = new Set(told.open);
  const kept = told.rows.filter((row) => row.path.length && !row.drop_reason).length;
  const fallen = told.rows.filter((row) => row.drop_reason).length;
  const showFallen = h("input", { type: "checkbox", checked: true, id: "fallen" });
  const picture = h("div", { id: "picture" });
  const other = view === "radial" ? "indented" : "radial";
  fill(place,
    h("p", { class: "soft" }, h("a", { href: "#/", "data-up": true }, "Forest"), ` / tree ${number}`),
    h("h1", {}, `Tree ${number}`),
    frame(told),
    h("div", { class: "bar-row spread" },
      h("span", { class: "soft" }, `${plural(kept, "turn")} kept, ${count(fallen)} dropped`,
        told.open.length ? `, the first ${count(told.rows.length)} rows` : ""),
      h("span", { class: "bar-row" },
        h("label", { class: "soft" }, showFallen, " dropped ones too"),
        h("a", { href: `#/tree/${cohort}/${number}/${other}`, id: "other-view" }, `as ${other} picture`))),
    picture);
  const draw = () => {
    const shown = (row) => showFallen.checked || !row.drop_reason;
    const fold = told.rows.length > FOLD_BELOW;
    picture.replaceChildren(view === "radial"
      ? h("div", { class: "card" }, radial(root, below, shown))
      : h("ul", { class: "tree card" }, branch(root, { below, open, shown, fold })));
  };
  showFallen.addEventListener("change", draw);
  draw();
}

function frame(told) {
  return h("div", { class: "rows" }, told.frame.map((message) =>
    h("div", { class: "card" }, h("small", {}, `${message.role} · ${told.source}`),
      h("div", { class: "said" }, message.text))));
}

function branch(row, forest) {
  const { below, open, shown, fold } = forest;
  const unread = () => !below.has(row.node_id) && open.has(row.wave) && !row.drop_reason && row.path.length > 0;
  const children = () => (below.get(row.node_id) || []).filter(shown);
  const list = h("ul");
  const line = h("li", {});
  const opens = children().length > 0 || unread();
  const toggle = opens && h("button", { type: "button", tabindex: "-1", "aria-label": "Fold or unfold" });
  let unfolded = false;
  const set = async (wanted) => {
    if (!opens || wanted === unfolded) return;
    unfolded = wanted;
    toggle.textContent = unfolded ? "▾" : "▸";
    head.setAttribute("aria-expanded", String(unfolded));
    if (!unfolded) { list.replaceChildren(); return; }
    try {
      if (unread()) below.set(row.node_id, (await ask("children", { wave: row.wave, node: row.node_id })).rows);
    } catch (error) {
      list.replaceChildren(h("li", { class: "worse", role: "alert" }, error.message));
      return;
    }
    toggle.style.setProperty("visibility", children().length ? "visible" : "hidden");
    list.replaceChildren(...children().map((child) => branch(child, forest)));
  };
  const head = h("div", {
    class: `branch item ${row.drop_reason ? "fell" : ""}`, tabindex: "0", "data-node": row.node_id,
    onclick: () => { location.hash = nodeLink(row); },
    onkeydown: (event) => {
      if (event.key === "ArrowRight") set(true);
      else if (event.key === "ArrowLeft") (unfolded ? set(false) : parentOf(head)?.focus());
      else return;
      event.preventDefault();
    },
  }, toggle || h("span"), h("span", { class: "chip role" }, row.role),
  h("span", { class: "says", title: placeOf(row.path) }, row.text.replace(/\s+/g, " ") || "(no text)"),
  row.left_out ? chip(row.left_out) : row.drop_reason ? chip(row.drop_reason)
    : h("small", {}, row.path.length ? `${row.num_tokens} tokens` : ""));
  if (toggle) {
    toggle.textContent = "▸";
    toggle.addEventListener("click", (event) => { event.stopPropagation(); set(!unfolded); });
  }
  line.append(head, list);
  if (!unread() && (!fold || row.path.length < 1)) set(true);
  return line;
}

const parentOf = (head) => head.closest("ul")?.parentElement?.querySelector(":scope > .branch");
