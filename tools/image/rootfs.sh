#!/usr/bin/env bash
# The content of the image, for the local cluster and for the Dockerfile alike.
#
#   rootfs.sh OUT PROGRAM...     a root file system in OUT: the programs, the C library that they need, CA certificates
#
# Nothing else is in it: no shell, no package manager. Its processes run as user 65532.
set -euo pipefail
out=$1; shift
rm -rf "$out"
mkdir -p "$out"/{bin,etc/ssl/certs,tmp}
chmod 1777 "$out/tmp"
for program in "$@"; do
  install -m 0755 -s "$program" "$out/bin/"
  # The libraries as the loader names them, the loader itself included.
  ldd "$program" | grep -o '/[^ ]*' | while read -r library; do
    mkdir -p "$out$(dirname "$library")"
    install -m 0755 "$(readlink -f "$library")" "$out$library"
  done
done
install -m 0644 /etc/ssl/certs/ca-certificates.crt "$out/etc/ssl/certs/"
echo 'nonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin' >"$out/etc/passwd"
echo 'nonroot:x:65532:' >"$out/etc/group"
