#!/usr/bin/env bash
# Writes everything that is generated: crds/ from the Rust types.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --quiet --bin kvs-operator
mkdir -p crds
"${CARGO_TARGET_DIR:-target}/debug/kvs-operator" crds | awk '
  /^---$/ { text = ""; file = ""; next }
  { text = text $0 "\n" }
  /^  name: .*\.kvs-operator\.io$/ { split($2, part, "."); file = "crds/" part[1] ".yaml" }
  file != "" { printf "%s", text > file; text = "" }
'
# The chart renders them as templates (so that an upgrade upgrades them), from copies: Helm warns about links.
mkdir -p charts/kvs-operator/crd-manifests
cp crds/*.yaml charts/kvs-operator/crd-manifests/
