"""`cp` and `rsync` between here and pods: any image and user, odd names, cut connections, what cannot be done."""

from __future__ import annotations

import os
import random
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
import yaml
from conftest import Result, Sky, eventually, image, namespace

from tests.cluster.binaries import ensure_programs

BIG = 40_000_000
ODD = ("sp ace", "quo'te\"s", "ümläut😀", "new\nline", "-dash", "co:lon", "st*r", "back\\slash", "$HOME", "~")
IMAGES = {"box": "python", "busy": "busybox", "bare": "distroless", "user": "debian-nonroot"}


@pytest.fixture(scope="session")
def programs() -> None:
    """rsync and scp on this machine."""
    ensure_programs({"rsync": "rsync", "scp": "openssh-client"})


@pytest.fixture(scope="module")
def sky(kubeconfig: str, programs: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sky]:
    """A task of each image; `box` has two nodes, a folder /small for 1 MB, and /fixed, which is read-only."""
    file = tmp_path_factory.mktemp("task") / "task.yaml"
    mounts = [{"name": "small", "mountPath": "/small"}, {"name": "fixed", "mountPath": "/fixed", "readOnly": True}]
    small, fixed = {"medium": "Memory", "sizeLimit": "1Mi"}, {}
    volumes = [{"name": "small", "emptyDir": small}, {"name": "fixed", "emptyDir": fixed}]
    pod = {"spec": {"volumes": volumes, "containers": [{"volumeMounts": mounts}]}}
    task = {"num_nodes": 2, "config": {"kubernetes": {"pod_config": pod}}}
    file.write_text(yaml.safe_dump(task))
    with namespace(kubeconfig) as sky:
        launches = [["-c", name, "--image-id", f"docker:{image(IMAGES[name])}"] for name in list(IMAGES)[1:]]
        started = [sky.start("launch", "--cpus", "0.1", *words) for words in (["-c", "box", str(file)], *launches)]
        for process in started:
            said, told = process.communicate(timeout=180)
            assert process.returncode == 0, said + told
        yield sky


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files with odd names, modes, links, times."""
    top = tmp_path / "tree"
    for number, name in enumerate(ODD):
        path = top / f"folder {number}" / name
        path.parent.mkdir(parents=True)
        path.write_text(name * number)
        os.utime(path, ns=(0, 1_600_000_000_123_456_789 + number))
    for name, mode in (("script", 0o755), ("private", 0o600), ("fixed", 0o444)):
        (top / name).write_text(name)
        (top / name).chmod(mode)
    (top / "empty").mkdir(mode=0o700)
    (top / "link").symlink_to("script")
    (top / "nowhere").symlink_to("/no/such")
    for name in ("link", "nowhere"):  # old: rsync -a compares seconds, and a link made in that one keeps its own time
        os.utime(top / name, ns=(0, 1_500_000_000_987_654_321), follow_symlinks=False)
    return top


def picture(top: Path) -> dict[str, tuple[object, ...]]:
    """Name -> mode, time, content."""
    found = {}
    for path in sorted(top.rglob("*")):
        state = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else "folder"
        when = 0 if path.is_dir() and not path.is_symlink() else state.st_mtime_ns
        found[str(path.relative_to(top))] = (stat.filemode(state.st_mode), when, content)
    return found


def there(sky: Sky, command: str, name: str = "box") -> str:
    return sky.ok("ssh", name, command).out


def failed(result: Result, *words: str) -> None:
    """An error with the reason, and nothing that only rsync's makers understand."""
    assert result.code not in (0, 255) and "error: " in result.err, result
    assert not [word for word in words if word not in result.err], result
    assert "rsync error" not in result.err and "Traceback" not in result.err, result


@pytest.mark.parametrize("name", IMAGES)
def test_a_tree_goes_and_comes_back_as_it_was(sky: Sky, name: str, tree: Path, tmp_path: Path) -> None:
    sky.ok("cp", str(tree), f"{name}:copy of it")
    sky.ok("cp", f"{name}:copy of it", str(tmp_path / "back"))
    assert picture(tmp_path / "back") == picture(tree)
    sky.ok("cp", f"{name}:copy of it/folder 3/new\nline", str(tmp_path / "one"))
    assert (tmp_path / "one").read_text() == "new\nline" * 3


def test_where_it_goes(sky: Sky, tmp_path: Path) -> None:
    """As `cp -r` does it."""
    (tmp_path / "d/sub").mkdir(parents=True)
    (tmp_path / "d/sub/f").write_text("f")
    file = tmp_path / "file.txt"
    file.write_text("text")
    copies = [(file, "box:"), (file, "box:w/"), (file, "box:w/other"), (tmp_path / "d", "box:w"),
              (tmp_path / "d", "box:w/new"), (f"{tmp_path}/d/.", "box:w/flat"), (file, "box:~/w/home.txt"),
              (file, "box:/tmp/w.txt"), (file, "box-1:w/"), (f"{tmp_path}/d/", "box:w/slash/")]  # fmt: skip
    for source, target in copies:
        sky.ok("cp", str(source), target)
    sky.ok("cp", "--node", "1", str(file), "box:w/by-flag")
    expected = ["w/d/sub/f", "w/file.txt", "w/flat/sub/f", "w/home.txt", "w/new/sub/f", "w/other", "w/slash/d/sub/f"]
    assert there(sky, "find w -type f | sort").split() == expected
    assert there(sky, "cat file.txt /tmp/w.txt") == "texttext"
    assert sky.ok("ssh", "--node", "1", "box", "cd w; echo *").out == "by-flag file.txt\n"
    back = tmp_path / "back"
    back.mkdir()
    sky.ok("cp", "box:w/*.txt", "box:w/d", str(back))
    assert sorted(picture(back)) == ["d", "d/sub", "d/sub/f", "file.txt", "home.txt"]
    here = Sky(sky.namespace, sky.kubeconfig, sky.env, back)
    here.ok("cp", "box:~/w/other", ".")
    here.ok("cp", "other", "./file.txt", "box:both/")
    assert there(sky, "echo both/*").split() == ["both/file.txt", "both/other"]


def test_from_one_task_to_another(sky: Sky, tree: Path, tmp_path: Path) -> None:
    sky.ok("cp", str(tree), "busy:from")
    sky.ok("cp", "busy:from", "user:to")
    sky.ok("cp", "user:to", str(tmp_path / "back"))
    assert picture(tmp_path / "back") == picture(tree)
    sky.ok("cp", "busy:from/folder 0/sp ace", "box-1:/tmp/renamed")
    assert sky.ok("ssh", "box-1", "ls /tmp/renamed").out == "/tmp/renamed\n"


class Cut:
    """An `ssh` that counts what goes over it, and can be cut."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir()
        shutil.copy(Path(__file__).with_name("ssh_shim.py"), folder)
        (folder / "ssh").write_text(f'#!/bin/sh\nexec {sys.executable} -S {folder}/ssh_shim.py "$@"\n')
        (folder / "ssh").chmod(0o755)
        self.env = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}

    def after(self, count: int) -> None:
        (self.folder / "limit").write_text(str(count))

    def counts(self) -> list[tuple[int, int]]:
        lines = (self.folder / "count").read_text().splitlines()
        (self.folder / "count").unlink()
        return [(int(line.split()[0]), int(line.split()[1])) for line in lines]


@pytest.mark.parametrize("direction", ("up", "down"))
def test_a_cut_connection(sky: Sky, tmp_path: Path, direction: str) -> None:
    """The copy goes on by itself, and only with the rest; so does a copy that was stopped and is begun again."""
    big, back = tmp_path / "big", tmp_path / "back"
    content = random.Random(1).randbytes(BIG)
    cut = Cut(tmp_path / "bin")
    mine = Sky(sky.namespace, sky.kubeconfig, cut.env)
    big.write_bytes(content)
    words = (str(big), "box:/tmp/big") if direction == "up" else ("box:/tmp/big.there", str(back))
    which = 0 if direction == "up" else 1
    if direction == "down":
        sky.ok("cp", str(big), "box:/tmp/big.there")
    cut.after(BIG // 2)
    done = mine.ok("cp", *words)
    assert done.err.count("; going on\n") == 1 and "error" not in done.err, done
    sent = [count[which] for count in cut.counts() if count[which] > 1_000_000]
    assert len(sent) == 2 and BIG * 0.4 < sent[1] < BIG * 0.7, sent

    target = there(sky, "sha256sum < /tmp/big; ls -a /tmp") if direction == "up" else ""
    assert "partial" not in target and not list(tmp_path.glob(".kubectl-sky*"))
    if direction == "down":
        assert back.read_bytes() == content


def test_a_copy_that_was_stopped_goes_on(sky: Sky, tmp_path: Path) -> None:
    big = tmp_path / "big"
    size = 6 * BIG  # some seconds, also of a fast machine
    with big.open("wb") as file:
        for seed in range(6):
            file.write(random.Random(seed).randbytes(BIG))
    cut = Cut(tmp_path / "bin")
    mine = Sky(sky.namespace, sky.kubeconfig, cut.env)
    one = pexpect.spawn(mine.argv("cp")[0], mine.argv("cp", str(big), "box:/tmp/stopped")[1:], env=mine.environment(),
                        encoding="utf-8", timeout=30, cwd=str(mine.cwd))  # fmt: skip
    one.expect(r"[1-8]\d%")
    one.sendintr()
    one.expect("error: stopped")
    one.expect(r"this goes on from there: kubectl sky cp .*/big box:/tmp/stopped")
    one.expect(pexpect.EOF)
    one.close()
    assert one.exitstatus == 130
    cut.counts()
    eventually("the part is kept", lambda: "stopped" in there(sky, "ls /tmp/.kubectl-sky-partial || true"), 10)
    mine.ok("cp", str(big), "box:/tmp/stopped")
    second = cut.counts()[-1][0]
    assert 1_000_000 < second < size * 0.9, second
    digest = subprocess.run(["sha256sum"], stdin=big.open(), capture_output=True, text=True).stdout
    assert there(sky, "sha256sum < /tmp/stopped") == digest


def test_progress(sky: Sky, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(100_000))
    for words, expected in ((("cp",), "100%"), (("cp", "-q"), "")):
        argv = sky.argv(*words, str(file), "box:/tmp/")
        one = pexpect.spawn(argv[0], argv[1:], env=sky.environment(), encoding="utf-8", timeout=30)
        one.expect(pexpect.EOF)
        one.close()
        assert one.exitstatus == 0 and expected in one.before and (expected or not one.before.strip()), one.before
        there(sky, "rm /tmp/file")
    assert sky.ok("cp", str(file), "box:/tmp/").out == ""


def test_what_cannot_be_done(sky: Sky, tmp_path: Path) -> None:
    file, large = tmp_path / "file", tmp_path / "large"
    file.write_text("x")
    large.write_bytes(random.Random(3).randbytes(3_000_000))
    failed(sky.run("cp", str(file), "user:/root/x"), "user:/root", "Permission denied")
    failed(sky.run("cp", str(file), "box:/fixed/x"), "box:/fixed/x", "Read-only file system")
    failed(sky.run("cp", str(large), "box:/small/"), "box:/small/large", "No space left on device")
    failed(sky.run("cp", "box:nothing", str(tmp_path)), "box:", "nothing", "No such file or directory")
    failed(sky.run("cp", "box:noth*", str(tmp_path)), "box:", "noth*", "No such file or directory")
    failed(sky.run("cp", str(tmp_path / "nothing"), "box:"), str(tmp_path / "nothing"), "No such file or directory")
    failed(sky.run("cp", str(file), "box:/tmp/no/such/file"), "box:/tmp/no/such", "No such file or directory")
    failed(sky.run("cp", str(file), "none:"), "there is no cluster 'none'")
    failed(sky.run("cp", str(file), "box-2:"), "box has no node 2: its nodes are 0 to 1")
    failed(sky.run("cp", "user:/etc/shadow", str(tmp_path)), "user:/etc/shadow", "Permission denied")
    failed(sky.run("cp", "a", "b"), "one side must be NAME:path")


@pytest.fixture
def poor(sky: Sky, tmp_path: Path) -> Sky:
    """A machine without rsync."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("kubectl", "ssh", "scp", "sh", "env"):
        (folder / name).symlink_to(shutil.which(name) or "")
    return Sky(sky.namespace, sky.kubeconfig, {"PATH": str(folder)})


@pytest.mark.parametrize("name", ("box", "user", "busy"))
def test_without_rsync_here(poor: Sky, name: str, tree: Path, tmp_path: Path) -> None:
    """scp copies; it follows links, and has its own words for what went wrong."""
    failed(poor.run("cp", f"{name}:nothing", str(tmp_path / "x")), "nothing: No such file", "with rsync 3.1.3")
    (tree / "nowhere").unlink()
    said = poor.ok("cp", str(tree), f"{name}:by scp")
    assert "no rsync 3.1.3 or newer here: scp copies" in said.err, said
    poor.ok("cp", f"{name}:by scp", str(tmp_path / "back"))
    (tree / "link").unlink()
    shutil.copy2(tree / "script", tree / "link")
    assert {k: (v[0], v[2]) for k, v in picture(tmp_path / "back").items()} == {
        k: (v[0], v[2]) for k, v in picture(tree).items()
    }


def test_rsync_the_verb(sky: Sky, poor: Sky, tree: Path, tmp_path: Path) -> None:
    missing = poor.run("rsync", "-a", f"{tree}/", "box:x/")
    failed(missing, "rsync was not found on PATH", "kubectl sky cp")
    sky.ok("rsync", "-a", f"{tree}/", "bare:in rsync/")
    (tree / "private").unlink()
    listed = sky.ok("rsync", "-ai", "--delete", "--exclude=folder*", f"{tree}/", "bare:in rsync/")
    assert "*deleting   private" in listed.out, listed
    sky.ok("rsync", "-a", "--delete", "bare:in rsync/", f"{tmp_path}/back/")
    assert picture(tmp_path / "back") == picture(tree)
    dry = sky.run("rsync", "-a", "none:x", str(tmp_path))
    assert dry.code != 0 and "there is no cluster 'none'" in dry.err, dry
