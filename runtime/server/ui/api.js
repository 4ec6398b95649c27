// Talks to the server. Used by every other script; the browser itself adds the API key.

// Not relative: a page opened as http://user:key@host/ui may not fetch from such an address again.
const here = location.origin;

async function fail(response) {
  let message = `status ${response.status}`;
  try {
    message = (await response.json()).error.message;
  } catch {
    // A proxy in between may answer without JSON.
  }
  throw new Error(message);
}

async function reach(path, options) {
  try {
    return await fetch(here + path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("the server does not answer");
  }
}

export async function getJson(path) {
  const response = await reach(path, {});
  return response.ok ? response.json() : fail(response);
}

function post(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  return reach(path, { method: "POST", headers, body: JSON.stringify(body), signal });
}

export async function postJson(path, body, signal) {
  const response = await post(path, body, signal);
  return response.ok ? response.json() : fail(response);
}

// Yields the data of server-sent events until [DONE]. Throws what an `error` event says.
export async function* stream(path, body, signal) {
  const response = await post(path, body, signal);
  if (!response.ok) await fail(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error("the stream ended early");
    buffer += value;
    const events = buffer.split("\n\n");
    buffer = events.pop();
    for (const event of events) {
      const data = event.slice(event.indexOf("data: ") + 6);
      if (data === "[DONE]") return;
      const message = JSON.parse(data);
      if (message.error) throw new Error(message.error.message);
      yield message;
    }
  }
}
