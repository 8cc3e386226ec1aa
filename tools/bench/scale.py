"""What streams.sh and policies.sh share: a control plane without nodes, kvs-sim, the operator, and what each of them counts.

Everything listens on loopback or in the cluster's own network namespace, and is ended by stop().
"""

import base64
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
BIN = os.environ.get("BIN") or os.path.join(ROOT, "target/release")
REGION = "us-east-1"
GROUP = "/apis/kvs-operator.io/v1alpha1"
# What the operator writes besides its lease, which is renewed whatever happens.
KINDS = {"videostreams", "archivepolicies", "recordings", "jobs", "events"}


# Told to end, it ends what it has started, too.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Kubernetes:
    """The API server, by plain HTTP: a client library would be one more thing to install."""

    def __init__(self, name, number):
        self.env = {**os.environ, "CLUSTER": name, "CLUSTER_NUMBER": str(number)}
        self.script = os.path.join(ROOT, "tools/cluster/cluster.sh")
        subprocess.run([self.script, "down"], env=self.env, check=True, stdout=sys.stderr)
        subprocess.run([self.script, "up", "--no-node"], env=self.env, check=True, stdout=sys.stderr)
        lines = subprocess.run([self.script, "env"], env=self.env, check=True, capture_output=True, text=True).stdout
        words = dict(word.split("=", 1) for word in lines.split() if "=" in word)
        self.env["KUBECONFIG"] = self.kubeconfig = words["KUBECONFIG"]
        self.env["PATH"] = words["PATH"].replace("$PATH", os.environ["PATH"])
        view = json.loads(self.kubectl("config", "view", "--raw", "-o", "json"))
        cluster, user = view["clusters"][0]["cluster"], view["users"][0]["user"]
        self.host = cluster["server"].removeprefix("https://")
        self.tls = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        with tempfile.NamedTemporaryFile("wb") as pem:
            for part in ("client-certificate-data", "client-key-data"):
                pem.write(base64.b64decode(user[part]))
            pem.flush()
            self.tls.load_cert_chain(pem.name)
        self.local = threading.local()
        self.kubectl("apply", "--server-side", "-f", os.path.join(ROOT, "crds"))
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")

    def kubectl(self, *arguments):
        return subprocess.run(["kubectl", *arguments], env=self.env, check=True, capture_output=True, text=True).stdout

    def call(self, method, path, body=None, kind="application/json"):
        for attempt in range(5):
            if not hasattr(self.local, "connection"):
                self.local.connection = http.client.HTTPSConnection(self.host, context=self.tls, timeout=120)
            try:
                data = None if body is None else json.dumps(body)
                self.local.connection.request(method, path, data, {"Content-Type": kind})
                answer = self.local.connection.getresponse()
                text = answer.read()
            except (http.client.HTTPException, OSError):
                del self.local.connection
                if attempt == 4:
                    raise
                continue
            if answer.status == 429:
                time.sleep(0.5)
                continue
            if answer.status >= 300:
                raise RuntimeError(f"{method} {path}: {answer.status} {text[:500]!r}")
            return text
        raise RuntimeError(f"{method} {path}: too many requests")

    def all(self, path):
        """Every object of a collection, in pages."""
        items, token = [], ""
        while True:
            page = json.loads(self.call("GET", f"{path}?limit=500&continue={token}"))
            items += page["items"]
            token = page["metadata"].get("continue", "")
            if not token:
                return items

    def each(self, objects, method="POST", kind="application/json"):
        """Sends (path, body) pairs, eight at a time."""
        with ThreadPoolExecutor(8) as pool:
            for _ in pool.map(lambda o: self.call(method, o[0], o[1], kind), objects):
                pass

    def watch(self, path, seen):
        """Calls `seen` with every version of every object of a collection, in a thread."""

        def run():
            version = "0"
            while True:
                try:
                    connection = http.client.HTTPSConnection(self.host, context=self.tls, timeout=600)
                    connection.request("GET", f"{path}?watch=1&resourceVersion={version}&allowWatchBookmarks=1")
                    answer = connection.getresponse()
                    if answer.status != 200:
                        # A kind that has just been made is not served everywhere yet.
                        raise http.client.HTTPException(answer.read())
                    for line in answer:
                        event = json.loads(line)
                        if event["type"] == "ERROR":
                            version = "0"
                            break
                        version = event["object"]["metadata"]["resourceVersion"]
                        if event["type"] != "BOOKMARK":
                            seen(event["type"], event["object"])
                except (http.client.HTTPException, OSError):
                    time.sleep(0.5)

        threading.Thread(target=run, daemon=True).start()

    def writes(self):
        """How often each of KINDS was written, as the API server counts."""
        counts = {}
        for line in self.call("GET", "/metrics").decode().splitlines():
            if not line.startswith("apiserver_request_total{"):
                continue
            labels, value = line.removeprefix("apiserver_request_total{").rsplit("} ", 1)
            labels = dict(pair.split("=", 1) for pair in labels.replace('"', "").split(","))
            if labels["verb"] in ("POST", "PUT", "PATCH", "APPLY", "DELETE") and labels["resource"] in KINDS:
                counts[labels["resource"]] = counts.get(labels["resource"], 0) + float(value)
        return counts

    def stop(self):
        subprocess.run([self.script, "down"], env=self.env, check=False, stdout=sys.stderr)


class Sim:
    """kvs-sim."""

    def __init__(self, scratch, *flags):
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.log = open(os.path.join(scratch, "kvs-sim.log"), "a")
        command = [os.path.join(BIN, "kvs-sim"), "serve", "--listen", f"127.0.0.1:{self.port}", *flags]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        wait(lambda: self.get("health") is not None, 60)

    def get(self, what):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            connection.request("GET", f"/_kvs-sim/{what}")
            answer = connection.getresponse()
            return answer.read() if answer.status == 200 else None
        except OSError:
            return None

    def call(self, connection, path, body, headers):
        connection.request("POST", path, body, {"Authorization": f"a/b/c/{REGION}/d", **headers})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {text[:300]!r}")
        return text

    def calls(self):
        """How often each operation was called, by its name."""
        return {operation: count["calls"] for operation, count in json.loads(self.get("calls")).items()}

    def stop(self):
        end(self.process)


class Operator:
    """The operator, beside the cluster."""

    def __init__(self, kubernetes, sim, scratch, *flags):
        self.port = free_port()
        self.log = open(os.path.join(scratch, "kvs-operator.log"), "a")
        self.command = [
            os.path.join(BIN, "kvs-operator"), "controller", "--cluster-id=bench", f"--region={REGION}",
            "--archiver-image=none", f"--admin-listen=127.0.0.1:{self.port}", *flags,
        ]  # fmt: skip
        self.env = {
            **os.environ, "KUBECONFIG": kubernetes.kubeconfig, "AWS_ENDPOINT_URL": sim.endpoint,
            "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_EC2_METADATA_DISABLED": "true",
        }  # fmt: skip
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.command, env=self.env, stdout=self.log, stderr=self.log)
        return time.monotonic()

    def metric(self, name, **labels):
        """The sum of a metric's series with these labels."""
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        except OSError:
            return 0.0
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        lines = [line for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if all(word in line for word in wanted))

    def resident(self):
        """Resident memory now, and at most so far, in MB."""
        fields = dict(line.split(":", 1) for line in open(f"/proc/{self.process.pid}/status"))
        return tuple(int(fields[name].split()[0]) / 1000 for name in ("VmRSS", "VmHWM"))

    def cpu(self):
        """Seconds of CPU so far."""
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        end(self.process)


def end(process):
    if process and process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait(condition, seconds, every=0.2):
    """Until it is so. Says how long that took."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"not so after {seconds} s")
        time.sleep(every)
    return time.monotonic() - began


def since(before, after):
    """What has been counted in between."""
    return {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}


class Table:
    """The rows that the benchmark prints, and whether a bound is broken."""

    def __init__(self, bench):
        self.bench, self.broken = bench, False

    def row(self, what, figure, against="", holds=True):
        mark = "" if holds else " **BROKEN**"
        print(f"| {self.bench} | {what} | {figure} | {against}{mark} |", flush=True)
        self.broken |= not holds
