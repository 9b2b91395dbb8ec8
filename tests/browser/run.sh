#!/usr/bin/env bash
# Drives the dashboards of demos in a real browser: of one that is still being followed, then of one where everything is
# settled.
# usage: run.sh BINARY [FOLDER for screenshots]; without it TESTS_SCREENSHOTS names one that is kept.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
binary="$(realpath "$1")"
dir="$(mktemp -d)"
shots="${2:-${TESTS_SCREENSHOTS:-$dir/screenshots}}"
demo=
trap 'stop; rm -rf "$dir"' EXIT

stop() {
    [ -z "$demo" ] || { kill "$demo" 2>/dev/null || true; wait "$demo" 2>/dev/null || true; }
    demo=
}

# Starts a demo, waits until it says something, and names its address.
start() {
    local name="$1" until="$2"
    shift 2
    : >"$dir/$name.log"
    "$binary" demo "$@" --data-dir "$dir/$name" >"$dir/$name.out" 2>"$dir/$name.log" &
    demo=$!
    until grep -q "$until" "$dir/$name.log"; do
        kill -0 "$demo" 2>/dev/null || { echo "the demo ended:" >&2; cat "$dir/$name.log" >&2; exit 1; }
        sleep 0.2
    done
    url="$(sed -n 's/^dashboard *//p' "$dir/$name.log" | head -n 1)"
}

failed=0
# Long enough that there is still something to follow when the last page is looked at, however quick the machine.
start moving "^dashboard" --seed 8 --blocks 8000 --faults reorg
node "$here/live.mjs" "$url" "$shots" || failed=1
stop
start settled "everything is settled" --seed 4 --blocks 300
node "$here/dashboard.mjs" "$url" "$shots" || failed=1
PROGRAM="$binary" DATA="$dir/settled" node "$here/newcomer.mjs" "$url" "$shots" || failed=1
stop
exit "$failed"
