// The proof, checked here and not believed: OpenZeppelin's StandardMerkleTree over (address account, address token,
// uint256 cumulative). A leaf is hashed twice, so that an inner node can never pass for one; pairs are sorted, so that
// a proof needs no directions.

import { keccak_256 } from '@noble/hashes/sha3.js';

export type Claim = { account: string; token: string; cumulative: bigint };
export type Step = { sibling: string; hash: string };
export type Verdict = { valid: boolean; leaf: string; steps: Step[]; computed: string };

export function bytes(hex: string, length: number): Uint8Array {
  const digits = hex.startsWith('0x') ? hex.slice(2) : hex;
  if (digits.length !== length * 2 || !/^[0-9a-fA-F]*$/.test(digits)) {
    throw new Error(`expected ${length} bytes of hex, got "${hex}"`);
  }
  return Uint8Array.from({ length }, (_, i) => parseInt(digits.slice(2 * i, 2 * i + 2), 16));
}

export const hex = (data: Uint8Array): string =>
  `0x${[...data].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;

/** keccak256(keccak256(abi.encode(account, token, cumulative))) */
export function leafOf(claim: Claim): Uint8Array {
  if (claim.cumulative < 0n || claim.cumulative >= 1n << 256n) throw new Error('the amount does not fit a uint256');
  const encoded = new Uint8Array(96);
  encoded.set(bytes(claim.account, 20), 12);
  encoded.set(bytes(claim.token, 20), 44);
  encoded.set(bytes(claim.cumulative.toString(16).padStart(64, '0'), 32), 64);
  return keccak_256(keccak_256(encoded));
}

export function verify(claim: Claim, siblings: readonly string[], root: string): Verdict {
  const leaf = leafOf(claim);
  let node = leaf;
  const steps = siblings.map((sibling) => {
    node = pair(node, bytes(sibling, 32));
    return { sibling, hash: hex(node) };
  });
  const computed = hex(node);
  return { valid: computed === hex(bytes(root, 32)), leaf: hex(leaf), steps, computed };
}

function pair(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(64);
  const first = before(a, b) ? a : b;
  both.set(first, 0);
  both.set(first === a ? b : a, 32);
  return keccak_256(both);
}

function before(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < 32; i++) {
    const [x, y] = [a[i] ?? 0, b[i] ?? 0];
    if (x !== y) return x < y;
  }
  return true;
}
