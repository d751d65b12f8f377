"""Local files that go to buckets first, on a real S3 server."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from tests.e2e.conftest import Sky, image
from tests.e2e.s3_server import CLOSED, OUT, Server
from tests.e2e.test_buckets import server, space, task, with_keys  # noqa: F401

MOUNTS = f"""
file_mounts:
  /folder: {{name: sky-new-folder, source: ./data}}
  /file: {{name: {OUT}, source: [./one.txt], mode: COPY}}
  /list: {{name: sky-new-list, source: [./one.txt, ./data], mode: MOUNT_CACHED}}
"""
RUN = """
set -e
cat /folder/a.csv "/folder/deep/with space.txt" /file/one.txt /list/one.txt /list/data/a.csv
test ! -e /folder/.git
test ! -e /folder/left.out
echo result > /folder/made
id -u
"""
SAID = ["1,2", "5", "one", "one", "1,2", "1001"]


def local(folder: Path) -> Path:
    """Files as people have them, in a work tree of git."""
    (folder / "data/deep").mkdir(parents=True)
    (folder / "data/.git").mkdir()
    (folder / "data/.git/HEAD").write_text("ref: refs/heads/main")
    (folder / "data/.skyignore").write_text("left.out\n")
    (folder / "data/a.csv").write_text("1,2\n")
    (folder / "data/deep/with space.txt").write_text("5\n")
    (folder / "data/left.out").write_text("x")
    (folder / "one.txt").write_text("one\n")
    return folder


def test_uploads_and_what_the_task_gets(space: Sky, server: Server, tmp_path: Path) -> None:  # noqa: F811
    """A folder, a file and a list; buckets that are made and one that may only be written to; a second launch."""
    sky = replace(with_keys(space, server, KUBECTL_SKY_ALLOW_PRIVILEGED_MOUNTS="true"), cwd=tmp_path)
    file = task(local(tmp_path), "up", MOUNTS, RUN, resources={"image_id": image("debian-nonroot")})
    result = sky.run("launch", file)
    assert result.code == 0, result
    assert result.out.splitlines()[-6:] == SAID, result
    assert "Uploaded to s3://sky-new-folder" in result.err
    folder = {"a.csv": b"1,2\n", "deep/with space.txt": b"5\n", "made": b"result\n"}
    written = server.written("sky-new-folder")
    assert {name: written[name] for name in folder} == folder
    assert not [name for name in written if ".git" in name or "left" in name], written
    assert server.written(OUT)["one.txt"] == b"one\n"
    assert {"one.txt", "data/a.csv"} <= set(server.written("sky-new-list"))
    assert not [one for one in sky.objects() if "up-upload" in one], "nothing is left of the upload"
    (tmp_path / "data/a.csv").write_text("changed\n")
    os.remove(tmp_path / "data/deep/with space.txt")
    again = sky.ok("launch", "-d", file)
    assert "Uploaded to" in again.err
    written = server.written("sky-new-folder")
    assert written["a.csv"] == b"changed\n"
    assert "deep/with space.txt" in written, "what is in a bucket is not deleted"
    sky.ok("down", "up")
    assert server.written("sky-new-folder")["a.csv"] == b"changed\n"


def test_what_cannot_be_written_is_told(space: Sky, server: Server, tmp_path: Path) -> None:  # noqa: F811
    """Before the task's own pods are made; and files that are not there, before anything is."""
    local(tmp_path)
    mounts = f"file_mounts: {{/d: {{name: {CLOSED}, source: ./data, mode: COPY}}}}"
    result = replace(space, cwd=tmp_path).run("launch", task(tmp_path, "closed", mounts, "echo ran"))
    assert result.code == 1, result
    assert f"s3://{CLOSED} cannot be filled" in result.err and "may not write to it" in result.err, result
    assert "s3:PutObject" in result.err
    assert not space.pods("closed"), "nothing was made of the task itself"
