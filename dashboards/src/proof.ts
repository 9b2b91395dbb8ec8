// Proofs that travel: in a link that holds the whole proof, and in the file that `tributary proof` writes. What is read
// is checked for its shape only; whether it proves anything is for `merkle.ts` to say.

import type { Proof } from './queries';
import { link } from './router.svelte';

/** A link that can be checked by anybody, without asking a server anything. */
export function sharedLink(proof: Proof): string {
  const text = btoa(JSON.stringify(proof)).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
  return `${location.origin}${location.pathname}${link('proof', '', { data: text })}`;
}

/** The proof of such a link. */
export function linked(data: string): Proof[] {
  let text: string;
  try {
    text = atob(data.replaceAll('-', '+').replaceAll('_', '/'));
  } catch {
    throw new Error('the link does not hold a whole proof: it was cut off or changed');
  }
  return proofs(text);
}

/** The proofs of a file or of pasted text: one object or a list of them. */
export function proofs(text: string): Proof[] {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    throw new Error('this is not JSON: expected what `tributary proof` writes');
  }
  const list: unknown[] = Array.isArray(found) ? found : [found];
  if (list.length === 0) throw new Error('the list holds no proof');
  return list.map(proof);
}

const HEX = { 20: /^0x[0-9a-fA-F]{40}$/, 32: /^0x[0-9a-fA-F]{64}$/ } as const;

function proof(value: unknown): Proof {
  if (typeof value !== 'object' || value === null) throw new Error('a proof is an object with root, siblings and a claim');
  const fields = value as Record<string, unknown>;
  const hex = (name: string, bytes: 20 | 32): string => {
    const text = fields[name];
    if (typeof text !== 'string' || !HEX[bytes].test(text)) throw new Error(`${name} is not ${bytes} bytes of hex`);
    return text;
  };
  const siblings = fields['siblings'];
  if (!Array.isArray(siblings) || !siblings.every((one) => typeof one === 'string' && HEX[32].test(one))) {
    throw new Error('siblings is not a list of 32 bytes of hex');
  }
  const cumulative = fields['cumulative'];
  if (typeof cumulative !== 'string' || !/^\d{1,78}$/.test(cumulative)) throw new Error('cumulative is not decimal text');
  const epoch = fields['epoch'];
  if (typeof epoch !== 'number' || !Number.isInteger(epoch)) throw new Error('epoch is not a whole number');
  return {
    account: hex('account', 20),
    token: hex('token', 20),
    cumulative,
    leaf: hex('leaf', 32),
    siblings: siblings as string[],
    root: hex('root', 32),
    epoch,
    vault: hex('vault', 20),
  };
}
