#!/usr/bin/env bash
# The archiver's tests of S3 against versitygw, an S3 gateway that nobody here wrote: what it refuses, or does otherwise, is
# either wrong here or a difference that is named below. It runs on loopback and is gone with the script.
set -euo pipefail
cd "$(dirname "$0")"
command -v go >/dev/null || { echo "versitygw: skipped: Go is missing (1.26 or newer)"; exit 0; }

# Where it is not as AWS:
skipped=(
  # It keeps no storage classes, and its lifecycle rules do nothing.
  --skip export::in_glacier_another_recordings_copy_is_taken_and_without_one_the_file_is_named
  --skip verify::glacier_delete_markers_and_lifecycle_are_named_as_such
  --skip classes_and_keys_are_asked_for    # one storage class, no KMS: it takes the headers and keeps neither
  --skip objects_are_kept_as_the_flags_say # the same, and an owner is an access key, not an account's twelve digits
  --skip faults::                          # made by kvs-sim
)

bin=${XDG_CACHE_HOME:-$HOME/.cache}/kvs-operator/versitygw-$(sha256sum <go.sum | cut -c1-12)
if [ ! -x "$bin/versitygw" ]; then
  echo "Building versitygw from Go modules (once; about a minute) ..."
  mkdir -p "$bin"
  CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w" -o "$bin/versitygw.part" \
    github.com/versity/versitygw/cmd/versitygw
  mv "$bin/versitygw.part" "$bin/versitygw"
fi

scratch=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$scratch"' EXIT
mkdir "$scratch/data" "$scratch/versions"
# It cannot choose a port by itself.
for _ in $(seq 20); do
  port=$((20000 + RANDOM % 10000))
  ROOT_ACCESS_KEY=sim ROOT_SECRET_KEY=sim "$bin/versitygw" --port "127.0.0.1:$port" --quiet \
    posix --versioning-dir "$scratch/versions" "$scratch/data" >"$scratch/log" 2>&1 &
  server=$!
  for _ in $(seq 100); do
    kill -0 "$server" 2>/dev/null || break
    curl -s -o /dev/null "http://127.0.0.1:$port/" && break 2
    sleep 0.1
  done
  kill "$server" 2>/dev/null || true
  server=
done
[ -n "$server" ] || { cat "$scratch/log" >&2; echo "versitygw does not start" >&2; exit 1; }

S3_ENDPOINT=http://127.0.0.1:$port AWS_EC2_METADATA_DISABLED=true \
  cargo test --locked --quiet --manifest-path ../../Cargo.toml --test s3 --test archive -- "${skipped[@]}"
echo "versitygw: the archiver's tests of S3 pass there, too"
