"""The way to the API server is gone for a while: whatever is under way goes on afterwards, complete and in order."""

from __future__ import annotations

import hashlib
import itertools
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.conftest import OwnCluster, Result, Sky, eventually, namespace
from tests.e2e.test_attach import Terminal
from tests.e2e.test_ports import address, answers, forwarding

SMALL = ("--cpus", "0.1")
BLOCK_SECONDS = 30
RESUME_SECONDS = 12  # at most, after the way is free again
COUNT = "import time\nfor n in range({lines}):\n    print(n, 'x' * 50)\n    time.sleep(0.01)\n"
BIG = 400_000_000


@pytest.fixture
def sky(own_cluster: OwnCluster) -> Iterator[Sky]:
    with namespace(own_cluster.kubeconfig) as sky:
        yield sky


def follow(sky: Sky, lines: int) -> tuple[subprocess.Popen[str], list[tuple[float, str]]]:
    """A task that prints numbered lines, being followed; each line with the time at which it came."""
    process = sky.start("launch", "-c", "lines", *SMALL, "--", "python3", "-uc", COUNT.format(lines=lines))
    came: list[tuple[float, str]] = []

    def read() -> None:
        assert process.stdout
        came.extend((time.monotonic(), line) for line in process.stdout)

    threading.Thread(target=read, daemon=True).start()
    while not came and process.poll() is None:
        time.sleep(0.05)
    return process, came


def complete(process: subprocess.Popen[str], came: list[tuple[float, str]], lines: int) -> None:
    assert process.stderr
    err = process.stderr.read()
    assert process.wait(120) == 0, err
    time.sleep(0.3)  # the reader's last lines
    assert [line for _, line in came] == [f"{n} {'x' * 50}\n" for n in range(lines)], err


def upload(sky: Sky, folder: Path) -> Result:
    check = "sha256sum big; cat small"
    return sky.ok("launch", "-c", "files", *SMALL, "--workdir", str(folder), "--", check, timeout=240)


def begun(sky: Sky) -> bool:
    """Whether some of the big file has come: what is not complete has another name."""
    pod = sky.pods("files")[0]["metadata"]["name"]
    look = 'for file in ~/sky_workdir/.sky-*; do [ -s "$file" ] && echo yes; done; true'
    return bool(sky.kubectl("exec", pod, "-c", "task", "--", "sh", "-c", look))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with open(tmp_path / "big", "wb") as file:
        for _ in range(BIG // 10_000_000):
            file.write(os.urandom(10_000_000))
    (tmp_path / "small").write_text("x\n")
    yield tmp_path
    (tmp_path / "big").unlink()


def block(cluster: OwnCluster) -> None:
    cluster.do("block-apiserver", str(BLOCK_SECONDS))


def restart(cluster: OwnCluster) -> None:
    cluster.do("restart-apiserver")


@pytest.mark.parametrize(("disturb", "lines"), [(block, 7000), (restart, 3000)], ids=["blocked", "restarted"])
def test_following_and_uploading_go_on(
    sky: Sky, own_cluster: OwnCluster, folder: Path, disturb: Callable[[OwnCluster], None], lines: int
) -> None:
    sky.ok("launch", "-c", "files", *SMALL, "-d", "--", "true")
    process, came = follow(sky, lines)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(upload, sky, folder)
        eventually("it is under way", lambda: sending.done() or begun(sky), 30)
        assert not sending.done()
        disturb(own_cluster)
        free = time.monotonic()
        result = sending.result()
    print(f"files complete {time.monotonic() - free:.1f} s after the way was free again")
    with open(folder / "big", "rb") as big:
        expected = hashlib.file_digest(big, "sha256").hexdigest()
    assert result.out == f"{expected}  big\nx\n", result
    complete(process, came, lines)
    times = [at for at, _ in came]
    gap, resumed = max((later - earlier, later) for earlier, later in itertools.pairwise(times))
    print(f"the output paused for {gap:.1f} s and went on {resumed - free:.1f} s after the way was free again")
    assert resumed - free < RESUME_SECONDS
    assert sky.run("logs", "lines", "1").out == "".join(line for _, line in came)


def test_a_launch_goes_on(sky: Sky, own_cluster: OwnCluster) -> None:
    process = sky.start("launch", "-c", "early", *SMALL, "--", "echo hello")
    time.sleep(0.9)  # it waits for its pod
    restart(own_cluster)
    out, err = process.communicate(timeout=60)
    if process.returncode:  # it had just sent what may not be sent twice
        out = sky.ok("launch", "-c", "early", *SMALL, "--", "echo hello").out
    assert out == "hello\n", err


def test_ports_are_reached_again(sky: Sky, own_cluster: OwnCluster) -> None:
    sky.ok("launch", "-d", "-c", "web", *SMALL, "--", "python3 -m http.server 8080 --directory /etc")
    with forwarding(sky, "web", ":8080") as (process, (url,)):
        eventually("the server answers", lambda: answers(f"{url}/hostname"), 20)
        restart(own_cluster)
        assert address(process) == url  # told again, on the same local port
        assert answers(f"{url}/hostname")
        assert process.stderr
        assert process.stderr.readline().startswith("reconnecting: ")


def test_terminals(sky: Sky, own_cluster: OwnCluster) -> None:
    """`ssh --persist` comes back to its shell; a plain one ends with the reason and the way back."""
    sky.ok("launch", "-c", "box", *SMALL)
    kept, plain = Terminal(sky, "ssh", "--persist", "box"), Terminal(sky, "ssh", "box")
    kept.expect(r"\$ |# ")
    pid = kept.says("X=mine; echo pid''s $$", r"pids (\d+)").group(1)
    plain.says("echo rea''dy", "ready")
    restart(own_cluster)
    plain.expect("connection to box was lost: the API server ended it; the job goes on: kubectl sky ssh .*box")
    assert plain.code() == 255
    kept.expect("the API server ended it")
    kept.expect("Reconnecting")
    kept.expect(f"pids {pid}", timeout=60)
    kept.says("echo stil''l $X $$", f"still mine {pid}")
    kept.sendline("exit 3")
    assert kept.code() == 3
