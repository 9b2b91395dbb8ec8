// The movements of an epoch as a river: what was paid for, the data channel, in which payments of an epoch are one pool,
// the models that answered, what these were made from, the datasets, the contributors; and beside the last, who kept what did not flow on, so that every stage carries the same
// money.

import { ratio, units } from '../money';
import type { Flow } from '../queries/epoch';
import { short } from '../text';

export type Kind = 'agent' | 'channel' | 'model' | 'dataset' | 'account' | 'kept';
export type Stop = { id: string; kind: Kind; label: string; column: number; entity: string | null; of: number };
export type Stream = { from: string; to: string; units: bigint };
export type River = { stops: Map<string, Stop>; streams: Stream[]; columns: number };

const KEEPERS: Record<string, string> = {
  agent: 'agents keep',
  platform: 'the platform keeps',
  stakers: 'stakers get',
  stake: 'stakers get',
};
const REST = { id: 'kept:rest', label: 'held or not listed' };
const DATA = 'channel:data';
const MODELS = { id: 'kept:models', label: 'models keep' };

const isId = (text: string): boolean => /^0x[0-9a-f]{64}$/i.test(text);

/** The stops and streams of the movements of one token; `contributors` says who made a contribution. */
export function river(flows: readonly Flow[], contributors: ReadonlyMap<string, string>): River {
  const datasets = new Set(flows.filter((flow) => flow.step === 'data' && flow.depth > 0).map((flow) => flow.source));
  const stops = new Map<string, Stop>();
  const money = new Map<string, Stream>();
  const stop = (id: string, kind: Kind, label: string, entity: string | null): string => {
    if (!stops.has(id)) stops.set(id, { id, kind, label, column: 0, entity, of: 1 });
    return id;
  };
  const add = (from: string, to: string, amount: bigint): void => {
    if (amount <= 0n) return;
    const key = `${from} ${to}`;
    const before = money.get(key)?.units ?? 0n;
    money.set(key, { from, to, units: before + amount });
  };
  const made = (id: string, label: string): string =>
    !isId(id)
      ? keeper(id)
      : datasets.has(id)
        ? stop(`dataset:${id}`, 'dataset', label, id)
        : stop(`model:${id}`, 'model', label, id);
  const keeper = (name: string): string => stop(`kept:${name}`, 'kept', KEEPERS[name] ?? `${name} keeps`, null);
  const passed = new Map<string, bigint>();

  for (const flow of flows) {
    const amount = units(flow.amount);
    const paid = `paid:${flow.source}`;
    if (flow.step === 'channel') {
      stop(paid, 'agent', flow.sourceLabel, flow.source);
      if (flow.target === 'model') passed.set(paid, (passed.get(paid) ?? 0n) + amount);
      else if (flow.target === 'data') add(paid, stop(DATA, 'channel', 'data channel', null), amount);
      else add(paid, keeper(flow.target), amount);
    } else if (flow.step === 'lineage') {
      add(made(flow.source, flow.sourceLabel), made(flow.target, flow.targetLabel), amount);
    } else if (flow.step === 'data' && flow.depth > 0) {
      const account = contributors.get(flow.target);
      const to = account === undefined ? flow.target : account;
      const label = account === undefined ? flow.targetLabel : short(account);
      add(`dataset:${flow.source}`, stop(`account:${to}`, 'account', label, account ?? null), amount);
      stop(`dataset:${flow.source}`, 'dataset', flow.sourceLabel, flow.source);
    } else {
      const from = flow.step === 'data' ? stop(DATA, 'channel', 'data channel', null) : stop(paid, 'agent', flow.sourceLabel, flow.source);
      add(from, made(flow.target, flow.targetLabel), amount);
    }
  }
  // What a channel took in and no listed movement took on.
  for (const [paid, amount] of passed) {
    const on = [...money.values()].filter((one) => one.from === paid && one.to.startsWith('model:'));
    rest(stop, add, paid, amount - on.reduce((total, one) => total + one.units, 0n), REST);
  }
  balance(stops, money, stop, add);
  return placed(stops, [...money.values()]);
}

type Stopper = (id: string, kind: Kind, label: string, entity: string | null) => string;
type Adder = (from: string, to: string, amount: bigint) => void;

function rest(stop: Stopper, add: Adder, from: string, amount: bigint, to: { id: string; label: string }): void {
  if (amount > 0n) add(from, stop(to.id, 'kept', to.label, null), amount);
}

/** Models keep what they do not pass up their lineage; what others do not pass on is nobody's yet. */
function balance(stops: Map<string, Stop>, money: Map<string, Stream>, stop: Stopper, add: Adder): void {
  for (const one of [...stops.values()]) {
    if (one.kind === 'agent' || one.kind === 'account' || one.kind === 'kept') continue;
    let left = 0n;
    for (const stream of money.values()) {
      if (stream.to === one.id) left += stream.units;
      if (stream.from === one.id) left -= stream.units;
    }
    rest(stop, add, one.id, left, one.kind === 'model' ? MODELS : REST);
  }
}

/** Columns: what was paid for, the data channel, generations of models, datasets, and at the end whoever has the money now. */
function placed(stops: Map<string, Stop>, streams: Stream[]): River {
  const generation = new Map<string, number>();
  const between = streams.filter(({ from, to }) => from.startsWith('model:') && to.startsWith('model:'));
  for (let round = 0, changed = true; changed && round <= stops.size; round++) {
    changed = false;
    for (const { from, to } of between) {
      const next = (generation.get(from) ?? 0) + 1;
      if ((generation.get(to) ?? 0) < next) {
        generation.set(to, next);
        changed = true;
      }
    }
  }
  const oldest = [...generation.values()].reduce((a, b) => Math.max(a, b), 0);
  const of: Record<Kind, number> = { agent: 0, channel: 1, model: 2, dataset: oldest + 3, account: oldest + 4, kept: oldest + 4 };
  const wanted = (one: Stop): number => of[one.kind] + (generation.get(one.id) ?? 0);
  const used = [...new Set([...stops.values()].map(wanted))].toSorted((a, b) => a - b);
  const out = new Map([...stops].map(([id, one]) => [id, { ...one, column: used.indexOf(wanted(one)) }]));
  return { stops: out, streams, columns: used.length };
}

/** Puts all but the largest stops of each column together; columns in `whole` stay as they are. */
export function gathered(all: River, most: number, whole: ReadonlySet<number>): River {
  const weights = weighed(all);
  const into = new Map<string, string>();
  const stops = new Map<string, Stop>();
  for (let column = 0; column < all.columns; column++) {
    const members = [...all.stops.values()].filter((one) => one.column === column);
    const kept = members.filter((one) => one.kind === 'kept');
    const sorted = members
      .filter((one) => one.kind !== 'kept')
      .toSorted((a, b) => compare(weights.get(b.id), weights.get(a.id)) || a.id.localeCompare(b.id));
    const shown = whole.has(column) || sorted.length <= most + 1 ? sorted : sorted.slice(0, most);
    for (const one of [...shown, ...kept]) stops.set(one.id, one);
    const others = sorted.slice(shown.length);
    const [first] = others;
    if (first === undefined) continue;
    const id = `more:${column}`;
    stops.set(id, { id, kind: first.kind, label: `${others.length} more`, column, entity: null, of: others.length });
    for (const one of others) into.set(one.id, id);
  }
  const money = new Map<string, Stream>();
  for (const stream of all.streams) {
    const [from, to] = [into.get(stream.from) ?? stream.from, into.get(stream.to) ?? stream.to];
    if (from === to) continue;
    const before = money.get(`${from} ${to}`)?.units ?? 0n;
    money.set(`${from} ${to}`, { from, to, units: before + stream.units });
  }
  return { stops, streams: [...money.values()], columns: all.columns };
}

const compare = (a = 0n, b = 0n): number => (a > b ? 1 : a < b ? -1 : 0);

/** The money of each stop: what comes in, or what goes out where nothing comes in. */
export function weighed(all: River): Map<string, bigint> {
  const [into, out] = [new Map<string, bigint>(), new Map<string, bigint>()];
  for (const { from, to, units } of all.streams) {
    into.set(to, (into.get(to) ?? 0n) + units);
    out.set(from, (out.get(from) ?? 0n) + units);
  }
  const larger = (id: string): bigint => [into.get(id) ?? 0n, out.get(id) ?? 0n].reduce((a, b) => (a > b ? a : b));
  return new Map([...all.stops.keys()].map((id) => [id, larger(id)]));
}

/** What was paid in, and what reached the end: equal, as every stop in between passes on what it gets. */
export function ends(all: River): { paid: bigint; reached: bigint } {
  let [paid, reached] = [0n, 0n];
  for (const { from, to, units } of all.streams) {
    if (from.startsWith('paid:')) paid += units;
    if (all.stops.get(to)?.column === all.columns - 1) reached += units;
  }
  return { paid, reached };
}

export type DrawnStop = Stop & { x: number; y: number; height: number; units: bigint };
export type DrawnStream = { key: string; path: string; width: number; kind: Kind; title: [string, string]; units: bigint };
export type Drawing = { width: number; height: number; stops: DrawnStop[]; streams: DrawnStream[] };

export const BAR = 14;
const GAP = 12;
const LABELS = 190;
const SWEEPS = 6;

/** Places a river in a picture: columns from left to right, each ordered by where its money comes from and goes to. */
export function drawn(all: River, width: number, height: number): Drawing {
  const weights = weighed(all);
  const columns = Array.from({ length: all.columns }, (_, column) =>
    [...all.stops.values()].filter((one) => one.column === column),
  );
  const total = (column: Stop[]): bigint => column.reduce((sum, one) => sum + (weights.get(one.id) ?? 0n), 0n);
  const most = columns.map(total).reduce((a, b) => (a > b ? a : b), 1n);
  const gaps = columns.reduce((a, column) => Math.max(a, column.length - 1), 0) * GAP;
  const scale = Math.max(height - gaps, height / 3);
  const tall = Math.max(height, gaps + scale);
  const place = new Map<string, DrawnStop>();
  const step = all.columns > 1 ? (width - BAR - LABELS) / (all.columns - 1) : 0;
  const put = (column: Stop[], x: number): void => {
    const sizes = column.map((one) => Math.max(1, scale * ratio(weights.get(one.id) ?? 0n, most)));
    let y = (tall - sizes.reduce((a, b) => a + b, 0) - GAP * (column.length - 1)) / 2;
    column.forEach((one, i) => {
      const size = sizes[i] ?? 1;
      place.set(one.id, { ...one, x, y, height: size, units: weights.get(one.id) ?? 0n });
      y += size + GAP;
    });
  };
  const first = (a: Stop, b: Stop): number =>
    Number(a.kind === 'kept') - Number(b.kind === 'kept') || compare(weights.get(b.id), weights.get(a.id)) || a.id.localeCompare(b.id);
  columns.forEach((column, i) => put(column.sort(first), i * step));
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const centre = centres(all.streams, place, most);
    columns.forEach((column, i) =>
      put(
        column.sort((a, b) => Number(a.kind === 'kept') - Number(b.kind === 'kept') || (centre.get(a.id) ?? 0) - (centre.get(b.id) ?? 0) || first(a, b)),
        i * step,
      ),
    );
  }
  return { width, height: tall, stops: [...place.values()], streams: ribbons(all.streams, place, scale, most) };
}

/** The mean height of a stop's neighbours, each weighed by the money between them. */
function centres(streams: readonly Stream[], place: ReadonlyMap<string, DrawnStop>, most: bigint): Map<string, number> {
  const sums = new Map<string, [height: number, weight: number]>();
  const pull = (id: string, by: DrawnStop, weight: number): void => {
    const [height, all] = sums.get(id) ?? [0, 0];
    sums.set(id, [height + (by.y + by.height / 2) * weight, all + weight]);
  };
  for (const { from, to, units } of streams) {
    const [a, b] = [place.get(from), place.get(to)];
    if (a === undefined || b === undefined) continue;
    const weight = ratio(units, most) + 1e-6;
    pull(from, b, weight);
    pull(to, a, weight);
  }
  return new Map([...sums].map(([id, [height, weight]]) => [id, height / weight]));
}

function ribbons(streams: readonly Stream[], place: ReadonlyMap<string, DrawnStop>, scale: number, most: bigint): DrawnStream[] {
  const middle = (id: string): number => (place.get(id)?.y ?? 0) + (place.get(id)?.height ?? 0) / 2;
  const out = new Map<string, number>();
  const into = new Map<string, number>();
  const starts = new Map<string, number>();
  for (const stream of streams.toSorted((a, b) => middle(a.to) - middle(b.to))) {
    const key = `${stream.from} ${stream.to}`;
    starts.set(key, out.get(stream.from) ?? 0);
    out.set(stream.from, (out.get(stream.from) ?? 0) + scale * ratio(stream.units, most));
  }
  return streams
    .toSorted((a, b) => middle(a.from) - middle(b.from))
    .flatMap((stream): DrawnStream[] => {
      const [from, to] = [place.get(stream.from), place.get(stream.to)];
      if (from === undefined || to === undefined) return [];
      const key = `${stream.from} ${stream.to}`;
      const width = scale * ratio(stream.units, most);
      const y0 = from.y + (starts.get(key) ?? 0) + width / 2;
      const y1 = to.y + (into.get(stream.to) ?? 0) + width / 2;
      into.set(stream.to, (into.get(stream.to) ?? 0) + width);
      const [x0, x1] = [from.x + BAR, to.x];
      const turn = (x0 + x1) / 2;
      const path = `M${x0} ${y0.toFixed(2)}C${turn} ${y0.toFixed(2)} ${turn} ${y1.toFixed(2)} ${x1} ${y1.toFixed(2)}`;
      return [{ key, path, width: Math.max(width, 0.6), kind: to.kind, title: [from.label, to.label], units: stream.units }];
    });
}
