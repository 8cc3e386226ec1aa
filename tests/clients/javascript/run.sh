#!/usr/bin/env bash
# AWS's SDK for JavaScript.
set -euo pipefail
cd "$(dirname "$0")"
command -v npm >/dev/null || { echo "there is no npm"; exit 77; }
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
