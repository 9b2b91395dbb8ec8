// What lies below a line of an explanation: inferences with their batch, and below these payments and records. Every
// level says what it adds up to and what is not on its page.

import { ask } from '../graphql.svelte';
import type { Amount } from '../money';
import { AMOUNT } from '../queries';

export type Level<T> = { totalCount: number; total: Amount; rest: Amount; untraced: Amount; edges: { cursor: string; node: T }[] };
export type Batch = {
  id: string;
  producer: string;
  block: number | string;
  logIndex: number;
  payloadHash: string | null;
  commitmentHash: string | null;
  blobKey: string | null;
};
export type PaymentPart = {
  kind: string;
  payment: string | null;
  payer: string | null;
  tx: string | null;
  block: number | string | null;
  logIndex: number | null;
  paid: Amount | null;
  amount: Amount;
};
export type RecordPart = { target: string | null; targetId: string | null; row: number | null; score: string; amount: Amount };
export type InferencePart = {
  inference: string | null;
  subject: string | null;
  batch: Batch | null;
  amount: Amount;
  payments?: Level<PaymentPart>;
  records?: Level<RecordPart>;
};

export type Parts = { payments: Level<PaymentPart>; records: Level<RecordPart> };
/** Which line of which explanation. */
export type Line = { address: string; epoch: number; token: string; at: number };

const LEVEL = `totalCount total { ${AMOUNT} } rest { ${AMOUNT} } untraced { ${AMOUNT} }`;

type Answer<T> = { account: { explanation: { line: { inferences: Level<T> } | null } | null } };

async function below<T>(line: Line, first: number, after: string | null, fields: string): Promise<Level<T> | null> {
  const found = await ask<Answer<T>>(
    `query Inferences($address: Address!, $epoch: Int!, $token: Address!, $at: Int!, $first: Int!, $after: String) {
      account(address: $address) {
        explanation(epoch: $epoch, token: $token) {
          line(at: $at) { inferences(first: $first, after: $after) { ${LEVEL} edges { cursor node { ${fields} } } } }
        }
      }
    }`,
    { ...line, first, after },
  );
  return found.account.explanation?.line?.inferences ?? null;
}

/** The inferences that a line's money came by, from after a cursor on. */
export const inferences = (line: Line, first: number, after: string | null): Promise<Level<InferencePart> | null> =>
  below(
    line,
    first,
    after,
    `inference subject amount { ${AMOUNT} } batch { id producer block logIndex payloadHash commitmentHash blobKey }`,
  );

/** The payments and records of the inference after a cursor. */
export const parts = async (line: Line, after: string | null): Promise<Parts | null> => {
  const found = await below<Parts>(
    line,
    1,
    after,
    `payments(first: 50) { ${LEVEL} edges { cursor node {
       kind payment payer tx block logIndex paid { ${AMOUNT} } amount { ${AMOUNT} }
     } } }
     records(first: 50) { ${LEVEL} edges { cursor node { target targetId row score amount { ${AMOUNT} } } } }`,
  );
  return found?.edges[0]?.node ?? null;
};
