// A node's full story, and the conversation that it ends.
import { ask, chip, cohortOf, count, fill, h, nodeLink, parts, place as placeOf, treeLink } from "./dom.js";

const SHADES = [0.2, 0.7, 1.6, 3, 5];

export async function node(place, [wave, id], signal) {
  const story = await ask("node", wave === "-" ? { node: id } : { wave, node: id }, signal);
  const { node: said, verdict } = story;
  fill(place,
    trail(story),
    h("div", { class: "bar-row spread" },
      h("h1", {}, `${said.kind === "turn" ? said.role : said.kind}, path ${placeOf(said.path)}`),
      h("a", { href: `#/chat/${story.wave}/${said.node_id}`, "data-chat": true }, "as a chat")),
    h("div", { class: "bar-row" }, chip(verdict.reason), h("span", { id: "verdict" }, verdict.words === "kept" ? "" : verdict.words || "")),
    story.later && h("p", { class: "worse" }, `Left out of snapshot ${story.later.snapshot}: ${story.later.reason}`,
      story.later.similarity !== null && `, similarity ${story.later.similarity.toFixed(3)}`,
      story.later.keeper_run && `, of run ${story.later.keeper_run}`),
    laterKeeper(story, signal),
    story.keeper && beside(story),
    text(story),
    h("div", { class: "two" }, facts(story), evidence(story)),
    asked(story),
    path(story),
    about(story),
    siblings(story));
}

function trail(story) {
  const { node: said, path: above } = story;
  const parent = above[above.length - 2];
  const up = parent ? nodeLink(parent) : treeLink(story.cohort, said.tree_id);
  return h("p", { class: "soft" }, h("a", { href: "#/" }, "Forest"), " / ",
    h("a", { href: treeLink(story.cohort, said.tree_id) }, `tree ${said.tree_id}`), " / ",
    h("a", { href: up, "data-up": true }, parent ? `parent ${placeOf(parent.path)}` : "root"), " / ",
    h("code", {}, said.node_id));
}

// Its text; token by token where log-probabilities are stored, as ids where no tokenizer is at hand.
function text({ pieces, keeper, node: said }) {
  const plain = h("div", { class: "card said big", id: "text" }, said.text || "(no text)");
  if (!pieces || !pieces.length) return keeper ? null : plain;
  const spelled = pieces[0][0] !== null;
  const key = h("p", { class: "soft" }, "The redder a token, the less likely the model found it.");
  if (spelled) return [h("div", { class: "card said big", id: "text" }, pieces.map(shaded)), key];
  return [keeper ? null : plain, h("details", { class: "card" }, h("summary", {}, "Tokens by id"),
    h("div", { class: "said mono" }, pieces.map(shaded)), key)];
}

function shaded([said, id, logprob]) {
  const shade = logprob === null ? 0 : SHADES.filter((limit) => -logprob > limit).length;
  const title = `token ${id}${logprob === null ? "" : `, log-probability ${logprob.toFixed(2)}`}`;
  return h("span", { "data-shade": String(shade), title }, said === null ? `${id} ` : said);
}

const beside = (story) => both(story.keeper, story.keeper.parts);

function both(keeper, [ours, theirs]) {
  return h("div", { class: "two", id: "beside" },
    h("div", { class: "card" }, h("small", {}, "this one"), h("div", { class: "said big" }, parts(ours))),
    h("a", { class: "card row item", href: nodeLink(keeper) },
      h("small", {}, `its keeper, tree ${keeper.tree_id}, ${placeOf(keeper.path)}`),
      h("div", { class: "said big" }, parts(theirs))));
}

// A refinement compares the whole run, so the keeper is looked for while the rest can be read.
function laterKeeper(story, signal) {
  const { later, node: said } = story;
  if (!later || !later.keeper_id || later.keeper_run) return null;
  const place = h("p", { class: "soft" }, `Looking for its keeper ${later.keeper_id.slice(0, 8)} …`);
  ask("keeper", { wave: story.wave, node: said.node_id, keeper: later.keeper_id }, signal)
    .then((found) => place.replaceWith(both(found.keeper, found.parts)))
    .catch((error) => { if (!signal.aborted) place.textContent = error.message; });
  return place;
}

function facts(story) {
  const { node: said, verdict, children } = story;
  const fell = Object.entries(children.dropped).map(([reason, number]) => `${number} ${reason}`).join(", ");
  const told = [
    ["level", said.level], ["origin", said.origin], ["written by", said.model],
    ["tokens", `${count(said.num_tokens)}${said.reasoning_tokens ? `, ${said.reasoning_tokens} of them reasoning` : ""}`],
    ["ended by", said.stop_id === null ? said.finish_reason : `${said.finish_reason} (token ${said.stop_id})`],
    ["mean log-probability", said.mean_logprob === null ? null : said.mean_logprob.toFixed(3)],
    ["chosen in place", verdict.mmr_rank === null ? null : verdict.mmr_rank + 1],
    ["similarity", verdict.similarity === null ? null : verdict.similarity.toFixed(3)],
    ["children", said.kind === "turn" && verdict.kept ? `${children.kept} kept${fell ? `, dropped ${fell}` : ""}` : null],
    ["wave", story.wave], ["grows from", story.source],
  ].filter(([, value]) => value !== null && value !== "" && value !== undefined);
  return h("section", { class: "card" }, h("h2", {}, "Facts"),
    h("dl", { class: "facts" }, told.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))])));
}

function evidence(story) {
  const against = new Set(story.evidence.map((told) => told.score));
  const told = Object.entries(story.scores);
  return h("section", { class: "card", id: "scores" }, h("h2", {}, "Scores"),
    story.evidence.map((one) => h("p", { class: "worse" },
      `${one.filter}: ${one.score} ${one.value.toPrecision(4)} ${one.relation} ${one.threshold}`)),
    told.length ? h("dl", { class: "facts" }, told.flatMap(([name, value]) => [
      h("dt", {}, name), h("dd", { class: against.has(name) ? "worse" : "" }, Number(value.toPrecision(4)).toString())]))
      : h("p", { class: "soft" }, "None are stored."));
}

function asked(story) {
  const { prompt } = story;
  if (!prompt) return null;
  const text = prompt.parts.map(([part, special]) => (special ? h("span", { class: "special" }, part) : part));
  return h("details", { class: "card", open: true, id: "prompt" },
    h("summary", {}, `The prompt: ${count(prompt.num_tokens)} tokens`),
    h("p", { class: "soft" }, prompt.proven === null ? "Rebuilt from its ancestors: its draft was asked from it."
      : prompt.proven ? "Rebuilt from its ancestors, and proven by its hash."
      : "Rebuilt from its ancestors; its hash does not agree.",
    prompt.decoded ? "" : " What stands between the texts is shown as ids; --model DIR spells it."),
    h("div", { class: "prompt" }, text));
}

function path(story) {
  return h("section", {}, h("h2", {}, "Path"), h("div", { class: "rows" },
    story.frame.map((message) => turn(message.role, message.text, null)),
    story.path.map((one) => turn(one.kind === "turn" ? one.role : one.kind, one.text, one.node_id === story.node.node_id ? null : nodeLink(one)))));
}

function turn(role, text, link) {
  return h(link ? "a" : "div", { class: `card row ${link ? "item" : ""} role-${role}`, href: link },
    h("div", { class: "about" }, role), h("p", {}, text || "(no text)"));
}

function about(story) {
  if (!story.beside.length) return null;
  return h("section", {}, h("h2", {}, "Beside the turn"), h("div", { class: "rows" }, story.beside.map((one) =>
    h("a", { class: "card row item", href: `#/node/${story.wave}/${one.node_id}` },
      h("div", { class: "about" }, one.kind, one.drop_reason && chip(one.drop_reason)), h("p", {}, one.text)))));
}

function siblings(story) {
  if (story.siblings.length < 2) return null;
  return h("section", {}, h("h2", {}, `Siblings: ${count(story.num_siblings)}`), h("div", { class: "rows", id: "siblings" },
    story.siblings.map((one) => h("a", {
      class: "card row item", href: nodeLink(one), "aria-current": one.node_id === story.node.node_id ? "true" : null,
    }, h("div", { class: "about" }, h("span", {}, placeOf(one.path)), chip(one.drop_reason),
      one.similarity !== null && h("span", {}, one.similarity.toFixed(3))), h("p", {}, one.text || "(no text)")))));
}

export async function chat(place, [wave, id], signal) {
  const story = await ask("node", { wave, node: id }, signal);
  const below = story.verdict.kept && story.node.kind === "turn"
    ? (await ask("children", { wave, node: id }, signal)).rows.filter((row) => !row.drop_reason) : [];
  const bubble = (role, text, link, here) => h(link ? "a" : "div",
    { class: `bubble ${role} ${link ? "item" : ""} ${here ? "here" : ""}`, href: link },
    h("small", {}, role), h("div", { class: "said" }, text || "(no text)"));
  fill(place,
    h("p", { class: "soft" }, h("a", { href: treeLink(cohortOf(wave), story.node.tree_id) }, `tree ${story.node.tree_id}`), " / ",
      h("a", { href: nodeLink({ wave, node_id: id }), "data-up": true, "data-chat": true }, `${placeOf(story.node.path)}, its story`),
      story.verdict.kept ? null : [" ", chip(story.verdict.reason)]),
    h("div", { class: "chat" },
      story.frame.map((message) => bubble(message.role, message.text, null)),
      story.path.map((one) => bubble(one.role, one.text, nodeLink(one), one.node_id === id)),
      below.length > 0 && h("p", { class: "soft" }, "It goes on:"),
      below.map((row) => h("a", { class: "card row item", href: `#/chat/${row.wave}/${row.node_id}` },
        h("div", { class: "about" }, row.role, h("span", {}, placeOf(row.path))), h("p", {}, row.text)))));
}
