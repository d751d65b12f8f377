"""Measures the log of a running job beside `kubectl logs -f` on the cluster of KUBECONFIG: python tests/bench/logs.py

A job and a plain pod print the same numbered lines as fast as they can, in turns. Timed is from the first byte to the
last. Of ours every byte is compared; kubectl's may have gaps where kubelet rotated the container's log: told is how
much came.
--check fails when a limit is passed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import time
import uuid
from pathlib import Path

PROJECT = Path(__file__).parents[2]
SPEED, RATIO = 50.0, 0.8  # MB/s, or of kubectl logs: one of them at least
LINES = """
import sys
for number in range(int(sys.argv[1]) // 10000):
    sys.stdout.buffer.write(b"".join(b"%099d\\n" % (number * 100 + i) for i in range(100)))
"""


def read(argv: list[str], env: dict[str, str] | None = None) -> tuple[float, int, str]:
    """Seconds from the first byte to the end, bytes, and their digest."""
    digest, size, began = hashlib.sha256(), 0, 0.0
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0) as process:
        assert process.stdout
        while data := process.stdout.read(1 << 20):
            began = began or time.perf_counter()
            digest.update(data)
            size += len(data)
    return time.perf_counter() - began, size, digest.hexdigest()


class Bench:
    def __init__(self, image: str, size: int):
        self.image, self.size = image, size
        self.namespace = f"bench-{uuid.uuid4().hex[:8]}"
        self.expected = read([sys.executable, "-c", LINES, str(size)])[2]

    def kubectl(self, *words: str) -> list[str]:
        return ["kubectl", "-n", self.namespace, *words]

    def sky(self, *words: str) -> list[str]:
        program = os.environ.get("KUBECTL_SKY")
        return [*([program] if program else [sys.executable, "-m", "kubectl_sky"]), "-n", self.namespace, *words]

    def begin(self) -> None:
        subprocess.run(self.kubectl("create", "namespace", self.namespace), check=True, stdout=subprocess.DEVNULL)
        launch = self.sky("launch", "-c", "lines", "--cpus", "0.1", "--image-id", self.image)
        env = {**os.environ, "PYTHONPATH": str(PROJECT)}
        subprocess.run(launch, env=env, check=True, stderr=subprocess.DEVNULL)

    def ours(self) -> float:
        """MB/s."""
        env = {**os.environ, "PYTHONPATH": str(PROJECT)}
        job = self.sky("exec", "lines", "--", "python3", "-c", LINES, str(self.size))
        seconds, size, digest = read(job, env)
        if (size, digest) != (self.size, self.expected):
            sys.exit(f"bench: {size} bytes came of {self.size}, or others")
        return size / 1e6 / seconds

    def theirs(self) -> tuple[float, float]:
        """MB/s, and the share of the lines that came."""
        name = f"plain-{uuid.uuid4().hex[:6]}"
        run = self.kubectl("run", name, f"--image={self.image}", "--restart=Never", "--command", "--")
        script = ["python3", "-c", f"import time; time.sleep(4)\n{LINES}", str(self.size)]  # until kubectl follows
        subprocess.run([*run, *script], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(self.kubectl("wait", "--for=condition=Ready", f"pod/{name}"), stdout=subprocess.DEVNULL)
        seconds, size, _ = read(self.kubectl("logs", "-f", name))
        subprocess.run(self.kubectl("delete", "pod", name, "--now", "--wait=false"), stdout=subprocess.DEVNULL)
        return size / 1e6 / seconds, size / self.size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--rounds", type=int, default=3)
    parser.add_argument("--mb", type=int, default=1000)
    parser.add_argument("--image", default="sky-test/python:1")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    bench = Bench(arguments.image, arguments.mb * 10**6)
    ours, theirs, shares = [], [], []
    try:
        bench.begin()
        for _ in range(arguments.rounds):
            ours.append(bench.ours())
            speed, share = bench.theirs()
            theirs.append(speed)
            shares.append(share)
    finally:
        subprocess.run(bench.kubectl("delete", "namespace", bench.namespace, "--wait=false"), stdout=subprocess.DEVNULL)
    mine, plain = statistics.median(ours), statistics.median(theirs)
    print(f"kubectl sky exec     {mine:6.1f} MB/s, all of {arguments.mb} MB")
    print(f"kubectl logs -f      {plain:6.1f} MB/s, {min(shares):.0%} of it")
    if arguments.check and mine < SPEED and mine < RATIO * plain:
        sys.exit(f"over the limit: less than {SPEED:g} MB/s, and than {RATIO} of kubectl logs")


if __name__ == "__main__":
    main()
