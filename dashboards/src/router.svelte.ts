// Deep links live in the fragment: #/page/<id>?parameters. So every view can be shared and the server needs no routes.

export type Page =
  | 'overview'
  | 'map'
  | 'account'
  | 'epoch'
  | 'dataset'
  | 'model'
  | 'agent'
  | 'blob'
  | 'block'
  | 'proof'
  | 'status'
  | 'unknown';
export type Route = { page: Page; id: string; params: URLSearchParams };

const NAMED: Page[] = ['map', 'account', 'epoch', 'dataset', 'model', 'agent', 'blob', 'block', 'proof', 'status'];

function parse(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  const [page = '', ...rest] = path.split('/');
  const known = page === '' ? 'overview' : (NAMED.find((one) => one === page) ?? 'unknown');
  return { page: known, id: decoded(rest.join('/')), params: new URLSearchParams(query) };
}

// A link that someone cut off in the middle of an escape is still a link.
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

class Router {
  route: Route = $state.raw(parse(location.hash));

  constructor() {
    addEventListener('hashchange', () => (this.route = parse(location.hash)));
  }

  /** Goes to a view; `replace` leaves no step behind in the history (for state inside one page). */
  go(href: string, replace = false): void {
    if (replace) {
      history.replaceState(null, '', href);
      this.route = parse(location.hash);
    } else {
      location.hash = href;
    }
  }
}

export const router = new Router();

export function link(page: Exclude<Page, 'unknown'>, id = '', params: Record<string, string> = {}): string {
  const query = new URLSearchParams(Object.entries(params).filter(([, value]) => value !== '')).toString();
  const path = page === 'overview' ? '#/' : `#/${page}${id === '' ? '' : `/${encodeURIComponent(id)}`}`;
  return query === '' ? path : `${path}?${query}`;
}
