// The style sheet's colours for what is painted on a canvas.

export type Colours = {
  ink: string;
  muted: string;
  surface: string;
  edge: string;
  edgeLit: string;
  kind: (kind: string) => string;
  pale: (kind: string) => string;
};

export function colours(): Colours {
  const style = getComputedStyle(document.documentElement);
  const read = (name: string): string => style.getPropertyValue(name).trim();
  const surface = read('--surface');
  return {
    ink: read('--ink'),
    muted: read('--muted'),
    surface,
    edge: read('--edge'),
    edgeLit: read('--edge-lit'),
    kind: (kind) => read(`--k-${kind}`),
    pale: (kind) => mixed(read(`--k-${kind}`), surface, 0.38),
  };
}

// Both are #rrggbb, as app.css writes them, or #rgb, as the build shortens them.
function mixed(colour: string, ground: string, share: number): string {
  const channel = (text: string, i: number): number =>
    text.length === 4 ? parseInt(text.charAt(i + 1).repeat(2), 16) : parseInt(text.slice(1 + 2 * i, 3 + 2 * i), 16);
  const part = (i: number): string =>
    Math.round(channel(colour, i) * share + channel(ground, i) * (1 - share))
      .toString(16)
      .padStart(2, '0');
  return `#${part(0)}${part(1)}${part(2)}`;
}
