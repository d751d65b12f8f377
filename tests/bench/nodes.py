"""Measures tasks of many nodes on the project's own test cluster: python tests/bench/nodes.py

Gang start: from the command to the first line of every node, and what the client asks the API server meanwhile.
Files: the time that an upload to 8 nodes takes beside one to one node, where the network is the limit: what the API
server and each pod send is held to --rate. --check fails when a limit is passed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).parents[2]
SIZES = (2, 8, 30)
MANY = 8  # nodes that files go to
RATIO = 1.6  # of the time to one, at most
MORE_REQUESTS = 5  # of 30 nodes than of 2, at most: pods' own changes come by the same watch
SMALL = ("--cpus", "0.05", "--memory", "0.1")


class Bench:
    def __init__(self) -> None:
        self.namespace = f"bench-{uuid.uuid4().hex[:8]}"

    def kubectl(self, *words: str) -> str:
        done = subprocess.run(["kubectl", "-n", self.namespace, *words], check=True, capture_output=True, text=True)
        return done.stdout

    def sky(self, *words: str) -> subprocess.CompletedProcess[str]:
        program = os.environ.get("KUBECTL_SKY")
        argv = [program] if program else [sys.executable, "-m", "kubectl_sky"]
        default = {"PYTHONPATH": str(PROJECT), "KUBECTL_SKY_DEFAULT_IMAGE": "sky-test/python:1"}
        done = subprocess.run(
            [*argv, "-n", self.namespace, *words], env={**os.environ, **default}, capture_output=True, text=True
        )
        if done.returncode:
            sys.exit(f"kubectl sky {' '.join(words)}: {done.stderr}")
        return done

    def gang(self, nodes: int) -> tuple[float, int]:
        """Seconds to the end of a job that prints a line on each node; the client's requests."""
        name, script = f"g{nodes}-{uuid.uuid4().hex[:4]}", "echo node"
        began = time.perf_counter()
        done = self.sky("launch", "-c", name, "--num-nodes", str(nodes), *SMALL, "-v=6", "--", script)
        took = time.perf_counter() - began
        if done.stdout.count(") node\n") != nodes:
            sys.exit(f"{nodes} nodes: {done.stdout}")
        self.sky("down", name)
        while self.kubectl("get", "pods", "-o", "name"):
            time.sleep(0.5)
        return took, len(re.findall(r"\b(?:GET|POST|PUT|PATCH|DELETE) (?:https?:/)?/", done.stderr))

    def upload(self, name: str, folder: Path) -> float:
        """Seconds, as told."""
        said = self.sky("exec", name, "--workdir", str(folder), "--", "true").stderr
        told = re.search(r"Sent .* in ([0-9.]+) s", said)
        if not told:
            sys.exit(f"the upload was too fast to be told: {said}")
        return float(told[1])

    def addresses(self) -> list[str]:
        return [pod["status"]["podIP"] for pod in json.loads(self.kubectl("get", "pods", "-o", "json"))["items"]]


@contextmanager
def bench() -> Iterator[Bench]:
    made = Bench()
    made.kubectl("create", "namespace", made.namespace)
    while not subprocess.run(["kubectl", "-n", made.namespace, "get", "sa", "default"], capture_output=True).stdout:
        time.sleep(0.2)
    try:
        yield made
    finally:
        made.kubectl("delete", "namespace", made.namespace, "--wait=false")


# -- the network ----------------------------------------------------------------------------------------------------


def namespaces() -> dict[str, int]:
    """Address -> a process in the net namespace that has it."""
    found: dict[str, int] = {}
    seen = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            where = os.readlink(f"/proc/{pid}/ns/net")
        except OSError:
            continue
        if where not in seen:
            seen.add(where)
            said = inside(int(pid), "ip", "-o", "-4", "addr", "show", "eth0")
            found |= {address: int(pid) for address in re.findall(r"inet ([0-9.]+)/", said)}
    return found


def inside(pid: int, *words: str) -> str:
    return subprocess.run(["nsenter", "-t", str(pid), "-n", *words], capture_output=True, text=True).stdout


@contextmanager
def slow(addresses: list[str], rate: str) -> Iterator[None]:
    """What leaves these addresses is held to the rate."""
    there = namespaces()
    pids = [there[address] for address in addresses]
    try:
        for pid in pids:
            inside(pid, "tc", "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", rate, "burst", "256k",
                   "latency", "100ms")  # fmt: skip
        yield
    finally:
        for pid in pids:
            inside(pid, "tc", "qdisc", "del", "dev", "eth0", "root")


def api_server() -> str:
    """Its address."""
    config = json.loads(subprocess.run(["kubectl", "config", "view", "-o", "json"], capture_output=True).stdout)
    return str(re.sub(r"^https://|:\d+$", "", config["clusters"][0]["cluster"]["server"]))


# -- what is measured -----------------------------------------------------------------------------------------------


def fan_out(made: Bench, rounds: int, megabytes: int, rate: str) -> dict[int, float]:
    """Nodes -> seconds of an upload, medians."""
    for count in (1, MANY):
        made.sky("launch", "-c", f"up{count}", "--num-nodes", str(count), *SMALL, "--", "true")
    seconds: dict[int, list[float]] = {1: [], MANY: []}
    with tempfile.TemporaryDirectory(prefix="bench-nodes-") as top, slow([api_server(), *made.addresses()], rate):
        for number in range(rounds):
            for count in (1, MANY) if number % 2 else (MANY, 1):
                (Path(top) / "data").write_bytes(os.urandom(megabytes << 20))
                seconds[count].append(made.upload(f"up{count}", Path(top)))
    return {count: statistics.median(values) for count, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=40)
    parser.add_argument("--rate", default="40mbit", help="as tc has it")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    over = []
    with bench() as made:
        starts = {count: [made.gang(count) for _ in range(arguments.rounds)] for count in SIZES}
        took = fan_out(made, arguments.rounds, arguments.megabytes, arguments.rate)
    print(f"{'':32} {'seconds':>8} {'requests':>9}")
    asked = {count: max(requests for _, requests in runs) for count, runs in starts.items()}
    for count, runs in starts.items():
        print(f"{f'gang start, {count} nodes':32} {statistics.median(one for one, _ in runs):>8.2f} {asked[count]:>9}")
    for count, seconds in took.items():
        print(f"{f'{arguments.megabytes} MB to {count} nodes, {arguments.rate}':32} {seconds:>8.2f}")
    print(f"{'to 8 nodes, of the time to one':32} {took[MANY] / took[1]:>7.2f}x")
    if took[MANY] / took[1] > RATIO:
        over.append(f"files to {MANY} nodes: {took[MANY] / took[1]:.2f} of the time to one, at most {RATIO}")
    if asked[SIZES[-1]] > asked[SIZES[0]] + MORE_REQUESTS:
        over.append(f"{asked[SIZES[-1]]} requests for {SIZES[-1]} nodes, {asked[SIZES[0]]} for {SIZES[0]}")
    if over and arguments.check:
        sys.exit("over the limit:\n  " + "\n  ".join(over))


if __name__ == "__main__":
    main()
