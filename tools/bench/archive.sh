#!/usr/bin/env bash
# An hour of 4 Mbit/s footage from kvs-sim's Kinesis Video to its S3: `kvs-operator archive` against a bare curl of the same
# media and of as many bytes to S3, and, beside them, GetClip into upload_fileobj with boto3.
set -euo pipefail
. tests/clients/python/venv.sh
exec python -B tools/bench/archive.py
