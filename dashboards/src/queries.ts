// Every question the pages ask, and the shape of its answer. The schema is schemas/graphql/schema.graphql.

import { ask } from './graphql.svelte';
import type { Amount } from './money';

export const AMOUNT = 'raw token symbol decimals';
export const PAGE = 'totalCount pageInfo { hasNextPage endCursor }';
export const UNFUNDED = `unfunded { vault token sinceEpoch owed { ${AMOUNT} } held { ${AMOUNT} } waiting { ${AMOUNT} } }`;
const BLOCK = 'number hash timestamp';

export type Block = { number: string | number; hash: string; timestamp: string | null };
export type Edges<T> = { edges: { node: T }[] };
export type Conserved = { token: string; revenue: Amount; credited: Amount; held: Amount };
export type TokenTotal = Conserved & { claimed: Amount };
export type EpochToken = Conserved & { vault: string; payments: number; root: string | null; published: boolean };
export type Epoch = { number: number; manifestHash: string | null; tokens: EpochToken[] };
export type Status = {
  chainId: string;
  head: Block | null;
  safe: Block | null;
  finalized: Block | null;
  indexed: Block | null;
  sealed: Block;
  finality: string;
  trust: string;
  settledEpoch: number | null;
  logRoot: string;
  mappingSetHash: string;
  snapshot: number;
  lagBlocks: number | null;
  waiting: string[];
  endpoints: { name: string; state: string; reason: string | null }[];
  anchored: Anchored | null;
  counts: Record<string, number | string>;
  totals: TokenTotal[];
  unfunded: Unfunded[];
  invariants: { id: string; holds: string; broken: number }[];
};
/** What waits until a vault has the money. */
export type Unfunded = { vault: string; token: string; sinceEpoch: number; owed: Amount; held: Amount | null; waiting: Amount };
export type Anchored = {
  state: string;
  reason: string | null;
  head: number | string | null;
  finalized: number | string | null;
  notAnchored: number;
  unknown: number;
};
export type Posting = {
  l1Block: number | string;
  l1Tx: string | null;
  form: string | null;
  versionedHash: string | null;
  blobIndex: number | null;
  commitmentHash: string | null;
  blobKey: string | null;
  dispersedBy: string | null;
  level: string | null;
  dataLevel: string | null;
  channel: string | null;
  frameFirst: number | null;
  frameLast: number | null;
  batchKind: string | null;
  batchIndex: number | null;
};
export type BlockAnswer = {
  status: { anchored: Anchored | null };
  block?: {
    hash: string | null;
    timestamp: string;
    epoch: number;
    l1Origin: number | string | null;
    transactions: number;
    logs: number;
    events: number;
    logRoot: string | null;
    anchor: { state: string; postings: Posting[] };
  } | null;
};
export type AccountLine = { address: string; entitlements: { token: string; vault: string; cumulative: Amount; claimable: Amount }[] };
export type Accounts = Edges<AccountLine> & { totalCount: number };
export type Overview = { status: Status; epochs: Edges<Epoch>; accounts: Edges<AccountLine> };

const LINE = `address entitlements { token vault cumulative { ${AMOUNT} } claimable { ${AMOUNT} } }`;
const TOTAL = `token revenue { ${AMOUNT} } credited { ${AMOUNT} } held { ${AMOUNT} }`;

export const overview = (): Promise<Overview> =>
  ask(`query Overview {
    status {
      chainId head { ${BLOCK} } safe { ${BLOCK} } finalized { ${BLOCK} } indexed { ${BLOCK} } sealed { ${BLOCK} }
      finality trust settledEpoch logRoot mappingSetHash snapshot lagBlocks waiting endpoints { name state reason } anchored { state reason head finalized notAnchored unknown }
      counts { blocks events rejectedEvents payments batches blobs attributions datasets contributions models agents accounts }
      totals { ${TOTAL} claimed { ${AMOUNT} } } ${UNFUNDED}
      invariants { id holds broken }
    }
    epochs(first: 8) { edges { node { number manifestHash tokens { vault payments ${TOTAL} root published } } } }
    accounts(first: 10, orderBy: EARNED) { edges { node { ${LINE} } } }
  }`);

const ANCHORED = 'anchored { state reason head finalized notAnchored unknown }';

/** A block and what carries it on L1; without a number how far anchoring stands. */
export const block = (number: number | null): Promise<BlockAnswer> =>
  number === null
    ? ask(`query Anchored { status { ${ANCHORED} } }`)
    : ask(
        `query Block($number: BlockNumber!) {
          status { ${ANCHORED} }
          block(number: $number) {
            hash timestamp epoch l1Origin transactions logs events logRoot
            anchor { state postings {
              l1Block l1Tx form versionedHash blobIndex commitmentHash blobKey dispersedBy level dataLevel channel
              frameFirst frameLast batchKind batchIndex
            } }
          }
        }`,
        { number },
      );

export const accounts = (search: string): Promise<{ accounts: Accounts }> =>
  ask(
    `query Accounts($search: String) {
      accounts(first: 50, search: $search, orderBy: EARNED) { totalCount edges { node { ${LINE} } } }
    }`,
    { search: search === '' ? null : search },
  );

export type MapNode = {
  id: string;
  kind: string;
  label: string;
  entity: string | null;
  layer: number;
  x: number;
  y: number;
  owner: string | null;
  hidden: number;
  earned: Amount[];
};
export type MapEdge = {
  id: string;
  source: string;
  target: string;
  relation: string;
  sharePpb: number | null;
  contributions: number | null;
  money: Amount[];
};
export type Provenance = {
  focus: string;
  nodes: MapNode[];
  edges: MapEdge[];
  leftOut: { relation: string; count: number }[];
};
export type Direction = 'UPSTREAM' | 'DOWNSTREAM' | 'BOTH';

/** `at` is the block to look from; null for the newest sealed one. */
export const provenance = (
  of: string,
  direction: Direction,
  depth: number,
  at: number | null,
): Promise<{ provenance: Provenance | null }> =>
  ask(
    `query Provenance($of: ID!, $direction: Direction!, $depth: Int!, $asOf: AsOf) {
      provenance(of: $of, direction: $direction, depth: $depth, first: 300, asOf: $asOf) {
        focus
        nodes { id kind label entity layer x y owner hidden earned { ${AMOUNT} } }
        edges { id source target relation sharePpb contributions money { ${AMOUNT} } }
        leftOut { relation count }
      }
    }`,
    { of, direction, depth, asOf: at === null ? null : { number: at } },
  );

export type Entry = { id: string; kind: string; label: string };
type Named = Edges<{ id: string; label: string; lastVersion: number | null }>;
type Flows = Edges<{ flows: { step: string; source: string }[] }>;
/** `sealed` is the newest block that can be looked from. */
export type Entries = { list: Entry[]; first: string | null; sealed: number };

/**
 * Where a walk over the map may begin: agents before models and datasets, because money enters there. `first` is what
 * the largest payments of the last epoch went to. What has no version yet is in no graph.
 */
export async function entries(): Promise<Entries> {
  const found = await ask<{
    agents: Named;
    models: Named;
    datasets: Named;
    epochs: Flows;
    status: { sealed: { number: number | string } };
  }>(`query Entries {
    status { sealed { number } }
    agents(first: 200) { edges { node { id label lastVersion } } }
    models(first: 200) { edges { node { id label lastVersion } } }
    datasets(first: 200) { edges { node { id label lastVersion } } }
    epochs(first: 1) { edges { node { flows(first: 20) { step source } } } }
  }`);
  const of = (kind: string, list: Named): Entry[] =>
    list.edges
      .filter(({ node }) => node.lastVersion !== null)
      .map(({ node }) => ({ id: node.id, kind, label: node.label }));
  const list = [...of('agent', found.agents), ...of('model', found.models), ...of('dataset', found.datasets)];
  const flows = found.epochs.edges.flatMap(({ node }) => node.flows);
  const paid = flows.find((flow) => flow.step === 'model' && /^0x[0-9a-f]{64}$/i.test(flow.source));
  return { list, first: paid?.source ?? list[0]?.id ?? null, sealed: Number(found.status.sealed.number) };
}

export type Proof = {
  root: string;
  leaf: string;
  siblings: string[];
  epoch: number;
  vault: string;
  account: string;
  token: string;
  cumulative: string;
};
export type Entitlement = {
  token: string;
  vault: string;
  epoch: number;
  cumulative: Amount;
  claimed: Amount;
  claimable: Amount;
  published: boolean;
  proof: Proof | null;
};
export type Earning = { key: string; label: string | null; amount: Amount };
export type Grouping = 'ROLE' | 'DATASET' | 'MODEL' | 'AGENT' | 'EPOCH';
export type Statement = {
  account: {
    address: string;
    payout: string | null;
    quarantined: boolean;
    owns: Entry[];
    entitlements: Entitlement[];
    pending: Pending[];
    epochs: Earning[];
  };
};
/** Money that waits: for the end of a challenge window, for a reason, or for the vault's balance. */
export type Pending = {
  kind: 'CHALLENGE' | 'SUSPENDED' | 'UNFUNDED';
  reason: string | null;
  untilBlock: number | string | null;
  sinceEpoch: number | null;
  vault: string;
  amount: Amount;
};

export const statement = (address: string): Promise<Statement> =>
  ask(
    `query Statement($address: Address!) {
      account(address: $address) {
        address payout quarantined owns { id kind label }
        entitlements {
          token vault epoch cumulative { ${AMOUNT} } claimed { ${AMOUNT} } claimable { ${AMOUNT} } published
          proof { root leaf siblings epoch vault account token cumulative }
        }
        pending { kind reason untilBlock sinceEpoch vault amount { ${AMOUNT} } }
        epochs: earnings(groupBy: EPOCH) { key label amount { ${AMOUNT} } }
      }
    }`,
    { address },
  );

export const earnings = (address: string, groupBy: Grouping): Promise<{ account: { earnings: Earning[] } }> =>
  ask(
    `query Earnings($address: Address!, $groupBy: EarningsGroup!) {
      account(address: $address) { earnings(groupBy: $groupBy) { key label amount { ${AMOUNT} } } }
    }`,
    { address, groupBy },
  );

export type ExplanationLine = {
  role: string;
  dataset: string | null;
  contribution: string | null;
  model: string | null;
  agent: string | null;
  description: string;
  /** Names of what it came through, from what earned to what was paid. */
  through: string[];
  amount: Amount;
  rounding: Amount;
  depth: number | null;
  /** Ways that the money took up the lineage, the most valuable first; the rest came over `otherPaths`. */
  paths: { labels: string[]; amount: Amount }[];
  otherPaths: Amount | null;
};
export type Explanation = {
  total: Amount;
  lines: ExplanationLine[];
  blocks: { first: number | string; last: number | string };
  blobs: Blob[];
};
/** A blob that a fact refers to, and how far it was verified. */
export type Blob = {
  payloadHash: string | null;
  commitmentHash: string | null;
  level: string | null;
  dataLevel: string | null;
  trust: string;
};

export const explanation = (
  address: string,
  epoch: number,
  token: string,
): Promise<{ account: { explanation: Explanation | null } }> =>
  ask(
    `query Explanation($address: Address!, $epoch: Int!, $token: Address!) {
      account(address: $address) {
        explanation(epoch: $epoch, token: $token) {
          total { ${AMOUNT} }
          lines { role dataset contribution model agent description through depth amount { ${AMOUNT} } rounding { ${AMOUNT} }
            paths { labels amount { ${AMOUNT} } } otherPaths { ${AMOUNT} } }
          blocks { first last }
          blobs { payloadHash commitmentHash level dataLevel trust }
        }
      }
    }`,
    { address, epoch, token },
  );
