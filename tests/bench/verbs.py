"""Measures every verb on the cluster of KUBECONFIG: python tests/bench/verbs.py [-n 5] [--check]

Start-up: `VERB --help`, which loads all that the verb's command line needs, beside `python3 -c pass`, in turns. Then
the verbs that look at a task which is up: seconds, requests to the API server and the peak of memory, beside kubectl
doing the same or the nearest to it, in turns. --check fails when a limit is passed.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
import uuid
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).parents[2]
sys.path.insert(0, str(PROJECT))

from kubectl_sky.cli import VERBS  # noqa: E402

START = 0.12  # s over python3 -c pass
MEMORY = 60.0  # MB; of those that start a kubectl, what the largest of kubectl's verbs needs
TASK = "box"
REQUEST = re.compile(r"^(?:GET|POST|PUT|PATCH|DELETE) http", re.MULTILINE)


class Live(NamedTuple):
    """A verb with its words, what kubectl would be asked instead ({pod}: the task's), and the limits: s, requests."""

    words: str
    kubectl: str
    seconds: float
    requests: int


# requests: those that the verb needs where nothing is wrong
LIVE = (
    Live("status", "get jobs,pods,events", 0.45, 3),
    Live(f"status {TASK}", "describe pod {pod}", 0.45, 4),
    Live(f"explain {TASK}", "describe pod {pod}", 0.45, 4),
    Live(f"queue {TASK}", "get pods", 0.8, 3),
    Live(f"logs {TASK}", "logs {pod} -c task", 0.8, 2),
    Live(f"exec {TASK} -- true", "exec {pod} -c task -- true", 0.8, 2),
    Live(f"ssh {TASK} true", "exec {pod} -c task -- true", 0.8, 4),
    Live("gpus", "get nodes,pods -A", 0.45, 6),
    Live("check", "get nodes,pods -A", 0.8, 40),
    Live("jobs queue", "get jobs,pods", 0.45, 3),
    Live("cost-report", "get jobs", 0.45, 3),
    Live("volumes ls", "get pvc,pods", 0.45, 4),
    Live("config view", "config view --minify", 0.45, 1),
    Live("version", "version", 0.45, 1),
)


class Measured(NamedTuple):
    seconds: float
    megabytes: float
    errors: str


def measured(argv: list[str]) -> Measured:
    """One run, to its end; ends the bench where it fails. The peak is of the process and its children, whole."""
    began = time.perf_counter()
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"bench: {' '.join(argv)}: exit code {process.returncode}\n{errors}")
    return Measured(time.perf_counter() - began, usage.ru_maxrss / 1024, errors)


def start_up(program: str, rounds: int) -> list[str]:
    """Prints the table; returns what is over its limit."""
    figures: dict[str, list[float]] = defaultdict(list)
    for number in range(rounds + 1):  # the first one fills caches
        for verb in ["", *VERBS]:
            bare = measured([sys.executable, "-c", "pass"]).seconds
            took = measured([program, *verb.split(), "--help"]).seconds
            if number:
                figures[f"{verb} --help".strip()].append(took - bare)
    print(f"{'over python3 -c pass':30} {'median':>8} {'most':>8}   limit {START:.2f}s")
    for name, values in figures.items():
        print(f"{name:30} {statistics.median(values):7.3f}s {max(values):7.3f}s")
    return [name for name, values in figures.items() if statistics.median(values) > START]


class Bench:
    def __init__(self, program: str, image: str):
        self.program, self.image = program, image
        self.namespace = f"bench-{uuid.uuid4().hex[:8]}"

    def kubectl(self, *words: str) -> list[str]:
        return ["kubectl", f"--namespace={self.namespace}", *words]

    def sky(self, words: str, *flags: str) -> list[str]:
        return [self.program, f"--namespace={self.namespace}", *flags, *words.split()]

    def live(self, rounds: int) -> list[str]:
        """Prints the table; returns what is over its limit."""
        measured(self.kubectl("create", "namespace", self.namespace))
        measured(self.sky(f"launch -c {TASK} --cpus 0.1 --image-id {self.image} -- true"))
        pods = self.kubectl("get", "pods", "--output=jsonpath={.items[0].metadata.name}")
        pod = subprocess.run(pods, capture_output=True, text=True, check=True).stdout
        ours: dict[Live, list[Measured]] = defaultdict(list)
        theirs: dict[Live, list[Measured]] = defaultdict(list)
        for _ in range(rounds):
            for one in LIVE:
                ours[one].append(measured(self.sky(one.words)))
                theirs[one].append(measured(self.kubectl(*one.kubectl.format(pod=pod).split())))
        print(f"{'':22} {'median':>7} {'limit':>7} {'memory':>8} {'requests':>9}   kubectl")
        largest = max(run.megabytes for runs in theirs.values() for run in runs)
        return [told for one in LIVE if (told := self.row(one, ours[one], theirs[one], largest))]

    def row(self, one: Live, ours: list[Measured], theirs: list[Measured], largest: float) -> str:
        """Prints a verb's line; what is over its limit, in words."""
        seconds = statistics.median(run.seconds for run in ours)
        megabytes = max(run.megabytes for run in ours)
        requests = len(REQUEST.findall(measured(self.sky(one.words, "-v=6")).errors))
        plain = statistics.median(run.seconds for run in theirs)
        most = max(run.megabytes for run in theirs)
        print(
            f"{one.words:22} {seconds:6.2f}s {one.seconds:6.2f}s {megabytes:6.0f}MB {requests:9}   "
            f"{plain:.2f}s {most:.0f}MB {one.kubectl.format(pod='POD')}"
        )
        over = seconds > one.seconds or megabytes > max(MEMORY, largest) or requests > one.requests
        return f"{one.words}: {seconds:.2f} s, {megabytes:.0f} MB, {requests} requests" if over else ""

    def end(self) -> None:
        measured(self.kubectl("delete", "namespace", self.namespace, "--wait=false"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--rounds", type=int, default=5)
    parser.add_argument("--image", default="sky-test/python:1")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    program = os.environ.get("KUBECTL_SKY") or str(PROJECT / "dist" / "kubectl-sky")
    if not os.access(program, os.X_OK):
        sys.exit("bench: there is no dist/kubectl-sky: make build")
    over = start_up(program, arguments.rounds)
    bench = Bench(program, arguments.image)
    try:
        over += bench.live(arguments.rounds)
    finally:
        bench.end()
    if over and arguments.check:
        sys.exit("over the limit:\n  " + "\n  ".join(over))


if __name__ == "__main__":
    main()
