// Lines and discs, painted into memory. Twenty thousand of either are some milliseconds' work, on machines without a
// graphics card too, where WebGL takes a third of a second for them.

/** A colour as a pixel holds it: opaque, red in the lowest byte. */
export type Pixel = number;

/** Of `#rrggbb`, or of `#rgb`. */
export function pixel(colour: string): Pixel {
  const hex = colour.length === 4 ? [...colour.slice(1)].map((digit) => digit + digit).join('') : colour.slice(1);
  const rgb = Number.parseInt(hex, 16);
  return (0xff000000 | ((rgb & 0xff) << 16) | (rgb & 0xff00) | (rgb >> 16)) >>> 0;
}

export class Raster {
  readonly image: ImageData;
  private readonly pixels: Uint32Array;
  private readonly width: number;
  private readonly height: number;

  constructor(width: number, height: number) {
    this.image = new ImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    [this.width, this.height] = [width, height];
  }

  clear(ground: Pixel): void {
    this.pixels.fill(ground);
  }

  /** A line `wide` pixels wide with smooth rims; without a width one of single pixels, which is a tenth of the work. */
  line(x0: number, y0: number, x1: number, y1: number, wide: number, colour: Pixel): void {
    const level = Math.abs(x1 - x0) >= Math.abs(y1 - y0);
    // Along the longer way step by step, across it a run of pixels for each step.
    let [from, to, a, b] = level ? [x0, x1, y0, y1] : [y0, y1, x0, x1];
    if (from > to) [from, to, a, b] = [to, from, b, a];
    const [along, across] = level ? [1, this.width] : [this.width, 1];
    const [length, breadth] = level ? [this.width, this.height] : [this.height, this.width];
    const slope = to === from ? 0 : (b - a) / (to - from);
    const reach = (wide / 2) * Math.sqrt(1 + slope * slope);
    // Only the steps on which it is within the picture across, too.
    const [enters, leaves] = slope === 0 ? [from, to] : [(-reach - a) / slope + from, (breadth + reach - a) / slope + from];
    const first = Math.max(Math.ceil(from), Math.floor(Math.min(enters, leaves)), 0);
    const last = Math.min(Math.floor(to), Math.ceil(Math.max(enters, leaves)), length - 1);
    for (let step = first; step <= last; step++) {
      const middle = a + slope * (step - from);
      if (wide > 0) this.run(step * along, across, breadth, middle - reach, middle + reach, colour);
      else if (middle >= 0 && middle < breadth) this.pixels[step * along + (middle | 0) * across] = colour;
    }
  }

  disc(x: number, y: number, radius: number, colour: Pixel): void {
    const [left, right] = [Math.max(0, Math.floor(x - radius)), Math.min(this.width - 1, Math.ceil(x + radius))];
    const bottom = Math.min(this.height - 1, Math.ceil(y + radius));
    for (let row = Math.max(0, Math.floor(y - radius)); row <= bottom; row++) {
      const square = (row - y) * (row - y);
      for (let column = left; column <= right; column++) {
        const inside = radius + 0.5 - Math.sqrt(square + (column - x) * (column - x));
        if (inside > 0) this.blend(row * this.width + column, colour, Math.min(1, inside));
      }
    }
  }

  private run(start: number, stride: number, breadth: number, low: number, high: number, colour: Pixel): void {
    const [first, last] = [Math.floor(low), Math.floor(high)];
    for (let at = Math.max(first, 0); at <= last && at < breadth; at++) {
      const covered = Math.min(high, at + 1) - Math.max(low, at);
      if (covered >= 1) this.pixels[start + at * stride] = colour;
      else this.blend(start + at * stride, colour, covered);
    }
  }

  private blend(at: number, colour: Pixel, share: number): void {
    const ground = this.pixels[at] ?? 0;
    const much = (share * 256) | 0;
    const rest = 256 - much;
    const redBlue = (((ground & 0xff00ff) * rest + (colour & 0xff00ff) * much) >>> 8) & 0xff00ff;
    const green = (((ground & 0xff00) * rest + (colour & 0xff00) * much) >>> 8) & 0xff00;
    this.pixels[at] = 0xff000000 | redBlue | green;
  }
}
