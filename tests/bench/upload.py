"""Measures uploads beside `tar | kubectl exec -- tar` on the cluster of KUBECONFIG: python tests/bench/upload.py

Every round does everything once, in turns. Timed is the whole command, from its start to its end, and of ours also the
upload alone, as it tells it: that is the throughput. Memory is the most that the client had, without the kubectl that
carries the stream. --check fails when a limit is passed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).parents[2]
RATIO = 0.8  # of tar's throughput, at least
MEMORY = 150  # MB of the client, at most
CHANGED_SECONDS = 1.5
BLOCK = 1 << 20
HOME_IN_MEMORY = {
    "spec": {
        "volumes": [{"name": "home", "emptyDir": {"medium": "Memory"}}],
        "containers": [{"volumeMounts": [{"name": "home", "mountPath": "/root"}]}],
    }
}


class Bench:
    def __init__(self, image: str, in_memory: bool):
        self.in_memory = in_memory
        self.namespace = f"bench-{uuid.uuid4().hex[:8]}"
        self.image = image
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.memory = self.upload = 0.0

    def kubectl(self, *words: str, **options: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["kubectl", "-n", self.namespace, *words], check=True, capture_output=True, **options)  # type: ignore[call-overload]

    def sky(self, *words: str) -> float:
        """Seconds that it took; notes the client's memory."""
        program = os.environ.get("KUBECTL_SKY")
        argv = [program] if program else [sys.executable, "-m", "kubectl_sky"]
        env = {**os.environ, "PYTHONPATH": str(PROJECT)}
        began = time.perf_counter()
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen([*argv, "-n", self.namespace, *words], env=env, stdout=errors, stderr=errors)
            watcher = threading.Thread(target=self._watch, args=(process.pid,))
            watcher.start()
            process.wait()
            took = time.perf_counter() - began
            watcher.join()
            errors.seek(0)
            said = errors.read().decode()
            if process.returncode:
                sys.exit(f"kubectl sky {' '.join(words)}: {said}")
        told = re.search(r"Sent .* in ([0-9.]+) s", said)
        self.upload = float(told[1]) if told else took
        return took

    def _watch(self, pid: int) -> None:
        """Notes the most memory of a process; seldom, for it costs time too."""
        while found := _peak(pid):
            self.memory = max(self.memory, found / 1024)
            time.sleep(0.1)

    def begin(self) -> None:
        self.kubectl("create", "namespace", self.namespace)
        while not subprocess.run(["kubectl", "-n", self.namespace, "get", "sa", "default"], capture_output=True).stdout:
            time.sleep(0.2)
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            config = {"kubernetes": {"pod_config": HOME_IN_MEMORY}} if self.in_memory else {}
            json.dump({"config": config, "run": "true"}, file)
            file.flush()
            self.sky("launch", "-c", "up", "--cpus", "0.1", "--image-id", self.image, "-d", file.name)
        self.pod = json.loads(self.kubectl("get", "pods", "-o", "json").stdout)["items"][0]["metadata"]["name"]

    def clear(self) -> None:
        """Small files are moved away, not removed: for minutes ext4 passes over each inode that was freed."""
        script = "d=/root/gone/$(date +%s%N); mkdir -p $d; mv /root/tar /root/sky_workdir $d; rm -f $d/*/big; sync"
        self.kubectl("exec", self.pod, "-c", "task", "--", "sh", "-c", script)

    def tar(self, folder: Path) -> float:
        begin = time.perf_counter()
        unpack = "mkdir -p /root/tar && tar -C /root/tar -xf -"
        with subprocess.Popen(["tar", "-C", str(folder), "-cf", "-", "."], stdout=subprocess.PIPE) as pack:
            self.kubectl("exec", "-i", self.pod, "-c", "task", "--", "sh", "-c", unpack, stdin=pack.stdout)
        return time.perf_counter() - begin

    def send(self, folder: Path) -> float:
        return self.sky("exec", "up", "--workdir", str(folder), "--", "true")

    def side_by_side(self, name: str, folder: Path, first: bool) -> None:
        """Each of the two goes first in every second round."""
        for way in ("tar", "sky") if first else ("sky", "tar"):
            self.clear()
            took = self.tar(folder) if way == "tar" else self.send(folder)
            self.seconds[f"{name} {way}"].append(took)
        self.seconds[f"{name} upload"].append(self.upload)


def _peak(pid: int) -> int:
    """KB, the most so far, of a process; 0 when it has ended."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def big(folder: Path, size: int) -> Path:
    """One file that does not compress."""
    folder.mkdir()
    with open(folder / "big", "wb") as file:
        for _ in range(size // BLOCK):
            file.write(os.urandom(BLOCK))
    return folder


def small(folder: Path, count: int) -> Path:
    """Files of about 1 KB of text, 100 in a folder."""
    for number in range(count):
        path = folder / f"{number // 10000}" / f"{number // 100 % 100}" / f"{number % 100}.txt"
        if not number % 100:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number} " * 150)
    return folder


@contextmanager
def bench(image: str, in_memory: bool) -> Iterator[Bench]:
    made = Bench(image, in_memory)
    try:
        made.begin()
        yield made
    finally:
        made.kubectl("delete", "namespace", made.namespace, "--wait=false")


def measure(made: Bench, folders: dict[str, Path], rounds: int) -> None:
    for number in range(rounds):
        for name, folder in folders.items():
            made.side_by_side(name, folder, first=number % 2 == 0)
        made.clear()
        folder = folders["10,000 files"]
        made.send(folder)
        made.seconds["nothing changed"].append(made.send(folder))
        (folder / "0/50/50.txt").write_text(f"changed {number} {time.time()}")
        made.seconds["one of 10,000 changed"].append(made.send(folder))
        print(f"round {number + 1} of {rounds}", file=sys.stderr)


def report(made: Bench, folders: dict[str, Path]) -> list[str]:
    """Prints the table; returns what passes its limit."""
    median = {name: statistics.median(values) for name, values in made.seconds.items()}
    over = []
    print(f"{'':24} {'tar | kubectl exec':>18} {'kubectl sky':>12} {'its upload':>11} {'throughput':>11}")
    for name in folders:
        tar, sky, upload = (median[f"{name} {what}"] for what in ("tar", "sky", "upload"))
        print(f"{name:24} {tar:>17.2f}s {sky:>11.2f}s {upload:>10.2f}s {tar / upload:>10.2f}x")
        if tar / upload < RATIO and name != "10,000 files":
            over.append(f"{name}: {tar / upload:.2f} of tar's throughput, at least {RATIO}")
    for name in ("nothing changed", "one of 10,000 changed"):
        print(f"{name:24} {'':>18} {median[name]:>11.2f}s")
    print(f"{'memory of the client':24} {'':>18} {made.memory:>9.0f} MB")
    if median["one of 10,000 changed"] > CHANGED_SECONDS:
        over.append(f"one of 10,000 files changed: {median['one of 10,000 changed']:.2f} s, at most {CHANGED_SECONDS}")
    if made.memory > MEMORY:
        over.append(f"memory: {made.memory:.0f} MB, at most {MEMORY}")
    return over


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--rounds", type=int, default=3)
    parser.add_argument("--gb", type=float, default=1, help="size of the large file")
    parser.add_argument("--files", type=int, default=100_000, help="how many small files")
    parser.add_argument("--image", default="sky-test/python:1")
    parser.add_argument("--in-memory", action="store_true", help="without the pods' disk, whose speed varies most")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    top = Path(tempfile.mkdtemp(prefix="bench-upload-"))
    try:
        folders = {
            f"one file of {arguments.gb:g} GB": big(top / "big", int(arguments.gb * 1e9)),
            f"{arguments.files:,} files": small(top / "small", arguments.files),
            "10,000 files": small(top / "few", 10_000),
        }
        with bench(arguments.image, arguments.in_memory) as made:
            measure(made, folders, arguments.rounds)
    finally:
        shutil.rmtree(top)
    over = report(made, folders)
    if over and arguments.check:
        sys.exit("over the limit:\n  " + "\n  ".join(over))


if __name__ == "__main__":
    main()
