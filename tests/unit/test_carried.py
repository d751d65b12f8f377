"""Files that go along with a managed job: recorded without a pod, played to real receivers, twice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kubectl_sky.errors import UsageError
from kubectl_sky.files import collect, recording
from kubectl_sky.jobs import launching
from kubectl_sky.output import Progress
from kubectl_sky.parts import carried
from tests.unit.sync_pods import REMOTE, Pods

PLAY = "import sys; sys.path.insert(0, {!r}); import deliver; deliver.deliver('0', {})"


def test_a_recording_is_played_to_all_nodes_and_again(tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "sub").mkdir(parents=True)
    (work / "sub" / "a").write_text("content\n")
    (work / "run.sh").write_text("#!/bin/sh\n")
    (work / "run.sh").chmod(0o755)
    (work / "random").write_bytes(os.urandom(2_000_000))
    (tmp_path / "one").write_text("single\n")
    mounts = [collect.Mount(work, "~/sky_workdir", ignore=True), collect.Mount(tmp_path / "one", "~/x/one")]
    packed, warnings = recording.record(collect.collect(mounts), carried.LIMIT)
    assert not warnings
    made = carried.part("t", [packed])
    assert [one["metadata"]["name"] for one in made.manifests] == ["t-sky-files-0", "t-sky-files-1", "t-sky-files-2"]
    (tmp_path / "files/0").mkdir(parents=True)
    for secret in made.manifests:
        for name, text in secret["data"].items():
            data = subprocess.run(["base64", "-d"], input=text.encode(), capture_output=True, check=True).stdout
            assert len(data) <= carried.PIECE
            (tmp_path / "files/0" / name).write_bytes(data)
    pods = Pods(tmp_path / "pods", 2)
    env = {**os.environ, "SKY_RUN": str(pods.folder), "SKY_FILES": str(tmp_path / "files")}
    play = [sys.executable, "-SE", "-c", PLAY.format(str(REMOTE), 2)]
    for _ in range(2):
        subprocess.run(play, env=env, check=True, timeout=30)
        for node in pods.nodes:
            assert (node.home / "sky_workdir/random").read_bytes() == (work / "random").read_bytes()
            assert (node.home / "sky_workdir/sub/a").read_text() == "content\n"
            assert (node.home / "x/one").read_text() == "single\n"
            assert (node.home / "sky_workdir/run.sh").stat().st_mode & 0o777 == 0o755
        (pods.nodes[0].home / "sky_workdir/sub/a").write_text("changed by the job\n")  # the next attempt has its own
    pods.close()


def test_what_cannot_be_put_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    packed, _ = recording.record(collect.collect([collect.Mount(tmp_path / "f", "/proc/no/f")]), carried.LIMIT)
    (tmp_path / "files/0").mkdir(parents=True)
    (tmp_path / "files/0/part-000").write_bytes(packed)
    pods = Pods(tmp_path / "pods", 1)
    env = {**os.environ, "SKY_RUN": str(pods.folder), "SKY_FILES": str(tmp_path / "files")}
    play = [sys.executable, "-SE", "-c", PLAY.format(str(REMOTE), 1)]
    failed = subprocess.run(play, env=env, capture_output=True, text=True, timeout=30)
    assert "deliver.Refused: " in failed.stderr and "/proc/no" in failed.stderr
    pods.close()


def test_what_is_too_large_is_refused_with_the_choices(tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(os.urandom(carried.LIMIT + 1000))
    files = collect.collect([collect.Mount(tmp_path, "~/sky_workdir", ignore=True)])
    with Progress() as progress, pytest.raises(UsageError) as error:
        launching.pack(files, progress)
    assert "8.0 MB; at most 8 MB" in error.value.message and "the largest: data.bin (8.0 MB)" in error.value.message
    assert "volumes:" in (error.value.hint or "") and "bucket" in (error.value.hint or "")
