"""The files that came with a managed task, put on all its nodes: a sync that was recorded when it was launched.

The recording is what a client would have sent (frames.py), compressed and cut into parts, which are mounted from
Secrets. It can be played as often as is needed: what a node has already is not written again.
"""

import glob
import json
import os
import subprocess
import sys
import threading
import zlib

import frames

FOLDER = os.environ.get("SKY_FILES", "/sky/files")


class Refused(Exception):
    """A node cannot take them; another attempt would not change it."""


class Broken(Exception):
    """A node went away meanwhile."""


def deliver(name, count):
    """Plays the recording of that name, if there is one, to `count` nodes."""
    parts = sorted(glob.glob("%s/%s/part-*" % (FOLDER, name)))
    if not parts:
        return
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "distribute.py")
    argv = [sys.executable, "-SE", program, str(count)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        threading.Thread(target=_play, args=(parts, process.stdin), daemon=True).start()
        try:
            _answer(process.stdout.fileno())
        finally:
            process.kill()


def _play(parts, out):
    """Keeps `out` open at the end: the other side takes its end for that of the client."""
    unpacker = zlib.decompressobj()
    try:
        for part in parts:
            with open(part, "rb") as f:
                rest = f.read()
            while rest:
                out.write(unpacker.decompress(rest, frames.LIMIT))
                rest = unpacker.unconsumed_tail
        out.write(unpacker.flush())
        out.flush()
    except OSError:
        pass  # whoever reads the answer learns why


def _answer(fd):
    parser = frames.Parser()
    while parser.read(fd):
        for whole in iter(parser.next, None):
            kind, payload = bytes(whole[:1]), bytes(whole[frames.HEADER.size :])
            if kind == frames.DONE:
                return
            if kind == frames.ERROR:
                error = json.loads(payload)
                raise (Broken if error.get("again") else Refused)(error["message"])
    raise Broken("the connection to the nodes broke")
