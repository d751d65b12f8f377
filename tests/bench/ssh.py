"""Measures ssh beside `kubectl exec` on the cluster of KUBECONFIG: python tests/bench/ssh.py [-n 7] [--check]

Each round does everything once, in turns, so that a slow minute of the machine slows all alike; medians are compared.
The program is dist/kubectl-sky ($KUBECTL_SKY: another one), the client the machine's ssh, by the hosts of ssh-config.
--check fails when a limit is passed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from pathlib import Path

PROJECT = Path(__file__).parents[2]
SIZE = 200 * 10**6  # bytes each way
SETUP_RATIO = 3.0  # of `kubectl exec POD -- true`, at most
SPEED_RATIO = 0.7  # of `kubectl exec POD -- cat`, at least
NAME = "bench"
THERE = "/tmp/bench-file"


class Bench:
    """A task that is up in a namespace of its own, and the figures so far, in seconds."""

    def __init__(self, image: str, folder: Path):
        self.namespace = f"bench-{uuid.uuid4().hex[:8]}"
        self.image, self.folder = image, folder
        self.file = folder / "file"
        self.pod = ""
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def sky(self, *words: str) -> None:
        program = os.environ.get("KUBECTL_SKY") or str(PROJECT / "dist" / "kubectl-sky")
        env = {**os.environ, "HOME": str(self.folder), "XDG_CACHE_HOME": str(self.folder / "cache")}
        argv = [program, "--namespace", self.namespace, *words]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"bench: {' '.join(words)}: {done.stderr}")

    def kubectl(self, *words: str) -> list[str]:
        return ["kubectl", "--namespace", self.namespace, *words]

    def exec(self, *command: str) -> list[str]:
        return self.kubectl("exec", "-i", self.pod, "-c", "task", "--", *command)

    def ssh(self, command: str) -> list[str]:
        return ["ssh", "-F", str(self.folder / ".ssh" / "config"), NAME, command]

    def measure(self, what: str, argv: list[str], stdin: Path = Path(os.devnull)) -> None:
        env = {**os.environ, "XDG_CACHE_HOME": str(self.folder / "cache")}
        with stdin.open("rb") as source:
            began = time.perf_counter()
            subprocess.run(argv, stdin=source, stdout=subprocess.DEVNULL, env=env, check=True)
            self.seconds[what].append(time.perf_counter() - began)

    def prepare(self) -> None:
        with self.file.open("wb") as file:
            for _ in range(SIZE // 10**6):
                file.write(os.urandom(10**6))
        subprocess.run(["kubectl", "create", "namespace", self.namespace], check=True, stdout=subprocess.DEVNULL)
        self.sky("launch", "-d", "-c", NAME, "--cpus", "0.1", "--image-id", self.image)
        self.sky("ssh-config")
        selector = f"app.kubernetes.io/instance={NAME}"
        found = self.kubectl("get", "pods", "-l", selector, "-o", "jsonpath={.items[0].metadata.name}")
        self.pod = subprocess.run(found, check=True, capture_output=True, text=True).stdout
        self.measure("", self.ssh(f"cat >{THERE}"), self.file)
        self.seconds.clear()

    def round(self, transfers: bool) -> None:
        self.measure("set-up, kubectl exec", self.exec("true"))
        self.measure("set-up, ssh", self.ssh("true"))
        if transfers:
            self.measure("to the pod, kubectl exec", self.exec("sh", "-c", "cat >/dev/null"), self.file)
            self.measure("to the pod, ssh", self.ssh("cat >/dev/null"), self.file)
            self.measure("from the pod, kubectl exec", self.exec("cat", THERE))
            self.measure("from the pod, ssh", self.ssh(f"cat {THERE}"))

    def remove(self) -> None:
        subprocess.run(["kubectl", "delete", "namespace", self.namespace, "--wait=false"], stdout=subprocess.DEVNULL)


def report(seconds: dict[str, list[float]]) -> list[str]:
    """Prints the table; returns what is over its limit."""
    over = []
    setup = {what: statistics.median(values) for what, values in seconds.items() if what.startswith("set-up")}
    for what, values in seconds.items():
        median = statistics.median(values)
        speed = "" if what in setup else f"{SIZE / 1e6 / median:8.1f} MB/s"
        print(f"{what:30} {median:7.3f} s (least {min(values):.3f}, most {max(values):.3f}){speed}")
    times = setup["set-up, ssh"] / setup["set-up, kubectl exec"]
    print(f"set-up: {times:.2f} times kubectl exec (limit {SETUP_RATIO})")
    if times > SETUP_RATIO:
        over.append("set-up")
    for way in ("to the pod", "from the pod"):
        plain, ours = (statistics.median(seconds[f"{way}, {kind}"]) for kind in ("kubectl exec", "ssh"))
        print(f"{way}: {plain / ours:.2f} of kubectl exec's throughput (limit {SPEED_RATIO})")
        if plain / ours < SPEED_RATIO:
            over.append(way)
    return over


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--rounds", type=int, default=7)
    parser.add_argument("--image", default="sky-test/python:1")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments.image, Path(folder))
        try:
            bench.prepare()
            for number in range(arguments.rounds):
                bench.round(transfers=number % 2 == 0)
        finally:
            bench.remove()
    over = report(bench.seconds)
    if over and arguments.check:
        sys.exit(f"over the limit: {', '.join(over)}")


if __name__ == "__main__":
    main()
