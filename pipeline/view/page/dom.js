// Elements, and questions to the server. Texts of a run are only ever set as text.

export function h(tag, given = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [k, v] of Object.entries(value)) element.style.setProperty(k, v);
    else element.setAttribute(name, value === true ? "" : value);
  }
  fill(element, ...children);
  return element;
}

// What is not there is left out.
export function fill(element, ...children) {
  const there = (child) => child !== null && child !== undefined && child !== false;
  element.append(...children.flat(4).filter(there));
}

export function svg(tag, given = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(given)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(3));
  return element;
}

const address = (name, query) => `api/${name}?${new URLSearchParams(query)}`;

async function refusal(answer) {
  const told = await answer.json().catch(() => ({}));
  return new Error(told.error || `the server answered ${answer.status}`);
}

export async function ask(name, query = {}, signal = undefined) {
  const answer = await fetch(address(name, query), { signal });
  if (!answer.ok) throw await refusal(answer);
  return answer.json();
}

// Lines as they come; to abort the signal ends the work of the server, too.
export async function* lines(name, query, signal) {
  const answer = await fetch(address(name, query), { signal });
  if (!answer.ok) throw await refusal(answer);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) {
      const line = JSON.parse(part);
      if (line.error) throw new Error(line.error);
      yield line;
    }
  }
}

export const count = (number) => Number(number).toLocaleString("en");
export const plural = (number, one) => `${count(number)} ${one}${number === 1 ? "" : "s"}`;
export const place = (path) => (path.length ? path.join(".") : "root");
export const nodeLink = (row) => `#/node/${row.wave}/${row.node_id}`;
export const cohortOf = (wave) => Number(wave.split(".")[0]);
export const treeLink = (cohort, tree) => `#/tree/${cohort}/${tree}`;

export function chip(reason, kept = "kept") {
  return reason ? h("span", { class: "chip drop" }, reason) : h("span", { class: "chip keep" }, kept);
}

export function parts(pieces) {
  return pieces.map(([text, shared]) => (shared ? h("mark", {}, text) : text));
}
