"""Files of the user's machine in the pods: anywhere, as any user, from git, and only what changed."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import Sky, image
from tests.unit.git_server import QUIET, Repository, Server, git

TOKEN = "s3cret-t0ken-of-the-test"
# everything below some places, as one line of JSON: path -> mode, and content, target or "folder"
LOOK = """
import json, os, sys
found = {}
for top in sys.argv[1:]:
    top = os.path.expanduser(top)
    below = [os.path.join(folder, name) for folder, dirs, files in os.walk(top) for name in dirs + files]
    for path in [top, *below]:
        what = "-> " + os.readlink(path) if os.path.islink(path) else "folder"
        if os.path.isfile(path) and not os.path.islink(path):
            what = open(path).read()
        found[path] = (oct(os.lstat(path).st_mode & 0o777), what)
print(json.dumps(found))
"""


def task_file(folder: Path, base: str = "python", **task: object) -> str:
    file = folder / "task.yaml"
    resources = {"cpus": 0.1, "image_id": f"docker:{image(base)}"}
    file.write_text(yaml.safe_dump({"name": "files", "resources": resources, **task}))
    return str(file)


@pytest.fixture
def local(tmp_path: Path) -> Path:
    folder = tmp_path / "local"
    for name, text, mode in (
        ("tree/script.sh", "#!/bin/sh\n", 0o755), ("tree/private", "p", 0o600), ("tree/read only", "r", 0o444),
        ("tree/ünï😀/ö.txt", "u", 0o644), ("inner/x", "inner", 0o644), ("work/w", "w", 0o644),
        ("work/inner/x", "outer", 0o644), ("one file.txt", "one", 0o640),
    ):  # fmt: skip
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
    (folder / "tree/empty").mkdir(mode=0o700)
    (folder / "tree/link").symlink_to("script.sh")
    (folder / "tree/nowhere").symlink_to("/no/such")
    (folder / "alias").symlink_to("one file.txt")
    return folder


def test_any_place_on_every_node(sky: Sky, local: Path, tmp_path: Path) -> None:
    tree, one = str(local / "tree"), str(local / "one file.txt")
    mounts = {
        "~/in home/ö": tree, "/data/deep/folder": tree, "/etc/one.conf": one, "~/.alias": str(local / "alias"),
        "inner": str(local / "inner"), "~/in home/ö/empty/inside": one,
    }  # fmt: skip
    run = f"python3 -c '{LOOK}' \"$HOME/in home/ö\" /data/deep/folder /etc/one.conf ~/.alias ~/sky_workdir"
    file = task_file(tmp_path, num_nodes=2, workdir=str(local / "work"), file_mounts=mounts, run=run)
    lines = sky.ok("launch", file).out.splitlines()
    in_tree = {
        "script.sh": ["0o755", "#!/bin/sh\n"], "private": ["0o600", "p"], "read only": ["0o444", "r"],
        "link": ["0o777", "-> script.sh"], "nowhere": ["0o777", "-> /no/such"], "empty": ["0o700", "folder"],
        "ünï😀": ["0o755", "folder"], "ünï😀/ö.txt": ["0o644", "u"],
    }  # fmt: skip
    assert len(lines) == 2
    for line in lines:
        found = json.loads(line.partition(") ")[2])
        for top in ("/root/in home/ö", "/data/deep/folder"):
            for name, expected in in_tree.items():
                assert found[f"{top}/{name}"] == expected, (top, name)
        assert found["/etc/one.conf"] == found["/root/.alias"] == ["0o640", "one"]
        assert found["/root/in home/ö/empty/inside"] == ["0o640", "one"]
        assert found["/root/sky_workdir/w"][1] == "w" and found["/root/sky_workdir/inner/x"][1] == "inner"


def test_where_the_user_may_not_write(sky: Sky, local: Path, tmp_path: Path) -> None:
    tree = str(local / "tree")
    run = "id -u; cat ~/deep/tree/script.sh /tmp/x/private"
    refused = sky.run("launch", task_file(tmp_path, "debian-nonroot", file_mounts={"/data/x": tree}, run=run))
    assert refused.code == 1 and refused.out == "", refused
    assert "cannot write /data/x: Permission denied (as uid 1001)" in refused.err
    assert all(way in refused.err for way in ("below ~", "volumes", "runAsUser: 0")), refused
    mounts = {"~/deep/tree": tree, "/tmp/x": tree}
    mended = sky.ok("launch", task_file(tmp_path, "debian-nonroot", file_mounts=mounts, run=run))
    assert mended.out == "1001\n#!/bin/sh\np", mended


def test_only_what_changed_is_written_again(sky: Sky, local: Path, tmp_path: Path) -> None:
    mounts = {"/data/tree": str(local / "tree")}
    run = 'cd /data/tree; stat -c "%n %i" private script.sh; stat -c "%n %i" ~/sky_workdir/w; cat private'
    file = task_file(tmp_path, workdir=str(local / "work"), file_mounts=mounts, run=run)
    *before, content = sky.ok("launch", file).out.splitlines()
    assert len(before) == 3 and content == "p"
    (local / "tree/private").write_text("changed")
    for verb in (("launch",), ("exec", "files")):
        *after, content = sky.ok(*verb, file).out.splitlines()
        assert content == "changed" and after[1:] == before[1:] and after[0] != before[0]
    assert sky.ok("exec", "files", file).out.splitlines() == [*after, content]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    repository = Repository(tmp_path / "repos/it")
    repository.commit(a_txt="one\n")
    git(repository.folder, "tag", "v1")
    repository.commit(a_txt="two\n", b_txt="b\n")
    server = Server(tmp_path / "repos", tmp_path / "cert.pem", TOKEN)
    yield server
    server.close()


def test_a_workdir_from_a_private_repository(sky: Sky, server: Server, tmp_path: Path) -> None:
    """In an image that has neither git nor Python; nothing of the token is in the cluster."""
    url = f"https://{server.host}/it"
    sky.env = {**QUIET, **server.env, "XDG_CACHE_HOME": str(tmp_path / "cache"), "GIT_TOKEN": ""}
    before = sky.objects()
    run = "ls; cat a.txt .git/HEAD; env | grep -c GIT_TOKEN"
    file = task_file(tmp_path, "busybox", workdir={"url": url}, run=run)
    anonymous = sky.run("launch", file)
    assert anonymous.code == 1 and "set GIT_TOKEN" in anonymous.err, anonymous
    sky.env["GIT_TOKEN"] = TOKEN
    wrong = sky.run("launch", file, "--git-ref", "v7")
    assert wrong.code == 2 and "no branch, tag or commit 'v7' (did you mean main or v1?)" in wrong.err, wrong
    assert sky.objects() == before
    head = git(tmp_path / "repos/it", "rev-parse", "HEAD")
    assert sky.run("launch", file).out == f"a.txt\nb.txt\ntwo\n{head}\n0\n"
    flags = ("--git-url", url, "--git-ref", "v1")
    assert sky.ok("exec", "files", *flags, "--", "cat a.txt .git/config").out.startswith("one\n")
    everything = sky.kubectl("get", "job,pod,secret,configmap", "-o", "json")
    data = [item.get("data", {}) for item in json.loads(everything)["items"] if item["kind"] == "Secret"]
    decoded = [base64.b64decode(value) for one in data for value in one.values()]
    assert len(decoded) > 1 and not any(TOKEN.encode() in data for data in decoded)
    assert TOKEN not in everything and url in sky.ok("exec", "files", "--", "cat .git/config").out
    assert TOKEN not in sky.ok("exec", "files", "--", "cat .git/config; env").out
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert kept and not any(TOKEN.encode() in path.read_bytes() for path in kept)
    assert os.stat(tmp_path / "cache/kubectl-sky/git").st_mode & 0o077 == 0
