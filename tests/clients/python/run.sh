#!/usr/bin/env bash
# boto3.
set -euo pipefail
. "$(dirname "$0")/venv.sh"
python -B -m unittest discover --start-directory "$(dirname "$0")"
