// What lies below a line of an explanation: inferences with their batch, and below these payments and records. Every
// level says what it adds up to and what is not on its page.

import { ask } from '../graphql.svelte';
import type { Amount } from '../money';
import { AMOUNT } from '../queries';

export type Level<T> = { totalCount: number; total: Amount; rest: Amount; untraced: Amount; edges: { node: T }[] };
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

const LEVEL = `totalCount total { ${AMOUNT} } rest { ${AMOUNT} } untraced { ${AMOUNT} }`;
const PARTS = `payments(first: 10) { ${LEVEL} edges { node {
    kind payment payer tx block logIndex paid { ${AMOUNT} } amount { ${AMOUNT} }
  } } }
  records(first: 10) { ${LEVEL} edges { node { target targetId row score amount { ${AMOUNT} } } } }`;

/** The inferences of every line, in the order of the lines; with `parts`, the payments and records of each. */
export async function inferences(
  address: string,
  epoch: number,
  token: string,
  first: number,
  parts: boolean,
): Promise<Level<InferencePart>[]> {
  const found = await ask<{ account: { explanation: { lines: { inferences: Level<InferencePart> }[] } | null } }>(
    `query Inferences($address: Address!, $epoch: Int!, $token: Address!, $first: Int!) {
      account(address: $address) {
        explanation(epoch: $epoch, token: $token) {
          lines {
            inferences(first: $first) {
              ${LEVEL}
              edges { node {
                inference subject amount { ${AMOUNT} }
                batch { id producer block logIndex payloadHash commitmentHash blobKey }
                ${parts ? PARTS : ''}
              } }
            }
          }
        }
      }
    }`,
    { address, epoch, token, first },
  );
  return found.account.explanation?.lines.map((line) => line.inferences) ?? [];
}
