"""Measures kubectl-sky beside plain kubectl on the cluster of KUBECONFIG: python tests/bench/bench.py [-n 5] [--check]

Each round measures everything once, in turns, so that a slow minute of the machine slows all alike. The image must be
on the nodes already. --check fails when a figure is over its limit.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).parents[2]
WORD = "hello-from-the-bench"
PATIENCE = 120  # s that any one command may take
FLOOR = "kubectl run, then kubectl logs"
LAUNCH = "kubectl sky launch"
# each figure's limit: seconds, MB, or how often the floor
LIMITS = {"kubectl sky exec": 0.8, "--help": 0.2, "validate": 0.2, "render": 0.2, "idle pod, RSS": 40.0}
LAUNCH_RATIO = 2.5

# prints the RSS, in kB, of every process in its container but its own
PROCESSES = """
import os
for pid in os.listdir("/proc"):
    if pid.isdigit() and int(pid) != os.getpid():
        try:
            status = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status"))
            print(status["VmRSS"].split()[0])
        except (OSError, KeyError):
            pass
"""

Figures = dict[str, list[float]]


class Bench:
    """One run: a namespace, an image, and the figures so far (seconds, but MB for memory)."""

    def __init__(self, namespace: str, image: str, folder: Path) -> None:
        self.namespace, self.image, self.folder = namespace, image, folder
        self.figures: Figures = defaultdict(list)
        self.task = folder / "hello.yaml"
        self.task.write_text(f"name: hello\nresources:\n  image_id: docker:{image}\nrun: echo {WORD}\n")

    def kubectl(self, *words: str) -> list[str]:
        return ["kubectl", f"--namespace={self.namespace}", *words]

    def sky(self, *words: str) -> list[str]:
        return ["kubectl", "sky", words[0], f"--namespace={self.namespace}", *words[1:]]

    def floor(self, name: str) -> None:
        """`kubectl logs` cannot wait for a container to start: it is tried until it can."""
        begin = time.perf_counter()
        done(self.kubectl("run", name, f"--image={self.image}", *ONCE, "--command", "--", "echo", WORD))
        while WORD not in output(self.kubectl("logs", "--follow", name)):
            expect(time.perf_counter() - begin < PATIENCE, f"{name} does not start")
        self.figures[FLOOR].append(time.perf_counter() - begin)
        done(self.kubectl("delete", "pod", name, "--now", "--wait=false"))

    def floor_attached(self, name: str) -> None:
        words = self.kubectl("run", name, f"--image={self.image}", *ONCE, "--stdin", "--quiet", "--command", "--")
        # a container that ends before kubectl is attached shows nothing
        self.figures["kubectl run --stdin"].append(first_line([*words, "sh", "-c", f"echo {WORD}; sleep 1"]))
        done(self.kubectl("delete", "pod", name, "--now", "--wait=false"))

    def launch(self, name: str) -> None:
        launch = self.sky("launch", str(self.task), "-c", name, "--yes")
        self.figures[LAUNCH].append(first_line(launch))

    def launch_two(self, name: str) -> None:
        launch = self.sky("launch", str(self.task), "-c", name, "--yes", "--num-nodes", "2")
        self.figures["kubectl sky launch, 2 nodes"].append(first_line(launch))
        done(self.sky("down", name, "--yes"))

    def on_a_launched(self, name: str) -> None:
        """Verbs that need a task which is up: the one of `launch`."""
        exec_ = self.sky("exec", name, "--", "echo", WORD)
        self.figures["kubectl sky exec"].append(first_line(exec_))
        self.figures["kubectl sky logs"].append(first_line(self.sky("logs", name)))
        self.figures["kubectl sky status"].append(whole(self.sky("status")))
        self.figures["idle pod, RSS"].append(self.rss(name))
        self.figures["kubectl sky down"].append(whole(self.sky("down", name, "--yes")))

    def offline(self) -> None:
        self.figures["--help"].append(whole(["kubectl-sky", "--help"]))
        self.figures["validate"].append(whole(["kubectl-sky", "validate", str(self.task)]))
        self.figures["render"].append(whole(["kubectl-sky", "render", str(self.task)]))

    def rss(self, name: str) -> float:
        """MB of all processes of node 0's two containers."""
        selector = f"app.kubernetes.io/instance={name}"
        pod = output(self.kubectl("get", "pods", f"--selector={selector}", "--output=name")).split()[0]
        total = 0
        for container in ("task", "ssh"):
            python = ["/sky/tools/bin/python3", "-SE", "-c", PROCESSES]
            total += sum(map(int, output(self.kubectl("exec", pod, f"--container={container}", "--", *python)).split()))
        return total / 1024

    def requests(self, name: str) -> int:
        """What one launch asks the API server, from its own log of requests."""
        words = [*self.sky("launch", str(self.task), "-c", name, "--yes"), "-v=6"]
        log = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=True).stderr
        done(self.sky("down", name, "--yes"))
        return len(re.findall(r"\b(?:GET|POST|PUT|PATCH|DELETE) (?:https?:/)?/", log))


ONCE = ("--restart=Never", "--image-pull-policy=IfNotPresent")


def expect(condition: bool, text: str) -> None:
    if not condition:
        sys.exit(f"bench: {text}")


def output(words: list[str]) -> str:
    return subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False).stdout


def done(words: list[str]) -> None:
    ended = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    expect(ended.returncode == 0, f"{' '.join(words)}: exit code {ended.returncode}\n{ended.stderr}")


def whole(words: list[str]) -> float:
    """Seconds that a command takes."""
    begin = time.perf_counter()
    done(words)
    return time.perf_counter() - begin


def first_line(words: list[str]) -> float:
    """Seconds until the job's line is on a command's stdout; the command then runs to its end."""
    begin = time.perf_counter()
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    ) as p:
        assert p.stdout is not None and p.stderr is not None
        for line in p.stdout:
            if WORD in line:
                seconds = time.perf_counter() - begin
                p.communicate(timeout=PATIENCE)
                return seconds
        errors = p.stderr.read()
    sys.exit(f"bench: no output from {' '.join(words)}\n{errors}")


@contextmanager
def namespace() -> Iterator[str]:
    name = f"bench-{os.getpid()}"
    done(["kubectl", "create", "namespace", name])
    try:
        yield name
    finally:
        done(["kubectl", "delete", "namespace", name, "--wait=false"])


def rounds(bench: Bench, count: int) -> None:
    bench.offline()  # unpacks the program, fills the caches
    bench.figures.clear()
    for number in range(count):
        steps: list[Callable[[], None]] = [
            bench.offline,
            lambda: bench.floor(f"floor-{number}"),
            lambda: bench.launch(f"task-{number}"),
            lambda: bench.floor_attached(f"attached-{number}"),
            lambda: bench.on_a_launched(f"task-{number}"),
            lambda: bench.launch_two(f"two-{number}"),
        ]
        for step in steps:
            step()
        print(f"round {number + 1} of {count}", file=sys.stderr)


def report(figures: Figures) -> list[str]:
    """Prints the table; returns what is over its limit."""
    floor = statistics.median(figures[FLOOR])
    over = []
    print(f"{'':32} {'median':>8} {'least':>8} {'most':>8} {'x floor':>8} {'limit':>8}")
    for name, values in figures.items():
        median = statistics.median(values)
        seconds = "RSS" not in name
        ratio = f"{median / floor:.2f}" if seconds else ""
        limit = LAUNCH_RATIO * floor if name == LAUNCH else LIMITS.get(name)
        unit = "s" if seconds else "M"
        columns = [f"{value:.2f}{unit}" for value in (median, min(values), max(values))]
        limit_text = "" if limit is None else f"{limit:.2f}{unit}"
        print(f"{name:32} {columns[0]:>8} {columns[1]:>8} {columns[2]:>8} {ratio:>8} {limit_text:>8}")
        if limit is not None and median > limit:
            over.append(f"{name}: {columns[0]}, limit {limit_text}")
    return over


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--rounds", type=int, default=5)
    parser.add_argument("--image", default="sky-test/python:1")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    os.environ["PATH"] = f"{PROJECT / 'dist'}:{os.environ['PATH']}"
    expect(shutil.which("kubectl-sky") is not None, "there is no kubectl-sky: make build")
    with tempfile.TemporaryDirectory() as folder, namespace() as name:
        bench = Bench(name, arguments.image, Path(folder))
        rounds(bench, arguments.rounds)
        requests = bench.requests("requests")
    print(f"{arguments.rounds} rounds, image {arguments.image}, {os.cpu_count()} CPUs")
    over = report(bench.figures)
    print(f"{'API requests of a launch':32} {requests:>8}")
    if over and arguments.check:
        sys.exit("over the limit:\n  " + "\n  ".join(over))


if __name__ == "__main__":
    main()
