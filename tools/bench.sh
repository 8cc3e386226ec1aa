#!/usr/bin/env bash
# Measures what the project promises to be, and prints a table. `make bench` runs all of it.
#
#   bench.sh [NAME...]     NAME is a script in tools/bench, without .sh; default: all
#
# A script finds the release programs in BIN and a folder of its own in SCRATCH, says how it goes on standard error, and prints
# its rows of the table: | bench | what | figure | against |. Where a figure breaks its bound it ends with an error, and so does
# this. ROUNDS (default 5): how often each side of a comparison runs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
names=("$@")
[ ${#names[@]} -gt 0 ] || names=($(cd tools/bench && for f in *.sh; do echo "${f%.sh}"; done))
for name in "${names[@]}"; do
  [ -f "tools/bench/$name.sh" ] || { echo "there is no tools/bench/$name.sh" >&2; exit 2; }
done

cargo build --locked --release --workspace --bins >&2
BIN=$(realpath "${CARGO_TARGET_DIR:-target}/release")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export BIN ROUNDS=${ROUNDS:-5} AWS_EC2_METADATA_DISABLED=true
export CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/kvs-operator
mkdir -p "$CACHE"

broken=()
echo "| bench | what | figure | against |"
echo "|---|---|---|---|"
for name in "${names[@]}"; do
  mkdir "$scratch/$name"
  SCRATCH=$scratch/$name bash "tools/bench/$name.sh" || broken+=("$name")
  rm -rf "${scratch:?}/$name"
done
[ ${#broken[@]} = 0 ] || { echo "Broken bounds, or a bench that failed: ${broken[*]}" >&2; exit 1; }
