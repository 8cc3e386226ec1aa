#!/usr/bin/env bash
# The Debian packages that building, testing and the demo need.
#
#   packages.sh PACKAGE...     installs those that are missing, as root on Debian; elsewhere says which are missing
set -euo pipefail
missing=()
for package in "$@"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} = 0 ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "These Debian packages are missing: ${missing[*]}" >&2
  echo "Install them (on Debian 12: sudo apt-get install ${missing[*]}) and run this again." >&2
  exit 1
fi
echo "Installing Debian packages: ${missing[*]}"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
