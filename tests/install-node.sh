#!/bin/sh
# Installs the npm tools of the tests (a chain, a Solidity compiler, OpenZeppelin's contracts and Merkle trees, a
# browser driver) from the committed lock file into tests/node/node_modules. Nothing is run on installation.
set -eu
cd "$(dirname "$0")/node"
if cmp -s package-lock.json node_modules/.installed-lock.json; then
    exit 0
fi
npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2
cp package-lock.json node_modules/.installed-lock.json
