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
ours=$(k get namespace -l kvs-operator.io/demo=true -o jsonpath='{.items[*].metadata.name}')
[ -n "$ours" ] || { echo "There is no demo in $KUBE_CONTEXT."; exit 0; }
# While the operator still runs: its objects go in order. Where it cannot, they are let go: nothing of the demo is worth keeping.
for kind in archivepolicies recordings videostreams; do
  [ -n "$(k get crd $kind.kvs-operator.io --ignore-not-found -o name)" ] || continue
  k -n cameras delete $kind --all --timeout=90s || k -n cameras get $kind -o name |
    xargs -r -n1 kubectl --context "$KUBE_CONTEXT" -n cameras patch --type=merge -p '{"metadata":{"finalizers":null}}'
done
helm --kube-context "$KUBE_CONTEXT" uninstall kvs-operator --namespace kvs-operator --wait --ignore-not-found
k delete crd videostreams.kvs-operator.io archivepolicies.kvs-operator.io recordings.kvs-operator.io --ignore-not-found
# shellcheck disable=SC2086 # several names
k delete namespace $ours --ignore-not-found
echo "The demo is gone from $KUBE_CONTEXT."
