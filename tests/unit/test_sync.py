"""Sync, end to end on this machine: after it the trees are the same, whatever happened on the way."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest
from sync_pods import REMOTE, Pods, picture

from kubectl_sky import sync
from kubectl_sky.errors import Failure
from kubectl_sky.files.collect import NotReadable
from kubectl_sky.files.sending import Squeezer
from kubectl_sky.remote import frames

ROOT = os.geteuid() == 0 and os.path.exists("/usr/bin/python3")


@pytest.fixture
def pods(tmp_path):
    made = []

    def make(count=1, **options):
        made.append(Pods(tmp_path / f"pods{len(made)}", count, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "local"
    folder.mkdir()
    return folder


def send(pods, source, destination="~/sky_workdir", **options):
    files = sync.collect([sync.Mount(source, destination)])
    return sync.upload(pods.open, files, stall=pods.stall, **options)


def fill(root: Path, seed: int = 1, count: int = 60) -> None:
    """A tree with everything that is odd."""
    rng = random.Random(seed)
    folders = [root]
    for number in range(count):
        folder = rng.choice(folders)
        name = rng.choice(["plain", "-dash", "sp ace", "new\nline", "quote'\"", "ümlaut", "emoji😀", "tab\t", "*"])
        path = os.fsencode(folder) + b"/" + os.fsencode(f"{name}{number}")
        path += rng.choice([b"", b"", b"\xff\xfe", b"x" * 200])
        kind = rng.choice("ffffdle")
        if kind == "d":
            os.mkdir(path)
            folders.append(Path(os.fsdecode(path)))
        elif kind == "l":
            os.symlink(rng.choice([b"/nowhere", b"..", b"self\xff", b"plain\n1"]), path)
        else:
            size = 0 if kind == "e" else rng.choice([1, 100, 5000, 300_000])
            Path(os.fsdecode(path)).write_bytes(rng.randbytes(size))
            os.chmod(path, rng.choice([0o644, 0o755, 0o600, 0o444, 0o777]))
        os.utime(path, ns=(0, rng.randrange(10**9, 2 * 10**18)), follow_symlinks=False)
    for folder in folders[1:]:
        folder.chmod(rng.choice([0o755, 0o700, 0o775, 0o555]))
        os.utime(folder, ns=(0, rng.randrange(10**9, 2 * 10**18)))


def check(pods, source, destination="sky_workdir"):
    for node in pods.nodes:
        assert picture(node.home / destination) == picture(source)
        assert not list((node.run / "sync").iterdir())


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


def test_a_connection_that_breaks_again_and_again(pods, source):
    fill(source, 3, 40)
    for number in range(30):
        (source / f"big{number}").write_bytes(os.urandom(1_000_000))
    nodes = pods(2)
    rng = random.Random(1)
    attempts = []

    def opened():
        process = nodes.open()
        attempts.append(process)
        if len(attempts) < 8:
            victim = process if len(attempts) % 2 else None

            def cut():
                time.sleep(rng.uniform(0.02, 0.35))
                if victim:
                    victim.kill()
                else:
                    for child in nodes.nodes[1].children:
                        child.kill()

            threading.Thread(target=cut).start()
        return process

    send_files = sync.collect([sync.Mount(source, "~/sky_workdir")])
    result = sync.upload(opened, send_files, stall=20)
    assert len(attempts) >= 2
    assert result.files_total >= 30
    time.sleep(0.2)
    send(nodes, source)
    check(nodes, source)


def test_kills_leave_old_or_new_files_and_no_litter(pods, source):
    nodes = pods(1)
    home = nodes.nodes[0].home / "sky_workdir"
    for number in range(20):
        (source / f"f{number}").write_bytes(b"0" * 200_000)
    send(nodes, source)
    rng = random.Random(2)
    for turn in range(1, 8):
        for number in range(20):
            (source / f"f{number}").write_bytes(b"%d" % turn * 200_000)
        process = nodes.open()
        timer = threading.Timer(rng.uniform(0.03, 0.15), lambda: [c.kill() for c in nodes.nodes[0].children])
        timer.start()
        files = sync.collect([sync.Mount(source, "~/sky_workdir")])
        with contextlib.suppress(Failure, ValueError):
            sync.upload(lambda process=process: process, files, patience=0)
        timer.join()
        for file in home.glob("f*"):
            content = file.read_bytes()
            assert len(content) == 200_000
            assert len(set(content)) == 1
    send(nodes, source)
    assert not list(home.glob(".sky*"))
    check(nodes, source)


def test_a_kill_among_new_files_is_mended_by_the_next_sync(pods, source):
    for number in range(1000):
        path = source / f"{number % 30}" / f"f{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"%d" % number * 500)
    nodes = pods(1)
    home = nodes.nodes[0].home / "sky_workdir"
    files = sync.collect([sync.Mount(source, "~/sky_workdir")])
    for turn in range(3):
        process = nodes.open()

        def cut(end=300 * (turn + 1)):
            while process.poll() is None and sum(1 for _ in home.glob("*/f*")) < end:
                time.sleep(0.001)
            for child in nodes.nodes[0].children:
                child.kill()

        thread = threading.Thread(target=cut)
        thread.start()
        with contextlib.suppress(Failure, ValueError):
            sync.upload(lambda process=process: process, files, patience=0)
        thread.join()
        pairs = [(file, source / file.relative_to(home)) for file in home.glob("*/f*")]
        unlike = [(there, here) for there, here in pairs if there.read_bytes() != here.read_bytes()]
        assert len(unlike) <= 1
        for there, here in unlike:  # by its time the next sync knows that it is not done
            assert there.stat().st_mtime_ns != here.stat().st_mtime_ns
    send(nodes, source)
    check(nodes, source)


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


def test_gives_up_with_the_reason(source):
    (source / "f").write_bytes(b"1")

    def opened():
        command = ["sh", "-c", "echo 'error: container not found (\"ssh\")' >&2; exit 1"]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    with pytest.raises(sync.SyncFailure, match="container not found") as caught:
        sync.upload(opened, sync.collect([sync.Mount(source, "~/x")]), patience=0.5)
    assert "again" in caught.value.hint


def test_no_rights_are_not_tried_again(source):
    tries = []

    def opened():
        tries.append(1)
        command = ["sh", "-c", "echo 'Error from server (Forbidden): pods \"x-0\" is forbidden' >&2; exit 1"]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    with pytest.raises(sync.SyncFailure, match="Forbidden"):
        sync.upload(opened, sync.collect([sync.Mount(source, "~/x")]))
    assert len(tries) == 1


def test_a_silent_pod_is_noticed(source):
    (source / "f").write_bytes(b"1")

    def opened():
        return subprocess.Popen(["sleep", "60"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    start = time.monotonic()
    with pytest.raises(sync.SyncFailure, match="nothing came from the pod for 1 s"):
        sync.upload(opened, sync.collect([sync.Mount(source, "~/x")]), patience=0.5, stall=1)
    assert time.monotonic() - start < 10


def test_a_frozen_receiver_is_noticed(pods, source):
    (source / "f").write_bytes(os.urandom(30_000_000))
    nodes = pods(2, stall=2)

    def opened():
        process = nodes.open()

        def freeze():
            while len(nodes.nodes[1].children) < len(nodes.opened):
                time.sleep(0.01)
            nodes.nodes[1].children[-1].send_signal(signal.SIGSTOP)

        threading.Thread(target=freeze).start()
        return process

    with pytest.raises(sync.SyncFailure, match=r"no progress.*node 1 said nothing for 2 s"):
        sync.upload(opened, sync.collect([sync.Mount(source, "~/x")]), patience=3, stall=2)
    assert wait_gone(nodes.nodes[0].children)


def wait_gone(processes, seconds=5.0):
    end = time.monotonic() + seconds
    while any(process.poll() is None for process in processes):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_a_frozen_client_is_noticed_by_the_pods(pods):
    nodes = pods(2, stall=1)
    process = nodes.open()
    process.stdin.write(frames.frame(frames.HELLO, json.dumps({"version": frames.VERSION}).encode()))
    process.stdin.flush()
    output = process.stdout.read()
    assert b"nothing came from the client for 1 s" in output
    assert wait_gone([process])
    assert wait_gone(nodes.nodes[0].children + nodes.nodes[1].children)


def test_a_receiver_alone_notices_too(tmp_path):
    env = {"HOME": str(tmp_path), "SKY_RUN": str(tmp_path)}
    command = [os.sys.executable, "-SE", str(REMOTE / "receive.py"), "0.7"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
    assert b"nothing came from the client" in process.stdout.read()
    process.stdin.close()
    assert wait_gone([process], 7)
    process.stdout.close()


def test_the_slow_do_not_make_the_fast_give_up(pods, source):
    (source / "f").write_bytes(os.urandom(30_000_000))
    nodes = pods(2, stall=2)

    def opened():
        process = nodes.open()

        def nap():
            while len(nodes.nodes[1].children) < 1:
                time.sleep(0.01)
            time.sleep(0.15)
            for _ in range(3):
                nodes.nodes[1].children[0].send_signal(signal.SIGSTOP)
                time.sleep(1.4)
                nodes.nodes[1].children[0].send_signal(signal.SIGCONT)
                time.sleep(0.2)

        threading.Thread(target=nap, daemon=True).start()
        return process

    sync.upload(opened, sync.collect([sync.Mount(source, "~/sky_workdir")]), stall=2)
    check(nodes, source)
    assert len(nodes.opened) == 1


def test_a_node_that_is_not_there_yet(pods, source):
    (source / "f").write_bytes(b"1")
    nodes = pods(2)
    path = nodes.folder / "node-1.sock"
    path.rename(nodes.folder / "later")
    threading.Timer(0.6, lambda: (nodes.folder / "later").rename(path)).start()
    send(nodes, source)
    check(nodes, source)


def test_a_node_that_never_comes(pods, source):
    (source / "f").write_bytes(b"1")
    nodes = pods(2)
    (nodes.folder / "node-1.sock").unlink()
    with pytest.raises(sync.SyncFailure, match="node 1 did not answer within 3 s"):
        send(nodes, source, patience=0.5)


@pytest.mark.skipif(not ROOT, reason="a small file system needs root")
def test_a_full_disk_says_so(pods, source, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False).returncode:
        pytest.skip("cannot mount")
    try:
        (source / "f").write_bytes(os.urandom(3_000_000))
        with pytest.raises(sync.SyncFailure, match=r"cannot write .*/disk/f: No space left on device") as caught:
            send(pods(), source, str(disk))
        assert "disk_size" in caught.value.hint
        assert not list(disk.iterdir())
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)  # the receiver may still be about to end


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


def test_paths_that_lead_outside_are_refused(tmp_path):
    for path in (b"../x", b"a/../../x", b"/etc/x", b"a//x", b".", b""):
        talk = Talk(tmp_path)
        talk.send_tree()
        talk.send_record(frames.Record(frames.FILE, 0o644, 1, 0, path), b"x")
        assert b"bad path" in talk.finish(), path
    assert not (tmp_path.parent / "x").exists()


def test_a_link_of_this_very_stream_is_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    talk = Talk(tmp_path)
    talk.send_tree()
    talk.send_record(frames.Record(frames.LINK, 0o777, 0, 0, b"a", os.fsencode(outside)))
    talk.send_record(frames.Record(frames.FILE, 0o644, 1, 0, b"a/x"), b"x")
    talk.finish()
    assert not list(outside.iterdir())


def test_damaged_data_is_noticed(tmp_path):
    talk = Talk(tmp_path)
    talk.send_tree()
    talk.send_record(frames.Record(frames.FILE, 0o644, 1, 0, b"f"), b"x")
    assert b"digest differs" in talk.finish()
    for junk in (b"GET / HTTP/1.1\r\n\r\n", frames.frame(frames.HELLO, b"junk"), frames.frame(b"?", b"")):
        talk = Talk(tmp_path, hello=junk)
        assert b'"message"' in talk.finish()


class Talk:
    """A client written by hand, to say what ours never would."""

    def __init__(self, home: Path, hello: bytes | None = None):
        env = {"HOME": str(home), "SKY_RUN": str(home)}
        command = [os.sys.executable, "-SE", str(REMOTE / "receive.py"), "5"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
        ours = json.dumps({"version": frames.VERSION}).encode()
        start = frames.frame(frames.HELLO, ours) + frames.frame(frames.MANIFEST_END)
        self.said = start if hello is None else hello

    def send_tree(self):
        self.send_record(frames.Record(frames.TREE, 0o755, 0, 0, b"~/w", b"w"))

    def send_record(self, record, content=None):
        text = record.encode()
        data = frames.LENGTH.pack(len(text)) + text
        data += b"" if content is None else content + frames.INTACT
        self.said += frames.frame(frames.DATA, data)

    def finish(self) -> bytes:
        end = frames.frame(frames.END, b'{"sha256": "0"}')
        return self.process.communicate(self.said + end, timeout=20)[0]
