"""A big cluster: kwok keeps nodes that do not exist alive and lets their pods run; this fills the API with them.

Everything is created in parallel and most pods name their node, so 5,000 nodes and 20,000 pods take minutes. Scheduler,
API server and controllers are the real ones.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import urllib3

from tests.cluster.binaries import go
from tests.cluster.control import answers, start_controllers
from tests.cluster.crowd import NAMESPACES, fake_node, fake_pod, pending_pod
from tests.cluster.process import daemons, end, say, spawn, wait_for
from tests.cluster.settings import CACHE, CONTROL, HERE, KUBECONFIG, ClusterError, Version

KWOK = "v0.8.0"
PROGRAM = CACHE / "bin" / f"kwok-{KWOK}" / "kwok"
THREADS = 16
# a node's lease is renewed in a quarter of this: 50 writes a second for 5,000 nodes instead of 500
LEASE_SECONDS = 400
METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

Item = tuple[str, dict[str, Any]]  # (the collection's path in the API, the object)


class Api:
    """The cluster's API, as its administrator, by many connections at once."""

    def __init__(self) -> None:
        config = json.loads(KUBECONFIG.read_text())
        authority = config["clusters"][0]["cluster"]
        headers = {"Authorization": f"Bearer {config['users'][0]['user']['token']}", "Content-Type": "application/json"}
        self.server = authority["server"]
        self.pool = urllib3.PoolManager(
            maxsize=THREADS, ca_certs=authority["certificate-authority"], headers=headers, timeout=60
        )

    def create(self, item: Item) -> None:
        """Creates an object, unless it is there. Raises ClusterError."""
        path, body = item
        answer = self.pool.request("POST", f"{self.server}{path}", body=json.dumps(body))
        if answer.status not in (201, 409):
            raise ClusterError(f"POST {path}: {answer.status} {answer.data[:500].decode(errors='replace')}")

    def create_all(self, what: str, items: Iterable[Item]) -> None:
        """Creates many, and says how long it took."""
        started = time.monotonic()
        with ThreadPoolExecutor(THREADS) as threads:
            count = sum(1 for _ in threads.map(self.create, items))
        seconds = time.monotonic() - started
        say(f"kwok: {count} {what} in {seconds:.0f} s ({count / max(seconds, 0.001):.0f} a second)")

    def waiting(self) -> int:
        """How many pods have a node but do not run yet."""
        query = "fieldSelector=status.phase%3DPending,spec.nodeName!%3D&resourceVersion=0"
        headers = {**self.pool.headers, "Accept": METADATA}
        answer = self.pool.request("GET", f"{self.server}/api/v1/pods?{query}", headers=headers)
        return len(json.loads(answer.data)["items"] or [])


def populate(version: Version, nodes: int, pods: int) -> None:
    """Adds so many nodes, so many pods on them, and a fiftieth more that the scheduler must place or cannot."""
    if nodes < 1:
        raise ClusterError("pods need a node to be on: at least 1")
    start_kwok(version)
    api = Api()
    for namespace in NAMESPACES:
        api.create(("/api/v1/namespaces", {"metadata": {"name": namespace}}))
    for namespace in NAMESPACES:
        wait_for(
            f"namespace {namespace}", partial(answers, version, "get", "serviceaccount", "default", "-n", namespace)
        )
    api.create_all("nodes", (("/api/v1/nodes", fake_node(index)) for index in range(nodes)))
    api.create_all("pods on nodes", map(in_namespace, (fake_pod(index, nodes) for index in range(pods))))
    api.create_all("pods without a node", map(in_namespace, (pending_pod(index) for index in range(pods // 50))))
    started = time.monotonic()
    wait_for("kwok's pods", lambda: api.waiting() == 0, 1200, log="kwok", pause=10)  # listing 20,000 pods is work
    say(f"kwok: all run, {time.monotonic() - started:.0f} s later")


def in_namespace(pod: dict[str, Any]) -> Item:
    """The pod with the path at which it is created."""
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods", pod


def start_kwok(version: Version) -> None:
    """Builds kwok once, and starts it unless it runs; the controllers get patience with nodes that are seldom heard."""
    if not PROGRAM.exists():
        go(f"kwok {KWOK}", "install", "-ldflags", "-s -w", f"sigs.k8s.io/kwok/cmd/kwok@{KWOK}", bin_dir=PROGRAM.parent)
    if daemons("kwok"):
        return
    end(daemons("kube-controller-manager"), grace=1)
    start_controllers(version, grace=LEASE_SECONDS)
    flags = [
        f"--kubeconfig={KUBECONFIG}",
        f"--config={HERE}/kwok-stages.yaml",
        "--manage-all-nodes=false",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        f"--node-lease-duration-seconds={LEASE_SECONDS}",
        "--cidr=100.64.0.0/10",
        "-v=WARN",
    ]
    spawn("kwok", [PROGRAM, *flags], CONTROL)
