// The page's frame: tabs, theme, and the one poll that feeds the views. Entry point of index.html.

import { getJson } from "./api.js";
import { startCharts } from "./charts.js";
import { startPlayground } from "./playground.js";
import { startRequests } from "./requests.js";
import { startTree } from "./tree.js";

const POLL_MS = 1000;
const TABS = ["playground", "tree", "requests", "charts"];
const byId = (id) => document.getElementById(id);

const views = {
  requests: startRequests(),
  charts: startCharts(),
  tree: startTree(),
};
startPlayground({ explain: (number) => { show("requests"); views.requests.explain(number); } });

let shown = "playground";

function show(tab) {
  shown = tab;
  for (const name of TABS) {
    byId(name).hidden = name !== tab;
    const button = document.querySelector(`[data-tab="${name}"]`);
    button.setAttribute("aria-selected", String(name === tab));
  }
  history.replaceState(null, "", `#${tab}`);
  views.tree.setVisible(tab === "tree");
  views.charts.setVisible(tab === "charts");
}

function setStatus(state, text) {
  byId("status").dataset.state = state;
  byId("status").textContent = text;
}

async function poll() {
  try {
    const now = await getJson("/ui/api/now");
    byId("model").textContent = `${now.model}, context ${now.context_length}`;
    setStatus("ok", `up, ${now.view.running.length} running`);
    views.requests.update(now.view);
    views.charts.update(now.view);
    views.tree.setRequests([...now.view.running]);
  } catch (error) {
    setStatus("bad", error.message);
  }
  // After the answer, not on a clock: a slow server is not asked twice at a time.
  setTimeout(poll, document.hidden ? POLL_MS * 5 : POLL_MS);
}

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  views.charts.redraw();
  views.tree.redraw();
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

byId("theme").addEventListener("click", () => {
  const theme = isDark() ? "light" : "dark";
  localStorage.setItem("theme", theme);
  setTheme(theme);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme());
for (const button of document.querySelectorAll("[data-tab]")) {
  button.addEventListener("click", () => show(button.dataset.tab));
}
addEventListener("hashchange", () => openFromHash());

function openFromHash() {
  const wanted = location.hash.slice(1);
  show(TABS.includes(wanted) ? wanted : shown);
}

setTheme(localStorage.getItem("theme"));
openFromHash();
poll();
