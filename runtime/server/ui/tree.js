// The radix tree, live, on a canvas: area by tokens, colour by hits, rings for who holds it; drag,
// wheel, hover, find. Started by app.js. Draws only when something changed.

import { getJson } from "./api.js";
import { byId, colour, count, element, prepare, seconds } from "./dom.js";
import { layOut, makeIndex } from "./layout.js";

const POLL_MS = 1500;
const RAMP = ["#4a7fb5", "#4795b0", "#45a8a8", "#45b5a0", "#7dbb80", "#b5bf60", "#e3c14a",
  "#e39a40", "#e27a36", "#e0572e"];
const FOUND = "#c04ad0";

export function startTree() {
  const canvas = byId("tree-canvas");
  const tip = byId("tree-tip");
  const camera = { x: 0, y: 0, zoom: 1, touched: false };
  let data = null;
  let place = null;
  let find = () => -1;
  let held = new Uint8Array(0);
  let holdersOf = new Map();
  let found = new Set();
  let requests = new Map();
  let heat = new Uint8Array(0);
  let hovered = -1;
  let visible = false;
  let frame = 0;
  let timer = 0;

  function redraw() {
    if (visible && !frame) frame = requestAnimationFrame(draw);
  }

  // --- data ---

  async function poll() {
    clearTimeout(timer);
    const started = performance.now();
    if (byId("tree-live").checked || !data) {
      try {
        take(await getJson("/ui/api/tree"));
      } catch (error) {
        byId("tree-facts").textContent = error.message;
      }
    }
    // A big tree is asked for less often: never more than a fifth of the time.
    const pause = Math.max(POLL_MS, 5 * (performance.now() - started));
    if (visible) timer = setTimeout(poll, pause);
  }

  function take(fresh) {
    const sameShape = data !== null && same(data.ids, fresh.ids) && same(data.sizes, fresh.sizes);
    data = fresh;
    if (!sameShape) {
      place = layOut(data);
      find = makeIndex(place);
      hovered = -1;
      tip.hidden = true;
      if (!camera.touched) fit();
    }
    const most = Math.log1p(data.hits.reduce((high, hits) => Math.max(high, hits), 1));
    heat = Uint8Array.from(data.hits, (hits) =>
      Math.min(RAMP.length - 1, Math.floor((Math.log1p(hits) / most) * RAMP.length)));
    noteHolders();
    search();
    byId("tree-empty").hidden = data.ids.length > 0;
    byId("tree-facts").textContent =
      `${count(data.ids.length)} nodes here, ${count(data.num_tokens)} of ` +
      `${count(data.num_slots)} KV slots cached, ${count(data.num_evicted)} evicted so far` +
      (data.truncated ? "; only the nodes nearest to the root are shown" : "");
    canvas.dataset.nodes = String(data.ids.length);
    redraw();
  }

  function noteHolders() {
    held = new Uint8Array(data.ids.length);
    holdersOf = new Map();
    for (const [sid, last] of data.holders) {
      for (let i = last; i >= 0; i = data.parents[i]) {
        held[i] = 1;
        if (!holdersOf.has(i)) holdersOf.set(i, []);
        holdersOf.get(i).push(sid);
      }
    }
  }

  function search() {
    const wanted = byId("tree-find").value.toLowerCase();
    found = new Set();
    if (!wanted || !data) return;
    data.texts.forEach((text, i) => {
      if (text.toLowerCase().includes(wanted)) found.add(i);
    });
  }

  // --- drawing ---

  function fit() {
    const size = Math.min(canvas.clientWidth, canvas.clientHeight) || 600;
    camera.x = camera.y = 0;
    camera.zoom = Math.min(2, (size * 0.47) / ((place?.extent ?? 100) + 30));
    camera.touched = false;
  }

  function draw() {
    frame = 0;
    if (!data) return;
    const started = performance.now();
    const { context, width, height } = prepare(canvas);
    const { zoom } = camera;
    const left = width / 2 - camera.x * zoom;
    const top = height / 2 - camera.y * zoom;
    const { x, y, r } = place;
    const n = x.length;
    const near = (i, margin) => {
      const px = x[i] * zoom + left;
      const py = y[i] * zoom + top;
      return px > -margin && px < width + margin && py > -margin && py < height + margin;
    };
    drawEdges(context, zoom, left, top, near);
    // One path for each colour: ten fills instead of ten thousand.
    const paths = RAMP.map(() => new Path2D());
    const rings = new Path2D();
    const marks = new Path2D();
    for (let i = 0; i < n; i++) {
      if (!near(i, 30)) continue;
      const px = x[i] * zoom + left;
      const py = y[i] * zoom + top;
      const radius = Math.max(0.8, r[i] * zoom);
      if (radius < 1.6) paths[heat[i]].rect(px - radius, py - radius, 2 * radius, 2 * radius);
      else circle(paths[heat[i]], px, py, radius);
      if (held[i]) circle(rings, px, py, radius + 2.5);
      if (found.has(i)) circle(marks, px, py, radius + 4);
    }
    RAMP.forEach((shade, i) => {
      context.fillStyle = shade;
      context.fill(paths[i]);
    });
    context.lineWidth = 2;
    context.strokeStyle = colour("accent");
    context.stroke(rings);
    context.strokeStyle = FOUND;
    context.stroke(marks);
    drawRoot(context, left, top);
    if (zoom > 0.7) drawLabels(context, zoom, left, top, near);
    if (hovered >= 0) drawPath(context, zoom, left, top);
    canvas.dataset.drawMs = (performance.now() - started).toFixed(1);
  }

  function drawEdges(context, zoom, left, top, near) {
    const { x, y } = place;
    const edges = new Path2D();
    for (let i = 0; i < x.length; i++) {
      const parent = data.parents[i];
      if (!near(i, 200) && (parent < 0 || !near(parent, 200))) continue;
      edges.moveTo((parent < 0 ? 0 : x[parent]) * zoom + left,
        (parent < 0 ? 0 : y[parent]) * zoom + top);
      edges.lineTo(x[i] * zoom + left, y[i] * zoom + top);
    }
    context.strokeStyle = colour("edge");
    // Thousands of lines are a surface: thin ones let the nodes be seen.
    context.lineWidth = Math.min(1.5, Math.max(x.length > 2000 ? 0.3 : 0.8, zoom));
    context.stroke(edges);
  }

  function drawRoot(context, left, top) {
    context.fillStyle = colour("dim");
    context.beginPath();
    context.arc(left, top, 5, 0, 7);
    context.fill();
  }

  function drawLabels(context, zoom, left, top, near) {
    const { x, y, r } = place;
    context.fillStyle = colour("ink");
    context.font = "11px sans-serif";
    context.textBaseline = "middle";
    let drawn = 0;
    for (let i = 0; i < x.length && drawn < 400; i++) {
      if (!near(i, 0)) continue;
      const text = data.texts[i].replace(/\s+/g, " ").trim().slice(0, 28);
      const px = x[i] * zoom + left;
      const py = y[i] * zoom + top;
      const gap = r[i] * zoom + 6;
      const leftward = x[i] < 0;
      context.textAlign = leftward ? "right" : "left";
      context.fillText(text, px + (leftward ? -gap : gap), py);
      drawn++;
    }
  }

  // From the hovered node to the root: the prefix that its text continues.
  function drawPath(context, zoom, left, top) {
    const { x, y, r } = place;
    context.strokeStyle = colour("ink");
    context.lineWidth = 2;
    context.beginPath();
    for (let i = hovered; i >= 0; i = data.parents[i]) {
      context.lineTo(x[i] * zoom + left, y[i] * zoom + top);
    }
    context.lineTo(left, top);
    context.stroke();
    context.beginPath();
    context.arc(x[hovered] * zoom + left, y[hovered] * zoom + top, r[hovered] * zoom + 3, 0, 7);
    context.stroke();
  }

  // --- mouse and keys ---

  const toWorld = (px, py) => [
    (px - canvas.clientWidth / 2) / camera.zoom + camera.x,
    (py - canvas.clientHeight / 2) / camera.zoom + camera.y,
  ];

  function hover(px, py) {
    const index = data ? find(...toWorld(px, py), 8 / camera.zoom) : -1;
    if (index !== hovered) {
      hovered = index;
      redraw();
    }
    tip.hidden = index < 0;
    if (index < 0) return;
    tip.replaceChildren(...describe(index));
    const width = Math.min(420, canvas.clientWidth * 0.6);
    tip.style.left = `${Math.min(px + 14, Math.max(0, canvas.clientWidth - width))}px`;
    tip.style.top = `${Math.min(py + 14, Math.max(0, canvas.clientHeight - 150))}px`;
  }

  function describe(i) {
    const who = (holdersOf.get(i) ?? []).map((sid) => requests.get(sid) ?? `sequence ${sid}`);
    const text = data.texts[i];
    return [
      element("pre", "", text + (data.sizes[i] > 16 ? " ..." : "")),
      element("div", "", `${count(data.sizes[i])} tokens, ${count(data.hits[i])} hits, ` +
        `idle for ${seconds(data.idle_s[i])}`),
      element("div", "dim", who.length ? `held by ${who.slice(0, 8).join(", ")}` +
        (who.length > 8 ? ` and ${who.length - 8} more` : "") : "held by nobody: may be evicted"),
    ];
  }

  let dragged = null;
  canvas.addEventListener("pointerdown", (event) => {
    dragged = { x: event.offsetX, y: event.offsetY };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointerup", () => { dragged = null; });
  canvas.addEventListener("pointermove", (event) => {
    if (!dragged) {
      hover(event.offsetX, event.offsetY);
      return;
    }
    camera.x -= (event.offsetX - dragged.x) / camera.zoom;
    camera.y -= (event.offsetY - dragged.y) / camera.zoom;
    camera.touched = true;
    dragged = { x: event.offsetX, y: event.offsetY };
    redraw();
  });
  canvas.addEventListener("pointerleave", () => {
    tip.hidden = true;
    hovered = -1;
    redraw();
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomAt(event.offsetX, event.offsetY, Math.exp(-event.deltaY * 0.0015));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const step = 40 / camera.zoom;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step],
      ArrowDown: [0, step] };
    if (event.key in moves) {
      camera.x += moves[event.key][0];
      camera.y += moves[event.key][1];
      camera.touched = true;
      redraw();
    } else if (event.key === "+" || event.key === "-") {
      zoomAt(canvas.clientWidth / 2, canvas.clientHeight / 2, event.key === "+" ? 1.3 : 1 / 1.3);
    } else return;
    event.preventDefault();
  });

  function zoomAt(px, py, factor) {
    const [x, y] = toWorld(px, py);
    camera.zoom = Math.min(8, Math.max(0.005, camera.zoom * factor));
    const [x2, y2] = toWorld(px, py);
    camera.x += x - x2;
    camera.y += y - y2;
    camera.touched = true;
    redraw();
  }

  byId("tree-fit").addEventListener("click", () => { fit(); redraw(); });
  byId("tree-find").addEventListener("input", () => { search(); redraw(); });
  new ResizeObserver(() => { if (!camera.touched) fit(); redraw(); }).observe(canvas);

  return {
    redraw,
    setVisible(now) {
      visible = now;
      if (now) poll();
      else clearTimeout(timer);
    },
    setRequests(running) {
      requests = new Map(running.flatMap((request) =>
        request.sids.map((sid) => [sid, `request ${request.number}`])));
    },
  };
}

function circle(path, x, y, radius) {
  path.moveTo(x + radius, y);
  path.arc(x, y, radius, 0, 6.2832);
}

function same(a, b) {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
