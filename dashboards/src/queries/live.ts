// What is watched. Every event has a number, from 1 without gaps; `after` goes on behind one of them.

export type Topic = { field: string; query: string; variables: Record<string, string> };
export type Told = { sequence: number };
export type BlockEvent = Told &
  (
    | { __typename: 'BlockAdded'; number: number | string; hash: string; timestamp: string }
    | { __typename: 'Retracted'; from: number | string; to: number | string; head: string | null }
  );
export type EpochEvent = Told & { epoch: { number: number } };

export const BLOCKS: Topic = {
  field: 'blocks',
  query: `subscription ($after: Int) {
    blocks(after: $after) { __typename sequence ... on BlockAdded { number hash timestamp } ... on Retracted { from to head } }
  }`,
  variables: {},
};

export const EPOCHS: Topic = {
  field: 'epochSettled',
  query: 'subscription ($after: Int) { epochSettled(after: $after) { sequence epoch { number } } }',
  variables: {},
};

export const BATCHES: Topic = {
  field: 'batchStatus',
  query: 'subscription ($after: Int) { batchStatus(after: $after) { sequence } }',
  variables: {},
};

export const earningsOf = (account: string): Topic => ({
  field: 'earningsChanged',
  query: `subscription ($account: Address!, $after: Int) {
    earningsChanged(account: $account, after: $after) { sequence }
  }`,
  variables: { account },
});
