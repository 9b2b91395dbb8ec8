// Blobs that facts refer to, and how far each was verified.

import { ask, type Connection } from '../graphql.svelte';
import { PAGE } from '../queries';

export type BlobFact = {
  reference: string;
  form: string;
  commitmentHash: string | null;
  certVersion: number | null;
  blobKey: string | null;
  dispersedBy: string | null;
  length: number | null;
  payloadHash: string | null;
  payloadBytes: number | null;
  status: string;
  level: string | null;
  dataLevel: string | null;
  trust: string;
  source: string | null;
  detail: string | null;
  ownerKind: string;
  ownerId: string | null;
  block: number | string;
  foundBlock: number | string | null;
  logIndex: number;
  epoch: number;
};
export type BlobStatus = 'VERIFIED' | 'VOID' | 'MISSING';

const FIELDS = `reference form commitmentHash certVersion blobKey dispersedBy length payloadHash payloadBytes status level
  dataLevel trust source detail ownerKind ownerId block foundBlock logIndex epoch`;

export const blobs = async (status: BlobStatus | null, after: string | null): Promise<Connection<BlobFact>> =>
  (
    await ask<{ blobs: Connection<BlobFact> }>(
      `query Blobs($status: BlobStatus, $after: String) {
        blobs(first: 100, status: $status, after: $after) { ${PAGE} edges { node { ${FIELDS} } } }
      }`,
      { status, after },
    )
  ).blobs;

export const blob = async (hash: string): Promise<BlobFact | null> =>
  (await ask<{ blob: BlobFact | null }>(`query Blob($hash: Bytes32!) { blob(hash: $hash) { ${FIELDS} } }`, { hash }))
    .blob;

/** What names a blob in links: whatever of it is known, its payload first. */
export const nameOf = (one: BlobFact): string | null => one.payloadHash ?? one.commitmentHash ?? one.blobKey;
