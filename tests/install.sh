#!/usr/bin/env bash
# Installs what the tests need beside Rust and a C compiler: npm tools, Python readers, a browser.
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

if ! [ -x /usr/bin/chromium ]; then
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >&2
fi
