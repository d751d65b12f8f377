"""Measures the verbs that look at a whole cluster on thousands of nodes, beside kubectl: python tests/bench/scale.py

Brings up a test cluster of its own with kwok's nodes (5,000) and pods (20,000): nothing runs on them, but the API
server and the scheduler are real. Some minutes. --keep leaves it up; --check fails when a figure is over its limit.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).parents[2]
NUMBER = os.environ.get("SKY_BENCH_CLUSTER", "9")
SECONDS, MEGABYTES = 4.0, 250.0  # limits of each


class Run(NamedTuple):
    seconds: float
    megabytes: float
    requests: int


COMMANDS = {
    "gpus": ("gpus",),
    "check": ("check",),
    "label-gpus --dry-run": ("label-gpus", "--dry-run"),
    "launch --gpus H100:8 --dry-run": ("launch", "-c", "x", "--gpus", "H100:8", "--dry-run=client", "--", "true"),
    "launch --dry-run": ("launch", "-c", "x", "--dry-run=client", "--", "true"),
}


def cluster(*words: str) -> str:
    env = {**os.environ, "KUBECTL_SKY_CLUSTER_NUMBER": NUMBER}
    argv = [sys.executable, "-m", "tests.cluster", *words]
    return subprocess.run(argv, env=env, cwd=PROJECT, text=True, stdout=subprocess.PIPE, check=True).stdout


def environment() -> dict[str, str]:
    """$KUBECONFIG and $PATH of the cluster."""
    lines = re.findall(r"^export (\w+)=(.*)$", cluster("env"), re.MULTILINE)
    return {**os.environ, **{name: value.replace("$PATH", os.environ["PATH"]) for name, value in lines}}


def run(argv: list[str], env: dict[str, str]) -> Run:
    """One command, in a process whose children's memory is its own."""
    reader, writer = os.pipe()
    began = time.perf_counter()
    child = os.fork()
    if child == 0:
        done = subprocess.run(argv, env=env, cwd=PROJECT, text=True, capture_output=True)
        log = done.stderr if done.returncode == 0 else sys.exit(f"bench: {' '.join(argv)}\n{done.stderr}")
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        os.write(writer, f"{peak} {len(re.findall(r'^(?:GET|POST|PATCH) ', log, re.MULTILINE))}".encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    seconds = time.perf_counter() - began
    megabytes, requests = os.read(reader, 100).decode().split()
    os.close(reader)
    return Run(seconds, float(megabytes), int(requests))


def report(runs: dict[str, list[Run]]) -> list[str]:
    """Prints the table; returns what is over its limit."""
    over = []
    print(f"{'':34} {'median':>8} {'least':>8} {'most':>8} {'memory':>8} {'requests':>9}")
    for name, found in runs.items():
        seconds, peak = [one.seconds for one in found], max(one.megabytes for one in found)
        median = statistics.median(seconds)
        columns = "".join(f"{value:7.2f} s" for value in (median, min(seconds), max(seconds)))
        print(f"{name:34}{columns} {peak:>5.0f} MB {found[0].requests or '':>9}")
        if name in COMMANDS and (median > SECONDS or peak > MEGABYTES):
            over.append(f"{name}: {median:.2f} s, {peak:.0f} MB")
    return over


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--pods", type=int, default=20000)
    parser.add_argument("-n", "--rounds", type=int, default=5)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    cluster("up", "1")
    try:
        cluster("kwok", str(arguments.nodes), str(arguments.pods))
        env = environment()
        runs: dict[str, list[Run]] = {name: [] for name in (*COMMANDS, "kubectl get nodes,pods -A -o json")}
        for _ in range(arguments.rounds):
            for name, words in COMMANDS.items():
                runs[name].append(run([sys.executable, "-m", "kubectl_sky", "-v=6", *words], env))
            argv = ["kubectl", "get", "nodes,pods", "-A", "-o", "json"]
            runs["kubectl get nodes,pods -A -o json"].append(run(argv, env))
    finally:
        if not arguments.keep:
            cluster("down")
    print(f"{arguments.nodes} nodes, {arguments.pods} pods, {arguments.rounds} rounds, {os.cpu_count()} CPUs")
    over = report(runs)
    if over and arguments.check:
        sys.exit(f"over {SECONDS:.0f} s or {MEGABYTES:.0f} MB:\n  " + "\n  ".join(over))


if __name__ == "__main__":
    main()
