#!/usr/bin/env bash
# Starts a demo that serves, waits until everything is settled, and drives its dashboard in a real browser.
# usage: run.sh BINARY [FOLDER for screenshots]; without it TESTS_SCREENSHOTS names one that is kept.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
dir="$(mktemp -d)"
: >"$dir/log"
"$1" demo --seed 4 --blocks 300 --data-dir "$dir/data" >"$dir/out" 2>"$dir/log" &
demo=$!
trap 'kill "$demo" 2>/dev/null || true; wait "$demo" 2>/dev/null || true; rm -rf "$dir"' EXIT
until grep -q "everything is settled" "$dir/log"; do
    kill -0 "$demo" 2>/dev/null || { echo "the demo ended:" >&2; cat "$dir/log" >&2; exit 1; }
    sleep 0.2
done
url="$(sed -n 's/^dashboard *//p' "$dir/log" | head -n 1)"
NODE_PATH="$here/../node/node_modules" node "$here/dashboard.mjs" "$url" "${2:-${TESTS_SCREENSHOTS:-$dir/screenshots}}"
