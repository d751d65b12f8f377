"""What was sent to one node is handed on to a new one: the same files, with their times; nothing newer is lost."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import sync_pods
from sync_pods import REMOTE, Pods, fill, picture

from kubectl_sky import sync
from kubectl_sky.files.stream import Stream

pods, source = sync_pods.pods, sync_pods.source


def send(pods: Pods, source: Path, destination: str = "~/sky_workdir", whole: bool = True) -> None:
    files = sync.collect([sync.Mount(source, destination)])
    sync.send(lambda: Stream(pods.open(), pods.stall), files, whole=whole)


def run(pods: Pods, what: str, archive: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    node = pods.nodes[0]
    env = {"HOME": str(node.home), "SKY_RUN": str(node.run)}
    argv = [sys.executable, "-SE", str(REMOTE / "handover.py"), what]
    return subprocess.run(argv, env=env, input=archive, capture_output=True, check=False, timeout=60)


def made_anew(pods: Pods) -> None:
    """The pod, empty, and with its supervisor."""
    node = pods.nodes[0]
    subprocess.run(["chmod", "-R", "u+rwX", node.home], check=True)
    for folder in (node.home, node.run / "sent"):
        shutil.rmtree(folder, ignore_errors=True)
    node.home.mkdir()
    (node.run / "supervisor.sock").touch()


def test_the_new_one_has_the_same_files(pods: Callable[..., Pods], source: Path) -> None:
    pod = pods()
    fill(source)
    os.link(source / next(name for name in os.listdir(source) if (source / name).is_file()), source / "linked")
    send(pod, source)
    (pod.nodes[0].home / "sky_workdir/of-the-job").write_text("made here")
    archive = run(pod, "give").stdout
    made_anew(pod)
    assert json.loads(run(pod, "take", archive).stdout) == {}
    assert picture(pod.nodes[0].home / "sky_workdir") == picture(source)
    assert run(pod, "give").stdout  # and it can hand them on itself


def test_what_the_next_launch_sends_is_not_sent_twice(pods: Callable[..., Pods], source: Path) -> None:
    pod = pods()
    fill(source)
    send(pod, source)
    archive = run(pod, "give").stdout
    made_anew(pod)
    run(pod, "take", archive)
    assert sync_pods.send(pod, source).files_sent == 0


def test_lists_go_along_with_what_is_sent(pods: Callable[..., Pods], source: Path) -> None:
    """A second destination, a change in between, one that is gone, a file alone, and a sync that is about no launch."""
    pod = pods()
    (source / "a").write_text("a")
    (source / "sub").mkdir()
    (source / "sub/b").write_text("b")
    send(pod, source)
    send(pod, source / "a", "~/.single")
    (source / "c").write_text("c")
    send(pod, source, whole=False)
    send(pod, source, "~/other", whole=False)
    home = pod.nodes[0].home
    (home / "sky_workdir/a").unlink()
    archive = run(pod, "give").stdout
    made_anew(pod)
    assert json.loads(run(pod, "take", archive).stdout) == {}
    found = {os.fsdecode(path) for path in picture(home)}
    assert found == {"sky_workdir", "sky_workdir/sub", "sky_workdir/sub/b", "sky_workdir/c", ".single"}


def test_what_came_meanwhile_stays(pods: Callable[..., Pods], source: Path) -> None:
    pod = pods()
    (source / "a").write_text("old")
    (source / "b").write_text("old")
    send(pod, source)
    archive = run(pod, "give").stdout
    made_anew(pod)
    home = pod.nodes[0].home
    (home / "sky_workdir").mkdir()
    (home / "sky_workdir/a").write_text("new")
    assert json.loads(run(pod, "take", archive).stdout) == {}
    assert [(home / "sky_workdir" / name).read_text() for name in "ab"] == ["new", "old"]


def test_an_archive_that_was_cut(pods: Callable[..., Pods], source: Path) -> None:
    """At no place is it taken for the whole, and what of it is there is whole."""
    pod = pods()
    (source / "a").write_bytes(b"x" * 3000)
    (source / "b").write_bytes(b"y" * 3000)
    send(pod, source)
    archive = run(pod, "give").stdout
    whole = len(tarfile.open(fileobj=io.BytesIO(archive)).getmembers())
    assert whole == 5  # the folder, two files, a list, the end
    for end in range(0, len(archive.rstrip(b"\0")), 3 * 512):
        made_anew(pod)
        said = json.loads(run(pod, "take", archive[:end]).stdout)
        assert "error" in said, end
        assert all(file.stat().st_size == 3000 for file in (pod.nodes[0].home / "sky_workdir").glob("*")), end


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system needs root")
def test_no_room_is_said(pods: Callable[..., Pods], source: Path) -> None:
    pod = pods()
    (source / "a").write_bytes(os.urandom(3_000_000))
    send(pod, source)
    archive = run(pod, "give").stdout
    made_anew(pod)
    home = pod.nodes[0].home
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", home], check=True)
    try:
        assert "No space left" in json.loads(run(pod, "take", archive).stdout)["error"]
    finally:
        subprocess.run(["umount", home], check=True)
