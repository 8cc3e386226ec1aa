"""ArchivePolicies and Recordings at scale: see policies.sh."""

import datetime
import hashlib
import json
import os
import statistics
import sys
import tempfile
import threading
import time

from scale import GROUP, REGION, Kubernetes, Operator, Sim, Table, say, since, wait

STREAMS = int(os.environ.get("STREAMS", "10000"))
POLICIES = int(os.environ.get("POLICIES", "20"))
FINISHED = int(os.environ.get("FINISHED", "3"))
ALARMS = int(os.environ.get("ALARMS", "1000"))
IDLE = int(os.environ.get("IDLE_SECONDS", "600"))
SWEEP = 15
NAMESPACE = "bench"
PATH = f"{GROUP}/namespaces/{NAMESPACE}"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
# Jobs that are created in a second, for all recordings together.
JOBS_A_SECOND = 2


def stamp(seconds):
    """A time as Kubernetes writes it, with microseconds."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def moment(text):
    return datetime.datetime.fromisoformat(text).timestamp()


def digits(parts):
    """What stands for an identity in names (src/names.rs)."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part.encode()).to_bytes(8, "big") + part.encode())
    return digest.hexdigest()[:10]


def camera(i):
    return f"camera-{i:05}"


def policy_of(i):
    return f"p{i % POLICIES}"


def video_stream(i):
    return {
        "apiVersion": "kvs-operator.io/v1alpha1", "kind": "VideoStream",
        "metadata": {"name": camera(i), "labels": {"policy": policy_of(i)}}, "spec": {"dataRetentionInHours": 24},
    }  # fmt: skip


DESTINATION = {"s3": {"bucket": "bench-bucket", "prefix": "archive"}}


def policy(name):
    # The alarms are set by hand here, and stay as they are set.
    return {
        "apiVersion": "kvs-operator.io/v1alpha1", "kind": "ArchivePolicy", "metadata": {"name": name},
        "spec": {
            "streamSelector": {"matchLabels": {"policy": name}}, "trigger": {"alarm": {"treatMissingData": "ignore"}},
            "destination": DESTINATION, "archiveEvery": "30s",
        },
    }  # fmt: skip


def recording(i, arn, number):
    """A Recording as the operator made it `number` days ago, under the name that it derives."""
    transition = int(time.time()) - number * 86400
    text = datetime.datetime.fromtimestamp(transition, datetime.UTC)
    identity = [NAMESPACE, policy_of(i), arn, text.strftime("%Y-%m-%dT%H:%M:%SZ")]
    return {
        "apiVersion": "kvs-operator.io/v1alpha1", "kind": "Recording",
        "metadata": {
            "name": f"{camera(i)}-{text.strftime('%Y%m%d-%H%M%S')}-{digits(identity)}",
            "labels": {"app.kubernetes.io/managed-by": "kvs-operator", "kvs-operator.io/policy": policy_of(i), "kvs-operator.io/stream": digits([arn])},
            "annotations": {"kvs-operator.io/stream-arn": arn, "kvs-operator.io/identity": json.dumps(identity), "kvs-operator.io/ended": "Cleared"},
        },
        "spec": {
            "streamName": camera(i), "streamARN": arn, "region": REGION, "start": stamp(transition - 50), "end": stamp(transition + 300),
            "cause": {"policy": policy_of(i), "videoStream": camera(i), "alarm": f"kvs-operator/{NAMESPACE}/{policy_of(i)}/{camera(i)}", "transition": stamp(transition), "reason": "Threshold Crossed: 1 out of the last 1 datapoints was greater than or equal to the threshold."},
            "destination": DESTINATION,
        },
    }  # fmt: skip


def finished(number):
    through = stamp(time.time() - number * 86400 + 300)
    condition = {"status": "True", "lastTransitionTime": through[:19] + "Z", "reason": "AllInS3", "message": "every fragment of the window is in S3"}
    return {"status": {
        "observedGeneration": 1, "phase": "Complete", "archivedThrough": through, "lastClipTime": through,
        "counts": {"clips": 2, "fragments": 175, "bytes": 87500000},
        "conditions": [{"type": "Complete", **condition}, {"type": "Ready", **condition}],
    }}  # fmt: skip


def seed(kubernetes, data, scratch):
    """Streams and alarms by the operator itself, on a kvs-sim without quotas; then finished Recordings."""
    sim = Sim(scratch, "--no-quotas", "--transition", "0", "--data", data)
    operator = Operator(kubernetes, sim, scratch, "--aws-quota-factor=1000")
    try:
        kubernetes.each([(f"{PATH}/videostreams", video_stream(i)) for i in range(STREAMS)])
        operator.start()
        arns = {}

        def with_arn():
            for stream in kubernetes.all(f"{PATH}/videostreams"):
                arns[stream["metadata"]["name"]] = stream.get("status", {}).get("streamARN")
            return sum(1 for arn in arns.values() if arn) >= STREAMS

        say(f"{STREAMS} streams took {wait(with_arn, 1800, 5):.0f} s")
        kubernetes.each([(f"{PATH}/archivepolicies", policy(f"p{i}")) for i in range(POLICIES)])
        made = lambda: sim.calls().get("PutMetricAlarm", 0)
        say(f"{STREAMS} alarms took {wait(lambda: made() >= STREAMS, 3600, 2):.0f} s")
        ready = lambda: all(
            any(c["type"] == "Ready" and c["status"] == "True" for c in p.get("status", {}).get("conditions", []))
            for p in kubernetes.all(f"{PATH}/archivepolicies")
        )
        wait(ready, 300, 2)
    finally:
        operator.stop()
        sim.stop()
    for number in range(1, FINISHED + 1):
        objects = [recording(i, arns[camera(i)], number) for i in range(STREAMS)]
        kubernetes.each([(f"{PATH}/recordings", o) for o in objects])
        status = [(f"{PATH}/recordings/{o['metadata']['name']}/status", finished(number)) for o in objects]
        kubernetes.each(status, "PATCH", "application/merge-patch+json")
        say(f"{number * STREAMS} finished Recordings are there")


def settled(kubernetes, data, scratch, table):
    """A restart with everything settled, then nothing happens."""
    sim = Sim(scratch, "--data", data)
    operator = Operator(kubernetes, sim, scratch)
    try:
        # The first look of a new process may move checkpoints that the seeding left behind.
        operator.start()
        passes = lambda: operator.metric("kvs_operator_reconciles_total", controller="archivepolicy", result="ok")
        wait(lambda: passes() >= 3 * POLICIES, 600, 1)
        time.sleep(20)
        operator.stop()

        writes, calls = kubernetes.writes(), sim.calls()
        operator = Operator(kubernetes, sim, scratch)
        began = operator.start()
        wait(lambda: passes() >= 2 * POLICIES, 600, 0.5)
        table.row("restart: every policy looked at twice after", f"{time.monotonic() - began:.0f} s")
        wrote, asked = since(writes, kubernetes.writes()), since(calls, sim.calls())
        changed = {o: n for o, n in asked.items() if not o.startswith(("Describe", "List"))}
        say(f"{wrote} {asked}")
        # Checkpoints move whether or not the operator was started again.
        steps = wrote.pop("archivepolicies", 0)
        table.row("restart: writes to Kubernetes; to AWS", f"{sum(wrote.values()):.0f}; {sum(changed.values())}", f"none (and {steps:.0f} checkpoints took their step of 4 minutes)", not wrote and not changed and steps <= POLICIES)

        before, cpu, writes = sim.calls(), operator.cpu(), kubernetes.writes()
        say(f"idle for {IDLE} s")
        time.sleep(IDLE)
        idle, cpu = since(before, sim.calls()), operator.cpu() - cpu
        say(f"{idle} {since(writes, kubernetes.writes())}")
        table.row("idle: AWS calls an hour", f"{sum(idle.values()) * 3600 / IDLE:,.0f}")
        moved = sum(since(writes, kubernetes.writes()).values())
        table.row("idle: writes to Kubernetes an hour and policy", f"{moved * 3600 / IDLE / POLICIES:.1f}", "15: the checkpoint moves every 4 minutes", moved * 3600 / IDLE / POLICIES <= 20)
        table.row("idle: CPU", f"{100 * cpu / IDLE:.1f} % of a core")
        now, peak = operator.resident()
        bound = 150 + FINISHED * STREAMS * 4096 / 1e6
        table.row("memory: resident; at most", f"{now:.0f} MB; {peak:.0f} MB", f"{bound:.0f} MB: 150 MB and 4 KiB a Recording", peak <= bound)
    finally:
        operator.stop()
        sim.stop()


class Pods:
    """The nodes: every pod runs, and ends a moment later with the report that its slice is archived."""

    def __init__(self, kubernetes):
        self.kubernetes, self.lock = kubernetes, threading.Lock()
        self.jobs, self.todo, self.seen = {}, [], set()
        kubernetes.watch(JOBS, self.job)
        kubernetes.watch(PODS, self.pod)
        for _ in range(4):
            threading.Thread(target=self.run, daemon=True).start()

    def job(self, kind, job):
        if kind != "DELETED":
            with self.lock:
                self.jobs[job["metadata"]["name"]] = job

    def pod(self, kind, pod):
        name = pod["metadata"]["name"]
        if kind != "DELETED" and pod["status"].get("phase") == "Pending":
            with self.lock:
                if name not in self.seen:
                    self.seen.add(name)
                    self.todo.append(pod)

    def run(self):
        while True:
            with self.lock:
                pod = self.todo.pop(0) if self.todo else None
            if pod is None:
                time.sleep(0.05)
                continue
            container = pod["spec"]["containers"][0]
            request = next(json.loads(a) for a in reversed(container["args"]) if a.startswith("{"))
            now = stamp(time.time())
            report = {"version": 1, "outcome": "Committed", "through": request["task"].get("slice", request["task"]).get("to"), "listedAt": now, "counts": {}}
            ended = {"exitCode": 0, "reason": "Completed", "message": json.dumps(report), "startedAt": now[:19] + "Z", "finishedAt": now[:19] + "Z"}
            status = {"phase": "Succeeded", "startTime": now[:19] + "Z", "containerStatuses": [{"name": container["name"], "image": container["image"], "imageID": "", "ready": False, "restartCount": 0, "state": {"terminated": ended}}]}
            try:
                self.kubernetes.call("PATCH", f"{PODS}/{pod['metadata']['name']}/status", {"status": status}, "application/merge-patch+json")
            except RuntimeError as error:
                say(f"{error}")


def set_alarm(connection, sim, name, state, since):
    reason = json.dumps({"version": "1.0", "startDate": datetime.datetime.fromtimestamp(since, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")})
    body = json.dumps({"AlarmName": name, "StateValue": state, "StateReason": "bench", "StateReasonData": reason})
    headers = {"X-Amz-Target": "GraniteServiceVersion20100801.SetAlarmState", "Content-Type": "application/x-amz-json-1.0"}
    sim.call(connection, "/", body, headers)


def storm(kubernetes, data, scratch, table):
    """Alarms: first a few, then a thousand in a minute. CloudWatch lets nobody set three states a second, cameras do: so kvs-sim
    has no quotas here; the operator keeps its own all the same."""
    import http.client

    sim = Sim(scratch, "--no-quotas", "--data", data)
    operator = Operator(kubernetes, sim, scratch)
    pods = Pods(kubernetes)
    recordings, lock = {}, threading.Lock()

    def seen(kind, recording):
        if kind == "ADDED":
            with lock:
                recordings.setdefault(recording["spec"]["streamName"], []).append(time.time())

    try:
        operator.start()
        passes = lambda: operator.metric("kvs_operator_reconciles_total", controller="archivepolicy", result="ok")
        wait(lambda: passes() >= 2 * POLICIES, 600, 1)
        kubernetes.watch(f"{PATH}/recordings", seen)
        wait(lambda: len(recordings) >= STREAMS, 300, 1)
        with lock:
            recordings.clear()
        names = alarm_names(sim)
        connection = http.client.HTTPConnection("127.0.0.1", sim.port, timeout=60)
        fired = {}

        def fire(i):
            set_alarm(connection, sim, names[camera(i)], "ALARM", time.time() - 300)
            fired[camera(i)] = time.time()

        def job_times(cameras):
            with pods.lock:
                made = {}
                for job in pods.jobs.values():
                    stream = job_stream(job)
                    if stream in cameras:
                        at = moment(job["metadata"]["creationTimestamp"])
                        made[stream] = min(at, made.get(stream, at))
                return made

        few = range(0, min(int(os.environ.get("FEW", "100")), ALARMS))
        for i in few:
            fire(i)
            time.sleep(1)
        wait(lambda: len(job_times(fired)) >= len(few), 300, 1)
        found = sorted(recordings[c][0] - fired[c] for c in fired)
        made = sorted(at - fired[c] for c, at in job_times(fired).items())
        p99 = lambda values: values[int(len(values) * 0.99) - 1]
        table.row("an alarm a second: from alarm to Recording, median; 99 %", f"{statistics.median(found):.1f} s; {p99(found):.1f} s", f"the sweep interval: {SWEEP} s; at most twice", p99(found) <= 2 * SWEEP)
        table.row("from alarm to Job, median; 99 %", f"{statistics.median(made):.1f} s; {p99(made):.1f} s", f"the sweep interval: {SWEEP} s")

        say(f"{ALARMS} alarms in a minute")
        many, began = range(len(few), len(few) + ALARMS), time.time()
        for n, i in enumerate(many):
            fire(i)
            time.sleep(max(0, began + (n + 1) * 60 / ALARMS - time.time()))
        cameras = {camera(i) for i in many}
        wait(lambda: all(c in recordings for c in cameras), 300, 0.5)
        found = sorted(recordings[c][0] - fired[c] for c in cameras)
        table.row(f"{ALARMS:,} alarms in a minute: to Recording, median; 99 %", f"{statistics.median(found):.1f} s; {p99(found):.1f} s", f"the sweep interval: {SWEEP} s")
        wait(lambda: len(job_times(cameras)) >= len(cameras), ALARMS / JOBS_A_SECOND * 6 + 120, 1)
        made = sorted(job_times(cameras)[c] - fired[c] for c in cameras)
        table.row("to its first Job, median; 99 %", f"{statistics.median(made):.0f} s; {p99(made):.0f} s", f"{ALARMS / JOBS_A_SECOND:.0f} s for all at {JOBS_A_SECOND} Jobs a second")
        twice = sum(1 for c in cameras if len(recordings[c]) > 1)
        table.row("alarms with more than one Recording", f"{twice}", "none", twice == 0)

        seconds = int(os.environ.get("OPEN_SECONDS", "300"))
        say(f"{ALARMS} open recordings for {seconds} s")
        count, cpu = len(pods.jobs), operator.cpu()
        time.sleep(seconds)
        rate = (len(pods.jobs) - count) * 3600 / seconds
        table.row(f"Jobs an hour at {len(fired):,} open recordings", f"{rate:,.0f}", f"at most {JOBS_A_SECOND * 3600:,} by the cap")
        table.row("CPU then", f"{100 * (operator.cpu() - cpu) / seconds:.0f} % of a core")
        caps(pods, table)
    finally:
        operator.stop()
        sim.stop()


def caps(pods, table):
    with pods.lock:
        jobs = list(pods.jobs.values())
    created = sorted(moment(job["metadata"]["creationTimestamp"]) for job in jobs)
    # Creation times have whole seconds: ten of them see at most one Job more than the cap at either end.
    most = max(sum(1 for at in created if begin <= at < begin + 10) for begin in created)
    table.row("most Jobs created in 10 s", f"{most}", f"{10 * JOBS_A_SECOND}, and 2 for whole seconds", most <= 10 * JOBS_A_SECOND + 2)
    spans = {}
    for job in jobs:
        end = job.get("status", {}).get("completionTime")
        spans.setdefault(job_stream(job), []).append((moment(job["metadata"]["creationTimestamp"]), moment(end) if end else float("inf")))
    both = sum(1 for of in spans.values() for a, b in zip(sorted(of), sorted(of)[1:]) if b[0] < a[1])
    table.row("streams with two Jobs at once", f"{both}", "none", both == 0)


def job_stream(job):
    container = job["spec"]["template"]["spec"]["containers"][0]
    request = next(json.loads(a) for a in reversed(container["args"]) if a.startswith("{"))
    return request["streamARN"].split("/")[1]


def alarm_names(sim):
    """The alarms, by camera."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", sim.port, timeout=60)
    headers = {"X-Amz-Target": "GraniteServiceVersion20100801.DescribeAlarms", "Content-Type": "application/x-amz-json-1.0"}
    names, token = {}, None
    while True:
        body = {"AlarmNamePrefix": "kvs-operator/", "MaxRecords": 100, **({"NextToken": token} if token else {})}
        page = json.loads(sim.call(connection, "/", json.dumps(body), headers))
        for alarm in page["MetricAlarms"]:
            names[alarm["AlarmName"].split("/")[-1].rsplit("-", 1)[0]] = alarm["AlarmName"]
        token = page.get("NextToken")
        if not token:
            return names


def main():
    scratch = os.environ["SCRATCH"]
    table = Table("policies")
    kubernetes = Kubernetes("bench-policies", os.environ.get("CLUSTER_NUMBER", "5"))
    try:
        kubernetes.kubectl("create", "namespace", NAMESPACE)
        # Without it no pod of a Job is made.
        kubernetes.kubectl("-n", NAMESPACE, "create", "serviceaccount", "kvs-archiver")
        with tempfile.TemporaryDirectory(dir=scratch) as data:
            seed(kubernetes, data, scratch)
            parts = os.environ.get("PARTS", "settled storm").split()
            if "settled" in parts:
                settled(kubernetes, data, scratch, table)
            if "storm" in parts:
                storm(kubernetes, data, scratch, table)
    finally:
        kubernetes.stop()
    sys.exit(table.broken)


main()
