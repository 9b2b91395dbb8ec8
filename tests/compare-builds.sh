#!/usr/bin/env bash
# Two builds of the program, one seed: the same roots and digests (INV-08 across optimisation levels).
set -euo pipefail
roots="$(mktemp)"
for binary in "$1" "$2"; do
    dir="$(mktemp -d)"
    "$binary" demo --once --json --seed 7 --blocks 300 --data-dir "$dir/data" 2>"$dir/log" >"$dir/out.json" \
        || { cat "$dir/log" >&2; exit 1; }
    python3 -c 'import json,sys; o=json.load(open(sys.argv[1])); print({k:o[k] for k in ("log_root","merkle_root","ledger_digest")})' \
        "$dir/out.json" >"$dir/roots"
    cat "$dir/roots"
    cat "$dir/roots" >>"$roots"
    rm -rf "$dir"
done
test "$(sort -u "$roots" | wc -l)" = 1 || { echo "the two builds differ" >&2; exit 1; }
