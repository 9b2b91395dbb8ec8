// Which names of a crowded picture are written: those that come first take their place, and none lies upon another.

export type Name = { text: string; x: number; y: number; side: 'left' | 'right' | 'above'; beside: number };

export const LINE = 15;
// A letter is about so many pixels wide at the size names are written in.
const LETTER = 6.6;

export class Names {
  private readonly taken = new Map<number, [number, number][]>();

  /** Takes the place of a name when it is free. */
  place(name: Name): boolean {
    const [x, y] = anchor(name);
    const width = name.text.length * LETTER;
    const left = name.side === 'left' ? x - width : name.side === 'above' ? x - width / 2 : x;
    const rows = [Math.floor((y - LINE / 2) / LINE), Math.floor((y + LINE / 2) / LINE)];
    const free = rows.every((row) => (this.taken.get(row) ?? []).every(([from, to]) => to < left || left + width < from));
    if (free) for (const row of rows) this.taken.set(row, [...(this.taken.get(row) ?? []), [left, left + width]]);
    return free;
  }
}

/** Where the text begins, ends, or has its middle, by its side. */
export function anchor({ x, y, side, beside }: Name): [number, number] {
  if (side === 'above') return [x, y - beside - 3];
  return [side === 'left' ? x - beside : x + beside, y + 4];
}
