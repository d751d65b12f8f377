"""What every verb says to scripts, on a real cluster, against docs/output.schema.json; and views that go on."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pyte
import pytest

from tests.e2e import outputs
from tests.e2e.conftest import PROJECT, Sky, eventually, namespace

OUTPUTS = {
    "status": ("status",),
    "status --endpoints NAME": ("status", "--endpoints", "box"),
    "queue": ("queue", "box"),
    "gpus": ("gpus",),
    "check": ("check",),
    "explain NAME": ("explain", "box"),
    "cost-report": ("cost-report",),
    "volumes ls": ("volumes", "ls"),
    "config view": ("config", "view"),
    "label-gpus": ("label-gpus", "--dry-run"),
    "version": ("version",),
}
CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""


@pytest.fixture(scope="module")
def box(kubeconfig: str) -> Iterator[Sky]:
    """A namespace with a claim and a cluster that has ports, a time to end, a job that ended and one that failed."""
    with namespace(kubeconfig) as sky:
        sky.kubectl("apply", "-f", "-", stdin=CLAIM)
        sky.ok("launch", "-c", "box", "--cpus", "0.1", "--ports", "8080", "-i", "30", "--", "true")
        sky.run("exec", "box", "--", "exit 3")
        yield sky


def test_every_output_is_as_documented(box: Sky) -> None:
    for verb, words in OUTPUTS.items():
        assert outputs.schema((*words, "-o", "json")) == outputs.SCHEMAS[verb]
        box.ok(*words, "-o", "json")  # is held against it
    with pytest.raises(jsonschema.ValidationError):
        outputs.check(("version", "-o", "json"), '{"client": 1}')


def test_the_queue_goes_on(box: Sky) -> None:
    with watched(box, "queue", "box", "-w") as lines:
        eventually("what is there is said", lambda: len(lines()) == 3)
        box.ok("exec", "box", "--", "true")
        eventually("the new job is followed to its end", lambda: "SUCCEEDED" in lines()[-1] and "3 " in lines()[-1], 20)
    assert lines()[0].split()[:3] == ["CLUSTER", "ID", "NAME"]
    assert sum(line.startswith("box       1 ") for line in lines()) == 1  # nothing is said twice


def test_a_terminal_shows_what_is_now(box: Sky) -> None:
    """Drawn in its place: a cluster that comes is there, and one that went is not."""
    pid, terminal = pty.fork()
    if not pid:
        os.environ.update(box.environment(), TERM="xterm", COLUMNS="60", LINES="10")
        os.execvp(box.argv()[0], box.argv("status", "--watch"))
    screen = pyte.Screen(60, 10)
    stream = pyte.ByteStream(screen)

    def shows(*names: str) -> bool:
        while select.select([terminal], [], [], 0.1)[0]:
            stream.feed(os.read(terminal, 1 << 16))
        lines = [line.split() for line in screen.display if line.strip()]
        return [line[0] for line in lines] == ["NAME", *names]

    try:
        eventually("box is shown", lambda: shows("box"), 20)
        box.ok("launch", "-d", "-c", "more", "--cpus", "0.1", "--", "true")
        eventually("the other one too", lambda: shows("box", "more"), 20)
        box.ok("down", "-y", "more")
        eventually("and is gone", lambda: shows("box"), 20)
    finally:
        os.kill(pid, signal.SIGINT)
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 130


def test_gpus_go_on(box: Sky) -> None:
    with watched(box, "gpus", "-w", "-o", "json") as lines:
        eventually("all is said once", lambda: lines() and lines()[-1] == "}")
        said = len(lines())
        time.sleep(1.5)
        assert len(lines()) == said  # nothing changed


class watched:  # noqa: N801
    """A verb that goes on, its output in a file; ended by Ctrl-C."""

    def __init__(self, sky: Sky, *args: str):
        self.file = Path(f"/tmp/watched-{sky.namespace}-{args[0]}")
        with self.file.open("w") as out:
            self.process = subprocess.Popen(sky.argv(*args), env=sky.environment(), cwd=PROJECT, stdout=out)

    def __enter__(self):
        return lambda: self.file.read_text().splitlines()

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(10) == 130
