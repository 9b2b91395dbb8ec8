// Makes vectors.json: calls Vectors.sol on an Anvil of its own for every formula that contracts and the indexer
// must compute alike. With --check it writes nothing and fails where the committed file is not what the chain
// answers. Inputs are hashes of labels, so the file has no choice in it.
//
//   node schemas/vectors/make.mjs [--check] [--tools DIR]
//
// OpenZeppelin's own JavaScript trees judge the two roots that have their shape.

import { spawn } from "node:child_process";
import { readFileSync, writeFileSync, readdirSync, existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const args = process.argv.slice(2);
const tools = args.includes("--tools")
  ? resolve(args[args.indexOf("--tools") + 1])
  : join(here, "..", "..", "tests", "node");
const require = createRequire(join(tools, "package.json"));
const { encode, decode } = require("@metamask/abi-utils");
const { keccak256 } = require("ethereum-cryptography/keccak");
const { StandardMerkleTree, SimpleMerkleTree } = require("@openzeppelin/merkle-tree");
const artifact = JSON.parse(readFileSync(join(here, "..", "contracts", "artifacts", "Vectors.json"), "utf8"));

const hex = (bytes) => `0x${Buffer.from(bytes).toString("hex")}`;
const unhex = (text) => Buffer.from(text.slice(2), "hex");
const keccak = (bytes) => hex(keccak256(bytes));
const hash = (label) => keccak(Buffer.from(label));
const address = (label) => hash(label).slice(0, 42);

function anvilBinary() {
  if (process.env.TESTS_ANVIL) return process.env.TESTS_ANVIL;
  const scope = join(tools, "node_modules", "@foundry-rs");
  for (const name of existsSync(scope) ? readdirSync(scope).sort() : []) {
    const path = join(scope, name, "bin", "anvil");
    if (existsSync(path)) return path;
  }
  throw new Error("no anvil: run tests/install-node.sh, or set TESTS_ANVIL");
}

async function startAnvil() {
  const child = spawn(anvilBinary(), ["--port", "0", "--chain-id", "1612"], { stdio: ["ignore", "pipe", "inherit"] });
  const url = await new Promise((done, fail) => {
    let said = "";
    child.stdout.on("data", (chunk) => {
      said += chunk;
      const found = said.match(/Listening on (\S+)/);
      if (found) done(`http://${found[1]}`);
    });
    child.on("exit", (code) => fail(new Error(`anvil ended with ${code}`)));
  });
  return { child, url };
}

async function rpc(url, method, params) {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
  const response = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
  const { result, error } = await response.json();
  if (error) throw new Error(`${method}: ${error.message}`);
  return result;
}

async function deploy(url) {
  const [from] = await rpc(url, "eth_accounts", []);
  const sent = await rpc(url, "eth_sendTransaction", [{ from, data: artifact.bytecode, gas: "0x989680" }]);
  // The chain mines on its own task: the answer to sending may come before the block does.
  let receipt = null;
  for (let asked = 0; receipt === null && asked < 500; asked += 1) {
    receipt = await rpc(url, "eth_getTransactionReceipt", [sent]);
    if (receipt === null) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  if (receipt === null) throw new Error(`transaction ${sent} was never mined`);
  const { contractAddress, status } = receipt;
  if (status !== "0x1") throw new Error("Vectors was not deployed");
  return async (name, ...values) => {
    const { inputs, outputs } = artifact.abi.find((item) => item.name === name);
    const types = inputs.map((input) => input.type);
    const selector = keccak256(Buffer.from(`${name}(${types.join(",")})`)).slice(0, 4);
    const data = hex(Buffer.concat([selector, encode(types, values)]));
    const answer = await rpc(url, "eth_call", [{ to: contractAddress, data, gas: "0x3b9aca00" }, "latest"]);
    const [value] = decode(outputs.map((output) => output.type), unhex(answer));
    return value instanceof Uint8Array ? hex(value) : value;
  };
}

const U64_MAX = (1n << 64n) - 1n;
const U32_MAX = 0xffffffff;
const ZERO_ADDRESS = `0x${"00".repeat(20)}`;
const ZERO_HASH = `0x${"00".repeat(32)}`;
const word = (n) => `0x${n.toString(16).padStart(64, "0")}`;
const text = (t) => hex(Buffer.from(t));

async function ids(call) {
  const registry = address("registry");
  const entities = [];
  for (const [kind, chainId, namespace, nativeKey] of [
    [1, 1612n, registry, word(1n)],
    [2, 1612n, registry, hash("contribution")],
    [3, 1612n, registry, word(7n)],
    [4, 1612n, registry, word(U64_MAX + 1n)],
    [5, 161201n, registry, hash("inference")],
    [6, 1612n, registry, hash("payment")],
    [7, 1612n, registry, hash("batch")],
    [8, 1612n, registry, hash("method")],
    [9, 1612n, registry, hash("policy")],
    [10, 1612n, registry, word(1n)],
    [11, 1612n, registry, hash("attestation")],
    [12, 0n, ZERO_ADDRESS, text("hf:meta-llama/llama-2-7b")],
    [12, 0n, ZERO_ADDRESS, text("doi:10.5281/zenodo.1")],
    [12, U64_MAX, ZERO_ADDRESS, "0x"],
  ]) {
    const id = await call("entityId", kind, chainId, namespace, nativeKey);
    entities.push({ kind, chain_id: `${chainId}`, namespace, native_key: nativeKey, id });
  }
  const versions = [];
  for (const version of [0, 1, 256, U32_MAX]) {
    const entity = entities[2].id;
    versions.push({ entity, version, id: await call("versionId", entity, version) });
  }
  const keys = [];
  for (const n of [0n, 1n, U64_MAX]) {
    const account = address("account");
    keys.push({ account, n: `${n}`, key: await call("keyOf", account, n) });
  }
  const inferences = [];
  for (const index of [0, 1, U32_MAX]) {
    const batch = entities[6].id;
    inferences.push({ batch, index, id: await call("inferenceId", batch, index) });
  }
  const events = [];
  for (const [tx, log, sub] of [[0, 0, 0], [3, 17, 2], [5, U32_MAX, 0], [U32_MAX, U32_MAX, 1]]) {
    const block = hash("block");
    const id = await call("eventId", 1612n, block, tx, log, sub);
    events.push({ chain_id: "1612", block_hash: block, tx_index: tx, log_index: log, sub_index: sub, id });
  }
  return { entity_ids: entities, version_ids: versions, native_keys: keys, inference_ids: inferences, event_ids: events };
}

async function logRoots(call) {
  const logs = [];
  for (const [chainId, startBlock] of [[1612n, 0n], [161201n, 123456789n], [U64_MAX, U64_MAX]]) {
    const mapping = hash(`mapping ${chainId}`);
    const start = await call("logRootStart", chainId, startBlock, mapping);
    const blocks = [];
    let root = start;
    for (const encoded of ["0x", text("events of the second block"), hex(Buffer.alloc(300, 0xa5))]) {
      const blockHash = hash(`block ${chainId} ${blocks.length}`);
      root = await call("logRootNext", root, blockHash, encoded);
      blocks.push({ block_hash: blockHash, encoded_events: encoded, root });
    }
    logs.push({ chain_id: `${chainId}`, start_block: `${startBlock}`, mapping_set_hash: mapping, start_root: start, blocks });
  }
  return logs;
}

// Inference i has i mod 4 records, so that empty ones are among them; scores take their extremes.
async function recordRoots(call) {
  const scores = [0n, 1n, -1n, 1_000_000n, -(1n << 63n), (1n << 63n) - 1n];
  const roots = [];
  for (const count of [1, 2, 3, 5, 7]) {
    const inferences = [];
    for (let index = 0; index < count; ++index) {
      const records = [];
      for (let r = 0; r < index % 4; ++r) {
        const target = hash(`target ${count} ${index} ${r}`);
        const row = r % 2 === 0 ? null : r * 1000;
        const score = scores[(index + r) % scores.length];
        const bytes = await call("record", target, row ?? U32_MAX, score);
        records.push({ target, row, score: `${score}`, bytes });
      }
      const inferenceId = hash(`inference ${count} ${index}`);
      const subject = hash(`subject ${count}`);
      const bytes = hex(Buffer.concat(records.map((record) => unhex(record.bytes))));
      const leaf = await call("recordsLeaf", index, inferenceId, subject, bytes);
      inferences.push({ index, inference_id: inferenceId, subject, records, leaf });
    }
    const joined = inferences.map((i) => hex(Buffer.concat(i.records.map((record) => unhex(record.bytes)))));
    const root = await call(
      "recordsRoot",
      inferences.map((i) => i.inference_id),
      inferences.map((i) => i.subject),
      joined,
    );
    roots.push({ inferences, root });
  }
  return roots;
}

async function manifestRoots(call) {
  const roots = [];
  for (const count of [0, 1, 2, 3, 4, 5, 7, 11]) {
    const members = [...Array(count).keys()].map((i) => hash(`member ${count} ${i}`)).sort();
    const root = await call("manifestRoot", members);
    const leaves = members.map((member) => keccak(keccak256(unhex(member))));
    const judged = count === 0 ? ZERO_HASH : SimpleMerkleTree.of(leaves).root;
    if (root !== judged) throw new Error(`manifest root of ${count}: ${root}, OpenZeppelin says ${judged}`);
    roots.push({ members, root });
  }
  return roots;
}

async function claimRoots(call) {
  const roots = [];
  for (const count of [1, 2, 3, 5, 7, 12]) {
    const claims = [];
    for (let i = 0; i < count; ++i) {
      const account = address(`payee ${count} ${Math.floor(i / 2)}`);
      const token = i % 2 === 0 ? ZERO_ADDRESS : address("token");
      const cumulative = i === count - 1 ? 10n ** 38n - 1n : 10n ** BigInt(i) + BigInt(i);
      const leaf = await call("claimLeaf", account, token, cumulative);
      claims.push({ account, token, cumulative: `${cumulative}`, leaf });
    }
    const values = claims.map((c) => [c.account, c.token, c.cumulative]);
    const root = await call("claimRoot", ...[0, 1, 2].map((k) => values.map((v) => (k === 2 ? BigInt(v[k]) : v[k]))));
    const judge = StandardMerkleTree.of(values, ["address", "address", "uint256"]);
    if (root !== judge.root) throw new Error(`claim root of ${count}: ${root}, OpenZeppelin says ${judge.root}`);
    claims.forEach((claim, i) => (claim.proof = judge.getProof(i)));
    roots.push({ claims, root });
  }
  return roots;
}

async function vectors() {
  const { child, url } = await startAnvil();
  try {
    const call = await deploy(url);
    return {
      ...(await ids(call)),
      log_roots: await logRoots(call),
      record_roots: await recordRoots(call),
      manifest_roots: await manifestRoots(call),
      claim_roots: await claimRoots(call),
    };
  } finally {
    child.removeAllListeners("exit");
    child.kill();
  }
}

const path = join(here, "vectors.json");
const fresh = `${JSON.stringify(await vectors(), null, 1)}\n`;
if (!args.includes("--check")) {
  writeFileSync(path, fresh);
  console.log("vectors written");
} else if (readFileSync(path, "utf8") === fresh) {
  console.log("vectors are what the chain answers");
} else {
  console.error("schemas/vectors/vectors.json is not what the chain answers; run: node schemas/vectors/make.mjs");
  process.exitCode = 1;
}
