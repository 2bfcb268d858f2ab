// Lists over the whole run, read as far as they are looked at: search, dropped turns, duplicates.
import { ask, chip, count, fill, h, lines, nodeLink, parts, place as placeOf } from "./dom.js";

// Rows as they are found, and a button that goes on where they stopped.
async function listed(place, name, query, card, signal) {
  const told = h("p", { class: "soft", role: "status" });
  const rows = h("div", { class: "rows", id: "rows" });
  const more = h("div", { class: "bar-row" });
  fill(place, told, rows, more);
  let shown = 0;
  const read = async (from) => {
    const stop = new AbortController();
    signal.addEventListener("abort", () => stop.abort());
    more.replaceChildren(h("button", { type: "button", onclick: () => stop.abort() }, "Stop looking"));
    try {
      let next = null;
      for await (const line of lines(name, { ...query, ...from }, stop.signal)) {
        for (const row of line.rows || []) { rows.append(card(row)); shown += 1; }
        if (line.of) told.textContent = `${count(shown)} shown, ${count(line.looked)} of ${count(line.of)} waves looked through`;
        if (line.next !== undefined) next = line.next;
      }
      more.replaceChildren();
      if (next) more.append(h("button", { type: "button", id: "more", onclick: () => read(next) }, "More"));
      else if (!shown) told.textContent = "Nothing was found.";
    } catch (error) {
      if (signal.aborted) return;
      more.replaceChildren(stop.signal.aborted ? h("span", { class: "soft" }, "Stopped.")
        : h("span", { class: "worse", role: "alert" }, error.message));
    }
  };
  await read({});
}

export function rowCard(row, text = row.text, value = undefined) {
  return h("a", { class: `card row item role-${row.role}`, href: nodeLink(row) },
    h("div", { class: "about" }, h("span", {}, `tree ${row.tree_id}, ${placeOf(row.path)}`), h("span", {}, row.role),
      chip(row.drop_reason || row.left_out), h("span", {}, `${row.num_tokens} tokens`),
      value !== undefined && h("span", {}, value)), h("p", {}, text || "(no text)"));
}

function found(text, wanted) {
  const at = text.toLowerCase().indexOf(wanted.toLowerCase());
  if (at < 0) return text;
  return [text.slice(0, at), h("mark", {}, text.slice(at, at + wanted.length)), text.slice(at + wanted.length)];
}

export async function search(place, [wanted = "", among = "all"], signal) {
  document.querySelector("#search input").value = wanted;
  const pick = (name) => h("a", {
    href: `#/search/${encodeURIComponent(wanted)}/${name}`, "aria-current": name === among ? "true" : null,
    class: name === among ? "chip keep" : "chip" }, name);
  fill(place, h("h1", {}, `“${wanted}”`), h("p", { class: "bar-row" }, ["all", "kept", "dropped"].map(pick)));
  await listed(place, "search", { q: wanted, among }, (row) => rowCard(row, found(row.text, wanted)), signal);
}

export async function dropped(place, [reason = "", later = ""], signal) {
  const run = await ask("run", {}, signal);
  const pick = (name, number, by = "") => h("a", {
    href: ["#/dropped", name, by].filter(Boolean).map((part, i) => (i ? encodeURIComponent(part) : part)).join("/"),
    class: name === reason && by === later ? "chip drop" : "chip",
  }, `${by ? `${by}: ` : ""}${name || "all"} ${count(number)}`);
  const all = Object.entries(run.counts.dropped).sort((a, b) => b[1] - a[1]);
  fill(place, h("h1", {}, reason ? `Dropped: ${reason}` : "Dropped turns"),
    h("p", { class: "bar-row" }, pick("", all.reduce((sum, [, number]) => sum + number, 0)), all.map(([name, number]) => pick(name, number)),
    Object.entries(run.refined).map(([name, number]) => pick(name, number, "refine"))));
  await listed(place, later ? "left_out" : "dropped", { reason }, (row) => rowCard(row), signal);
}

const ALIKE = { "": "repeats", duplicate: "the same", near_duplicate: "nearly the same", similar: "alike in meaning", surplus: "surplus, and what is closest" };

export async function pairs(place, [reason = ""], signal) {
  fill(place, h("h1", {}, "Duplicates, beside what says it already"),
    h("p", { class: "bar-row" }, Object.entries(ALIKE).map(([name, said]) =>
      h("a", { href: name ? `#/pairs/${name}` : "#/pairs", class: name === reason ? "chip drop" : "chip" }, said))));
  await listed(place, "pairs", { reason }, pair, signal);
}

function pair({ fallen, keeper, parts: both }) {
  const side = (row, pieces, what) => h("a", { class: "card row item", href: nodeLink(row) },
    h("div", { class: "about" }, h("span", {}, `tree ${row.tree_id}, ${placeOf(row.path)}`), what), h("p", {}, pieces));
  return h("div", { class: "two pair" },
    side(fallen, both ? parts(both[0]) : fallen.text, [chip(fallen.drop_reason),
      fallen.similarity !== null && h("span", {}, fallen.similarity.toFixed(3))]),
    keeper ? side(keeper, parts(both[1]), chip(null)) : h("p", { class: "soft" }, "Its keeper is not in its wave."));
}
