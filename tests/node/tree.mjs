// OpenZeppelin's own tree of a list, to compare ours with.
//
// usage: node tree.mjs LIST.csv ACCOUNT
// LIST.csv has the columns account, token, amount. Prints {root, leaves, proofs}: the proofs of ACCOUNT by token.

import { readFileSync } from "node:fs";
import { StandardMerkleTree } from "@openzeppelin/merkle-tree";

const [list, account] = process.argv.slice(2);
const [header, ...rows] = readFileSync(list, "utf8").trim().split("\n").map((line) => line.split(","));
const column = (name) => header.indexOf(name);
const values = rows.map((row) => ["account", "token", "amount"].map((name) => row[column(name)]));
const tree = StandardMerkleTree.of(values, ["address", "address", "uint256"]);
const proofs = {};
for (const [index, [owner, token]] of tree.entries()) {
  if (owner === account) proofs[token] = { leaf: tree.leafHash(tree.at(index)), siblings: tree.getProof(index) };
}
console.log(JSON.stringify({ root: tree.root, leaves: values.length, proofs }));
