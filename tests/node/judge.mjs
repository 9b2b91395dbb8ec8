// The judge of our trees: OpenZeppelin's own library loads the dump, gives the root and accepts every proof.
//
// usage: node judge.mjs DUMP.json PROOFS.json
// DUMP.json is a standard-v1 dump; PROOFS.json a list of {root, siblings, account, token, cumulative}.
// Prints {root, leaves, verified}.

import { readFileSync } from "node:fs";
import { StandardMerkleTree } from "@openzeppelin/merkle-tree";

const [dump, proofs] = process.argv.slice(2).map((path) => JSON.parse(readFileSync(path, "utf8")));
const tree = StandardMerkleTree.load(dump);
tree.validate();
const rebuilt = StandardMerkleTree.of([...tree.entries()].map(([, value]) => value), dump.leafEncoding);
if (rebuilt.root !== tree.root) throw new Error(`rebuilt root ${rebuilt.root} is not ${tree.root}`);
let verified = 0;
for (const { root, siblings, account, token, cumulative } of proofs) {
  if (root !== tree.root) throw new Error(`a proof for ${root}, the tree has ${tree.root}`);
  if (!StandardMerkleTree.verify(root, dump.leafEncoding, [account, token, cumulative], siblings)) {
    throw new Error(`the proof of ${account} for ${cumulative} of ${token} is refused`);
  }
  verified += 1;
}
console.log(JSON.stringify({ root: tree.root, leaves: [...tree.entries()].length, verified }));
