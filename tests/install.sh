#!/usr/bin/env bash
# Installs what the tests need beside Rust and a C compiler: npm tools, Python readers, a server of S3, Prometheus' checks,
# psql, wrk, a browser.
# Node.js 20, npm, Python 3.11 with venv and apt are expected; everything else comes from here.
set -euo pipefail
cd "$(dirname "$0")/.."
cache="${XDG_CACHE_HOME:-$HOME/.cache}/tributary"
mkdir -p "$cache"

sh tests/install-node.sh

venv="$cache/venv"
if ! cmp -s tests/python/requirements.txt "$venv/.installed"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/python/requirements.txt >&2
    cp tests/python/requirements.txt "$venv/.installed"
fi

# A server of S3 that checks signatures. In a workspace of its own: its features would compile half of ours anew.
if [ "$("$cache/s3/bin/s3s-fs" --version 2>/dev/null)" != "s3s-fs 0.14.1" ]; then
    build="$(mktemp -d)"
    CARGO_TARGET_DIR="$build" cargo install --quiet --debug --locked --force --root "$cache/s3" \
        --version 0.14.1 --features binary s3s-fs >&2
    rm -r "$build"
fi

if ! [ -x /usr/bin/promtool ]; then
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus >&2
fi

if ! [ -x /usr/bin/psql ]; then
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql-client >&2
fi

if ! [ -x /usr/bin/wrk ]; then
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends wrk >&2
fi

if ! [ -x /usr/bin/chromium ]; then
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >&2
fi
