"""How the programs of a pod speak to each other: a line of JSON as the request, then frames.

A frame is one byte of kind, four bytes of length (big endian), and the payload. A reader therefore never has to
trust the end of a stream: a stream that ends without its last frame was cut off.
"""

import json
import os
import socket
import struct
import time

RUN = os.environ.get("SKY_RUN", "/sky/run")
ETC = os.environ.get("SKY_ETC", "/sky/etc")
SUPERVISOR = RUN + "/supervisor.sock"
AGENT = RUN + "/agent.sock"
SYNC = RUN + "/syncing"  # a file, touched while files come

PART = "KUBECTL_SKY_PART"  # variable of all processes of a job's part: what nothing else has

DATA = b"D"  # bytes of a log
STATE = b"S"  # JSON: a change worth telling
END = b"E"  # JSON: the last frame
BEAT = b"H"  # nothing: the sender is alive

HEADER = struct.Struct(">cI")
BEAT_SECONDS = 10

RANK = struct.Struct(">H")  # begins the payload of a job's DATA: which node said it
FINAL = ("SUCCEEDED", "FAILED", "FAILED_SETUP", "FAILED_DRIVER", "CANCELLED")


class Cut(Exception):
    """The other side went away before it had said everything."""


def node_socket(rank):
    """Where node 0 reaches the supervisor of the node with that rank."""
    return "%s/node-%d.sock" % (RUN, rank)


def modified(path):
    """When a file was written last, s since 1970; 0 where it is not there."""
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


def frame(kind, payload=b""):
    return HEADER.pack(kind, len(payload)) + payload


def json_frame(kind, value):
    return frame(kind, json.dumps(value).encode())


def connect(path, patience=0.0):
    """A connection to a unix socket; waits up to `patience` seconds for somebody to listen there."""
    deadline = time.monotonic() + patience
    while True:
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(path)
            return sock
        except (FileNotFoundError, ConnectionRefusedError, PermissionError):  # the last before listen() has opened it
            sock.close()
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.02)


def listen(path):
    """A listening unix socket that every uid of the pod may use: the containers run as different ones."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    os.chmod(path, 0o666)
    sock.listen(64)
    return sock


def send_line(sock, value):
    sock.sendall(json.dumps(value).encode() + b"\n")


class Reader:
    """Lines and frames of a connection, in any order."""

    def __init__(self, sock, first=b""):
        self.sock = sock
        self.buffer = first

    def _fill(self):
        data = self.sock.recv(1 << 16)
        if not data:
            raise Cut()
        self.buffer += data

    def line(self):
        while b"\n" not in self.buffer:
            self._fill()
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def frame(self):
        """(kind, payload) of the next frame. Raises Cut at the end of the stream."""
        while len(self.buffer) < HEADER.size:
            self._fill()
        kind, length = HEADER.unpack_from(self.buffer)
        while len(self.buffer) < HEADER.size + length:
            self._fill()
        payload = self.buffer[HEADER.size : HEADER.size + length]
        self.buffer = self.buffer[HEADER.size + length :]
        return kind, payload
