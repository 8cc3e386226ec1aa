#!/usr/bin/env bash
# kvs-sim: how soon it serves, what it needs idle, and 50 cameras at 2 Mbit/s in real time for SECONDS_OF_FOOTAGE (default 60): every
# fragment acknowledged. The cameras run on the same machine.
set -euo pipefail
exec python3 -B tools/bench/kvs-sim.py
