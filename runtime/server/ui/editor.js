// The editor of constraints, checked while one types: first as JSON here, then by the server, which
// compiles the schema and names the place that it cannot enforce. Used by playground.js.

import { postJson } from "./api.js";
import { byId } from "./dom.js";

const PAUSE_MS = 300;
const KINDS = {
  json_schema: {
    label: "JSON Schema",
    text: `{
  "type": "object",
  "properties": {
    "customer": { "type": "string" },
    "urgency": { "enum": ["low", "normal", "high"] },
    "items": { "type": "integer", "minimum": 0 }
  },
  "required": ["customer", "urgency", "items"]
}`,
  },
  regex: { label: "Regular expression", text: "[A-Z][a-z]+ [0-9]{4}" },
  choice: { label: "One choice per line", text: "yes\nno\nunclear" },
};

export function startEditor() {
  const texts = Object.fromEntries(Object.entries(KINDS).map(([kind, { text }]) => [kind, text]));
  let timer = 0;
  let asked = null;

  const kind = () => byId("constraint").value;

  function showKind() {
    const shown = kind() in KINDS;
    byId("editor").hidden = !shown;
    if (shown) {
      byId("editor-label").textContent = KINDS[kind()].label;
      byId("schema").value = texts[kind()];
    }
    check();
  }

  function say(ok, message) {
    const verdict = byId("verdict");
    verdict.hidden = message === "";
    verdict.dataset.ok = String(ok);
    verdict.textContent = message;
    byId("schema").setAttribute("aria-invalid", String(ok === false));
  }

  function check() {
    clearTimeout(timer);
    asked?.abort();
    if (kind() !== "json_schema") {
      say(null, "");
      return;
    }
    try {
      JSON.parse(byId("schema").value);
    } catch (error) {
      say(false, `no JSON: ${error.message}`);
      return;
    }
    say(null, "checking ...");
    timer = setTimeout(ask, PAUSE_MS);
  }

  async function ask() {
    asked = new AbortController();
    try {
      const body = { json_schema: byId("schema").value };
      const verdict = await postJson("/ui/api/schema", body, asked.signal);
      const place = verdict.pointer ? `${verdict.pointer}: ` : "";
      say(verdict.ok, verdict.ok ? "can be enforced" : place + verdict.message);
    } catch (error) {
      if (error.name !== "AbortError") say(false, error.message);
    }
  }

  byId("constraint").addEventListener("change", showKind);
  byId("schema").addEventListener("input", () => {
    texts[kind()] = byId("schema").value;
    check();
  });
  return { constraint: () => constraintOf(kind(), byId("schema").value) };
}

// The response_format of a request, or undefined. Throws for a schema that is no JSON.
function constraintOf(kind, text) {
  if (kind === "json_schema") {
    try {
      return { type: kind, json_schema: { name: "answer", schema: JSON.parse(text) } };
    } catch (error) {
      throw new Error(`the schema is no JSON: ${error.message}`);
    }
  }
  if (kind === "json_object") return { type: kind };
  if (kind === "regex") return { type: kind, pattern: text };
  if (kind === "choice") return { type: kind, choices: text.split("\n").filter(Boolean) };
  return undefined;
}
