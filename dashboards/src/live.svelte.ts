// What the server tells by itself: one WebSocket (graphql-transport-ws) for everything that is watched. After a cut each
// subscription goes on behind the last event it heard, so nothing is missed and nothing told twice. Pages do not put
// events together: an event says that asking again is worthwhile.

import { untrack } from 'svelte';
import type { Told, Topic } from './queries/live';

/** What is called with every event, and with null when something may have been missed. */
type Listener = (event: Told | null) => void;
type Message = { type: string; id?: string; payload?: unknown };
type Payload = { data?: Record<string, Told> | null; errors?: unknown[] };

const PROTOCOL = 'graphql-transport-ws';
// How long is waited before the socket is tried again: after each failure twice as long, up to the second.
const AGAIN_MS = 1_000;
const AGAIN_MS_MAX = 30_000;
// A subscription that the server ended is asked for again after so long.
const RESUBSCRIBE_MS = 5_000;

class Watch {
  readonly topic: Topic;
  readonly listeners = new Set<Listener>();
  /** Number of the last event; null before the first, when only new ones are told. */
  after: number | null = null;
  /** The subscription under way, by its id on this socket. */
  id: string | null = null;

  constructor(topic: Topic) {
    this.topic = topic;
  }

  hear(event: Told | null): void {
    for (const listener of this.listeners) listener(event);
  }
}

class Live {
  /** Whether the server tells what is new; while it does not, pages ask every so often. */
  connected = $state(false);
  private socket: WebSocket | null = null;
  private failures = 0;
  private ids = 0;
  private readonly watches = new Map<string, Watch>();

  /** Hears of a topic until the returned function is called. */
  watch(topic: Topic, listener: Listener): () => void {
    const key = topic.field + JSON.stringify(topic.variables);
    const watch = this.watches.get(key) ?? new Watch(topic);
    this.watches.set(key, watch);
    watch.listeners.add(listener);
    // Whoever watches within an effect is not to watch anew when the socket comes or goes.
    if (untrack(() => this.connected)) this.subscribe(watch);
    else this.open();
    return () => {
      watch.listeners.delete(listener);
      if (watch.listeners.size > 0) return;
      this.watches.delete(key);
      if (watch.id !== null) this.send({ type: 'complete', id: watch.id });
    };
  }

  private open(): void {
    if (this.socket !== null || this.watches.size === 0) return;
    const url = new URL('/graphql', location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = new WebSocket(url, PROTOCOL);
    this.socket = socket;
    socket.onopen = () => this.send({ type: 'connection_init' });
    socket.onmessage = ({ data }) => this.take(JSON.parse(String(data)) as Message);
    socket.onclose = () => this.lost();
  }

  private lost(): void {
    this.socket = null;
    this.connected = false;
    for (const watch of this.watches.values()) watch.id = null;
    const wait = Math.min(AGAIN_MS_MAX, AGAIN_MS * 2 ** this.failures++);
    setTimeout(() => this.open(), wait);
  }

  private send(message: Message): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  private subscribe(watch: Watch): void {
    if (watch.id !== null) return;
    watch.id = String(++this.ids);
    const variables = { ...watch.topic.variables, after: watch.after };
    this.send({ type: 'subscribe', id: watch.id, payload: { query: watch.topic.query, variables } });
  }

  private take(message: Message): void {
    if (message.type === 'ping') this.send({ type: 'pong' });
    else if (message.type === 'connection_ack') this.greeted();
    const watch = [...this.watches.values()].find(({ id }) => id !== null && id === message.id);
    if (watch === undefined) return;
    if (message.type === 'complete' || message.type === 'error') this.ended(watch);
    else if (message.type === 'next') this.told(watch, message.payload as Payload);
  }

  private greeted(): void {
    this.connected = true;
    this.failures = 0;
    for (const watch of this.watches.values()) {
      this.subscribe(watch);
      // What happened between the page's own question and now was told to nobody.
      if (watch.after === null) watch.hear(null);
    }
  }

  private told(watch: Watch, { data, errors }: Payload): void {
    const event = data?.[watch.topic.field];
    // Refused: the number we would go on behind is no longer kept, or of another data folder.
    if (errors !== undefined || event === undefined) return this.ended(watch);
    watch.after = event.sequence;
    watch.hear(event);
  }

  /** Begins anew: from now on, with what was missed asked for by the pages. */
  private ended(watch: Watch): void {
    const { id } = watch;
    watch.after = null;
    watch.id = `${id}, ended`;
    setTimeout(() => {
      if (watch.id !== `${id}, ended`) return;
      watch.id = null;
      if (!this.connected || watch.listeners.size === 0) return;
      this.subscribe(watch);
      watch.hear(null);
    }, RESUBSCRIBE_MS);
  }
}

export const live = new Live();

// A page asks again at most so often, however much happens; without a socket it asks so often; and when nothing was
// told for so long, because a standstill is no event.
const PACE_MS = 2_000;
const POLL_MS = 10_000;
const SILENCE_MS = 30_000;
const BEAT_MS = 500;

/** Asks now, and again when a topic says something new, while somebody looks; gives what ends it. */
export function following(topics: readonly Topic[], question: () => void): () => void {
  let [asked, due] = [0, true];
  const look = (): void => {
    const since = Date.now() - asked;
    if (document.hidden || since < (due ? PACE_MS : live.connected ? SILENCE_MS : POLL_MS)) return;
    [asked, due] = [Date.now(), false];
    untrack(question);
  };
  const ends = topics.map((topic) =>
    live.watch(topic, () => {
      due = true;
      look();
    }),
  );
  const beat = setInterval(look, BEAT_MS);
  document.addEventListener('visibilitychange', look);
  look();
  return () => {
    clearInterval(beat);
    document.removeEventListener('visibilitychange', look);
    for (const end of ends) end();
  };
}
