// A settled epoch: its money by vault and token, and the movements along the edges of the graph.

import { ask, type Connection } from '../graphql.svelte';
import type { Amount } from '../money';
import { AMOUNT, PAGE, type EpochToken } from '../queries';

export type Flow = {
  step: string;
  depth: number;
  source: string;
  sourceLabel: string;
  target: string;
  targetLabel: string;
  amount: Amount;
};
export type Settled = {
  number: number;
  firstBlock: number | string | null;
  lastBlock: number | string | null;
  startsAt: string;
  endsAt: string;
  rule: string | null;
  manifestHash: string | null;
  ledgerDigest: string | null;
  tokens: (EpochToken & { rounding: Amount; cumulative: Amount })[];
};

/** As many movements as the api gives at once. */
export const FLOWS_MAX = 500;

const FIELDS = `number firstBlock lastBlock startsAt endsAt rule manifestHash ledgerDigest
  tokens {
    vault token payments root published revenue { ${AMOUNT} } credited { ${AMOUNT} } held { ${AMOUNT} }
    rounding { ${AMOUNT} } cumulative { ${AMOUNT} }
  }`;

export const epochs = async (after: string | null): Promise<Connection<Settled>> =>
  (
    await ask<{ epochs: Connection<Settled> }>(
      `query Epochs($after: String) { epochs(first: 50, after: $after) { ${PAGE} edges { node { ${FIELDS} } } } }`,
      { after },
    )
  ).epochs;

export const epoch = async (number: number): Promise<{ epoch: Settled | null; last: number | null }> => {
  const found = await ask<{ epoch: Settled | null; status: { settledEpoch: number | null } }>(
    `query Epoch($number: Int!) { epoch(number: $number) { ${FIELDS} } status { settledEpoch } }`,
    { number },
  );
  return { epoch: found.epoch, last: found.status.settledEpoch };
};

export const flows = async (number: number, token: string): Promise<Flow[]> => {
  const found = await ask<{ epoch: { flows: Flow[] } | null }>(
    `query Flows($number: Int!, $token: Address!) {
      epoch(number: $number) {
        flows(first: ${FLOWS_MAX}, token: $token) {
          step depth source sourceLabel target targetLabel amount { ${AMOUNT} }
        }
      }
    }`,
    { number, token },
  );
  return found.epoch?.flows ?? [];
};

// The api takes at most 64 aliases in a document.
const ALIASES_MAX = 60;

/** Who contributed: contributor by the id of the contribution. */
export async function contributors(ids: readonly string[]): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (let at = 0; at < ids.length; at += ALIASES_MAX) {
    const some = ids.slice(at, at + ALIASES_MAX).filter((id) => /^0x[0-9a-f]{64}$/i.test(id));
    if (some.length === 0) continue;
    const fields = some.map((id, i) => `c${i}: contribution(id: "${id}") { contributor }`).join('\n');
    const answer = await ask<Record<string, { contributor: string } | null>>(`query Contributors { ${fields} }`);
    some.forEach((id, i) => {
      const contributor = answer[`c${i}`]?.contributor;
      if (contributor) found.set(id, contributor);
    });
  }
  return found;
}
