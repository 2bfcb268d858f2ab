// What would fall at another threshold: sliders over the scores that are stored.
import { ask, count, fill, h, lines, svg } from "./dom.js";
import { rowCard } from "./lists.js";

const BARS = 50;
const SHOWN = 20;

export async function filters(place, [chosen = ""], signal) {
  fill(place, h("h1", {}, "What would fall at this threshold"));
  const told = h("p", { class: "soft" }, "Reading scores …");
  fill(place, told);
  const { scores, waves, of } = await ask("scores", {}, signal);
  told.textContent = scores.length
    ? `By the scores of ${waves === of ? "all" : `${count(waves)} of ${count(of)}`} waves. Bars: kept and dropped turns by score. A dashed line: the run's own threshold.`
    : "No scores are stored in this run.";
  if (!scores.length) return;
  const name = (score) => `${score.score} · ${score.role}`;
  // First those by which turns are judged, and of these the ones that tell turns apart.
  const rank = (score) => (score.limits.length ? 2 : 0) + (score.low < score.high ? 1 : 0);
  const sorted = [...scores].sort((a, b) => rank(b) - rank(a));
  const pick = h("select", { id: "score", "aria-label": "Score" },
    sorted.map((score) => h("option", { value: name(score), selected: name(score) === chosen }, `${name(score)}${score.limits.length ? ` (${score.limits[0].filter})` : ""}`)));
  const panel = h("div", { class: "card", id: "panel" });
  fill(place, h("p", { class: "bar-row" }, h("label", {}, "score ", pick)), panel);
  const draw = () => slider(panel, sorted.find((score) => name(score) === pick.value), signal);
  pick.addEventListener("change", draw);
  draw();
}

// The share of turns beyond a threshold, from all values, or from evenly spaced quantiles.
function beyond(marks, relation, threshold, all) {
  if (!marks.length) return 0;
  const out = (mark) => (relation === ">" ? mark > threshold : mark < threshold);
  const number = marks.filter(out).length;
  if (number === 0 || number === marks.length || marks.length === all) return number / marks.length;
  const steps = marks.length - 1;
  const edge = relation === ">" ? marks.length - number : number;
  const [low, high] = [marks[edge - 1], marks[edge]];
  const part = high > low ? (threshold - low) / (high - low) : 1;
  const below = (edge - 1 + part) / steps;
  return relation === ">" ? 1 - below : below;
}

function slider(panel, score, signal) {
  const limit = score.limits[0];
  let relation = limit ? limit.relation : ">";
  const start = limit ? limit.threshold : score.high;
  const [low, high] = [Math.min(score.low, start), Math.max(score.high, start)];
  const range = h("input", { type: "range", min: low, max: high, step: "any", id: "threshold", "aria-label": "Threshold" });
  range.value = start;
  const side = h("select", { "aria-label": "Which side falls", id: "side" }, h("option", { value: ">" }, "falls above"), h("option", { value: "<" }, "falls below"));
  side.value = relation;
  const told = h("p", { id: "falls", role: "status" });
  const curve = h("div");
  const list = h("div", { class: "rows", id: "falling" });
  const show = h("button", { type: "button", id: "show-falling" }, "Show kept turns that would fall");
  panel.replaceChildren(curve, range, h("div", { class: "bar-row spread" }, h("span", {}, side), show), told, list);
  const draw = () => {
    relation = side.value;
    const threshold = Number(range.value);
    const kept = beyond(score.kept, relation, threshold, score.num_kept);
    const fell = beyond(score.dropped, relation, threshold, score.num_dropped);
    told.textContent = `At ${relation} ${Number(threshold.toPrecision(4))}: about ${count(Math.round(kept * score.num_kept))} of ${count(score.num_kept)} kept turns would fall (${(100 * kept).toFixed(1)} %), and ${(100 * fell).toFixed(1)} % of the ${count(score.num_dropped)} dropped ones lie there.`;
    curve.replaceChildren(picture(score, [low, high], threshold));
    list.replaceChildren();
  };
  range.addEventListener("input", draw);
  side.addEventListener("change", draw);
  show.addEventListener("click", () => examples(list, score, side.value, Number(range.value), signal));
  draw();
}

async function examples(list, score, relation, threshold, signal) {
  list.replaceChildren(h("p", { class: "soft" }, "Looking …"));
  const query = { score: score.score, role: score.role, relation, threshold, most: SHOWN };
  const rows = [];
  try {
    for await (const line of lines("falling", query, signal)) rows.push(...(line.rows || []));
  } catch (error) {
    list.replaceChildren(h("p", { class: "worse", role: "alert" }, error.message));
    return;
  }
  list.replaceChildren(...rows.map((row) => rowCard(row, row.text, `${score.score} ${Number(row.value.toPrecision(4))}`)));
  if (!rows.length) list.append(h("p", { class: "soft" }, "No kept turn would fall."));
}

function histogram(marks, all, [low, high]) {
  const bars = new Array(BARS).fill(0);
  for (const mark of marks) {
    const at = high > low ? Math.floor((BARS * (mark - low)) / (high - low)) : 0;
    bars[Math.max(0, Math.min(BARS - 1, at))] += 1;
  }
  return bars.map((bar) => (bar * all) / Math.max(1, marks.length));
}

function picture(score, [low, high], threshold) {
  const kept = histogram(score.kept, score.num_kept, [low, high]);
  const fell = histogram(score.dropped, score.num_dropped, [low, high]);
  const most = Math.sqrt(Math.max(...kept.map((bar, i) => bar + fell[i]), 1));
  const tall = (bar) => (100 * Math.sqrt(bar)) / most;
  const at = (value) => (high > low ? (100 * (value - low)) / (high - low) : 0);
  const wide = 100 / BARS;
  const bars = kept.flatMap((bar, i) => {
    const whole = tall(bar + fell[i]);
    const own = bar + fell[i] ? (whole * bar) / (bar + fell[i]) : 0;
    return [
      svg("rect", { class: "k", x: i * wide, y: 100 - own, width: wide * 0.9, height: own }),
      svg("rect", { class: "d", x: i * wide, y: 100 - whole, width: wide * 0.9, height: whole - own }),
    ];
  });
  const mark = (value, kind) => svg("line", { class: kind, x1: at(value), x2: at(value), y1: 0, y2: 100 });
  return svg("svg", { class: "curve", viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" },
    bars, score.limits.map((limit) => mark(limit.threshold, "own")), mark(threshold, "chosen"));
}
