// The drill-down of an explanation: lines gathered by role, then model, dataset, agent and contribution, so that every
// level is the exact sum of the one below; under a line the inferences that the money came by, under these the payments
// and the records, each list with what is not on it.

import { sum, units, type Amount } from '../money';
import type { ExplanationLine } from '../queries';
import type { InferencePart, Level, PaymentPart, RecordPart } from '../queries/origin';
import { sentence, short } from '../text';

export const STEPS = ['role', 'model', 'dataset', 'agent', 'contribution'] as const;
export type Step = (typeof STEPS)[number];

export type Group = {
  /** The steps to it, from the top: what `open` in a link holds. */
  path: string;
  step: Step;
  key: string;
  label: string;
  amount: bigint;
  lines: number[];
  below: Group[];
};

/** The lines as a tree: a step that all lines of a group leave out, or agree in with nothing else, is no level. */
export function grouped(lines: readonly ExplanationLine[]): Group[] {
  return level(lines, lines.map((_, i) => i), STEPS, '');
}

function level(all: readonly ExplanationLine[], lines: number[], steps: readonly Step[], path: string): Group[] {
  const [step, ...rest] = steps;
  if (step === undefined) return [];
  const by = Map.groupBy(lines, (i) => all[i]?.[step] ?? '');
  if (by.size === 1 && by.has('')) return level(all, lines, rest, path);
  return [...by]
    .map(([key, members]): Group => {
      const here = `${path}${path === '' ? '' : '/'}${step === 'role' ? key : key === '' ? `no-${step}` : `${step}:${key}`}`;
      return {
        path: here,
        step,
        key,
        label: labelled(all, members, step, key),
        amount: sum(members.flatMap((i) => all[i]?.amount ?? [])),
        lines: members,
        below: level(all, members, rest, here),
      };
    })
    .toSorted((a, b) => (b.amount > a.amount ? 1 : b.amount < a.amount ? -1 : a.path.localeCompare(b.path)));
}

/** A name for people: that of the line's `through` which is of the step, where there is one. */
function labelled(all: readonly ExplanationLine[], members: number[], step: Step, key: string): string {
  if (step === 'role') return sentence(key);
  if (key === '') return `through no ${step}`;
  const [first] = members.flatMap((i) => all[i] ?? []);
  const named = first?.through[place(first, step)];
  return named ?? short(key, 8);
}

/** `through` names, from what earned to what was paid: contribution, dataset, model, agent, as far as there are any. */
function place(line: ExplanationLine, step: Exclude<Step, 'role'>): number {
  const order = (['contribution', 'dataset', 'model', 'agent'] as const).filter((one) => line[one] !== null);
  return order.length === line.through.length ? order.indexOf(step) : -1;
}

/** The groups from the top down to `path`: those that a link to it opens. */
export function opened(path: string): Set<string> {
  const parts = path === '' ? [] : path.split('/');
  return new Set(parts.map((_, i) => parts.slice(0, i + 1).join('/')));
}

export type Row =
  | { kind: 'group'; depth: number; group: Group; open: boolean; leaf: number | null }
  | { kind: 'inference'; depth: number; path: string; line: number; at: number; part: InferencePart; open: boolean }
  | { kind: 'payment'; depth: number; part: PaymentPart }
  | { kind: 'record'; depth: number; part: RecordPart }
  | { kind: 'rest'; depth: number; line: number; amount: Amount; untraced: Amount; hidden: number; of: string }
  | { kind: 'note'; depth: number; text: string };

/** A level with a list: its parts, then the exact rest. */
function* listed<T>(
  found: Level<T>,
  depth: number,
  line: number,
  of: string,
  make: (part: T, at: number) => Iterable<Row>,
): Iterable<Row> {
  for (const [at, { node }] of found.edges.entries()) yield* make(node, at);
  if (units(found.rest) !== 0n) {
    const hidden = found.totalCount - found.edges.length;
    yield { kind: 'rest', depth, line, amount: found.rest, untraced: found.untraced, hidden, of };
  }
}

/** What is on the screen: the groups, and below the open ones what they are made of. */
export function* rows(
  groups: readonly Group[],
  open: ReadonlySet<string>,
  lists: ReadonlyMap<number, Level<InferencePart>>,
  depth = 0,
): Iterable<Row> {
  for (const group of groups) {
    const isOpen = open.has(group.path);
    const [leaf] = group.below.length === 0 && group.lines.length === 1 ? group.lines : [];
    yield { kind: 'group', depth, group, open: isOpen, leaf: leaf ?? null };
    if (!isOpen) continue;
    yield* rows(group.below, open, lists, depth + 1);
    if (group.below.length > 0) continue;
    for (const line of group.lines) {
      const found = lists.get(line);
      if (found === undefined) yield { kind: 'note', depth: depth + 1, text: 'Reading what it came by…' };
      else yield* listed(found, depth + 1, line, 'inferences', (part, at) => inference(part, { line, at }, group.path, open, depth + 1));
    }
  }
}

function* inference(
  part: InferencePart,
  place: { line: number; at: number },
  above: string,
  open: ReadonlySet<string>,
  depth: number,
): Iterable<Row> {
  const path = `${above}/inference:${part.inference ?? 'none'}`;
  const isOpen = open.has(path);
  yield { kind: 'inference', depth, path, ...place, part, open: isOpen };
  if (!isOpen) return;
  if (part.payments === undefined || part.records === undefined) {
    yield { kind: 'note', depth: depth + 1, text: 'Reading its payments and records…' };
    return;
  }
  if (part.payments.edges.length > 0) {
    yield { kind: 'note', depth: depth + 1, text: 'Payments it was divided from' };
    yield* listed(part.payments, depth + 1, place.line, 'payments', (one): Row[] => [{ kind: 'payment', depth: depth + 1, part: one }]);
  }
  if (part.records.edges.length > 0) {
    yield { kind: 'note', depth: depth + 1, text: 'Records it was divided by' };
    yield* listed(part.records, depth + 1, place.line, 'records', (one): Row[] => [{ kind: 'record', depth: depth + 1, part: one }]);
  }
}

/** Whether every level that is here adds up to the one above, rests included. */
export function addsUp(lines: readonly ExplanationLine[], lists: ReadonlyMap<number, Level<InferencePart>>): boolean {
  const whole = <T extends { amount: Amount }>(found: Level<T>, above: Amount): boolean =>
    sum(found.edges.map(({ node }) => node.amount)) + units(found.rest) === units(above);
  const below = ({ payments, records, amount }: InferencePart): boolean =>
    (payments === undefined || payments.edges.length === 0 || whole(payments, amount)) &&
    (records === undefined || records.edges.length === 0 || whole(records, amount));
  return [...lists].every(([at, found]) => {
    const line = lines[at];
    return line !== undefined && whole(found, line.amount) && found.edges.every(({ node }) => below(node));
  });
}

/** Two pages of one level as one: the rest is what the later says, less what was here before. */
export function joined<T extends { amount: Amount }>(before: Level<T>, next: Level<T>): Level<T> {
  const here = sum(before.edges.map(({ node }) => node.amount));
  const rest = { ...next.rest, raw: (units(next.rest) - here).toString() };
  return { ...next, rest, edges: [...before.edges, ...next.edges] };
}
