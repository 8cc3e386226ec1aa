#!/usr/bin/env bash
# The suite for CloudWatch and S3 against localemu, another's implementation of the same: so the suite has AWS's meaning, not only
# ours. Where localemu differs from what AWS documents, the test says so (`differs`).
set -euo pipefail
cd "$(dirname "$0")"
. ../python/venv.sh
python=$(ls "$(command -v python3.13)" "$(command -v python3.12)" "$HOME"/.pyenv/versions/3.1[23].*/bin/python 2>/dev/null |
  while read -r found; do "$found" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && echo "$found"; done | tail -n 1) || true
[ -n "$python" ] || { echo "localemu wants Python 3.12 or newer"; exit 77; }
home=$CACHE/localemu-$(sha256sum requirements.txt | cut -c1-12)
if [ ! -e "$home/complete" ]; then
  rm -rf "$home"
  "$python" -m venv "$home" || { echo "$python cannot make environments"; exit 77; }
  "$home/bin/pip" install --quiet --require-hashes --requirement requirements.txt
  touch "$home/complete"
fi

port=$(python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
# Its own server listens everywhere, whatever it is told; this one does not.
HOME=$SCRATCH GATEWAY_SERVER=hypercorn "$home/bin/localemu" start --host 127.0.0.1 --port "$port" >"$SCRATCH/log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
export AWS_ENDPOINT_URL=http://127.0.0.1:$port PEER=localemu
# The only credentials whose signatures it finds right.
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
for _ in $(seq 600); do
  curl -s -o /dev/null "$AWS_ENDPOINT_URL/_localemu/health" && break
  kill -0 "$server" || { cat "$SCRATCH/log"; exit 1; }
  sleep 0.2
done
python -B -m unittest discover --start-directory ../python --pattern 'test_[abo]*.py'
