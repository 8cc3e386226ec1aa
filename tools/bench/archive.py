"""See archive.sh. Sides take turns; a side's figure is the median of ROUNDS runs."""

import datetime
import json
import os
import re
import statistics
import subprocess
import sys
import time
import urllib.request

import boto3
from botocore.config import Config

BIN, SCRATCH, ROUNDS = os.environ["BIN"], os.environ["SCRATCH"], int(os.environ["ROUNDS"])
MINUTES = int(os.environ.get("MINUTES", "60"))
STREAM, BUCKET, REGION = "bench-camera", "bench", "us-east-1"
CLIP = datetime.timedelta(minutes=3)
# The speed of curl that the archiver must have at least, and the most memory that it may take.
SPEED, MEMORY = 0.9, 64 << 20
os.environ |= {
    "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION, "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}


def say(text):
    print(text, file=sys.stderr, flush=True)


class Sim:
    """A kvs-sim that keeps its footage from one life to the next."""

    def __init__(self, *options):
        command = [f"{BIN}/kvs-sim", "serve", "--listen", "127.0.0.1:0", "--transition", "0", "--data", f"{SCRATCH}/data"]
        self.process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.process.stdout:
            if found := re.search("AWS_ENDPOINT_URL=(.*)", line):
                break
        self.endpoint = os.environ["AWS_ENDPOINT_URL"] = found[1]
        client = lambda service: boto3.client(service, endpoint_url=self.endpoint, config=Config(retries={"max_attempts": 9}))
        self.s3, self.video = client("s3"), client("kinesisvideo")
        self.media = client("kinesis-video-archived-media")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def calls(self):
        return json.load(urllib.request.urlopen(f"{self.endpoint}/_kvs-sim/calls"))

    def keys(self):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return [(o["Key"], o["Size"]) for page in pages for o in page.get("Contents", [])]

    def empty(self):
        for key, _ in self.keys():
            self.s3.delete_object(Bucket=BUCKET, Key=key)


def put_footage(sim):
    """The footage, and the span of server time that it came in."""
    minute = f"{SCRATCH}/minute.mkv"
    say("making a minute of 4 Mbit/s")
    subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=1280x720:r=25,noise=alls=20:allf=t",
         "-f", "lavfi", "-i", "sine=sample_rate=48000", "-t", "60", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt",
         "yuv420p", "-g", "50", "-keyint_min", "50", "-sc_threshold", "0", "-b:v", "4M", "-minrate", "4M", "-maxrate", "4M",
         "-bufsize", "4M", "-x264-params", "nal-hrd=cbr", "-c:a", "aac", "-b:a", "128k", minute], check=True)
    sim.s3.create_bucket(Bucket=BUCKET)
    sim.video.create_stream(StreamName=STREAM, DataRetentionInHours=24)
    time.sleep(1)
    begin = datetime.datetime.now(datetime.timezone.utc)
    say(f"sending it {MINUTES} times")
    subprocess.run([f"{BIN}/kvs-sim", "put", minute, "--stream", STREAM, "--as-fast-as-possible", "--loop", str(MINUTES)],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = datetime.datetime.now(datetime.timezone.utc)
    time.sleep(3)  # Footage settles for a second of AWS's clock, which tells whole seconds.
    return begin, end


def listed(sim, span):
    second = datetime.timedelta(seconds=1)  # boto3 sends whole seconds.
    selector = {"FragmentSelectorType": "SERVER_TIMESTAMP",
                "TimestampRange": {"StartTimestamp": span[0], "EndTimestamp": span[1] + second}}
    pages = sim.media.get_paginator("list_fragments").paginate(StreamName=STREAM, FragmentSelector=selector)
    return sorted((f for page in pages for f in page["Fragments"]), key=lambda f: f["FragmentNumber"])


def files(fragments):
    """As the archiver cuts them: three minutes a file."""
    cut, begin = [], None
    for fragment in fragments:
        if begin is None or fragment["ProducerTimestamp"] - begin >= CLIP:
            cut, begin = [*cut, []], fragment["ProducerTimestamp"]
        cut[-1].append(fragment)
    return cut


def measured(sim, command):
    """Runs a command: seconds, peak memory in bytes, what it called, standard output."""
    before = sim.calls()
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=open(f"{SCRATCH}/errors", "w"), text=True)
    peak = 0
    while process.poll() is None:
        try:
            found = re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{process.pid}/status").read())
            peak = max(peak, int(found[1]) << 10) if found else peak
        except (FileNotFoundError, ProcessLookupError):
            pass
        time.sleep(0.005)
    seconds = time.monotonic() - began
    output = process.stdout.read()
    if process.returncode:
        sys.exit(f"{command[0]} ended with {process.returncode}: {output}\n{open(f'{SCRATCH}/errors').read()[-2000:]}")
    calls = {}
    for name, now in sim.calls().items():
        was = before.get(name, {})
        if now["calls"] > was.get("calls", 0):
            calls[name] = {key: value - was.get(key, 0) for key, value in now.items()}
    return {"seconds": seconds, "peak": peak, "calls": calls, "output": output}


def archive(sim, span, per_second, number):
    time_of = lambda t: t.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    run = measured(sim, [
        f"{BIN}/kvs-operator", "archive", "--stream", STREAM, "--from", time_of(span[0]), "--to", time_of(span[1]),
        "--bucket", BUCKET, "--prefix", f"archive-{number}", "--settle", "1s", "--fragments-per-second", str(per_second),
        "--spool", SCRATCH])
    run["report"] = json.loads(run["output"])
    return run


def curl(sim, cut, per_second):
    """One curl for all: each file's fragments in one body, then as many bytes into the bucket."""
    steps = []
    for number, fragments in enumerate(cut):
        asked, body = f"{SCRATCH}/asked-{number}", f"{SCRATCH}/body"
        with open(asked, "w") as file:
            json.dump({"StreamName": STREAM, "Fragments": [f["FragmentNumber"] for f in fragments]}, file)
        steps += [f'url={sim.endpoint}/getMediaForFragmentList\nfail\nsilent\noutput={body}\ndata-binary=@{asked}\n'
                  'header="content-type: application/json"',
                  f'url={sim.endpoint}/{BUCKET}/curl-{number}\nfail\nsilent\noutput=/dev/null\nupload-file={body}']
    with open(f"{SCRATCH}/curlrc", "w") as file:
        file.write("\nnext\n".join(steps))
    # A GET and a PUT for as many fragments as the first file has.
    rate = ["--rate", f"{int(2 * 60 * per_second / len(cut[0]))}/m"] if per_second else []
    return measured(sim, ["curl", *rate, "--config", f"{SCRATCH}/curlrc"])


def sample(sim, fragments):
    """AWS's sample in our words: three minutes after three minutes by GetClip, streamed to S3."""
    return measured(sim, [sys.executable, "-B", f"{os.path.dirname(__file__)}/sample.py", sim.endpoint, STREAM, BUCKET,
                          str(fragments[0]["ProducerTimestamp"].timestamp()), str(MINUTES * 60)])


def frames(sim):
    """How many video packets the bucket's MP4 files have."""
    count = 0
    for key, _ in sim.keys():
        if key.endswith(".mp4"):
            found = subprocess.run(
                ["ffprobe", "-v", "error", "-select_streams", "v:0", "-count_packets", "-show_entries", "stream=nb_read_packets",
                 "-of", "csv=p=0", f"{sim.endpoint}/{BUCKET}/{key}"], check=True, capture_output=True, text=True)
            count += int(found.stdout.strip().strip(","))
    return count


def cost(run):
    called = sum(c["calls"] for c in run["calls"].values())
    media = sum(run["calls"].get(name, {}).get("bytesOut", 0) for name in ("GetMediaForFragmentList", "GetClip"))
    return f"{called} calls, {media:,} B of media, {run['peak'] / 2**20:.0f} MiB"


def median(runs):
    return statistics.median(run["seconds"] for run in runs)


def main():
    broken = []

    def bound(holds, text):
        if not holds:
            broken.append(text)
            say(f"BROKEN: {text}")

    with Sim("--no-quotas") as sim:
        span = put_footage(sim)
        fragments = listed(sim, span)
    cut, size = files(fragments), sum(f["FragmentSizeInBytes"] for f in fragments)
    what = f"{MINUTES} min at {size * 8 / MINUTES / 60e6:.1f} Mbit/s ({size / 1e9:.2f} GB, {len(fragments)} fragments)"
    say(what)
    number = 0
    for name, options, per_second in [
        ("no quotas, no cap", ["--no-quotas"], None),
        ("no quotas, at most 100 fragments/s", ["--no-quotas"], 100),
        ("AWS's quotas (25 MB/s a connection), at most 100 fragments/s", [], 100),
    ]:
        ours, bare = [], []
        with Sim(*options) as sim:
            for _ in range(ROUNDS):
                number += 1
                ours.append(archive(sim, span, per_second or 500, number))
                sim.empty()
                bare.append(curl(sim, cut, per_second))
                sim.empty()
                say(f"{name}: archive {ours[-1]['seconds']:.2f} s, curl {bare[-1]['seconds']:.2f} s")
        speed = median(bare) / median(ours)
        peak = max(run["peak"] for run in ours)
        print(f"| archive | {what}; {name} | {median(ours):.2f} s; {cost(ours[0])} | "
              f"curl {median(bare):.2f} s; {cost(bare[0])}: {speed:.2f} of its speed (at least {SPEED}) |", flush=True)
        bound(speed >= SPEED, f"{name}: {speed:.2f} of curl's speed")
        bound(peak <= MEMORY, f"{name}: {peak / 2**20:.0f} MiB resident")
        media = lambda run: run["calls"]["GetMediaForFragmentList"]["bytesOut"]
        for run in ours:
            counts = run["report"]["counts"]
            bound(counts["fragments"] == len(fragments), f"{name}: {counts} of {len(fragments)} fragments")
            bound(media(run) == media(bare[0]), f"{name}: {media(run)} bytes of media were fetched, {media(bare[0])} are there")

    with Sim("--no-quotas") as sim:
        archive(sim, span, 500, "counted")
        all_frames = frames(sim)
        sim.empty()
        runs = []
        for _ in range(ROUNDS):
            runs.append(sample(sim, fragments))
            say(f"GetClip into upload_fileobj: {runs[-1]['seconds']:.2f} s")
            found = frames(sim)
            sim.empty()
        print(f"| archive | the same by GetClip into upload_fileobj (boto3, no quotas) | {median(runs):.2f} s; {cost(runs[0])} | "
              f"{all_frames - found:,} of {all_frames:,} frames lost |", flush=True)
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
