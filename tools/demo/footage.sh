#!/usr/bin/env bash
# footage.sh OUT: footage for a camera that nobody has: a moving test picture with a clock and a tone, H.264 and AAC,
# 30 s, a key frame every 2 s.
set -euo pipefail
ffmpeg -nostdin -v error -y \
  -f lavfi -i "testsrc2=size=640x360:rate=15:duration=30" -f lavfi -i "sine=frequency=440:beep_factor=4:duration=30" \
  -c:v libx264 -preset veryfast -pix_fmt yuv420p -b:v 600k -g 30 -keyint_min 30 -sc_threshold 0 \
  -c:a aac -b:a 64k -f matroska "$1"
