// One door to the server: POST /graphql of the same origin. Every answer says at which block it was computed; the last
// one is kept for the foot of the page.

export type AsOf = { number: string | number; hash: string; finality: string; logRoot: string; snapshot: number };

export const pinned: { asOf: AsOf | null } = $state({ asOf: null });

type Reply<T> = {
  data?: T | null;
  errors?: { message: string; extensions?: { code?: string } }[];
  extensions?: { asOf?: AsOf };
};

export class QueryError extends Error {
  readonly code: string | null;

  constructor(message: string, code: string | null) {
    super(message);
    this.code = code;
  }
}

export async function ask<T>(query: string, variables: Record<string, unknown> = {}): Promise<T> {
  const response = await fetch('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json, application/json' },
    body: JSON.stringify({ query, variables }),
  });
  if (response.status === 429) {
    throw new QueryError(`asked too often; try again in ${response.headers.get('retry-after') ?? 'a few'} s`, 'RATE');
  }
  let reply: Reply<T>;
  try {
    reply = (await response.json()) as Reply<T>;
  } catch {
    throw new QueryError(`the server answered ${response.status} without JSON`, null);
  }
  const [first] = reply.errors ?? [];
  if (first) throw new QueryError(first.message, first.extensions?.code ?? null);
  if (reply.data === undefined || reply.data === null) throw new QueryError(`the server answered ${response.status}`, null);
  if (reply.extensions?.asOf) pinned.asOf = reply.extensions.asOf;
  return reply.data;
}

/** What a page shows of one question: the last answer stays on screen while the next is on its way. */
export class Answer<T> {
  data: T | null = $state.raw(null);
  error: string | null = $state(null);
  loading = $state(false);
  private asked = 0;

  async load(question: () => Promise<T>, quiet = false): Promise<T | null> {
    const mine = ++this.asked;
    if (!quiet) this.loading = true;
    try {
      const data = await question();
      if (mine !== this.asked) return null;
      // What a reader has before them stays untouched where the answer is the same.
      if (!quiet || JSON.stringify(data) !== JSON.stringify(this.data)) this.data = data;
      this.error = null;
      return data;
    } catch (cause) {
      if (mine === this.asked) this.error = cause instanceof Error ? cause.message : String(cause);
      return null;
    } finally {
      if (mine === this.asked) this.loading = false;
    }
  }

  /** Asks again, without saying so where something is shown already. */
  renew(question: () => Promise<T>): Promise<T | null> {
    return this.load(question, this.data !== null);
  }

  clear(): void {
    this.asked++;
    this.data = null;
    this.error = null;
    this.loading = false;
  }
}

export type Connection<T> = {
  totalCount: number;
  pageInfo: { hasNextPage: boolean; endCursor: string | null };
  edges: { node: T }[];
};

// Lists of at most so many rows are read again as a whole; of longer ones only how many there are.
const RENEWED_MAX = 500;

/** A list that grows page by page; another question empties it. */
export class Pages<T> {
  rows: T[] = $state.raw([]);
  total: number | null = $state(null);
  more = $state(false);
  private cursor: string | null = null;
  private readonly answer = new Answer<Connection<T>>();
  private question: (after: string | null) => Promise<Connection<T>>;

  constructor(question: (after: string | null) => Promise<Connection<T>>) {
    this.question = question;
  }

  get error(): string | null {
    return this.answer.error;
  }

  get loading(): boolean {
    return this.answer.loading;
  }

  async begin(question: (after: string | null) => Promise<Connection<T>> = this.question): Promise<void> {
    this.question = question;
    this.answer.clear();
    this.rows = [];
    this.total = null;
    this.cursor = null;
    this.more = false;
    await this.next();
  }

  async next(): Promise<void> {
    const found = await this.answer.load(() => this.question(this.cursor));
    if (found === null) return;
    this.take(this.rows, found);
  }

  /** Reads what is shown again; until all of it is there, it stays as it is. */
  async renew(): Promise<void> {
    // What is on its way is new enough.
    if (this.answer.loading) return;
    const [question, shown] = [this.question, this.rows.length];
    const found = await this.answer.load(async () => {
      let page = await question(null);
      const edges = [...page.edges];
      while (shown <= RENEWED_MAX && edges.length < shown && page.pageInfo.hasNextPage) {
        page = await question(page.pageInfo.endCursor);
        edges.push(...page.edges);
      }
      return { ...page, edges };
    }, true);
    if (found === null) return;
    if (shown <= RENEWED_MAX) this.take([], found);
    else [this.total, this.more] = [found.totalCount, this.rows.length < found.totalCount];
  }

  private take(before: readonly T[], found: Connection<T>): void {
    this.rows = [...before, ...found.edges.map(({ node }) => node)];
    this.total = found.totalCount;
    this.cursor = found.pageInfo.endCursor;
    this.more = found.pageInfo.hasNextPage;
  }
}
