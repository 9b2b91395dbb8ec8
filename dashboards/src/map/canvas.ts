// The scene on a canvas: edges and nodes by our own raster, names by the canvas. While a large picture moves its edges are
// hairlines and its names are left out; they are back as soon as the hand rests.

import { colours, type Colours } from './colours';
import { Hand, type View } from './hand';
import { Names, anchor, type Name } from './names';
import { Raster, pixel, type Pixel } from './raster';
import { bend, type DrawnEdge, type DrawnNode, type Picture } from './scene';

export type Handlers = { select: (id: string) => void; expand: (id: string) => void };

// Segments of a river, and of one that is wider than JOINT_MIN, whose corners would be seen.
const STEPS = 24;
const STEPS_WIDE = 64;
// Beyond this many edges straight lines say as much and cost a fraction.
const CURVED_MAX = 2_500;
// With more nodes than this their names would lie upon each other; a name comes with a radius of so many pixels.
const CROWDED = 600;
const NAMED_FROM = 5;
// Where a wide river turns, a round joint fills the notch between two segments.
const JOINT_MIN = 3;
// Rivers that would cover the picture more often than this are all narrowed alike: it takes long and shows nothing.
const COVER_MAX = 10;
// A picture that did not move for so long rests.
const REST_MS = 140;
// A node is meant when the mouse is so near to its middle, however small it is.
const REACH = 5;
// The selected node is larger by so much.
const SELECTED = 3;
// More dots than this for a pixel cost much and show nothing.
const DENSITY_MAX = 2;

type Segment = { from: Point; to: Point; joint: boolean; width: number; colour: Pixel };
type Point = { x: number; y: number };
type Disc = { node: DrawnNode; size: number; colour: Pixel };

export class CanvasMap {
  private readonly canvas = document.createElement('canvas');
  private readonly context: CanvasRenderingContext2D;
  private readonly font = getComputedStyle(document.body).fontFamily;
  private readonly hand: Hand;
  private palette: Colours = colours();
  private picture: Picture = { width: 0, height: 0, widest: 0n, nodes: [], edges: [] };
  private segments: Segment[] = [];
  private named: DrawnNode[] = [];
  private discs: Disc[] = [];
  private raster: Raster | null = null;
  private stale = true;
  private moving = false;
  private rest = 0;
  private frame = 0;
  private pointed: DrawnNode | null = null;

  constructor(container: HTMLElement, on: Handlers) {
    // Without a place on the graphics card: what is painted in memory is not to travel there and back.
    const context = this.canvas.getContext('2d', { alpha: false, willReadFrequently: true });
    if (context === null) throw new Error('the browser gives no canvas to draw on');
    this.context = context;
    container.append(this.canvas);
    this.hand = new Hand(this.canvas, {
      moved: () => this.move(),
      released: () => this.settle(),
      pointed: (x, y) => this.point(this.at(x, y)),
      clicked: (x, y) => {
        const node = this.at(x, y);
        if (node !== null) on.select(node.id);
      },
      opened: (x, y) => {
        const node = this.at(x, y);
        if (node !== null) on.expand(node.id);
        return node !== null;
      },
    });
  }

  draw(picture: Picture): void {
    this.palette = colours();
    this.picture = picture;
    this.pointed = null;
    this.hand.size(picture.width, picture.height);
    this.segments = this.rivers(picture.edges);
    const paint = new Map<string, Pixel>();
    const colour = (node: DrawnNode): Pixel => {
      const key = `${node.kind}${node.lit}`;
      const known = paint.get(key) ?? pixel(node.lit ? this.palette.kind(node.kind) : this.palette.pale(node.kind));
      paint.set(key, known);
      return known;
    };
    this.discs = byLight(picture.nodes).map((node) => ({
      node,
      size: node.selected ? node.size + SELECTED : node.size,
      colour: colour(node),
    }));
    const rank = (node: DrawnNode): number => 4 * Number(node.selected) + 2 * Number(node.focus) + Number(node.lit);
    this.named = picture.nodes.toSorted((a, b) => rank(b) - rank(a) || b.size - a.size);
    this.stale = true;
    this.schedule();
  }

  fit(): void {
    this.hand.reset();
  }

  zoom(factor: number): void {
    this.hand.zoom(factor);
  }

  destroy(): void {
    clearTimeout(this.rest);
    cancelAnimationFrame(this.frame);
    this.hand.release();
    this.canvas.remove();
  }

  private rivers(edges: readonly DrawnEdge[]): Segment[] {
    const steps = (wide: boolean): number => (edges.length > CURVED_MAX ? 1 : wide ? STEPS_WIDE : STEPS);
    const [edge, lit] = [pixel(this.palette.edge), pixel(this.palette.edgeLit)];
    const covered = edges.reduce((sum, { from, to, width }) => sum + Math.hypot(to.x - from.x, to.y - from.y) * width, 0);
    const narrowed = Math.min(1, (COVER_MAX * this.picture.width * this.picture.height) / Math.max(1, covered));
    // What is lit lies above what is not.
    return byLight(edges).flatMap((one) => {
      const style = { width: one.width * narrowed, colour: one.lit ? lit : edge };
      const points = bend(one.from, one.to, steps(one.width > JOINT_MIN));
      return points.slice(1).map((to, i) => ({ from: points[i] ?? to, to, joint: i > 0, ...style }));
    });
  }

  /** The node under a point of the screen; what is drawn last lies above. */
  private at(x: number, y: number): DrawnNode | null {
    const { x: left, y: top, scale, grown } = this.hand.view;
    const under = ({ node, size }: Disc): boolean =>
      Math.hypot((node.x - left) * scale - x, (node.y - top) * scale - y) <= Math.max(REACH, size * grown);
    return this.discs.findLast(under)?.node ?? null;
  }

  private point(node: DrawnNode | null): void {
    if (node === this.pointed) return;
    this.pointed = node;
    this.canvas.dataset['cursor'] = node === null ? 'grab' : 'pointer';
    this.schedule();
  }

  private get large(): boolean {
    return this.discs.length > CROWDED || this.picture.edges.length > CURVED_MAX;
  }

  private move(): void {
    this.moving = true;
    this.stale = true;
    if (!this.hand.holding) this.settle();
    this.schedule();
  }

  /** Paints with care when nothing moves any more. */
  private settle(): void {
    clearTimeout(this.rest);
    if (!this.moving) return;
    this.rest = window.setTimeout(() => {
      this.moving = this.hand.holding;
      this.stale = true;
      this.schedule();
    }, REST_MS);
  }

  private schedule(): void {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.paint());
  }

  private paint(): void {
    const quick = this.moving && this.large;
    const density = quick ? 1 : Math.min(DENSITY_MAX, devicePixelRatio);
    const [width, height] = [this.picture.width, this.picture.height].map((side) => Math.max(1, Math.round(side * density)));
    if (this.canvas.width !== width || this.canvas.height !== height || this.raster === null) {
      [this.canvas.width, this.canvas.height] = [width ?? 1, height ?? 1];
      this.raster = new Raster(this.canvas.width, this.canvas.height);
      this.stale = true;
    }
    const view = this.hand.view;
    if (this.stale) this.rasterize(this.raster, view, density, quick);
    this.stale = false;
    this.context.setTransform(1, 0, 0, 1, 0, 0);
    this.context.putImageData(this.raster.image, 0, 0);
    this.context.setTransform(density, 0, 0, density, 0, 0);
    if (!quick) this.write(view);
  }

  private rasterize(raster: Raster, view: View, density: number, quick: boolean): void {
    const { x, y, grown } = view;
    const scale = view.scale * density;
    const sized = grown * density;
    raster.clear(pixel(this.palette.surface));
    for (const { from, to, joint, width, colour } of this.segments) {
      const wide = quick ? 0 : width * sized;
      const [a, b] = [(from.x - x) * scale, (from.y - y) * scale];
      raster.line(a, b, (to.x - x) * scale, (to.y - y) * scale, wide, colour);
      if (joint && wide > JOINT_MIN) raster.disc(a, b, wide / 2, colour);
    }
    for (const { node, size, colour } of this.discs) {
      raster.disc((node.x - x) * scale, (node.y - y) * scale, size * sized, colour);
    }
  }

  private write(view: View): void {
    const crowded = this.picture.nodes.length > CROWDED;
    const names = new Names();
    for (const node of this.named) {
      const [x, y, radius] = this.placed(node, view);
      if (x < 0 || y < 0 || x > this.picture.width || y > this.picture.height) continue;
      const forced = node.selected || node.focus || node === this.pointed;
      if (crowded && !forced && radius < NAMED_FROM) continue;
      const name = { text: node.label, x, y, side: node.side, beside: radius + 6 };
      if (names.place(name) || forced) this.letter(name, node);
    }
    for (const node of this.named) if (node.selected || node === this.pointed) this.ring(this.placed(node, view));
  }

  private placed(node: DrawnNode, { x, y, scale, grown }: View): [number, number, number] {
    const size = node.selected ? node.size + SELECTED : node.size;
    return [(node.x - x) * scale, (node.y - y) * scale, size * grown];
  }

  // Beside the node on its free side, with a rim of the ground's colour, so that rivers may pass under it.
  private letter(name: Name, node: DrawnNode): void {
    const { context, palette } = this;
    const strong = node.selected || node === this.pointed;
    const [x, y] = anchor(name);
    context.font = `${strong ? 600 : 400} 12px ${this.font}`;
    context.textAlign = name.side === 'left' ? 'right' : name.side === 'above' ? 'center' : 'left';
    context.lineJoin = 'round';
    context.lineWidth = 4;
    context.strokeStyle = palette.surface;
    context.strokeText(name.text, x, y);
    context.fillStyle = node.lit || strong ? palette.ink : palette.muted;
    context.fillText(name.text, x, y);
  }

  private ring([x, y, radius]: [number, number, number]): void {
    this.context.beginPath();
    this.context.arc(x, y, radius + 3.5, 0, 2 * Math.PI);
    this.context.lineWidth = 2;
    this.context.strokeStyle = this.palette.ink;
    this.context.stroke();
  }
}

const byLight = <T extends { lit: boolean }>(things: readonly T[]): T[] =>
  things.toSorted((a, b) => Number(a.lit) - Number(b.lit));
