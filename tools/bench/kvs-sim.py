"""Starts kvs-sim, measures it at rest and under cameras, and prints rows of the table of bench.sh."""

import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.request

PROGRAM = pathlib.Path(os.environ["BIN"], "kvs-sim")
SCRATCH = pathlib.Path(os.environ["SCRATCH"])
CAMERAS = int(os.environ.get("CAMERAS", 50))
SECONDS = int(os.environ.get("SECONDS_OF_FOOTAGE", 60))
broken = False


def row(what, figure, bound, holds):
    global broken
    broken |= not holds
    print(f"| kvs-sim | {what} | {figure} | {bound}{'' if holds else ': BROKEN'} |", flush=True)


def start(log):
    """Starts it; returns the process, its endpoint and how long until the first answer (s)."""
    began = time.monotonic()
    # The quotas are a stream's and an account's; creating cameras is more than a person's calls.
    serve = [PROGRAM, "serve", "--listen", "127.0.0.1:0", "--data", SCRATCH / "data", "--transition", "0", "--no-quotas"]
    process = subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=log, text=True)
    endpoint = process.stdout.readline().strip().split("AWS_ENDPOINT_URL=")[1]
    urllib.request.urlopen(endpoint + "/_kvs-sim/behaviour").read()
    return process, endpoint, time.monotonic() - began


def memory(process, kind):
    """Its memory in MB: `VmRSS` now, `VmHWM` the most so far."""
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(rf"{kind}:\s+(\d+)", status)[1]) / 1024


def cpu(process):
    """The processor's seconds that it has used."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def call(endpoint, path, **body):
    request = urllib.request.Request(endpoint + path, json.dumps(body).encode())
    return json.load(urllib.request.urlopen(request))


def footage():
    """2 Mbit/s, a key frame every two seconds."""
    file = SCRATCH / "footage.mkv"
    rate = "-b:v 2M -minrate 2M -maxrate 2M -bufsize 1M -x264-params nal-hrd=cbr:filler=1".split()
    subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25", "-t", "20"]
        + ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "50", *rate, file],
        check=True,
    )
    return file


def camera(endpoint, stream, file):
    """Sends for as long as is measured; ends with 0 where every fragment was acknowledged as persisted."""
    put = [PROGRAM, "put", file, "--stream", stream, "--endpoint", endpoint, "--loop", str(SECONDS // 20)]
    return subprocess.run(put, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


with open(SCRATCH / "log", "w") as log:
    process, endpoint, took = start(log)
    try:
        row("start to the first answer", f"{took * 1000:.0f} ms", "bound 1 s", took < 1)
        time.sleep(5)
        idle = memory(process, "VmRSS")
        row("idle, resident", f"{idle:.0f} MB", "bound 50 MB", idle < 50)

        file = footage()
        megabits = file.stat().st_size * 8 / 20 / 1e6
        names = [f"camera-{number}" for number in range(CAMERAS)]
        for name in names:
            call(endpoint, "/createStream", StreamName=name, DataRetentionInHours=24)
        before, began = cpu(process), time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(CAMERAS) as pool:
            cameras = list(pool.map(lambda name: camera(endpoint, name, file), names))
        elapsed, used = time.monotonic() - began, cpu(process) - before
        for one in cameras:
            if one.returncode:
                print(one.stderr, file=sys.stderr)
        ledger = urllib.request.urlopen(endpoint + "/_kvs-sim/ledger").read().decode().splitlines()
        frames = sum(len(json.loads(line)["packets"]) for line in ledger)
        expected = CAMERAS * SECONDS * 25
        what = f"{CAMERAS} cameras at {megabits:.1f} Mbit/s for {SECONDS} s"
        acknowledged = sum(one.returncode == 0 for one in cameras)
        row(what, f"{acknowledged} have every ACK", f"{CAMERAS}", acknowledged == CAMERAS)
        row("frames in the ledger", frames, expected, frames == expected)
        row("how long they took", f"{elapsed:.0f} s", "real time, and 20 s to start and end them", elapsed < SECONDS + 20)
        row("processor meanwhile", f"{used / elapsed:.2f} cores", "bound 1 core", used < elapsed)
        row("most memory", f"{memory(process, 'VmHWM'):.0f} MB", "bound 500 MB", memory(process, "VmHWM") < 500)
    finally:
        process.terminate()
        process.wait()
sys.exit(broken)
