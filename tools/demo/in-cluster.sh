# Sourced by the demo: somebody's cluster. The operator and kvs-sim run in it; the camera reaches kvs-sim by a port-forward.
[ -n "${IMAGE:-}" ] || { echo "KUBE_CONTEXT=$KUBE_CONTEXT also needs IMAGE=…, which that cluster can pull (see Dockerfile)" >&2; exit 1; }
[[ $IMAGE == *:* ]] || { echo "IMAGE=$IMAGE needs a tag" >&2; exit 1; }
# kubectl and helm of the person's own, else those of the local cluster.
eval "$(tools/cluster/cluster.sh env | sed 's/KUBECONFIG=[^ ]*//')"
export AWS_REGION=us-east-1
command -v kubectl >/dev/null && command -v helm >/dev/null || tools/cluster/cluster.sh build
kubectl() { command kubectl --context "$KUBE_CONTEXT" "$@"; }

where() { echo "The cluster $KUBE_CONTEXT: kvs-sim and the operator, both from $IMAGE"; }

# Never over an installation that is not the demo's: demo-down removes all of what it finds labelled.
refuse_a_real_one() {
  local name
  for name in kvs-operator cameras kvs-sim; do
    [ -z "$(kubectl get namespace $name --ignore-not-found -o name)" ] && continue
    [ -n "$(kubectl get namespace -l kvs-operator.io/demo=true --field-selector metadata.name=$name -o name)" ] && continue
    echo "The cluster $KUBE_CONTEXT has a namespace $name that is not the demo's: nothing is changed there. Use another cluster." >&2
    exit 1
  done
  if [ -n "$(kubectl get crd recordings.kvs-operator.io --ignore-not-found -o name)" ] &&
    [ -z "$(kubectl get namespace -l kvs-operator.io/demo=true -o name)" ]; then
    echo "The cluster $KUBE_CONTEXT has kvs-operator installed already: nothing is changed there. Use another cluster." >&2
    exit 1
  fi
}

start() {
  kubectl version | tail -1
  refuse_a_real_one
  sed "s|IMAGE|$IMAGE|" tools/demo/kvs-sim.yaml | kubectl apply -f -
  kubectl -n kvs-sim rollout status deployment/kvs-sim --timeout=120s
  local address; address=$(kubectl -n kvs-sim get service kvs-sim -o jsonpath='{.spec.clusterIP}')
  for namespace in kvs-operator cameras; do
    kubectl create namespace $namespace --dry-run=client -o yaml | kubectl apply -f -
    kubectl label namespace $namespace kvs-operator.io/demo=true --overwrite >/dev/null
    kubectl -n $namespace create secret generic aws --dry-run=client -o yaml \
      --from-literal=AWS_ACCESS_KEY_ID=any --from-literal=AWS_SECRET_ACCESS_KEY=any | kubectl apply -f -
  done
  helm --kube-context "$KUBE_CONTEXT" upgrade --install kvs-operator charts/kvs-operator --namespace kvs-operator --wait --timeout 120s \
    --set "image.repository=${IMAGE%:*},image.tag=${IMAGE##*:}" \
    --set "clusterId=demo,region=$AWS_REGION,aws.endpointUrl=http://$address:4600,aws.credentialsSecret=aws" \
    --set "archiver.serviceAccount.namespaces={cameras}" --set "$times"
  command kubectl --context "$KUBE_CONTEXT" -n kvs-sim port-forward service/kvs-sim 4600:4600 >"$work/forward.log" 2>&1 &
  export AWS_ENDPOINT_URL=http://127.0.0.1:4600
  for _ in $(seq 100); do curl -s -o /dev/null "$AWS_ENDPOINT_URL/" && return; sleep 0.2; done
  echo "kvs-sim cannot be reached by a port-forward:" >&2; cat "$work/forward.log" >&2; exit 1
}

camera() { AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any "$programs/kvs-sim" "$@"; }

use() { echo "kubectl config use-context $KUBE_CONTEXT; kubectl -n kvs-sim port-forward service/kvs-sim 4600 & export AWS_ENDPOINT_URL=http://127.0.0.1:4600"; }

down_hint() { echo " KUBE_CONTEXT=$KUBE_CONTEXT"; }
