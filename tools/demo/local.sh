# Sourced by the demo: a cluster of its own on this machine, kvs-sim beside it.

where() { echo "A Kubernetes of its own on this machine, kvs-sim beside it, the operator installed by Helm"; }

start() {
  if [ -e /run/kvs-cluster-demo ]; then
    echo "An earlier demo is still there: removing it."
    tools/stack.sh down
  fi
  SIM_FLAGS="--early-evaluation --transition 2" tools/stack.sh up --set "$times"
  eval "$(tools/stack.sh env)"
}

camera() { tools/cluster/cluster.sh exec "$programs/kvs-sim" "$@"; }

use() { echo 'eval "$(tools/stack.sh env)"'; }

down_hint() { :; }
