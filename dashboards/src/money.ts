// Money is a whole number of base units, as decimal text from the api and as BigInt here; never a Number. The one
// place a Number appears is `ratio`, which says how wide to draw a bar.

export type Amount = {
  raw: string;
  token: string;
  symbol: string | null;
  decimals: number | null;
};

export const units = (amount: Amount): bigint => BigInt(amount.raw);

export const sum = (amounts: readonly Amount[]): bigint =>
  amounts.reduce((total, amount) => total + units(amount), 0n);

/** `part / whole` for drawing only, within 0 and 1. */
export function ratio(part: bigint, whole: bigint): number {
  if (whole <= 0n || part <= 0n) return 0;
  if (part >= whole) return 1;
  return Number((part * 100_000n) / whole) / 100_000;
}

/** Per cent of `whole`, with one decimal, cut and not rounded. */
export function percent(part: bigint, whole: bigint): string {
  if (whole === 0n) return '–';
  const permille = (part * 1000n) / whole;
  if (permille === 0n && part !== 0n) return '< 0.1 %';
  return `${permille / 10n}.${permille % 10n} %`;
}

export const grouped = (digits: string): string => digits.replace(/\B(?=(\d{3})+(?!\d))/g, '\u202f');

/** The parts of an amount as people read it: sign and whole part grouped by three, all decimals kept. */
export function split(raw: bigint, decimals: number | null): { whole: string; fraction: string } {
  const places = decimals ?? 0;
  const digits = (raw < 0n ? -raw : raw).toString().padStart(places + 1, '0');
  const whole = grouped(digits.slice(0, digits.length - places));
  return { whole: raw < 0n ? `−${whole}` : whole, fraction: places === 0 ? '' : digits.slice(-places) };
}

/** Exact text without grouping, as a spreadsheet wants it. */
export function exact(raw: bigint, decimals: number | null): string {
  const { whole, fraction } = split(raw, decimals);
  const plain = whole.replaceAll('\u202f', '').replace('−', '-');
  const tail = fraction.replace(/0+$/, '');
  return tail === '' ? plain : `${plain}.${tail}`;
}

/** Reads what a person typed, in base units; null when it is not a whole number. */
export function parseUnits(text: string): bigint | null {
  const plain = text.replace(/[\s_\u202f']/g, '');
  return /^\d{1,78}$/.test(plain) ? BigInt(plain) : null;
}

/** The amounts of several lists, added up by token, in the order the tokens appear. */
export function byToken(amounts: readonly Amount[]): Amount[] {
  const totals = new Map<string, Amount>();
  for (const amount of amounts) {
    const before = totals.get(amount.token);
    const raw = (before ? BigInt(before.raw) : 0n) + units(amount);
    totals.set(amount.token, { ...amount, raw: raw.toString() });
  }
  return [...totals.values()];
}
