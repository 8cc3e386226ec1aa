#!/usr/bin/env bash
# AWS's SDK for JavaScript.
set -euo pipefail
cd "$(dirname "$0")"
# The machine's own Node.js, else a pinned one from PyPI.
if ! command -v npm >/dev/null; then
  command -v python3 >/dev/null || { echo "there is neither npm nor python3"; exit 77; }
  node=$CACHE/node-$(sha256sum requirements.txt | cut -c1-12)
  if [ ! -e "$node/complete" ]; then
    rm -rf "$node"
    python3 -m venv "$node" || { echo "there is no npm, and python3 cannot make environments (Debian: python3-venv)"; exit 77; }
    "$node/bin/pip" install --quiet --require-hashes --only-binary :all: --requirement requirements.txt
    touch "$node/complete"
  fi
  export PATH=$node/bin:$PATH
fi
modules=$CACHE/javascript-$(sha256sum package-lock.json | cut -c1-12)
if [ ! -e "$modules/complete" ]; then
  rm -rf "$modules"
  mkdir -p "$modules"
  cp package.json package-lock.json "$modules"
  npm --prefix "$modules" ci --silent --no-audit --no-fund
  touch "$modules/complete"
fi
# Node looks for modules above the file that wants them.
cp ./*.test.mjs "$SCRATCH"
ln -s "$modules/node_modules" "$SCRATCH/node_modules"
cd "$SCRATCH"
node --test
