#!/usr/bin/env bash
# Removes every trace of the demo: the local cluster with all in it, or, with KUBE_CONTEXT=name, what the demo made there.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ -z "${KUBE_CONTEXT:-}" ]; then
  if [ -e /run/kvs-cluster-demo ]; then tools/stack.sh down; echo "The demo is gone."; else echo "There is no demo."; fi
  exit 0
fi
eval "$(tools/cluster/cluster.sh env | sed 's/KUBECONFIG=[^ ]*//')"
k() { kubectl --context "$KUBE_CONTEXT" "$@"; }
# While the operator still runs: its objects go in order, and nothing is left that waits for it.
for kind in archivepolicies recordings videostreams; do k -n cameras delete $kind --all --ignore-not-found --timeout=120s; done
helm --kube-context "$KUBE_CONTEXT" uninstall kvs-operator --namespace kvs-operator --wait --ignore-not-found
k delete crd videostreams.kvs-operator.io archivepolicies.kvs-operator.io recordings.kvs-operator.io --ignore-not-found
k delete namespace cameras kvs-operator kvs-sim --ignore-not-found
echo "The demo is gone from $KUBE_CONTEXT."
