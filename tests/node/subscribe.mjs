// A subscriber of ours that we did not write: the npm client graphql-ws over a real WebSocket, or fetch for server-sent
// events.
//
// usage: node subscribe.mjs ws|sse URL QUERY FIELD VALUE
// Prints a JSON list of the answers, up to the first one whose FIELD of the one root field is at least VALUE.

import { createClient } from "graphql-ws";
import WebSocket from "ws";

const [transport, url, query, field, value] = process.argv.slice(2);
const answers = [];

// Keeps an answer and says whether it is the last.
function keep(answer) {
  answers.push(answer);
  if (answer.errors) return true;
  const [root] = Object.values(answer.data);
  return field in root && Number(root[field]) >= Number(value);
}

async function overWebSocket() {
  const client = createClient({ url: url.replace(/^http/, "ws"), webSocketImpl: WebSocket, retryAttempts: 0 });
  for await (const answer of client.iterate({ query })) {
    if (keep(answer)) break;
  }
  await client.dispose();
}

async function overEvents() {
  const asked = { method: "POST", body: JSON.stringify({ query }) };
  const headers = { "content-type": "application/json", accept: "text/event-stream" };
  const stop = new AbortController();
  const response = await fetch(url, { ...asked, headers, signal: stop.signal });
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  let text = "";
  for await (const bytes of response.body.pipeThrough(new TextDecoderStream())) {
    text += bytes;
    const events = text.split("\n\n");
    text = events.pop();
    for (const event of events) {
      const lines = event.split("\n");
      const kind = lines.find((line) => line.startsWith("event:"))?.slice(6).trim();
      const data = lines.find((line) => line.startsWith("data:"))?.slice(5).trim();
      if (kind === "complete") return;
      if (kind === "next" && keep(JSON.parse(data))) return stop.abort();
    }
  }
}

await (transport === "sse" ? overEvents() : overWebSocket());
// A pipe takes more than it holds only while the process lives.
process.stdout.write(JSON.stringify(answers), () => process.exit(0));
