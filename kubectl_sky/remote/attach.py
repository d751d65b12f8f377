"""A session of sshd on a terminal that stays: shows one that the supervisor keeps on that of this connection.

The client asks for it with $SKY_TERMINAL, base64 of JSON: {"id": whose terminal, "keys": those that detach, as bytes,
"start": null, or what runs in it should it not be there yet}. The exit code is the program's, or
  255  the connection broke, as ssh itself does
  254  the person detached, and the program goes on
  253  the program ended with one of these three
"""

import base64
import json
import os
import signal
import struct
import sys
import termios
import threading
import tty
from fcntl import ioctl

import wire

BROKEN, DETACHED, HIGHEST = 255, 254, 253
OF_THE_CONNECTION = ("SKY_TERMINAL", "SSH_AUTH_SOCK", "SSH_CLIENT", "SSH_CONNECTION")  # and gone with it


class Keys:
    """Finds the key sequence that detaches; a beginning of it is held back until the next key."""

    def __init__(self, sequence):
        self.sequence = bytes(sequence)
        self.held = b""

    def typed(self, data):
        """(the bytes for the program, whether the sequence was typed)"""
        data, self.held = self.held + data, b""
        if not self.sequence:
            return data, False
        before, found, _ = data.partition(self.sequence)
        if found:
            return before, True
        for size in range(len(self.sequence) - 1, 0, -1):
            if data.endswith(self.sequence[:size]):
                self.held = data[-size:]
                return data[:-size], False
        return data, False


def window():
    """[rows, columns]"""
    return list(struct.unpack("HHHH", ioctl(0, termios.TIOCGWINSZ, b"\0" * 8))[:2])


def listen(conn, keys, turn):
    """The keyboard to the supervisor."""
    while True:
        try:
            data = os.read(0, 1 << 16)
        except OSError:
            data = b""
        if not data:
            os._exit(BROKEN)
        data, detached = keys.typed(data)
        with turn:
            conn.sendall(wire.frame(wire.DATA, data) + wire.json_frame(wire.END, {}) * detached)
        if detached:
            return


def main(wanted, env):
    """Never returns."""
    try:
        relay(json.loads(base64.urlsafe_b64decode(wanted)), env)
    except (OSError, wire.Cut):
        os._exit(BROKEN)


def relay(given, env):
    conn = wire.connect(wire.SUPERVISOR, patience=5)
    tty.setraw(0, termios.TCSANOW)  # without a flush: people type before the program is there
    env = {k: v for k, v in env.items() if k not in OF_THE_CONNECTION}
    wire.send_line(conn, {"op": "attach", "id": given["id"], "size": window(), "start": given["start"], "env": env})
    reader = wire.Reader(conn)
    answer = reader.line()
    if "error" in answer:
        sys.stderr.write(answer["error"] + "\r\n")
        sys.stderr.flush()
        os._exit(answer["exit"])
    turn = threading.RLock()  # one frame after the other; a signal may come while one is handled

    def resized(*_):
        with turn:
            conn.sendall(wire.json_frame(wire.STATE, {"size": window()}))

    signal.signal(signal.SIGWINCH, resized)
    threading.Thread(target=listen, args=(conn, Keys(given["keys"]), turn), daemon=True).start()
    while True:
        kind, payload = reader.frame()
        if kind == wire.END:
            code = json.loads(payload)["exit"]
            os._exit(DETACHED if code is None else min(code, HIGHEST))
        while payload:
            payload = payload[os.write(1, payload) :]
