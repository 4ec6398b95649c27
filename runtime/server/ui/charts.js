// Throughput and latency of the last five minutes, one point per second. Started by app.js.

import { byId, colour, count, element, prepare, seconds } from "./dom.js";

// Between 0 and 1 there is a line at 0.5.
const perSecond = (value) => (Number.isInteger(value) ? count(value) : value.toFixed(1));

const PLOTS = [
  { title: "Tokens per second", unit: perSecond, lines: [
    ["generated", "decode", (rates) => rates.generated],
    ["prompt", "prefill", (rates) => rates.prompt],
    ["of it cached", "good", (rates) => rates.cached]] },
  { title: "Requests per second", unit: perSecond, lines: [
    ["finished", "good", (rates) => rates.finished],
    ["failed", "bad", (rates) => rates.failed]] },
  { title: "Time to first token", unit: seconds, lines: [
    ["median", "decode", (rates) => rates.ttft_p50],
    ["95 %", "prefill", (rates) => rates.ttft_p95]] },
  { title: "Between tokens", unit: seconds, lines: [
    ["median", "decode", (rates) => rates.gap_p50],
    ["95 %", "prefill", (rates) => rates.gap_p95]] },
];

export function startCharts() {
  let view = null;
  let visible = false;
  const plots = PLOTS.map((plot) => {
    const canvas = element("canvas", "");
    const key = element("span", "key");
    for (const [name, shade] of plot.lines) {
      const swatch = element("i", "");
      // A style attribute is forbidden here by the page's policy; a property is not.
      swatch.style.background = `var(--${shade})`;
      key.append(swatch, name);
    }
    byId("plots").append(element("div", "plot", element("h2", "", plot.title, key), canvas));
    return { ...plot, canvas };
  });

  function redraw() {
    if (!visible || !view) return;
    showTiles(view);
    for (const plot of plots) draw(plot, view.rates);
  }

  return {
    redraw,
    update(fresh) { view = fresh; redraw(); },
    setVisible(now) { visible = now; redraw(); },
  };
}

// The engine's own numbers come a moment after it has started.
const ifKnown = (value, show) => (Number.isFinite(value) ? show(value) : "not known yet");
const percent = (share) => `${(100 * share).toFixed(0)} %`;

function showTiles({ stats, rates, running, num_others: numOthers }) {
  const prompt = rates.prompt.reduce((sum, n) => sum + n, 0);
  const cached = rates.cached.reduce((sum, n) => sum + n, 0);
  const used = stats.num_slots - stats.free_slots;
  const tiles = [
    ["running", count(running.length + numOthers)],
    ["waiting", ifKnown(stats.waiting + stats.compiling, count)],
    ["generated tokens", ifKnown(stats.generated_tokens, count)],
    ["cached of prompts, 5 min", prompt ? percent(cached / prompt) : "none yet"],
    ["KV slots used", ifKnown(used / stats.num_slots, percent)],
    ["retractions", ifKnown(stats.retractions, count)],
  ];
  byId("tiles").replaceChildren(...tiles.map(([name, value]) =>
    element("div", "tile", element("span", "dim", name), element("b", "", value))));
}

function draw({ canvas, lines, unit }, rates) {
  const { context, width, height } = prepare(canvas);
  const series = lines.map(([, shade, pick]) => [shade, pick(rates)]);
  const left = 62;
  const bottom = height - 20;
  let top = 0;
  for (const [, values] of series) for (const value of values) top = Math.max(top, value ?? 0);
  top = nice(top);
  const n = Math.max(60, series[0][1].length);
  const x = (i, length) => left + ((n - length + i + 0.5) / n) * (width - left - 4);
  const y = (value) => bottom - (value / top) * (bottom - 8);
  context.font = "11px sans-serif";
  context.fillStyle = colour("dim");
  context.strokeStyle = colour("line");
  context.lineWidth = 1;
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const share of [0, 0.5, 1]) {
    context.beginPath();
    context.moveTo(left, y(top * share));
    context.lineTo(width, y(top * share));
    context.stroke();
    context.fillText(share ? unit(top * share) : "0", left - 6, y(top * share));
  }
  context.textBaseline = "top";
  context.fillText("now", width, bottom + 5);
  context.textAlign = "left";
  context.fillText(`${n} s ago`, left, bottom + 5);
  for (const [shade, values] of series) {
    context.strokeStyle = context.fillStyle = colour(shade);
    context.lineWidth = 1.6;
    context.beginPath();
    let pen = false;
    values.forEach((value, i) => {
      if (value === null) {
        pen = false;
        return;
      }
      if (pen) context.lineTo(x(i, values.length), y(value));
      else context.moveTo(x(i, values.length), y(value));
      pen = true;
      // A second between two silent ones would leave no line.
      context.fillRect(x(i, values.length) - 1.5, y(value) - 1.5, 3, 3);
    });
    context.stroke();
  }
}

// The next of 1, 2, 5 times a power of ten.
function nice(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}
