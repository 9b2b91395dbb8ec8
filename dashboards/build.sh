#!/bin/sh
# Builds dist/, which is committed and embedded, so that `cargo build` needs no Node. With a folder as argument the build
# goes there instead.
set -eu
cd "$(dirname "$0")"
# npm writes the lock file it installed beside the packages; when it is ours, they are ours.
if ! cmp -s package-lock.json node_modules/.installed-lock.json; then
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2
    cp package-lock.json node_modules/.installed-lock.json
fi
npx --no-install vite build --outDir "${1:-dist}" --emptyOutDir --logLevel warn >&2
