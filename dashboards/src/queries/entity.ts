// Datasets, models and agents: lists, and one of them with its versions.

import { ask, type Connection } from '../graphql.svelte';
import type { Amount } from '../money';
import { AMOUNT, PAGE } from '../queries';

export type Kind = 'dataset' | 'model' | 'agent';
export type PayoutRule = { payout: string | null; split: { account: string; sharePpb: number }[] };
export type Summary = {
  id: string;
  textId: string;
  label: string;
  owner: string;
  metadataUri: string;
  lastVersion: number | null;
  sinceBlock: number | string;
  payoutRule: PayoutRule;
  earned: Amount[];
  /** Of models. */
  kind?: string;
  /** Of datasets. */
  visibility?: string;
  license?: string;
  contributorCount?: number;
  flags?: string[];
};
export type Upstream = { id: string; kind: string; label: string; relation: string; sharePpb: number | null };
export type Version = {
  id: string;
  version: number;
  deprecated: boolean;
  flags: string[];
  publishedBlock: number | string;
  upstream: Upstream[];
  /** Of datasets. */
  manifestRoot?: string | null;
  added?: number;
  removed?: number;
  totalRows?: number;
  members?: number | null;
  /** Of models and datasets. */
  license?: string;
  /** Of models. */
  artifactHash?: string | null;
  /** Of models and agents. */
  configHash?: string | null;
};
export type Entity = Summary & { versions: Version[] };
export type Contribution = {
  id: string;
  contributor: string;
  state: string;
  quality: number | null;
  rowCount: number;
  byteCount: number;
  license: string;
  flags: string[];
  submittedBlock: number | string;
  earned: Amount[];
};

const SUMMARY = `id textId label owner metadataUri lastVersion sinceBlock
  payoutRule { payout split { account sharePpb } } earned { ${AMOUNT} }`;
const VERSION = 'id version deprecated flags publishedBlock upstream { id kind label relation sharePpb }';
const OWN: Record<Kind, { fields: string; version: string }> = {
  dataset: {
    fields: 'visibility license flags contributorCount',
    version: 'manifestRoot added removed totalRows members license',
  },
  model: { fields: 'kind', version: 'artifactHash configHash license' },
  agent: { fields: '', version: 'configHash' },
};

export const entities = async (kind: Kind, after: string | null): Promise<Connection<Summary>> =>
  (
    await ask<{ list: Connection<Summary> }>(
      `query Entities($after: String) {
        list: ${kind}s(first: 100, after: $after) { ${PAGE} edges { node { ${SUMMARY} ${OWN[kind].fields} } } }
      }`,
      { after },
    )
  ).list;

export const entity = async (kind: Kind, id: string): Promise<Entity | null> =>
  (
    await ask<{ found: Entity | null }>(
      `query Entity($id: ID!) {
        found: ${kind}(id: $id) { ${SUMMARY} ${OWN[kind].fields} versions { ${VERSION} ${OWN[kind].version} } }
      }`,
      { id },
    )
  ).found;

export const contributions = async (dataset: string, after: string | null): Promise<Connection<Contribution>> => {
  const found = await ask<{ dataset: { contributions: Connection<Contribution> } | null }>(
    `query Contributions($dataset: ID!, $after: String) {
      dataset(id: $dataset) {
        contributions(first: 100, after: $after) {
          ${PAGE}
          edges { node {
            id contributor state quality rowCount byteCount license flags submittedBlock earned { ${AMOUNT} }
          } }
        }
      }
    }`,
    { dataset, after },
  );
  const none = { totalCount: 0, pageInfo: { hasNextPage: false, endCursor: null }, edges: [] };
  return found.dataset?.contributions ?? none;
};
