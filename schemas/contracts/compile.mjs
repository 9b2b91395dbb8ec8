// Compiles the reference suite with the npm solc and writes one artifact {contractName, abi, bytecode} per
// contract; with --check it writes nothing and fails where a committed artifact is not what the sources give.
// The settings are fixed and no metadata hash is appended, so the same sources give the same bytes anywhere.
//
//   node schemas/contracts/compile.mjs [--check] [--tools DIR]
//
// DIR is where package.json and node_modules of the test tools lie; tests/node by default.

import { readFileSync, writeFileSync, readdirSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const args = process.argv.slice(2);
const check = args.includes("--check");
const tools = args.includes("--tools")
  ? resolve(args[args.indexOf("--tools") + 1])
  : join(here, "..", "..", "tests", "node");
const require = createRequire(join(tools, "package.json"));

const folders = ["src", "test-src"];
const artifacts = join(here, "artifacts");

function sources() {
  const found = {};
  for (const folder of folders) {
    for (const file of readdirSync(join(here, folder)).sort()) {
      if (file.endsWith(".sol")) {
        found[`${folder}/${file}`] = { content: readFileSync(join(here, folder, file), "utf8") };
      }
    }
  }
  return found;
}

function findImport(path) {
  if (!path.startsWith("@openzeppelin/")) return { error: `an import outside the suite: ${path}` };
  return { contents: readFileSync(join(tools, "node_modules", path), "utf8") };
}

function compile() {
  const solc = require("solc");
  const input = {
    language: "Solidity",
    sources: sources(),
    settings: {
      optimizer: { enabled: true, runs: 200 },
      evmVersion: "cancun",
      metadata: { bytecodeHash: "none", appendCBOR: false },
      outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
    },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: findImport }));
  const problems = (output.errors ?? []).filter((e) => e.severity !== "info");
  for (const problem of problems) console.error(problem.formattedMessage);
  if (problems.length > 0) throw new Error(`solc found ${problems.length} problems; warnings count`);
  return output.contracts;
}

// Libraries of internal functions are inlined and interfaces and abstract contracts have no code: no artifact.
function render(contracts) {
  const files = new Map();
  for (const [source, byName] of Object.entries(contracts)) {
    if (!folders.some((folder) => source.startsWith(`${folder}/`))) continue;
    for (const [contractName, { abi, evm }] of Object.entries(byName)) {
      if (evm.bytecode.object === "" || !abi.some((item) => item.type === "function")) continue;
      const artifact = { contractName, source, abi, bytecode: `0x${evm.bytecode.object}` };
      files.set(`${contractName}.json`, `${JSON.stringify(artifact, null, 1)}\n`);
    }
  }
  return files;
}

function differences(files) {
  const wrong = [];
  for (const [name, text] of files) {
    const path = join(artifacts, name);
    if (!existsSync(path)) wrong.push(`${name} is missing`);
    else if (readFileSync(path, "utf8") !== text) wrong.push(`${name} differs from a fresh compile`);
  }
  for (const name of readdirSync(artifacts)) {
    if (!files.has(name)) wrong.push(`${name} belongs to no source`);
  }
  return wrong;
}

const files = render(compile());
if (check) {
  const wrong = differences(files);
  for (const line of wrong) console.error(`schemas/contracts/artifacts/${line}`);
  if (wrong.length > 0) {
    console.error("run: node schemas/contracts/compile.mjs");
    process.exit(1);
  }
} else {
  mkdirSync(artifacts, { recursive: true });
  for (const name of readdirSync(artifacts)) rmSync(join(artifacts, name));
  for (const [name, text] of files) writeFileSync(join(artifacts, name), text);
}
console.log(`${files.size} artifacts ${check ? "are what the sources give" : "written"}`);
