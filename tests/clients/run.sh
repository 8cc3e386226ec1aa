#!/usr/bin/env bash
# Programs that nobody here wrote, against a running kvs-sim: what they refuse, kvs-sim has wrong.
#
#   run.sh [CLIENT...]     CLIENT is a folder beside this file; default: all. Prints ok, skipped (why) or FAILED for each.
#
# Needs target/debug/kvs-sim, ffmpeg and what each client is written in. What they fetch (at pinned versions) is kept below
# ${XDG_CACHE_HOME:-~/.cache}/kvs-operator.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
sim=$(realpath "${CARGO_TARGET_DIR:-../../target}/debug/kvs-sim")
clients=("$@")
[ ${#clients[@]} -gt 0 ] || clients=(localemu python awscli javascript java terraform)

scratch=$(mktemp -d)
declare -A running
trap 'kill "${server:-}" "${running[@]}" 2>/dev/null || true; rm -rf "$scratch"' EXIT

export CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/kvs-operator
export AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret AWS_REGION=eu-west-1 AWS_DEFAULT_REGION=eu-west-1
export AWS_EC2_METADATA_DISABLED=true AWS_CONFIG_FILE=$scratch/config AWS_SHARED_CREDENTIALS_FILE=$scratch/credentials
touch "$AWS_CONFIG_FILE" "$AWS_SHARED_CREDENTIALS_FILE"
mkdir -p "$CACHE"

# So many clients at once are more than an account's quotas allow, and each tries once; quotas have tests of their own.
"$sim" serve --listen 127.0.0.1:0 --data "$scratch/data" --transition 1 --early-evaluation --no-quotas >"$scratch/sim.log" 2>&1 &
server=$!
for _ in $(seq 100); do
  AWS_ENDPOINT_URL=$(sed -n 's/.*AWS_ENDPOINT_URL=//p' "$scratch/sim.log")
  [ -n "$AWS_ENDPOINT_URL" ] && break
  sleep 0.1
done
[ -n "$AWS_ENDPOINT_URL" ] || { cat "$scratch/sim.log" >&2; exit 1; }
export AWS_ENDPOINT_URL

# Footage that every client finds: 24 s of H.264 and AAC, a key frame every two seconds, so 12 fragments.
export FOOTAGE=$scratch/footage.mkv STREAM=clients-camera FRAGMENTS=12 FRAMES=360
ffmpeg -v error -f lavfi -i testsrc2=size=320x240:rate=15 -f lavfi -i sine=sample_rate=16000 -t 24 \
  -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 30 -keyint_min 30 -sc_threshold 0 -bf 0 -c:a aac -f matroska \
  -cluster_time_limit 2000 "$FOOTAGE"

# All at once: much of what they do is waiting.
for client in "${clients[@]}"; do
  mkdir -p "$scratch/$client"
  SCRATCH=$scratch/$client SIM=$sim bash "$client/run.sh" >"$scratch/$client.log" 2>&1 &
  running[$client]=$!
done
failed=0
for client in "${clients[@]}"; do
  code=0
  wait "${running[$client]}" || code=$?
  case $code in
    0) echo "ok       $client" ;;
    77) echo "skipped  $client: $(tail -n 1 "$scratch/$client.log")" ;;
    *)
      echo "FAILED   $client:"
      sed 's/^/    /' "$scratch/$client.log"
      failed=1
      ;;
  esac
done
exit $failed
