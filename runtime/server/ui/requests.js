// Running and ended requests with their timelines, and what the cache did for one. Started by app.js.

import { getJson } from "./api.js";
import { byId, colour, count, element, lengthOf, paintLife, prepare, seconds } from "./dom.js";
import { showPrograms } from "./programs.js";

const REASONS = {
  whole: "Everything was there. The last token is always computed: its logits choose the first new one.",
  empty: "Nothing in the cache began like this prompt.",
  diverged: "Up to here the prompt equals others in the tree; then it goes its own way, and they go on with:",
  evicted: "What follows had been cached, but was evicted before the request came.",
  new: "What was cached ended here: nothing had gone on from this place.",
};

const PLAIN_ENDS = ["stop", "length", "cancelled", "client_gone"];

export function startRequests() {
  let selected = null;
  let shown = [];

  function update(view) {
    shown = [];
    showPrograms(view, explain);
    byId("num-running").textContent = view.running.length + (view.num_others
      ? ` (and ${view.num_others} of other keys)` : "");
    const longest = Math.max(0.001, ...[...view.running, ...view.ended].map(lengthOf));
    byId("running").replaceChildren(view.running.length
      ? tableOf(groupByClient(view.running), Math.max(0.001, ...view.running.map(lengthOf)))
      : element("p", "dim", "nothing"));
    byId("ended").replaceChildren(view.ended.length
      ? tableOf(view.ended, longest) : element("p", "dim", "nothing yet"));
    // Drawn last: a canvas that is not in the page yet has no size.
    for (const [row, request] of shown) drawLife(row.querySelector("canvas"), request);
  }

  function tableOf(requests, longest) {
    const head = element("tr", "");
    for (const [title, kind] of [["#"], ["client"], ["kind"], ["prompt", "number"],
      ["cached", "number"], ["new", "number"], ["first token", "number"], ["total", "number"],
      ["timeline"], ["state"]]) head.append(element("th", kind, title));
    const body = element("tbody", "");
    for (const request of requests) {
      const row = rowOf(request, longest);
      shown.push([row, { ...request, longest }]);
      body.append(row);
    }
    return element("table", "", element("thead", "", head), body);
  }

  function rowOf(request, longest) {
    const share = request.cached_tokens === null ? ""
      : `${Math.round((100 * request.cached_tokens) / Math.max(1, request.prompt_tokens))} %`;
    const failed = request.outcome && !PLAIN_ENDS.includes(request.outcome);
    const kind = request.kind + (request.constraint ? `, ${request.constraint}` : "") +
      (request.num_sequences > 1 ? ` x${request.num_sequences}` : "");
    const life = element("canvas", "life");
    life.title = `of ${seconds(longest)}`;
    const row = element("tr", "",
      element("td", "", String(request.number)), element("td", "", String(request.client)),
      element("td", "", kind), element("td", "number", count(request.prompt_tokens)),
      element("td", "number", share), element("td", "number", count(request.generated_tokens)),
      element("td", "number", seconds(request.first_token_s)),
      element("td", "number", seconds(lengthOf(request))), element("td", "bar-cell", life),
      element("td", failed ? "failed-word" : "", request.outcome ?? stateOf(request)));
    row.tabIndex = 0;
    row.dataset.request = String(request.number);
    row.setAttribute("aria-selected", String(request.number === selected));
    row.addEventListener("click", () => explain(request.number));
    row.addEventListener("keydown", (event) => {
      if (event.key === "Enter") explain(request.number);
    });
    return row;
  }

  async function explain(number) {
    selected = number;
    for (const row of document.querySelectorAll("[data-request]")) {
      row.setAttribute("aria-selected", String(Number(row.dataset.request) === number));
    }
    const panel = byId("explanation");
    try {
      const told = await getJson(`/ui/api/requests/${number}/cache`);
      panel.replaceChildren(...explanationOf(told));
      drawShare(panel.querySelector("canvas"), told);
    } catch (error) {
      panel.replaceChildren(element("h2", "", `Request ${number}`),
        element("p", "dim", error.message));
    }
  }

  return { update, explain };
}

function groupByClient(requests) {
  return [...requests].sort((a, b) => a.client - b.client || a.number - b.number);
}

function stateOf(request) {
  const counts = new Map();
  for (const state of request.states) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts].map(([state, n]) => (n > 1 ? `${n} ${state}` : state)).join(", ") || "arriving";
}

// All on one scale for the whole table.
function drawLife(canvas, request) {
  const { context, width, height } = prepare(canvas);
  paintLife(context, request, (s) => (s / request.longest) * width, 1, height - 2);
}

function explanationOf(told) {
  const percent = Math.round((100 * told.num_cached) / Math.max(1, told.num_tokens));
  const text = element("div", "prompt-text", element("span", "cached", told.cached_text),
    element("span", "computed", told.computed_text));
  const parts = [
    element("h2", "", `Request ${told.request}`),
    element("p", "", `${count(told.num_cached)} of ${count(told.num_tokens)} prompt tokens ` +
      `(${percent} %) came from the cache.`),
    element("canvas", "share"),
    element("p", "reason", REASONS[told.reason]),
  ];
  if (told.reason === "diverged") {
    const list = element("ul", "");
    for (const other of told.continuations) {
      list.append(element("li", "", element("code", "", other.text),
        ` ${count(other.size)} tokens, ${count(other.hits)} hits`));
    }
    const more = told.num_continuations - told.continuations.length;
    if (more > 0) list.append(element("li", "dim", `and ${count(more)} more`));
    parts.push(list);
  }
  parts.push(element("h2", "", "The prompt"), text,
    element("p", "legend", `Along ${count(told.pieces.length)} nodes of the tree as it is now; ` +
      "green was cached, orange was computed."));
  return parts;
}

// The prompt as a bar: cached and computed, with the borders of the tree's nodes.
function drawShare(canvas, told) {
  const { context, width, height } = prepare(canvas);
  const at = (tokens) => (tokens / Math.max(1, told.num_tokens)) * width;
  context.fillStyle = colour("computed");
  context.fillRect(0, 0, width, height);
  context.fillStyle = colour("good");
  context.fillRect(0, 0, at(told.num_cached), height);
  context.fillStyle = colour("panel");
  let end = 0;
  for (const piece of told.pieces) {
    end += piece.size;
    context.fillRect(at(end) - 0.5, 0, 1, height);
  }
}
