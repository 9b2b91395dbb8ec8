// What a hand does to a picture: drags it about, pinches, turns the wheel, points, clicks. Mouse, pen and fingers alike.

/** Which part of the picture is seen: its upper left corner, pixels of the screen for one of the picture, and how much
 * larger things are drawn, which grow more slowly than the distances between them. */
export type View = { x: number; y: number; scale: number; grown: number };

export type Doings = {
  moved: () => void;
  /** The last finger or button was let go. */
  released: () => void;
  /** Where the mouse points, in pixels of the screen. */
  pointed: (x: number, y: number) => void;
  clicked: (x: number, y: number) => void;
  /** A double click; whether something was there to open. */
  opened: (x: number, y: number) => boolean;
};

type Point = { x: number; y: number };

const SCALE_MIN = 1 / 3;
const SCALE_MAX = 20;
const WHEEL = 1.25;
// A hand that moved less than this between down and up has clicked.
const STILL = 4;

export class Hand {
  private readonly stage: HTMLElement;
  private readonly doings: Doings;
  private readonly listening = new AbortController();
  private readonly down = new Map<number, Point>();
  private width = 0;
  private height = 0;
  private dragged = 0;
  private corner: Point = { x: 0, y: 0 };
  private scale = 1;

  constructor(stage: HTMLElement, doings: Doings) {
    [this.stage, this.doings] = [stage, doings];
    const on = <K extends keyof HTMLElementEventMap>(name: K, hear: (event: HTMLElementEventMap[K]) => void): void =>
      stage.addEventListener(name, hear, { signal: this.listening.signal, passive: false });
    on('pointerdown', (event) => {
      if (event.button !== 0) return;
      stage.setPointerCapture(event.pointerId);
      if (this.down.size === 0) this.dragged = 0;
      this.down.set(event.pointerId, this.point(event));
    });
    on('pointermove', (event) => this.move(event));
    on('pointerup', (event) => this.up(event));
    on('pointercancel', (event) => this.up(event, false));
    on('dblclick', (event) => {
      const at = this.point(event);
      if (!this.doings.opened(at.x, at.y)) this.zoom(2, at);
    });
    on('wheel', (event) => {
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? WHEEL : 1 / WHEEL, this.point(event));
    });
  }

  /** Whether the picture is held, moving or not. */
  get holding(): boolean {
    return this.down.size > 0;
  }

  get view(): View {
    return { ...this.corner, scale: this.scale, grown: Math.sqrt(this.scale) };
  }

  /** The picture is so large; what was seen of it stays in view. */
  size(width: number, height: number): void {
    if (this.width > 0) this.corner = { x: (this.corner.x * width) / this.width, y: (this.corner.y * height) / this.height };
    [this.width, this.height] = [width, height];
  }

  reset(): void {
    [this.corner, this.scale] = [{ x: 0, y: 0 }, 1];
    this.doings.moved();
  }

  /** Draws the picture larger, around a point that stays where it is. */
  zoom(factor: number, at: Point = { x: this.width / 2, y: this.height / 2 }): void {
    const scale = Math.min(SCALE_MAX, Math.max(SCALE_MIN, this.scale * factor));
    const shift = 1 / this.scale - 1 / scale;
    this.scale = scale;
    this.shift(at.x * shift, at.y * shift);
  }

  release(): void {
    this.listening.abort();
  }

  private shift(x: number, y: number): void {
    this.corner = { x: this.corner.x + x, y: this.corner.y + y };
    this.doings.moved();
  }

  private move(event: PointerEvent): void {
    const [before, now] = [this.down.get(event.pointerId), this.point(event)];
    if (before === undefined) return this.doings.pointed(now.x, now.y);
    this.dragged += Math.hypot(now.x - before.x, now.y - before.y);
    if (this.dragged < STILL) return;
    // Of two fingers the other one holds its place, so that both keep what they took hold of.
    const other = [...this.down].find(([id]) => id !== event.pointerId)?.[1];
    this.down.set(event.pointerId, now);
    if (other === undefined) return this.shift((before.x - now.x) / this.scale, (before.y - now.y) / this.scale);
    const [wide, narrow] = [distance(now, other), distance(before, other)];
    if (wide > 0 && narrow > 0) this.zoom(wide / narrow, other);
  }

  private up(event: PointerEvent, meant = true): void {
    if (!this.down.delete(event.pointerId)) return;
    if (!this.holding) this.doings.released();
    if (!meant || this.dragged >= STILL) return;
    const { x, y } = this.point(event);
    this.doings.clicked(x, y);
  }

  private point(event: MouseEvent): Point {
    const { left, top } = this.stage.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }
}

const distance = (a: Point, b: Point): number => Math.hypot(a.x - b.x, a.y - b.y);
