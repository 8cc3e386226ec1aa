#!/usr/bin/env python3
"""make mutations: plants mistakes into a copy of the sources, one at a time, and shows that the simulation finds each.

A mistake is a text in a file and what stands in its place (tools/mutations.txt). For each the simulation is built and run seed
after seed, until one is caught by the judge, a broken invariant of the code, or the bound in which everything must come to rest.
Ends with an error where one is not caught within its seeds, or does not fit the sources any more.

    tools/mutations.py [NAME…]     SEEDS=6 HOURS=6
"""

import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
COPY = ROOT / "target" / "mutations"
# Not the project's own: cargo takes the copy's crates for ours.
BUILT = ROOT / "target" / "mutations-built"
SEEDS = int(os.environ.get("SEEDS", "6"))
HOURS = os.environ.get("HOURS", "6")
# A mistake may make a seed go round for ever.
SECONDS = 600


def mistakes():
    """Blocks of `name: what is wrong`, `file`, lines that begin with `-` and lines that begin with `+`."""
    for block in re.split(r"\n\n+", (ROOT / "tools" / "mutations.txt").read_text().strip()):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        if not lines:
            continue
        name, what = lines[0].split(": ", 1)
        old = "\n".join(line[1:] for line in lines[2:] if line.startswith("-"))
        new = "\n".join(line[1:] for line in lines[2:] if line.startswith("+"))
        yield name, what, lines[1], old, new


def copy_sources():
    """The tracked files as they are now; those that are the same keep their time, so that little is built again."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    for name in filter(None, tracked.decode().split("\0")):
        source, target = ROOT / name, COPY / name
        if source.is_file():
            put(target, source.read_bytes())


def put(target, content):
    if not target.is_file() or target.read_bytes() != content:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def build():
    """The simulation's program, or nothing where it does not compile."""
    command = ["cargo", "test", "--locked", "--test", "simulation", "--no-run", "--message-format=json"]
    env = dict(os.environ, CARGO_TARGET_DIR=str(BUILT))
    built = subprocess.run(command, cwd=COPY, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if built.returncode:
        print(built.stderr[-2000:] + built.stdout[-2000:], file=sys.stderr)
        return None
    messages = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    programs = [m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "simulation"]
    return programs[-1]


def caught(program):
    """The first seed that tells of the mistake, and how; nothing where none does."""
    for seed in range(SEEDS):
        env = dict(os.environ, FROM=str(seed), N="1", HOURS=HOURS, RUST_BACKTRACE="0")
        command = [program, "--ignored", "--nocapture", "--exact", "soak"]
        try:
            run = subprocess.run(command, cwd=COPY, env=env, capture_output=True, text=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return seed, f"no end within {SECONDS} s"
        if run.returncode:
            told = re.search(r"such as \[\s*(.*)", run.stdout) or re.search(r"panicked at .*\n(.*)", run.stderr)
            return seed, (told.group(1) if told else "it stopped").strip()[:160]
    return None


def main():
    chosen, missed = sys.argv[1:], []
    copy_sources()
    for name, what, file, old, new in mistakes():
        if chosen and name not in chosen:
            continue
        target, right = COPY / file, (ROOT / file).read_text()
        if right.count(old) != 1:
            print(f"{name}: its text is {right.count(old)} times in {file}", flush=True)
            missed.append(name)
            continue
        put(target, right.replace(old, new).encode())
        program = build()
        found = program and caught(program)
        put(target, right.encode())
        if found:
            print(f"{name}: {what}: caught at seed {found[0]}: {found[1]}", flush=True)
        else:
            print(f"{name}: {what}: " + ("NOT CAUGHT" if program else "DOES NOT COMPILE"), flush=True)
            missed.append(name)
    if missed:
        sys.exit(f"{len(missed)} mistakes are not shown to be found: {', '.join(missed)}")


main()
