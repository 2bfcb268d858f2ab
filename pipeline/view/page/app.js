// The router, the keys, the theme.
import { ask, count, h, plural } from "./dom.js";
import { forest } from "./forest.js";
import { tree } from "./tree.js";
import { chat, node } from "./node.js";
import { dropped, pairs, search } from "./lists.js";
import { filters } from "./filters.js";

const PAGES = { "": forest, tree, node, chat, search, pairs, filters, dropped };
const GROWING_MS = 5000;
const main = document.getElementById("main");
const field = document.querySelector("#search input");
let leaving = new AbortController();

function decoded(part) {
  try { return decodeURIComponent(part); } catch { return part; }
}

// A page gets where to draw, the parts of its address, and a signal that it is left.
async function show() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decoded);
  const page = PAGES[name] || forest;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.page === (name || "forest")) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (name !== "search") field.value = "";
  const place = h("div", { "data-shown": name || "forest" });
  main.replaceChildren(place);
  window.scrollTo(0, 0);
  try {
    await page(place, rest, signal);
    if (!signal.aborted) place.dataset.done = "";
  } catch (error) {
    if (!signal.aborted) place.append(h("p", { class: "card worse", role: "alert" }, error.message));
  }
}

async function tellState() {
  const run = await ask("run");
  const { kept, asked } = run.counts;
  const state = run.sealed ? `sealed, snapshot ${run.snapshot}` : "growing";
  document.getElementById("state").textContent =
    `${run.location} · ${run.recipe} · ${run.model} · ${state} · ${count(kept)} kept of ${plural(asked, "candidate")}`;
  document.title = `Arborist · ${run.run_id}`;
  window.dispatchEvent(new CustomEvent("looked", { detail: run }));
  if (!run.sealed) setTimeout(keepTelling, GROWING_MS);
}

function keepTelling() {
  tellState().catch((error) => {
    document.getElementById("state").textContent = `${error.message}; is the command still running?`;
  });
}

function turnTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("theme", root.dataset.theme); } catch { /* not allowed to remember */ }
  window.dispatchEvent(new Event("themed"));
}

function step(by) {
  const items = [...main.querySelectorAll(".item")].filter((item) => item.offsetParent !== null);
  if (!items.length) return;
  const at = items.indexOf(document.activeElement);
  const next = items[Math.max(0, Math.min(items.length - 1, at < 0 ? 0 : at + by))];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

const follow = (selector) => main.querySelector(selector)?.click();
const KEYS = {
  j: () => step(1), k: () => step(-1), t: turnTheme,
  "/": () => field.focus(), "?": () => document.getElementById("keys").showModal(),
  f: () => { location.hash = "#/"; }, d: () => { location.hash = "#/dropped"; },
  p: () => { location.hash = "#/pairs"; }, w: () => { location.hash = "#/filters"; },
  u: () => follow("[data-up]"), c: () => follow("[data-chat]"),
  ArrowDown: () => step(1), ArrowUp: () => step(-1),
};

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.matches("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key === "Enter" && event.target.matches(".item:not(a)")) event.target.click();
  else if (KEYS[event.key]) KEYS[event.key]();
  else return;
  event.preventDefault();
}

document.addEventListener("keydown", pressed);
document.getElementById("theme").addEventListener("click", turnTheme);
document.getElementById("help").addEventListener("click", KEYS["?"]);
document.getElementById("search").addEventListener("submit", (event) => {
  event.preventDefault();
  if (field.value.trim()) location.hash = `#/search/${encodeURIComponent(field.value.trim())}`;
  field.blur();
});
window.addEventListener("hashchange", show);
try {
  const theme = localStorage.getItem("theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch { /* not allowed to remember */ }
show();
keepTelling();
