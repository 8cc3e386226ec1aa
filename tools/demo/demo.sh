#!/usr/bin/env bash
# The demo: everything from nothing to clips in S3. `make demo` runs it.
#
#   VIDEO=file                      streams that file (its first 90 s); default: footage that ffmpeg makes
#   KUBE_CONTEXT=name IMAGE=image   uses that cluster instead of building one; the operator and kvs-sim run in it from IMAGE
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
cd "$root"
# Short times, so that there is something to see within minutes; production has 60s, 10m and 15s.
times=settle=5s,closeAfter=20s,sweepInterval=5s
bucket=footage-archive
programs=${CARGO_TARGET_DIR:-target}/debug
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT

say() { printf '\n\033[1m%s\033[0m\n' "== $*"; }
run() { printf '\033[2m$ %s\033[0m\n' "$*"; "$@"; }
if [ -n "${KUBE_CONTEXT:-}" ]; then source "$here/in-cluster.sh"; else source "$here/local.sh"; fi

say "1/6  The programs"
cargo build --locked --workspace --bins

say "2/6  $(where)"
start

say "3/6  A camera's stream and a policy, from examples/demo"
curl -sf -X PUT "$AWS_ENDPOINT_URL/$bucket" || { echo "kvs-sim refuses to make the bucket $bucket" >&2; exit 1; }
run kubectl -n cameras apply -f examples/demo
run kubectl -n cameras wait --for=condition=Ready videostream/front-door archivepolicy/north --timeout=90s

say "4/6  The camera streams"
if [ -n "${VIDEO:-}" ]; then
  [ -r "$VIDEO" ] || { echo "VIDEO=$VIDEO cannot be read" >&2; exit 1; }
  footage=$work/footage.mkv
  # Codecs that Matroska does not take as they are would stop here, with ffmpeg's own message.
  ffmpeg -nostdin -v error -y -i "$VIDEO" -t 90 -map 0:v:0? -map 0:a:0? -c copy -f matroska "$footage"
else
  footage=$work/footage.mkv
  "$here/footage.sh" "$footage"
fi
seconds=$(ffprobe -v error -show_entries format=duration -of csv=p=0 "$footage" | cut -d. -f1)
loops=$(((60 + seconds) / (seconds + 1)))
echo "${VIDEO:-A moving test picture with sound}, ${seconds}s, $loops times, in real time:"
run camera put "$footage" --stream front-door --loop "$loops" &
camera=$!

say "5/6  Footage arrives, the alarm fires, Jobs archive, the camera stops, the recording drains"
shown="" deadline=$((SECONDS + seconds * loops + 240))
while [ $SECONDS -lt $deadline ]; do
  now=$(kubectl -n cameras get recordings,jobs --no-headers \
    -o custom-columns='K:.kind,N:.metadata.name,P:.status.phase,S:.status.conditions[?(@.status=="True")].type,C:.status.counts.clips,F:.status.counts.fragments' 2>/dev/null |
    sed 's/<none>/-/g' || true)
  if [ "$now" != "$shown" ]; then
    { diff <(echo "$shown") <(echo "$now") || true; } | sed -n "s/^> \(.\)/$(date +%T)  \1/p"
    shown=$now
  fi
  # Over when the camera is done and every recording is.
  if ! kill -0 $camera 2>/dev/null; then
    [ -n "${camera_done:-}" ] || { wait $camera || { echo "the camera failed" >&2; exit 1; }; camera_done=yes; echo "$(date +%T)  the camera has stopped"; }
    phases=$(kubectl -n cameras get recordings -o jsonpath='{.items[*].status.phase}')
    [ -n "$phases" ] && ! grep -qE 'Active|Draining' <<<"$phases" && break
  fi
  sleep 1
done
[ -n "${camera_done:-}" ] && [ -n "${phases:-}" ] && ! grep -qE 'Active|Draining' <<<"$phases" || {
  echo "The recording is not complete four minutes after the camera stopped. What there is:" >&2
  kubectl -n cameras describe recordings | tail -40 >&2
  kubectl -n kvs-operator logs deployment/kvs-operator --tail=20 >&2
  exit 1
}

say "6/6  What there is now"
run kubectl -n cameras get videostreams,archivepolicies,recordings,jobs
echo
echo "In s3://$bucket:"
curl -sf "$AWS_ENDPOINT_URL/$bucket?list-type=2" | grep -oE '<Key>[^<]*|<Size>[0-9]*' | sed 's/<[A-Za-z]*>//' | paste - - | awk -F'\t' '{printf "%10d  %s\n", $2, $1}'
clip=$(curl -sf "$AWS_ENDPOINT_URL/$bucket?list-type=2" | grep -oE '<Key>[^<]*\.(mp4|mkv)' | sed 's/<Key>//' | head -1)
say "How to look further"
cat <<T
  $(use)
  kubectl -n cameras describe archivepolicy north
  kubectl -n cameras describe recordings
  kubectl -n cameras get events
  curl -o clip.${clip##*.} "\$AWS_ENDPOINT_URL/$bucket/$clip"      # then play it
  make demo-down$(down_hint)      # removes all of it
T
