"""kill -9 of the client, at any instant: the same command works again, or `down` leaves nothing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Result, Sky, eventually

SEED = int(os.environ.get("SKY_TEST_SEED", "0")) or random.randrange(1, 1 << 30)
KILLS = 10
SECONDS = 2.5  # a launch takes less
SMALL = ("--cpus", "0.1", "--memory", "0.2")


def instants(name: str) -> list[float]:
    """Seconds after the start of a launch: one in each tenth of it."""
    chance = random.Random(f"{SEED} {name}")
    found = [(step + chance.random()) * SECONDS / KILLS for step in range(KILLS)]
    chance.shuffle(found)
    print(f"SKY_TEST_SEED={SEED} {name}: {' '.join(f'{seconds:.3f}' for seconds in found)}")
    return found


def kill_after(sky: Sky, seconds: float, *args: str) -> None:
    """Starts a command and kills it. What it started itself lives on, as after a real kill."""
    void = subprocess.DEVNULL
    process = subprocess.Popen(
        sky.argv(*args), env=sky.environment(), cwd=sky.cwd, stdin=void, stdout=void, stderr=void
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def workdir(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "sub").mkdir()
    (tmp_path / "data.txt").write_text("hello\n")
    for number in range(200):
        (tmp_path / f"sub/{number}").write_bytes(os.urandom(2000))
    yield tmp_path


@pytest.mark.parametrize("nodes", [1, 2])
@pytest.mark.parametrize("files", [False, True], ids=["no files", "workdir"])
def test_kill_again_and_again(sky: Sky, workdir: Path, nodes: int, files: bool) -> None:
    before = sky.objects()
    what = ("--workdir", str(workdir), "--", "cat data.txt") if files else ("--", "echo hello")
    command = ("launch", "-c", "hit", *SMALL, "--num-nodes", str(nodes), *what)
    lines = ["hello"] if nodes == 1 else ["(head, rank=0) hello", "(worker1, rank=1) hello"]
    times = instants(f"{nodes} nodes, {files=}")
    for number, seconds in enumerate(times):
        kill_after(sky, seconds, *command)
        if number % 3 == 0:  # the launch itself mends it
            result = sky.ok(*command)
            assert sorted(result.out.splitlines()) == lines, (seconds, result)
        elif number % 3 == 1:  # or down does, and leaves nothing
            down(sky, seconds)
            assert sky.objects() == before, seconds
        # else: the next one comes on top of what this one left
    result = sky.ok(*command)
    assert sorted(result.out.splitlines()) == lines, result
    down(sky, 0)
    assert sky.objects() == before


def down(sky: Sky, seconds: float) -> Result:
    result = sky.run("down", "-y", "hit")
    nothing = result.code == 1 and "there is no cluster" in result.err
    assert result.code == 0 or (nothing and seconds < 1), (seconds, result)
    return result


@pytest.mark.parametrize("nodes", [1, 2])
def test_kill_of_down(sky: Sky, nodes: int) -> None:
    before = sky.objects()
    chance = random.Random(f"{SEED} down")
    command = ("launch", "-c", "hit", *SMALL, "--num-nodes", str(nodes), "--", "echo hello")
    for last in ("down", "launch"):
        sky.ok(*command)
        seconds = [chance.uniform(0.2, 0.9) for _ in range(2)]
        print(f"SKY_TEST_SEED={SEED} down: {seconds}")
        for one in seconds:
            kill_after(sky, one, "down", "-y", "hit")
        if last == "launch":
            result = sky.ok(*command)
            assert result.out.count("hello") == nodes, (seconds, result)
        down(sky, 0 if last == "launch" else min(seconds))
        assert sky.objects() == before


def test_kill_during_an_upload(sky: Sky, tmp_path: Path) -> None:
    before = sky.objects()
    big = os.urandom(50_000_000)
    (tmp_path / "big").write_bytes(big)
    (tmp_path / "small").write_text("x\n")
    check = "sha256sum big | cut -d ' ' -f 1; cat small; ls -A"
    command = ("launch", "-c", "hit", *SMALL, "--workdir", str(tmp_path), "--", check)
    sky.ok("launch", "-c", "hit", *SMALL, "-d", "--", "true")
    chance = random.Random(f"{SEED} upload")
    for _ in range(4):
        kill_after(sky, chance.uniform(0.4, 1.2), *command)
    began = time.monotonic()
    result = sky.ok(*command)
    import hashlib

    assert result.out.splitlines() == [hashlib.sha256(big).hexdigest(), "x", "big", "small"]
    assert time.monotonic() - began < 20
    head = sky.pods("hit")[0]["metadata"]["name"]

    def alone() -> bool:
        """Nothing of the killed ones runs on in the pod."""
        seen = sky.kubectl("exec", head, "-c", "ssh", "--", "sh", "-c", "cat /proc/[0-9]*/cmdline", check=False)
        return "distribute.py" not in seen

    eventually("what the killed uploads ran in the pod has ended", alone, 30)
    down(sky, 0)
    assert sky.objects() == before
