"""Sync, end to end on this machine: after it the trees are the same, whatever happened on the way."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

import pytest
import sync_pods
from sync_pods import check, fill, picture, send

from kubectl_sky import sync
from kubectl_sky.errors import Failure
from kubectl_sky.files.collect import NotReadable
from kubectl_sky.files.sending import Squeezer

pods, source = sync_pods.pods, sync_pods.source
ROOT = os.geteuid() == 0 and os.path.exists("/usr/bin/python3")


def let_others_in(folder):
    """Opens the way to pytest's folder to other users."""
    for one in [folder, *folder.parents][:4]:  # one more than without xdist
        if one.stat().st_uid == os.getuid() and one != Path("/tmp"):
            one.chmod(one.stat().st_mode | 0o055)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_trees_become_the_same(pods, source, count):
    fill(source, count)
    nodes = pods(count)
    result = send(nodes, source)
    check(nodes, source)
    files = sum(1 for state in picture(source).values() if state[0] >> 12 != 0o04)
    assert (result.files_sent, result.files_total) == (files, files)
    assert result.bytes_sent > 0
    again = send(nodes, source)
    assert (again.files_sent, again.bytes_sent, again.files_total) == (0, 0, files)


def test_only_what_changed_is_sent(pods, source):
    for number in range(50):
        (source / f"f{number}").write_bytes(b"x" * 1000)
    nodes = pods(2)
    send(nodes, source)
    (source / "f7").write_bytes(b"y" * 1000)
    (source / "f8").chmod(0o755)
    result = send(nodes, source)
    assert (result.files_sent, result.bytes_sent) == (2, 2000)
    check(nodes, source)


def test_a_file_missing_on_one_node_only(pods, source):
    fill(source)
    nodes = pods(2)
    send(nodes, source)
    (source / "new").write_bytes(b"n")
    send(nodes, source)
    (nodes.nodes[1].home / "sky_workdir" / "new").unlink()
    before = (nodes.nodes[0].home / "sky_workdir" / "new").stat().st_ino
    assert send(nodes, source).files_sent == 1
    check(nodes, source)
    assert (nodes.nodes[0].home / "sky_workdir" / "new").stat().st_ino == before


def test_thousands_of_files_of_which_every_second_changed(pods, source):
    for number in range(5000):
        (source / f"{number}").write_bytes(b"1")
    nodes = pods(2)
    send(nodes, source)
    changed = [entry.path for entry in os.scandir(source)][::2]
    for path in changed:
        Path(path).write_bytes(b"22")
    assert send(nodes, source).files_sent == 2500
    check(nodes, source)


def test_files_that_only_the_pod_has_stay(pods, source):
    (source / "a").write_bytes(b"1")
    nodes = pods()
    send(nodes, source)
    extra = nodes.nodes[0].home / "sky_workdir" / "result"
    extra.write_bytes(b"precious")
    (source / "a").unlink()
    (source / "b").write_bytes(b"2")
    send(nodes, source)
    assert sorted(path.name for path in extra.parent.iterdir()) == ["a", "b", "result"]


def test_types_change(pods, source):
    (source / "x").mkdir()
    (source / "x" / "inner").write_bytes(b"1")
    (source / "y").write_bytes(b"2")
    (source / "z").symlink_to("y")
    (source / "empty").mkdir()
    nodes = pods()
    send(nodes, source)
    (source / "x" / "inner").unlink()
    (source / "x").rmdir()
    (source / "x").write_bytes(b"now a file")
    (source / "y").unlink()
    (source / "y").mkdir()
    (source / "y" / "deep").mkdir()
    (source / "z").unlink()
    (source / "z").mkdir()
    (source / "z" / "f").write_bytes(b"3")
    (source / "empty").rmdir()
    (source / "empty").symlink_to("/")
    result = send(nodes, source)
    pod = nodes.nodes[0].home / "sky_workdir"
    assert (pod / "x.old-1" / "inner").read_bytes() == b"1"
    assert any("x was a folder in the pod; it is now x.old-1" in warning for warning in result.warnings)
    (pod / "x.old-1" / "inner").unlink()
    (pod / "x.old-1").rmdir()
    os.utime(pod, ns=(0, source.stat().st_mtime_ns))
    check(nodes, source)


def test_a_link_in_the_pod_is_never_followed_below_the_destination(pods, source, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (source / "data").mkdir()
    (source / "data" / "f").write_bytes(b"mine")
    nodes = pods()
    inside = nodes.nodes[0].home / "sky_workdir"
    inside.mkdir()
    (inside / "data").symlink_to(outside)
    send(nodes, source)
    assert not list(outside.iterdir())
    check(nodes, source)


def test_the_destination_itself_may_be_a_link(pods, source, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    (source / "f").write_bytes(b"1")
    nodes = pods()
    (nodes.nodes[0].home / "sky_workdir").symlink_to(disk)
    send(nodes, source)
    assert (disk / "f").read_bytes() == b"1"


def test_many_mounts(pods, source, tmp_path):
    (source / "dir").mkdir()
    (source / "dir" / "a").write_bytes(b"a")
    (source / "empty").mkdir()
    (source / "f.txt").write_bytes(b"f")
    (source / "work").mkdir()
    target = tmp_path / "abs" / "deep"
    mounts = [
        sync.Mount(source / "empty", "~/nothing"),
        sync.Mount(source / "dir", "~/d"),
        sync.Mount(source / "f.txt", "~/x/renamed"),
        sync.Mount(source / "f.txt", str(target / "g")),
        sync.Mount(source / "f.txt", "~/into/"),
        sync.Mount(source / "f.txt", "~/d"),  # is a folder there: goes into it
        sync.Mount(source / "dir", "relative"),
        sync.Mount(source / "work", "~/sky_workdir", ignore=True),
    ]
    nodes = pods(1)
    result = sync.upload(nodes.open, sync.collect(mounts))
    home = nodes.nodes[0].home
    assert (home / "nothing").is_dir()
    assert (home / "x" / "renamed").read_bytes() == b"f"
    assert (target / "g").read_bytes() == b"f"
    assert (home / "into" / "f.txt").read_bytes() == b"f"
    assert sorted(path.name for path in (home / "d").iterdir()) == ["a", "f.txt"]
    assert (home / "sky_workdir" / "relative" / "a").read_bytes() == b"a"
    assert result.files_sent == 6
    assert sync.upload(nodes.open, sync.collect(mounts)).files_sent == 0


def test_no_mounts_at_all(pods):
    assert sync.upload(pods(2).open, sync.collect([])).files_total == 0


def test_sockets_and_pipes_are_left_out(pods, source):
    os.mkfifo(source / "fifo")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(source / "sock"))
        (source / "f").write_bytes(b"1")
        result = send(pods(), source)
    assert len(result.warnings) == 2
    assert result.files_sent == 1


def test_hard_links_and_long_paths(pods, source):
    (source / "a").write_bytes(b"1")
    os.link(source / "a", source / "b")
    deep = source
    for _ in range(14):
        deep = deep / ("d" * 240)
        deep.mkdir()
    (deep / ("f" * 255)).write_bytes(b"deep")
    nodes = pods()
    send(nodes, source)
    found = nodes.nodes[0].home / "sky_workdir"
    assert (found / "b").read_bytes() == b"1"
    for _ in range(14):
        found = found / ("d" * 240)
    assert (found / ("f" * 255)).read_bytes() == b"deep"


def test_progress_grows_to_its_total(pods, source):
    (source / "big").write_bytes(os.urandom(20_000_000))
    seen = []
    send(pods(2), source, on_progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (20_000_000, 20_000_000)
    assert seen == sorted(seen)
    assert {total for _, total in seen} == {20_000_000}


@pytest.mark.skipif(not ROOT, reason="other users' files need root")
def test_a_destination_that_may_not_be_written(pods, source, tmp_path):
    (source / "f").write_bytes(b"1")
    (tmp_path / "theirs").mkdir(mode=0o755)
    let_others_in(tmp_path)
    nodes = pods(2, uid=12345)
    with pytest.raises(sync.SyncFailure) as caught:
        send(nodes, source, str(tmp_path / "theirs" / "sub"))
    assert f"cannot write {tmp_path}/theirs/sub: Permission denied (as uid 12345)" in caught.value.message
    assert "node " in caught.value.message
    assert "~" in caught.value.hint
    with pytest.raises(sync.SyncFailure, match="Permission denied"):
        send(nodes, source, str(tmp_path / "theirs"))


@pytest.mark.skipif(not ROOT, reason="another user needs root")
def test_another_user_updates_folders_that_are_read_only(pods, source, tmp_path):
    let_others_in(tmp_path)
    fill(source, 7)
    nodes = pods(1, uid=12345)
    send(nodes, source)
    check(nodes, source)
    locked = source / "locked"
    (locked / "sub").mkdir(parents=True)
    (locked / "f").write_bytes(b"1")
    (locked / "sub").chmod(0o555)
    locked.chmod(0o555)
    send(nodes, source)
    check(nodes, source)
    (locked / "f").write_bytes(b"22")
    (locked / "sub" / "g").write_bytes(b"3")
    (locked / "new").mkdir()
    send(nodes, source)
    check(nodes, source)


@pytest.mark.skipif(not ROOT, reason="another user needs root")
def test_unreadable_files_are_named_all_at_once(source, tmp_path):
    let_others_in(tmp_path)
    (source / "secret").write_bytes(b"1")
    (source / "secret").chmod(0o600)
    (source / "closed").mkdir(mode=0o700)
    (source / "fine").write_bytes(b"1")
    child = os.fork()
    if not child:
        os.setuid(12345)
        try:
            sync.collect([sync.Mount(source, "~/x"), sync.Mount(source / "missing", "~/y")])
        except NotReadable as e:
            names = all(word in e.message for word in ("secret: Perm", "closed: Perm", "missing: No such", "3 of"))
            os._exit(0 if names and "fine" not in e.message else 1)
        os._exit(2)
    assert os.waitpid(child, 0)[1] == 0


def test_missing_source_is_a_failure():
    with pytest.raises(Failure, match="No such file"):
        sync.collect([sync.Mount(Path("/no/such/thing"), "~/x")])


def test_a_file_that_vanishes_shrinks_or_grows(pods, source, monkeypatch):
    for name in ("gone", "shrinks", "grows", "fine"):
        (source / name).write_bytes(b"x" * 600_000)
    files = sync.collect([sync.Mount(source, "~/w")])
    (source / "gone").unlink()
    real, grown = os.readv, []

    def read(fd, buffers):
        path = os.readlink(f"/proc/self/fd/{fd}")
        if path.endswith("shrinks"):
            os.truncate(path, max(0, os.stat(path).st_size - 100_000))
        if path.endswith("grows"):
            grown.append(1)
            with open(path, "ab") as file:
                file.write(b"more")
        return real(fd, buffers)

    monkeypatch.setattr(os, "readv", read)
    nodes = pods()
    result = sync.upload(nodes.open, files)
    texts = "\n".join(result.warnings)
    home = nodes.nodes[0].home / "w"
    assert "gone vanished" in texts
    assert "grows changed while it was read, and was sent as it was" in texts
    assert (home / "fine").read_bytes() == b"x" * 600_000
    assert (home / "grows").read_bytes().startswith(b"x" * 600_000)
    monkeypatch.undo()
    send(nodes, source, "~/w")
    assert picture(home) == picture(source)


def test_modes_are_kept_where_folders_have_default_acls(pods, source):
    nodes = pods(1)
    home = nodes.nodes[0].home / "sky_workdir"
    home.mkdir()
    entries = [(0x01, 7), (0x04, 5), (0x20, 0)]  # user::rwx, group::r-x, other::---
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", tag, bits, 0xFFFFFFFF) for tag, bits in entries)
    try:
        os.setxattr(home, "system.posix_acl_default", acl)
    except OSError as e:
        pytest.skip(f"no ACLs here: {e}")
    for size in (10, 500_000):
        (source / f"f{size}").write_bytes(b"x" * size)
        (source / f"f{size}").chmod(0o666)
    (source / "folder").mkdir(mode=0o755)
    (source / "folder" / "f").write_bytes(b"y")
    send(nodes, source)
    check(nodes, source)


@pytest.mark.parametrize(("link", "block", "packs"), [
    (5.0, b"some text " * 20_000, True),
    (0.0, b"some text " * 20_000, False),
    (5.0, None, False),
])  # fmt: skip
def test_compresses_only_where_that_is_faster(link, block, packs):
    squeezer = Squeezer()
    packed = 0
    for number in range(160):
        packed += squeezer.pack(block or os.urandom(200_000)) is not None
        squeezer.sent(link / 100)
        if number == 80:
            packed = 0
    assert packed == (79 if packs else 0)
