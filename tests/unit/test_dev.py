"""Live work: what is sent when files change, and how a change is noticed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sync_pods import Pods, picture

from kubectl_sky import sync
from kubectl_sky.dev import changes, watching
from kubectl_sky.dev.inotify import Inotify
from kubectl_sky.dev.polling import Polling
from kubectl_sky.files.collect import Mount, collect

linux = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux'")


class Work:
    """A workdir here, and its copy on two nodes."""

    def __init__(self, folder: Path, pods: Pods):
        self.folder, self.pods = folder, pods
        self.watch = watching.Watch([Mount(folder, "~/sky_workdir", ignore=True)])

    def keep(self) -> changes.Change | None:
        """Sends what has changed, as `dev` does."""
        found, change = self.watch.look()
        if change:
            sync.upload(self.pods.open, change.files, stall=20)
            self.watch.sent = found
        return change

    def same(self) -> None:
        for node in self.pods.nodes:
            assert picture(node.home / "sky_workdir") == picture(self.folder)


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Work]:
    folder = tmp_path / "work"
    folder.mkdir()
    pods = Pods(tmp_path / "pods", 2)
    made = Work(folder, pods)
    yield made
    made.watch.close()
    pods.close()


def test_only_what_changed_is_sent(work: Work) -> None:
    (work.folder / "a/b").mkdir(parents=True)
    for name in ("a/b/deep", "a/one", "top"):
        (work.folder / name).write_text("old")
    work.keep()
    work.same()
    assert work.keep() is None
    (work.folder / "a/b/deep").write_text("new text")
    change = work.keep()
    assert change and change.names == ("a/b/deep",) and change.matters
    assert len(change.files.records) == 4  # the destination, the file, and the two folders that hold it
    work.same()


def test_what_is_gone_here_goes_there(work: Work) -> None:
    (work.folder / "a/b").mkdir(parents=True)
    for name in ("a/b/deep", "a/one", "top", "to-folder"):
        (work.folder / name).write_text("old")
    (work.folder / "link").symlink_to("top")
    work.keep()
    results = work.pods.nodes[0].home / "sky_workdir/a/results"
    results.write_text("of the task")
    subprocess.run("rm -r a link to-folder && mv top renamed && mkdir to-folder && echo x > to-folder/x", shell=True,
                   cwd=work.folder, check=True)  # fmt: skip
    change = work.keep()
    assert change and {"a/b/deep (deleted)", "link (deleted)", "top (deleted)", "renamed"} <= set(change.names)
    assert picture(work.pods.nodes[1].home / "sky_workdir") == picture(work.folder)
    left = picture(work.pods.nodes[0].home / "sky_workdir", times=False)
    assert left.pop(b"a") and left.pop(b"a/results")  # a folder goes only when nothing is left in it
    assert left == picture(work.folder, times=False)


def test_what_the_task_has_changed_is_not_deleted(work: Work) -> None:
    (work.folder / "model").write_text("old")
    work.keep()
    there = work.pods.nodes[0].home / "sky_workdir/model"
    there.write_text("trained")
    (work.folder / "model").unlink()
    _, change = work.watch.look()
    assert change
    done = sync.upload(work.pods.open, change.files, stall=20)
    assert there.read_text() == "trained" and not (work.pods.nodes[1].home / "sky_workdir/model").exists()
    assert any("sky_workdir/model was changed in the pod, and stays there" in text for text in done.warnings)


def test_what_is_ignored_from_now_on_stays_there(work: Work) -> None:
    (work.folder / "notes").write_text("n")
    work.keep()
    (work.folder / ".skyignore").write_text("notes\n*.log\n")
    (work.folder / "x.log").write_text("x")
    change = work.keep()
    assert change and change.names == (".skyignore",)
    assert (work.pods.nodes[0].home / "sky_workdir/notes").exists()
    (work.folder / "x.log").write_text("longer")
    assert work.keep() is None


def test_after_a_broken_connection_all_is_compared(work: Work) -> None:
    for name in ("a", "b"):
        (work.folder / name).write_text("old")
    work.keep()
    (work.pods.nodes[0].home / "sky_workdir/a").unlink()  # a pod in another's place
    (work.folder / "b").unlink()
    work.watch.everything = True
    change = work.keep()
    assert change and change.names == ("b (deleted)",)
    work.same()


def test_a_file_that_is_mounted_alone(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text("1")
    mounts = [Mount(file, "~/x/config.json")]
    before = collect(mounts)
    assert list(changes.folders(before)) == [bytes(tmp_path)]
    file.write_text("12")
    change = changes.between(before, collect(mounts), watching.is_gone)
    assert change and change.names == ("~/x/config.json",)
    assert [one[:1] for one in change.files.records] == [b"S", b"f"]


@pytest.mark.parametrize(
    "path, expected",
    [
        (b"a.py", True), (b"src/.env", True), (b"poetry.lock", True), (b".a.py.swp", False), (b"a.py~", False),
        (b".git", False), (b".git/index", False), (b"sub/.git/HEAD", False), (b".gitignore", True), (b"4913", False),
    ],
)  # fmt: skip
def test_changes_that_no_program_is_started_again_for(path: bytes, expected: bool) -> None:
    assert changes.matters(path) is expected


EDITS: dict[str, Callable[[Path], object]] = {
    "content": lambda top: (top / "d/file").write_text("longer"),
    "mode": lambda top: (top / "d/file").chmod(0o700),
    "new": lambda top: (top / "d/new").write_text(""),
    "atomic": lambda top: ((top / "d/tmp").write_text("other"), (top / "d/tmp").replace(top / "d/file")),
    "rename": lambda top: (top / "d/file").rename(top / "moved"),
    "delete": lambda top: (top / "d/file").unlink(),
    "folder": lambda top: (top / "d").rename(top / "e"),
    "link": lambda top: (top / "d/link").symlink_to("file"),
    "time": lambda top: os.utime(top / "d/file", ns=(1, 1)),
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("teller", [pytest.param(Inotify, marks=linux), Polling])
def test_a_change_is_noticed(tmp_path: Path, teller: type, edit: str) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/file").write_text("text")
    one = teller()
    assert one.watch([bytes(tmp_path), bytes(tmp_path / "d")]) is True
    assert one.wait(0.01) is False
    EDITS[edit](tmp_path)
    began = time.monotonic()
    assert one.wait(5) is True
    assert time.monotonic() - began < 2
    one.close()


@pytest.mark.parametrize("teller", [pytest.param(Inotify, marks=linux), Polling])
def test_a_folder_that_takes_the_place_of_another(tmp_path: Path, teller: type) -> None:
    (tmp_path / "a").mkdir()
    one = teller()
    folders = [bytes(tmp_path), bytes(tmp_path / "a")]
    one.watch(folders)
    assert one.watch(folders) is False
    (tmp_path / "a").rename(tmp_path / "b")
    (tmp_path / "a").mkdir()
    one.wait(1)
    one.watch([*folders, bytes(tmp_path / "b")])
    for name in ("a/x", "b/x"):
        while one.wait(0.4):
            pass
        (tmp_path / name).write_text("x")
        assert one.wait(5) is True, name
    one.close()


def test_many_changes_are_one(work: Work) -> None:
    work.keep()
    assert work.watch.wait(1) is False or work.watch.look()[1] is None
    writer = "import time\nfor i in range(20): open(f'f{i}', 'w').write('x'); time.sleep(0.01)"
    with subprocess.Popen([sys.executable, "-c", writer], cwd=work.folder):
        assert work.watch.wait(5) is True
        change = work.keep()
    assert change and len(change.names) >= 15, change


def test_no_more_of_inotify(work: Work, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*_: object) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Inotify, "watch", refused)
    work.keep()
    assert "looking at the files every now and then" in capsys.readouterr().err
    (work.folder / "x").write_text("x")
    assert work.watch.wait(5) is True
    assert work.keep()
    work.same()
