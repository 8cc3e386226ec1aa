#!/usr/bin/env bash
# The end-to-end test: a real cluster with kvs-sim beside it and the operator in it, and the story of tests/e2e.
#
#   KEEP=yes leaves the cluster as it is afterwards (CLUSTER=e2e tools/stack.sh down removes it)
#   PROFILE=hostile has kvs-sim give the worst answer to everything that AWS leaves open
set -euo pipefail
cd "$(dirname "$0")/.."
# A cluster of its own beside a demo that may be running.
export CLUSTER=e2e CLUSTER_NUMBER=1
export KVS_SIM_PROFILE=${PROFILE:-aws}
# Longer than it may take until a fragment is listed.
close_after=30s
[ "$KVS_SIM_PROFILE" = aws ] || close_after=200s
export SIM_FLAGS="--early-evaluation --transition 2"
cargo build --locked --workspace --bins
# The test's program itself, so that it does not wait for another cargo that runs beside it.
story=$(cargo test --locked --test e2e --no-run --message-format=json | sed -n 's/.*"executable":"\([^"]*\/e2e-[^"]*\)".*/\1/p')
if [ -e /run/kvs-cluster-e2e ]; then tools/stack.sh down; fi
[ "${KEEP:-}" = yes ] || trap 'tools/stack.sh down' EXIT
tools/stack.sh up --set settle=5s,closeAfter=$close_after,sweepInterval=5s
eval "$(tools/stack.sh env)"
export KVS_SIM=$PWD/${CARGO_TARGET_DIR:-target}/debug/kvs-sim
[ -z "${CARGO_TARGET_DIR:-}" ] || export KVS_SIM=$CARGO_TARGET_DIR/debug/kvs-sim
"$story" --ignored --nocapture --test-threads 1
