// Programs that run now: the calls of each on one line, all lines on one clock. Used by requests.js.

import { byId, colour, count, element, lengthOf, paintLife, prepare, seconds } from "./dom.js";

// Between two calls a program may be busy with a tool: it is shown a little longer.
const QUIET_S = 5;
const MOST = 40;
const LANE = 12;

export function showPrograms(view, explain) {
  const programs = programsOf(view);
  const shown = programs.slice(0, MOST);
  const span = Math.max(0.001, ...shown.map((program) => program.age_s));
  byId("num-programs").textContent = programs.length > MOST
    ? `${count(programs.length)}, the oldest ${MOST} shown` : String(programs.length);
  const lines = shown.map((program) => [program, lineOf(program, span, explain)]);
  byId("programs").replaceChildren(programs.length
    ? tableOf(lines.map(([, line]) => line)) : element("p", "dim", "none"));
  for (const [program, line] of lines) draw(line.querySelector("canvas"), program, span);
}

// Those with a call that runs or ended a moment ago, the oldest first.
function programsOf({ running, ended }) {
  const found = new Map();
  for (const call of [...running, ...ended]) {
    if (!call.program) continue;
    const program = found.get(call.program) ?? { number: call.program, calls: [], quiet_s: Infinity };
    program.calls.push(call);
    const quiet = call.outcome === null ? 0 : call.age_s - call.total_s;
    program.quiet_s = Math.min(program.quiet_s, quiet);
    found.set(call.program, program);
  }
  const live = [...found.values()].filter((program) => program.quiet_s < QUIET_S);
  for (const program of live) {
    program.calls.sort((a, b) => a.number - b.number);
    program.age_s = Math.max(...program.calls.map((call) => call.age_s));
    program.lanes = intoLanes(program.calls);
  }
  return live.sort((a, b) => b.age_s - a.age_s);
}

// Calls side by side (branches of a fork) lie below each other.
function intoLanes(calls) {
  const ends = [];
  return calls.map((call) => {
    const start = -call.age_s;
    let lane = ends.findIndex((end) => end <= start + 1e-3);
    if (lane < 0) lane = ends.length;
    ends[lane] = start + lengthOf(call);
    return lane;
  });
}

function tableOf(lines) {
  const head = element("tr", "");
  for (const [title, kind] of [["program"], ["calls", "number"], ["prompt", "number"],
    ["cached", "number"], ["new", "number"], ["since", "number"], ["timeline"]]) {
    head.append(element("th", kind, title));
  }
  return element("table", "", element("thead", "", head), element("tbody", "", ...lines));
}

function lineOf(program, span, explain) {
  const sum = (pick) => program.calls.reduce((total, call) => total + (pick(call) ?? 0), 0);
  const prompt = sum((call) => call.prompt_tokens);
  const share = `${Math.round((100 * sum((call) => call.cached_tokens)) / Math.max(1, prompt))} %`;
  const canvas = element("canvas", "life");
  const height = LANE * (Math.max(...program.lanes) + 1);
  canvas.style.height = `${height}px`;
  canvas.title = `the last ${seconds(span)}; choose a call to see what the cache did for it`;
  canvas.addEventListener("click", (event) => {
    const call = callAt(program, span, event.offsetX / canvas.clientWidth, event.offsetY);
    if (call) explain(call.number);
  });
  const line = element("tr", "",
    element("td", "", String(program.number)),
    element("td", "number", count(program.calls.length)),
    element("td", "number", count(prompt)), element("td", "number", share),
    element("td", "number", count(sum((call) => call.generated_tokens))),
    element("td", "number", seconds(program.age_s)), element("td", "bar-cell", canvas));
  line.dataset.program = String(program.number);
  return line;
}

function callAt(program, span, share, y) {
  const ago = span * (1 - share);
  const lane = Math.floor(y / LANE);
  return program.calls.find((call, i) =>
    program.lanes[i] === lane && ago <= call.age_s && ago >= call.age_s - lengthOf(call));
}

// The right edge is now.
function draw(canvas, program, span) {
  const { context, width } = prepare(canvas);
  program.calls.forEach((call, i) => {
    const at = (s) => ((span - call.age_s + s) / span) * width;
    paintLife(context, call, at, program.lanes[i] * LANE + 1, LANE - 3);
  });
  context.fillStyle = colour("line");
  context.fillRect(width - 1, 0, 1, LANE * (Math.max(...program.lanes) + 1));
}
