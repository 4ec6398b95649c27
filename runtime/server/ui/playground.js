// The playground: chat and completion, streamed, with constraints. Started by app.js.

import { getJson, stream } from "./api.js";
import { byId, count, element, seconds } from "./dom.js";
import { startEditor } from "./editor.js";

const conversation = [];
let running = null;

export function startPlayground({ explain }) {
  const editor = startEditor();
  for (const radio of document.querySelectorAll("[name=mode]")) {
    radio.addEventListener("change", showMode);
  }
  byId("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    send(editor, explain);
  });
  byId("prompt").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send(editor, explain);
  });
  byId("stop").addEventListener("click", () => running?.abort());
  byId("clear").addEventListener("click", () => {
    conversation.length = 0;
    byId("turns").replaceChildren();
    byId("usage").replaceChildren();
  });
}

const isChat = () => document.querySelector("[name=mode]:checked").value === "chat";

function showMode() {
  const chat = isChat();
  for (const part of document.querySelectorAll(".chat-only")) part.hidden = !chat;
  byId("prompt").placeholder = chat
    ? "Write a message. Ctrl+Enter sends it."
    : "Write the beginning of a text. Ctrl+Enter continues it.";
}

function addTurn(role, text) {
  const body = element("div", "text", text);
  const turn = element("div", `turn ${role}`, element("b", "", role), body);
  byId("turns").append(turn);
  turn.scrollIntoView({ block: "end" });
  return { turn, body };
}

// Where a model's thinking is shown, above its answer.
function thinkingOf(body) {
  if (!body.previousElementSibling.matches("details")) {
    const thinking = element("details", "thinking", element("summary", "", "thinking"));
    thinking.open = true;
    body.before(thinking);
  }
  return body.previousElementSibling;
}

function requestOf(text, constraint) {
  const common = {
    stream: true,
    stream_options: { include_usage: true },
    temperature: Number(byId("temperature").value),
    max_tokens: Number(byId("max-tokens").value),
    ...(constraint && { response_format: constraint }),
  };
  if (!isChat()) return { ...common, prompt: text };
  const system = byId("system").value.trim();
  const messages = [...(system ? [{ role: "system", content: system }] : []), ...conversation];
  return { ...common, messages };
}

async function send(editor, explain) {
  const text = byId("prompt").value;
  if (running || !text) return;
  let constraint;
  try {
    constraint = editor.constraint();
  } catch (error) {
    addTurn("assistant", error.message).turn.classList.add("failed");
    return;
  }
  const chat = isChat();
  addTurn(chat ? "user" : "prompt", text);
  if (chat) conversation.push({ role: "user", content: text });
  byId("prompt").value = "";
  setRunning(new AbortController());
  const { turn, body } = addTurn("assistant", "");
  const started = performance.now();
  let first = null;
  let answer = "";
  let usage = null;
  try {
    const path = chat ? "/v1/chat/completions" : "/v1/completions";
    for await (const event of stream(path, requestOf(text, constraint), running.signal)) {
      usage = event.usage ?? usage;
      const choice = event.choices[0];
      const piece = (chat ? choice?.delta?.content : choice?.text) ?? "";
      const thought = choice?.delta?.reasoning_content ?? "";
      if (piece || thought) first ??= performance.now();
      if (thought) thinkingOf(body).append(thought);
      answer += piece;
      body.textContent = answer;
    }
    if (chat) conversation.push({ role: "assistant", content: answer });
    if (constraint?.type.startsWith("json")) showJson(turn, body, answer);
    showUsage(usage, started, first ?? performance.now(), explain);
  } catch (error) {
    turn.classList.add("failed");
    const reason = error.name === "AbortError" ? "stopped" : error.message;
    body.textContent = answer ? `${answer}\n(${reason})` : reason;
    // What was not answered is no part of the conversation that the next message continues.
    if (chat) conversation.pop();
  } finally {
    setRunning(null);
  }
}

function setRunning(controller) {
  running = controller;
  byId("send").disabled = Boolean(controller);
  byId("stop").disabled = !controller;
}

function showJson(turn, body, answer) {
  turn.classList.add("json");
  try {
    body.textContent = JSON.stringify(JSON.parse(answer), null, 2);
  } catch {
    turn.classList.add("failed");
  }
}

function showUsage(usage, started, first, explain) {
  if (!usage) return;
  const cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
  const rest = (performance.now() - first) / 1000;
  // Pieces that came in one go tell nothing about the speed.
  const speed = rest > 0.05 ? (usage.completion_tokens - 1) / rest : 0;
  const why = element("button", "", "Why so much?");
  why.type = "button";
  why.addEventListener("click", async () => {
    const { view } = await getJson("/ui/api/now");
    const mine = view.ended.find((request) => request.prompt_tokens === usage.prompt_tokens);
    if (mine) explain(mine.number);
  });
  byId("usage").replaceChildren(
    `${count(usage.prompt_tokens)} prompt tokens, ${count(cached)} of them from the cache; `,
    `first token after ${seconds((first - started) / 1000)}; ${count(usage.completion_tokens)} `,
    `generated${speed ? ` at ${count(speed)} per second` : ""}. `,
    why,
  );
}
