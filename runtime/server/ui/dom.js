// Small helpers for elements, numbers and canvases. Text only ever becomes text nodes.

export const byId = (id) => document.getElementById(id);

export function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children.map((child) => child ?? ""));
  return made;
}

export function seconds(value) {
  if (value === null || value === undefined) return "";
  if (value < 0.0995) return `${(value * 1000).toFixed(value < 0.00995 ? 1 : 0)} ms`;
  if (value < 100) return `${value.toFixed(value < 10 ? 2 : 1)} s`;
  return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
}

export const count = (value) => Math.round(value).toLocaleString("en");

export const colour = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// A canvas as sharp as the screen; returns its context in CSS pixels, cleared.
export function prepare(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const scale = devicePixelRatio || 1;
  const wide = Math.round(width * scale);
  const high = Math.round(height * scale);
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

export const lengthOf = (request) => request.total_s ?? request.age_s;

// A request's life as a bar: waiting, computing the prompt, decoding. at: the place of a moment,
// in seconds since it came.
export function paintLife(context, request, at, top, height) {
  const end = lengthOf(request);
  const queue = Math.min(request.queue_s ?? end, end);
  const first = Math.min(request.first_token_s ?? end, end);
  for (const [from, to, shade] of [[0, queue, "wait"], [queue, first, "prefill"],
    [first, end, "decode"]]) {
    context.fillStyle = colour(shade);
    if (to > from) context.fillRect(at(from), top, Math.max(1, at(to) - at(from)), height);
  }
}
