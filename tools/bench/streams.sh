#!/usr/bin/env bash
# VideoStreams at scale, on a real control plane and kvs-sim with AWS's quotas: how soon all are Ready, what the operator costs
# when nothing happens, what a restart costs; and without quotas, how fast it is.
#
#   STREAMS (10000)       how many; AWS's quota lets 25 be made a second, so all take 400 s
#   IDLE_SECONDS (600)    how long nothing happens, which is then reckoned for an hour
#   CLUSTER_NUMBER (5)    addresses of its own (tools/cluster/cluster.sh)
set -euo pipefail
cd "$(dirname "$0")"
export SCRATCH=${SCRATCH:-$(mktemp -d)} AWS_EC2_METADATA_DISABLED=true PYTHONDONTWRITEBYTECODE=1
exec python3 streams.py
