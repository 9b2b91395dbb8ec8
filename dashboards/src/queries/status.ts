// Where everything stands, for whoever keeps it running.

import { ask } from '../graphql.svelte';
import { UNFUNDED, type Anchored, type Status } from '../queries';

export type Alarm = {
  kind: string;
  epoch: number;
  vault: string;
  token: string;
  block: number | string;
  detail: string;
  account: string | null;
};
export type Standing = Omit<Status, 'anchored' | 'counts' | 'totals'> & {
  openEpoch: number;
  epochSeconds: number;
  manifestHash: string | null;
  ledgerDigest: string | null;
  merkleRoots: { vault: string; root: string }[];
  counters: { name: string; value: string }[];
  anchored:
    | (Anchored & {
        lagBlocks: number | null;
        open: number;
        l1Head: number | string | null;
        l1Finalized: number | string | null;
        l1Read: number | string | null;
      })
    | null;
  counts: Record<string, number>;
  alarms: Alarm[];
};

const BLOCK = 'number hash timestamp';

export const standing = async (): Promise<Standing> =>
  (
    await ask<{ status: Standing }>(`query Standing {
      status {
        chainId head { ${BLOCK} } safe { ${BLOCK} } finalized { ${BLOCK} } indexed { ${BLOCK} } sealed { ${BLOCK} }
        finality trust settledEpoch openEpoch epochSeconds logRoot mappingSetHash manifestHash ledgerDigest
        merkleRoots { vault root } snapshot lagBlocks waiting endpoints { name state reason } counters { name value }
        anchored { state reason head finalized lagBlocks open notAnchored unknown l1Head l1Finalized l1Read }
        counts { blocks events rejectedEvents payments batches blobs attributions datasets contributions models agents
          accounts }
        ${UNFUNDED}
        alarms { kind epoch vault token block detail account }
        invariants { id holds broken }
      }
    }`)
  ).status;
