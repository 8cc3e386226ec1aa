"""VideoStreams at scale: see streams.sh."""

import os
import sys
import time

from scale import GROUP, Kubernetes, Operator, Sim, Table, say, since, wait

COUNT = int(os.environ.get("STREAMS", "10000"))
IDLE = int(os.environ.get("IDLE_SECONDS", "600"))
FAST = 1000
NAMESPACE = "bench"
PATH = f"{GROUP}/namespaces/{NAMESPACE}/videostreams"
# Half of AWS's 50 calls of CreateStream a second: the operator's own budget, and what all Ready waits for.
CREATES = 25


def video_stream(i):
    return {
        "apiVersion": "kvs-operator.io/v1alpha1", "kind": "VideoStream",
        "metadata": {"name": f"camera-{i:05}", "labels": {"policy": f"p{i % 20}"}},
        "spec": {"dataRetentionInHours": 24, "tags": {"site": f"site-{i % 100}"}},
    }  # fmt: skip


class Ready:
    """Which VideoStreams are Ready, by a watch."""

    def __init__(self, kubernetes):
        self.names, self.last = set(), 0.0
        kubernetes.watch(PATH, self.seen)

    def seen(self, kind, stream):
        name = stream["metadata"]["name"]
        conditions = stream.get("status", {}).get("conditions", [])
        if kind != "DELETED" and any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
            if name not in self.names:
                self.last = time.monotonic()
            self.names.add(name)
        else:
            self.names.discard(name)


def all_ready(kubernetes, sim, ready, scratch, count, patience, *flags):
    kubernetes.each([(PATH, video_stream(i)) for i in range(count)])
    say(f"{count} VideoStreams are there; the operator starts")
    operator = Operator(kubernetes, sim, scratch, *flags)
    began = operator.start()
    try:
        wait(lambda: len(ready.names) >= count, patience)
    except TimeoutError:
        say(f"only {len(ready.names)} of {count} are Ready; see {scratch}")
        raise
    return operator, ready.last - began


def fast(kubernetes, ready, scratch, table):
    sim = Sim(scratch, "--no-quotas", "--transition", "0")
    operator = None
    try:
        operator, seconds = all_ready(kubernetes, sim, ready, scratch, FAST, 300, "--aws-quota-factor=1000")
        rate = FAST / seconds
        table.row(f"{FAST:,} applied before the start, limits off: Ready a second", f"{rate:.0f}", "at least 150 (ACK: 68)", rate >= 150)
    finally:
        if operator:
            operator.stop()
        sim.stop()
    kubernetes.call("DELETE", PATH)
    wait(lambda: not kubernetes.all(PATH), 120, 1)


def large(kubernetes, ready, scratch, table):
    sim = Sim(scratch)
    operator = None
    try:
        # The last one is made for 10 s.
        bound = COUNT / CREATES + 10
        operator, seconds = all_ready(kubernetes, sim, ready, scratch, COUNT, bound * 4 + 120)
        table.row(f"{COUNT:,} made: all Ready after", f"{seconds:.0f} s", f"{bound:.0f} s: CreateStream at half of AWS's quota, 10 s in CREATING; at most 1.2 times", seconds <= 1.2 * bound)
        calls = sim.calls()
        table.row("AWS calls until then", f"{sum(calls.values()) / COUNT:.2f} an object", "ACK: 3")
        say(str(calls))
        # Statuses of the last ones are still on their way.
        time.sleep(30)
        peak = operator.resident()[1]
        operator.stop()

        writes, calls = kubernetes.writes(), sim.calls()
        operator = Operator(kubernetes, sim, scratch)
        began = operator.start()
        passes = lambda: operator.metric("kvs_operator_reconciles_total", controller="videostream")
        wait(lambda: passes() >= COUNT, 600)
        seconds = time.monotonic() - began
        asked = since(calls, sim.calls())
        each = sum(asked.values()) / COUNT
        table.row("restart: what ListStreams shows is known of all after", f"{seconds:.1f} s")
        table.row("restart: AWS calls an object until then", f"{each:.4f}", "at most 0.02", each <= 0.02)

        # What a proper look finds is written as well: everything from the start counts.
        before, cpu = sim.calls(), operator.cpu()
        say(f"idle for {IDLE} s")
        time.sleep(IDLE)
        idle, cpu = since(before, sim.calls()), operator.cpu() - cpu
        resident = operator.resident()
        wrote = since(writes, kubernetes.writes())
        changed = {o: n for o, n in since(calls, sim.calls()).items() if not o.startswith(("Describe", "List"))}
        say(f"{idle} {wrote} {changed}")
        table.row(f"restart and {IDLE} s: writes to Kubernetes; to AWS", f"{sum(wrote.values()):.0f}; {sum(changed.values())}", "none", not wrote and not changed)
        table.row("idle: AWS calls an hour", f"{sum(idle.values()) * 3600 / IDLE:,.0f}")
        table.row("idle: CPU", f"{100 * cpu / IDLE:.2f} % of a core")
        peak = max(peak, resident[1])
        table.row("memory: resident; at most", f"{resident[0]:.0f} MB; {peak:.0f} MB", "at most 100 MB (ACK: 130)", peak <= 100 or COUNT > 10000)
    finally:
        if operator:
            operator.stop()
        sim.stop()


def main():
    scratch = os.environ["SCRATCH"]
    table = Table("streams")
    kubernetes = Kubernetes("bench-streams", os.environ.get("CLUSTER_NUMBER", "5"))
    try:
        kubernetes.kubectl("create", "namespace", NAMESPACE)
        ready = Ready(kubernetes)
        parts = os.environ.get("PARTS", "fast large").split()
        if "fast" in parts:
            fast(kubernetes, ready, scratch, table)
        if "large" in parts:
            large(kubernetes, ready, scratch, table)
    finally:
        kubernetes.stop()
    sys.exit(table.broken)


main()
