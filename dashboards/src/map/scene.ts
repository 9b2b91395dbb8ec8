// The part of the graph that is on the table, and what of it is lit. Coordinates come from the api; the browser only
// stretches them to the window and, when a second answer joins the first, moves what would lie on top of something.

import { ratio, units, type Amount } from '../money';
import type { MapEdge, MapNode, Provenance } from '../queries';
import { short } from '../text';

export type Scene = { nodes: Map<string, MapNode>; edges: Map<string, MapEdge> };
export type Lit = { nodes: Set<string>; edges: Set<string> };

export const EMPTY: Scene = { nodes: new Map(), edges: new Map() };

// Value flows along an edge from its source, which was used, to its target, which was made from it; money flows back.
export const upstreamEnd = (edge: MapEdge): string => edge.source;
export const downstreamEnd = (edge: MapEdge): string => edge.target;

export function sceneOf(answer: Provenance): Scene {
  return { nodes: new Map(answer.nodes.map((n) => [n.id, n])), edges: new Map(answer.edges.map((e) => [e.id, e])) };
}

/**
 * Adds an answer about `anchor` to the scene. Layers and rows of an answer are relative to that answer alone, so the
 * whole is laid out again by the api's rule: contributors, datasets, generations of models, agents. What was on the
 * screen keeps its order; what is new comes where the answer has it, seen from the anchor.
 */
export function joined(scene: Scene, answer: Provenance, anchor: string): Scene {
  const there = answer.nodes.find((node) => node.id === anchor);
  const dy = (scene.nodes.get(anchor)?.y ?? 0) - (there?.y ?? 0);
  const nodes = new Map(scene.nodes);
  for (const node of answer.nodes) {
    const known = nodes.get(node.id);
    nodes.set(
      node.id,
      known ? { ...known, hidden: Math.min(known.hidden, node.hidden) } : { ...node, y: node.y + dy },
    );
  }
  const edges = new Map(scene.edges);
  for (const edge of answer.edges) edges.set(edge.id, edge);
  return { nodes: laidOut([...nodes.values()], [...edges.values()]), edges };
}

const COLUMN = 100;
const STEP_X = 20;
const GAP_X = 100;

function laidOut(nodes: readonly MapNode[], edges: readonly MapEdge[]): Map<string, MapNode> {
  const layers = layered(nodes, edges);
  const columns = [...Map.groupBy(nodes, (node) => layers.get(node.id) ?? 0)].toSorted(([a], [b]) => a - b);
  const out = new Map<string, MapNode>();
  let x = 0;
  for (const [layer, members] of columns) {
    const ordered = members.toSorted((a, b) => a.y - b.y || a.x - b.x || (a.id < b.id ? -1 : 1));
    const wraps = Math.ceil(ordered.length / COLUMN);
    ordered.forEach((node, at) => {
      const [wrap, row] = [Math.floor(at / COLUMN), at % COLUMN];
      const rows = Math.min(COLUMN, ordered.length - wrap * COLUMN);
      out.set(node.id, { ...node, layer, x: x + wrap * STEP_X, y: (row - (rows - 1) / 2) * ROW });
    });
    x += (wraps - 1) * STEP_X + GAP_X;
  }
  return out;
}

function layered(nodes: readonly MapNode[], edges: readonly MapEdge[]): Map<string, number> {
  const asModel = (edge: MapEdge): boolean => edge.relation.startsWith('BASED_ON') || edge.relation === 'USES_MODEL';
  const models = new Set(nodes.filter((node) => kindOf(node.kind) === 'model').map((node) => node.id));
  const external = new Set(nodes.filter((node) => kindOf(node.kind) === 'external').map((node) => node.id));
  for (const edge of edges) if (external.has(edge.source) && asModel(edge)) models.add(edge.source);
  const lines = edges.filter((edge) => models.has(edge.source) && models.has(edge.target));
  const generation = new Map<string, number>();
  // The longest path by relaxation; the graph has no cycles, so as many rounds as there are models are enough.
  for (let round = 0, changed = true; changed && round <= models.size; round++) {
    changed = false;
    for (const { source, target } of lines) {
      const next = (generation.get(source) ?? 0) + 1;
      if ((generation.get(target) ?? 0) < next) {
        generation.set(target, next);
        changed = true;
      }
    }
  }
  const last = [...generation.values()].reduce((a, b) => Math.max(a, b), 0);
  const layer = (node: MapNode): number => {
    if (models.has(node.id)) return 2 + (generation.get(node.id) ?? 0);
    const kind = kindOf(node.kind);
    return kind === 'account' ? 0 : kind === 'agent' ? 3 + last : 1;
  };
  return new Map(nodes.map((node) => [node.id, layer(node)]));
}

/** The nodes within `up` hops upstream and `down` hops downstream of `focus`, and the edges between them. */
export function within(answer: Provenance, focus: string, up: number, down: number): Provenance {
  if (!answer.nodes.some((node) => node.id === focus)) return answer;
  const kept = new Set([
    ...reach(answer.edges, focus, up, downstreamEnd, upstreamEnd),
    ...reach(answer.edges, focus, down, upstreamEnd, downstreamEnd),
  ]);
  return {
    ...answer,
    nodes: answer.nodes.filter((node) => kept.has(node.id)),
    edges: answer.edges.filter((edge) => kept.has(edge.source) && kept.has(edge.target)),
  };
}

/**
 * The scene without the `percent` of its nodes that least money ran through, and how many that are. What is `kept` stays;
 * of nodes with the same money those later in the answer go first.
 */
export function important(
  scene: Scene,
  token: string,
  percent: number,
  kept: readonly string[],
): { scene: Scene; hidden: number } {
  const free = [...scene.nodes.values()].filter((node) => !kept.includes(node.id));
  const hidden = Math.floor((free.length * percent) / 100);
  if (hidden === 0) return { scene, hidden };
  const money = new Map(free.map((node) => [node.id, moneyIn(node.earned, token)]));
  const least = (a: MapNode, b: MapNode): number => {
    const difference = (money.get(b.id) ?? 0n) - (money.get(a.id) ?? 0n);
    return difference > 0n ? 1 : difference < 0n ? -1 : 0;
  };
  const gone = new Set(free.toSorted(least).slice(free.length - hidden).map((node) => node.id));
  return {
    scene: {
      nodes: new Map([...scene.nodes].filter(([id]) => !gone.has(id))),
      edges: new Map([...scene.edges].filter(([, edge]) => !gone.has(edge.source) && !gone.has(edge.target))),
    },
    hidden,
  };
}

/** Everything upstream of a node that the scene holds: where its money goes. */
export function ancestry(scene: Scene, id: string | null): Lit {
  if (id === null || !scene.nodes.has(id)) return { nodes: new Set(), edges: new Set() };
  const edges = [...scene.edges.values()];
  const nodes = reach(edges, id, Infinity, downstreamEnd, upstreamEnd);
  return { nodes, edges: new Set(edges.filter((e) => nodes.has(downstreamEnd(e))).map((e) => e.id)) };
}

function reach(
  edges: readonly MapEdge[],
  start: string,
  hops: number,
  near: (edge: MapEdge) => string,
  far: (edge: MapEdge) => string,
): Set<string> {
  const out = Map.groupBy(edges, near);
  const found = new Set([start]);
  let frontier = [start];
  for (let hop = 0; hop < hops && frontier.length > 0; hop++) {
    frontier = frontier.flatMap((id) => (out.get(id) ?? []).map(far)).filter((id) => !found.has(id) && found.add(id));
  }
  return found;
}

export const moneyIn = (amounts: readonly Amount[], token: string): bigint =>
  amounts.filter((amount) => amount.token === token).reduce((total, amount) => total + units(amount), 0n);

export type DrawnNode = {
  id: string;
  x: number;
  y: number;
  size: number;
  kind: string;
  label: string;
  lit: boolean;
  selected: boolean;
  focus: boolean;
  side: 'left' | 'right' | 'above';
};
export type DrawnEdge = { id: string; from: DrawnNode; to: DrawnNode; width: number; lit: boolean };
export type Picture = { width: number; height: number; widest: bigint; nodes: DrawnNode[]; edges: DrawnEdge[] };

const MARGIN = 52;
// The legend lies over the foot of the map.
const FOOT = 70;
// Room for the labels, which stand to the left of the first column and to the right of the last.
const MARGIN_X = 135;
// The api sets the nodes of a column ten apart; on the screen that is at most so many pixels.
const ROW = 10;
const ROW_PIXELS_MAX = 52;
const RADIUS_MAX = 12;
const WIDTH_LIT_MAX = 16;
// Where more edges than this are on the screen, those with next to no money are hairlines.
const EDGES_DENSE = 150;

/** The scene in pixels: money is the width of a lit edge and, more mildly, the size of a node. */
export function picture(
  scene: Scene,
  lit: Lit,
  view: { width: number; height: number; token: string; selected: string | null; focus: string },
): Picture {
  const nodes = [...scene.nodes.values()];
  const [width, height] = [Math.max(view.width, 320), Math.max(view.height, 240)];
  const places = placed(nodes, width, height);
  const most = largest(nodes.map((node) => moneyIn(node.earned, view.token)));
  const drawn = new Map(
    nodes.flatMap((node): [string, DrawnNode][] => {
      const place = places.get(node.id);
      if (!place) return [];
      const radius = 5 + 7 * Math.sqrt(ratio(moneyIn(node.earned, view.token), most));
      return [
        [
          node.id,
          {
            id: node.id,
            x: place.x,
            y: place.y,
            side: place.side,
            size: Math.min(radius, place.radiusMax),
            kind: kindOf(node.kind),
            label: short(node.label),
            lit: lit.nodes.has(node.id),
            selected: node.id === view.selected,
            focus: node.id === view.focus,
          },
        ],
      ];
    }),
  );
  const edges = [...scene.edges.values()];
  const widest = largest(edges.filter((e) => lit.edges.has(e.id)).map((e) => moneyIn(e.money, view.token)));
  const thinnest = edges.length > EDGES_DENSE ? 0.8 : 1.5;
  return {
    width,
    height,
    widest,
    nodes: [...drawn.values()],
    edges: edges.flatMap((edge) => {
      const [from, to] = [drawn.get(edge.source), drawn.get(edge.target)];
      if (!from || !to) return [];
      const isLit = lit.edges.has(edge.id);
      const money = ratio(moneyIn(edge.money, view.token), widest);
      return [{ id: edge.id, from, to, lit: isLit, width: isLit ? thinnest + money * WIDTH_LIT_MAX : 1.2 }];
    }),
  };
}

type Place = { x: number; y: number; side: DrawnNode['side']; radiusMax: number };

/** Columns and the order within them are the api's; a column that has room is spread, so that its names can be read. */
function placed(nodes: readonly MapNode[], width: number, height: number): Map<string, Place> {
  const [left, breadth] = extent(nodes.map((node) => node.x));
  const [room, marginX] = [height - MARGIN - FOOT, Math.min(MARGIN_X, width * 0.2)];
  const columns = [...Map.groupBy(nodes, (node) => node.x)].toSorted(([a], [b]) => a - b);
  const places = new Map<string, Place>();
  for (const [i, [x, column]] of columns.entries()) {
    const [top, length] = extent(column.map((node) => node.y));
    const scale = Math.min(length === 0 ? Infinity : room / length, ROW_PIXELS_MAX / ROW);
    const loose = scale * ROW >= ROOM_ABOVE && i > 0 && i < columns.length - 1;
    for (const node of column) {
      places.set(node.id, {
        x: breadth === 0 ? width / 2 : marginX + ((x - left) / breadth) * (width - 2 * marginX),
        y: MARGIN + room / 2 + (node.y - top - length / 2) * scale,
        side: loose ? 'above' : i === 0 && columns.length > 1 ? 'left' : 'right',
        radiusMax: Math.min(RADIUS_MAX, Math.max(2.2, scale * ROW * 0.48)),
      });
    }
  }
  return places;
}

// Above a node is the calmest place for its name, where the column leaves room for it.
const ROOM_ABOVE = 40;

const extent = (values: number[]): [from: number, length: number] => {
  const from = values.reduce((a, b) => Math.min(a, b), Infinity);
  const to = values.reduce((a, b) => Math.max(a, b), -Infinity);
  return values.length === 0 ? [0, 0] : [from, to - from];
};

const largest = (values: bigint[]): bigint => values.reduce((a, b) => (a > b ? a : b), 0n);

export const KINDS = ['account', 'contribution', 'dataset', 'model', 'agent', 'external'] as const;

/** One of KINDS, whatever version or spelling of it the api names. */
export function kindOf(kind: string): string {
  const plain = kind.toLowerCase();
  if (plain.includes('contributor')) return 'account';
  return KINDS.find((known) => plain.includes(known)) ?? 'external';
}

/** Points of the S-shaped line between two nodes: leaves and arrives level, like a river on a map. */
export function bend(from: DrawnNode, to: DrawnNode, steps: number): { x: number; y: number }[] {
  const middle = (from.x + to.x) / 2;
  return Array.from({ length: steps + 1 }, (_, i) => {
    const t = i / steps;
    const [a, b, c, d] = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t ** 3];
    return { x: a * from.x + b * middle + c * middle + d * to.x, y: (a + b) * from.y + (c + d) * to.y };
  });
}
