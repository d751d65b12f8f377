"""A terminal in the task's container that outlives those who look at it: a pty, and any number of viewers.

A viewer's connection carries frames both ways. To here: DATA (keys), STATE {"size": [rows, columns]}, END (it leaves).
From here: DATA (output, at first what is on the screen), END {"exit": code, or null when it has left}.
"""

import json
import os
import threading
import time

import process
import wire
from screen import Screen

BEHIND = 1 << 20  # bytes that a viewer may lag behind; one that is slower sees the last screenful next
REDRAW_SECONDS = 0.05  # between two sizes: long enough for a program to see the first


class Terminal:
    def __init__(self, rows, columns):
        self.master, self.slave = os.openpty()
        process.resize(self.slave, rows or 24, columns or 80)
        self.screen = Screen()
        self.changed = threading.Condition()
        self.pending = {}  # viewer's connection -> bytes it has not been sent
        self.leaving = set()
        self.seen = False
        self.ended = False
        self.exit = None

    def put(self, data):
        """Shows output of the program. Never waits for a viewer."""
        with self.changed:
            self.screen.feed(data)
            for viewer, pending in self.pending.items():
                slow = len(pending) > BEHIND
                self.pending[viewer] = self.screen.shown(24) if slow else pending + data
            self.changed.notify_all()

    def end(self, code):
        """The program has ended, and all that it said is here."""
        with self.changed:
            if not self.ended:
                self.ended, self.exit = True, code
                self.changed.notify_all()

    def attach(self, conn, size):
        """Shows it to a viewer until the program ends or the viewer leaves."""
        with self.changed:
            keys = None if self.ended else os.dup(self.master)
            self.pending[conn] = self.screen.shown(size[0] if self.seen else None)
            self.seen = True
        if keys is not None:
            threading.Thread(target=self._listen, args=(conn, keys, size), daemon=True).start()
        try:
            while True:
                with self.changed:
                    self.changed.wait_for(lambda: self.pending[conn] or self.ended or conn in self.leaving)
                    data, self.pending[conn] = self.pending[conn], b""
                if data:
                    conn.sendall(wire.frame(wire.DATA, data))
                elif self.ended or conn in self.leaving:
                    conn.sendall(wire.json_frame(wire.END, {"exit": self.exit}))
                    return
        finally:
            with self.changed:
                del self.pending[conn]
                self.leaving.discard(conn)

    def _listen(self, conn, keys, size):
        """The viewer's keys to the program, and the size of the viewer's window: that of the last who spoke counts."""
        reader = wire.Reader(conn)
        try:
            if self.screen.full and size[0] > 1:
                process.resize(keys, size[0] - 1, size[1])
                time.sleep(REDRAW_SECONDS)
            self._resize(keys, size)
            while True:
                kind, payload = reader.frame()
                if kind == wire.DATA:
                    while payload:
                        payload = payload[os.write(keys, payload) :]
                elif kind == wire.STATE:
                    self._resize(keys, json.loads(payload)["size"])
                else:
                    break
        except (OSError, wire.Cut):
            pass
        finally:
            os.close(keys)
            with self.changed:
                if conn in self.pending:
                    self.pending[conn] += self.screen.left()
                    self.leaving.add(conn)
                    self.changed.notify_all()

    def _resize(self, keys, size):
        if size[0] and size[1]:
            process.resize(keys, *size)
