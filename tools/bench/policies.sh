#!/usr/bin/env bash
# ArchivePolicies and Recordings at scale, on a real control plane and kvs-sim: what they cost when nothing happens, what a restart
# costs, how soon an alarm becomes a Job, and a thousand alarms in a minute. There are no nodes: pods are played by the bench.
#
#   STREAMS (10000)  POLICIES (20)  FINISHED (3)    streams, policies that share them, finished Recordings of each stream
#   ALARMS (1000)                                   alarms in a minute
#   IDLE_SECONDS (600)  OPEN_SECONDS (300)          how long is measured, which is then reckoned for an hour
#   CLUSTER_NUMBER (5)                              addresses of its own (tools/cluster/cluster.sh)
set -euo pipefail
cd "$(dirname "$0")"
export SCRATCH=${SCRATCH:-$(mktemp -d)} AWS_EC2_METADATA_DISABLED=true PYTHONDONTWRITEBYTECODE=1
exec python3 policies.py
