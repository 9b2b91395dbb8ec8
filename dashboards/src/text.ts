// Words and shortened names, the same on every page.

/** 0x1234…abcd for hashes and addresses; the tail of a textual id, which is where it differs from its neighbours. */
export function short(id: string, keep = 6): string {
  if (/^0x[0-9a-fA-F]+$/.test(id)) return id.length <= 2 * keep + 3 ? id : `${id.slice(0, keep)}…${id.slice(-4)}`;
  return id.length <= 30 ? id : `…${id.slice(-28)}`;
}

export const isAddress = (text: string): boolean => /^0x[0-9a-fA-F]{40}$/.test(text);
export const isZero = (hex: string): boolean => /^0x0*$/.test(hex);

export const tokenName = (token: string, symbol: string | null): string =>
  symbol ?? (isZero(token) ? 'native' : short(token));

export const sentence = (word: string): string => {
  const plain = word.replaceAll('_', ' ').toLowerCase();
  return plain.charAt(0).toUpperCase() + plain.slice(1);
};

export type Column<T> = { title: string; value: (row: T) => string | number };

/** RFC 4180; a cell that a spreadsheet would run as a formula is quoted as text. */
export function csv<T>(columns: readonly Column<T>[], rows: readonly T[]): string {
  const cell = (value: string | number): string => {
    const text = /^[=+@\t\r]|^-(?!\d)/.test(String(value)) ? `'${value}` : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = [columns.map((c) => cell(c.title)), ...rows.map((row) => columns.map((c) => cell(c.value(row))))];
  return lines.map((line) => line.join(',')).join('\r\n') + '\r\n';
}

export function download(name: string, text: string, mime = 'text/csv'): void {
  const url = URL.createObjectURL(new Blob([text], { type: `${mime};charset=utf-8` }));
  const anchor = document.createElement('a');
  anchor.href = url;
  anchor.download = name;
  anchor.click();
  // The download reads the blob after the click returns; a second is more than it needs.
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
