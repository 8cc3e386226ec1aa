#!/usr/bin/env bash
# Writes everything that is generated from the Rust types: crds/ and docs/schema/.
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
# The schemas of an archive's documents, a file each.
mkdir -p docs/schema
"${CARGO_TARGET_DIR:-target}/debug/kvs-operator" schemas | python3 -c '
import json, sys
for name, schema in json.load(sys.stdin).items():
    with open(f"docs/schema/{name}.schema.json", "w") as file:
        print(json.dumps(schema, indent=2, ensure_ascii=False), file=file)
'
