#!/bin/sh
# Checks that the sources type-check without a warning and that dist/ is what they build to, byte for byte.
set -eu
cd "$(dirname "$0")"
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
./build.sh "$fresh/dist"
if ! diff -r dist "$fresh/dist" >&2; then
    echo "dist/ is not what the sources build to: run dashboards/build.sh and commit the result" >&2
    exit 1
fi
npx --no-install svelte-check --tsconfig ./tsconfig.json --fail-on-warnings --output machine >&2
npx --no-install tsc -p tsconfig.json >&2
echo "dashboards: dist/ is fresh and the sources are clean"
