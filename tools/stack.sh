#!/usr/bin/env bash
# The local cluster with everything in it: Kubernetes, kvs-sim beside it, the operator installed by its chart.
#
#   stack.sh up [HELM-FLAGS]     start it; programs come from target/debug
#   stack.sh env                 print what a shell needs to use it: KUBECONFIG, PATH, AWS_ENDPOINT_URL, credentials
#   stack.sh down                stop it and remove every trace
#
# CLUSTER and CLUSTER_NUMBER choose the cluster (tools/cluster/cluster.sh), SIM_FLAGS are passed to `kvs-sim serve`.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$here/..
cluster=$here/cluster/cluster.sh
programs=${CARGO_TARGET_DIR:-$root/target}/debug
dir=/run/kvs-cluster-${CLUSTER:-demo}

env() {
  "$cluster" env
  # kvs-sim takes any credentials; an SDK wants to have some.
  echo 'export AWS_ENDPOINT_URL=http://$NODE_ADDRESS:4600 AWS_REGION=us-east-1'
  echo 'export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any AWS_EC2_METADATA_DISABLED=true'
}

sim() {
  mkdir -p "$dir/kvs-sim"
  # shellcheck disable=SC2086 # SIM_FLAGS are several words
  "$cluster" exec "$programs/kvs-sim" serve --listen "$NODE_ADDRESS:4600" --data "$dir/kvs-sim" ${SIM_FLAGS:-} \
    >"$dir/log/kvs-sim.log" 2>&1 &
  echo $! >"$dir/pid/kvs-sim"
  for _ in $(seq 100); do
    curl -s -o /dev/null "$AWS_ENDPOINT_URL/" && return
    sleep 0.1
  done
  echo "kvs-sim does not answer; its log:" >&2; tail -20 "$dir/log/kvs-sim.log" >&2; exit 1
}

operator() {
  local rootfs; rootfs=$(mktemp -d)
  "$here/image/rootfs.sh" "$rootfs" "$programs/kvs-operator" "$programs/kvs-sim"
  "$cluster" image kvs-operator "$rootfs" /bin/kvs-operator >/dev/null 2>&1
  rm -rf "$rootfs"
  for namespace in kvs-operator cameras; do
    kubectl create namespace $namespace
    kubectl -n $namespace create secret generic aws \
      --from-literal=AWS_ACCESS_KEY_ID=any --from-literal=AWS_SECRET_ACCESS_KEY=any
  done
  helm install kvs-operator "$root/charts/kvs-operator" --namespace kvs-operator --wait --timeout 120s \
    --set image.repository=localhost/kvs-operator,image.tag=dev,image.pullPolicy=Never \
    --set clusterId=local,region=$AWS_REGION,aws.endpointUrl=$AWS_ENDPOINT_URL,aws.credentialsSecret=aws \
    --set "archiver.serviceAccount.namespaces={cameras}" "$@" >/dev/null || {
      kubectl -n kvs-operator get pods; kubectl -n kvs-operator logs deployment/kvs-operator --tail=20; exit 1
    }
}

up() {
  "$cluster" up
  eval "$(env)"
  sim
  operator "$@"
}

down() {
  "$cluster" down
}

command=${1:-help}; [ $# -gt 0 ] && shift
case $command in up | env | down) "$command" "$@" ;; *) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;; esac
