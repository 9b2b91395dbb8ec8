// Dark or light: the system's wish, until the reader chooses. The choice is applied before the first paint by
// public/theme.js.

const KEY = 'tributary-theme';
const system = matchMedia('(prefers-color-scheme: dark)');

class Theme {
  private chosen: string | undefined = $state(document.documentElement.dataset['theme']);
  private systemDark = $state(system.matches);

  constructor() {
    system.addEventListener('change', (event) => (this.systemDark = event.matches));
  }

  get dark(): boolean {
    return this.chosen === undefined ? this.systemDark : this.chosen === 'dark';
  }

  toggle(): void {
    const next = this.dark ? 'light' : 'dark';
    this.chosen = next;
    document.documentElement.dataset['theme'] = next;
    try {
      localStorage.setItem(KEY, next);
    } catch {
      // Without storage the choice lasts as long as the page.
    }
  }
}

export const theme = new Theme();
