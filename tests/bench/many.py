"""Measures `status` where many tasks are: python tests/bench/many.py [--finished 500] [--running 200]

On a test cluster of its own, or the one that is up. The Jobs and pods are those of a real launch, with their status
written by hand: the Job controller leaves them alone (managedBy), and the pods, which have a scheduling gate, have no
node.
--check fails above 0.8 s, or when a kind is listed more than once for each 500 objects.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
sys.path.insert(0, str(PROJECT))

from kubectl_sky import kube  # noqa: E402
from tests.bench import scale  # noqa: E402

LIMIT, PAGE = 0.8, 500
NAMESPACE = "many"
AT = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
JOBS, PODS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs", f"/api/v1/namespaces/{NAMESPACE}/pods"


def template(env: dict[str, str]) -> dict[str, Any]:
    """The Job of a launch."""
    argv = [sys.executable, "-m", "kubectl_sky", "-n", NAMESPACE, "launch", "-c", "x", "--cpus", "0.1"]
    argv += ["--dry-run=client", "-o", "json", "--", "echo ran"]
    printed = subprocess.run(argv, env=env, cwd=PROJECT, text=True, stdout=subprocess.PIPE, check=True).stdout
    job: dict[str, Any] = next(one for one in json.loads(printed)["items"] if one["kind"] == "Job")
    return job


def make(cluster: kube.Cluster, job: dict[str, Any], number: int, over: bool) -> None:
    """A task with its pod, that runs or has ended."""
    text = json.dumps(job).replace('"x"', f'"task-{number}"').replace("x-sky", f"task-{number}-sky")
    job = json.loads(text)
    job["spec"]["managedBy"] = "example.com/bench"
    made = cluster.create(JOBS, job)
    name, uid = made["metadata"]["name"], made["metadata"]["uid"]
    done = [{"type": kind, "status": "True", "lastTransitionTime": AT} for kind in ("SuccessCriteriaMet", "Complete")]
    status: dict[str, Any] = {"startTime": AT, "active": 1, "ready": 1}
    if over:
        status = {"startTime": AT, "completionTime": AT, "succeeded": 1, "conditions": done}
    cluster.patch(f"{JOBS}/{name}/status", {"status": {**status, "uncountedTerminatedPods": {}}})
    pod = copy.deepcopy(made["spec"]["template"])
    pod["metadata"]["name"] = f"{name}-0-bench"
    pod["metadata"]["annotations"] = {
        **pod["metadata"].get("annotations", {}),
        "batch.kubernetes.io/job-completion-index": "0",
    }
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid, "controller": True}
    pod["metadata"]["ownerReferences"] = [owner]
    pod["spec"]["schedulingGates"] = [{"name": "example.com/bench"}]
    cluster.create(PODS, pod)
    state = {"terminated": {"exitCode": 0, "finishedAt": AT}} if over else {"running": {"startedAt": AT}}
    containers = [
        {
            "name": one["name"],
            "image": one["image"],
            "imageID": "",
            "ready": not over,
            "restartCount": 0,
            "state": state,
        }
        for one in pod["spec"]["containers"]
    ]
    phase = {"phase": "Succeeded" if over else "Running", "containerStatuses": containers}
    ready = [{"type": "Ready", "status": str(not over), "lastTransitionTime": AT}]
    cluster.patch(f"{PODS}/{pod['metadata']['name']}/status", {"status": {**phase, "conditions": ready}})


def fill(env: dict[str, str], finished: int, running: int) -> None:
    cluster = kube.connect(kube.Connection(kubeconfig=env["KUBECONFIG"], namespace=NAMESPACE))
    subprocess.run(["kubectl", "create", "namespace", NAMESPACE], env=env, capture_output=True)
    time.sleep(1)  # its service account
    job = template(env)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: make(cluster, job, number, number < finished), range(finished + running)))


def measure(env: dict[str, str], words: list[str]) -> tuple[float, Counter[str], int]:
    """Seconds, requests by path, lines."""
    argv = [sys.executable, "-m", "kubectl_sky", "-n", NAMESPACE, *words]
    began = time.perf_counter()
    done = subprocess.run(argv, env=env, cwd=PROJECT, text=True, capture_output=True, check=True)
    seconds = time.perf_counter() - began
    gets = [line.split()[1] for line in done.stderr.splitlines() if line.startswith("GET ")]
    return seconds, Counter(one.partition("?")[0].rpartition("/")[2] for one in gets), len(done.stdout.splitlines())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--finished", type=int, default=500)
    parser.add_argument("--running", type=int, default=200)
    parser.add_argument("-n", "--rounds", type=int, default=5)
    parser.add_argument("--nodes", default="1", help="of the cluster that is brought up")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    scale.cluster("up", arguments.nodes)
    env = scale.environment()
    try:
        fill(env, arguments.finished, arguments.running)
        runs = [measure(env, ["status"]) for _ in range(arguments.rounds)]
        _, requests, _ = measure(env, ["status", "-v=6"])
    finally:
        if not arguments.keep:
            scale.cluster("down")
    seconds = [one for one, _, _ in runs]
    total = arguments.finished + arguments.running
    median = statistics.median(seconds)
    print(f"status of {total} tasks: median {median:.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")
    print(f"{runs[0][2] - 1} rows; lists: {dict(requests)}; {os.cpu_count()} CPUs")
    pages = -(-total // PAGE)
    over = [kind for kind in ("jobs", "pods") if requests[kind] > pages]
    if arguments.check and (over or median > LIMIT):
        sys.exit(f"over {LIMIT} s, or more than {pages} requests for {', '.join(over) or 'none'}")


if __name__ == "__main__":
    main()
