"""Sync where something breaks, freezes, fills up or lies: it goes on, or ends with the reason and leaves nothing."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
import sync_pods
from sync_pods import REMOTE, check, fill, send

from kubectl_sky import sync
from kubectl_sky.errors import Failure
from kubectl_sky.remote import frames

pods, source = sync_pods.pods, sync_pods.source
ROOT = os.geteuid() == 0 and os.path.exists("/usr/bin/python3")


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
