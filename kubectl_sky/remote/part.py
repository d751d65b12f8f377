"""A job's part on this node, or a kept shell: a program with a log, started and followed by the supervisor."""

import os
import select
import signal
import threading
import time

import children
import memory
import wire
from terminal import Terminal

JOBS = wire.RUN + "/jobs"
BOOT = "%d.%d" % (os.getpid(), time.time_ns())  # whose parts these are: another pod of this name has another
SETTLE = 0.1  # s without output after a job's end, when a process that it left behind still holds its output open


class Part:
    """A program with a log: a file, and the container's stdout; and with a terminal, if it is given its size."""

    def __init__(self, name, tty=None):
        self.mark = None  # what the environment of its processes holds
        self.log = "%s/%s.log" % (JOBS, name)
        self.changed = threading.Condition()
        self.size = 0
        self.terminal = Terminal(*tty) if tty else None
        self.pid = None
        self.exit = None  # as a shell says it: 128 + the signal's number when a signal ended it
        self.done = False
        self.oom = None
        self.oom_before = memory.kills()
        self.wake, self._wake = os.pipe()

    def start(self, argv, env, cwd, first=None):
        if wire.PART in env:  # with BOOT: pods that see the node's processes (hostPID) leave each other's alone
            env = dict(env, **{wire.PART: "%s@%s" % (env[wire.PART], BOOT)})
            self.mark = os.fsencode("%s=%s" % (wire.PART, env[wire.PART]))
        terminal = self.terminal
        out, write = (terminal.master, terminal.slave) if terminal else os.pipe()
        try:
            with open(os.devnull) as null:
                fds = [write if terminal else null.fileno(), write, write]
                self.pid = children.launch(self.ended, argv, env, cwd, fds, tty=bool(terminal), first=first)
        finally:
            os.close(write)
        threading.Thread(target=self._pump, args=(out,), daemon=True).start()

    def ended(self, code):
        if code == 128 + signal.SIGKILL and memory.kills() > self.oom_before:
            self.oom = memory.limit()
        self.exit = code
        os.write(self._wake, b"x")

    def _pump(self, out):
        poll = select.poll()
        poll.register(out, select.POLLIN)
        poll.register(self.wake, select.POLLIN)
        with open(self.log, "ab", buffering=0) as log:
            while True:
                ready = dict(poll.poll(SETTLE * 1000 if self.exit is not None and not self.done else None))
                if out in ready:
                    data = read(out)
                    if data:
                        self._write(log, data)
                        continue
                    break  # nobody holds the output open any more
                if self.wake in ready:
                    poll.unregister(self.wake)
                elif not ready:
                    self._finish()  # what it left behind may write on: to the container's stdout
        while self.exit is None:
            select.select([self.wake], [], [])
        self._finish()
        os.close(out)

    def _write(self, log, data):
        if self.terminal:
            self.terminal.put(data)
        write_all(1, data)
        if self.done:
            return
        written = write_all(log.fileno(), data)
        with self.changed:
            self.size += written
            self.changed.notify_all()

    def _finish(self):
        if self.terminal:
            self.terminal.end(self.exit)
        with self.changed:
            self.done = True
            self.changed.notify_all()

    def follow(self, conn, offset, is_taken):
        """Sends the log from `offset` on, and how the program ended; `is_taken` says then whether the pod is to go."""
        with open(self.log, "rb") as log:
            log.seek(offset)
            while True:
                data = log.read(1 << 16)
                if data:
                    conn.sendall(wire.frame(wire.DATA, data))
                    continue
                with self.changed:
                    if self.size > log.tell():
                        continue
                    if self.done:
                        break
                    beat = not self.changed.wait(wire.BEAT_SECONDS)
                if beat:
                    conn.sendall(wire.frame(wire.BEAT))
        end = {"exit": self.exit, "oom": self.oom is not None, "limit": self.oom, "taken": is_taken()}
        conn.sendall(wire.json_frame(wire.END, end))

    def end(self, grace):
        """SIGTERM to its processes wherever they went, SIGKILL after `grace` seconds; whether none is left."""
        return children.end(lambda: children.members(self.pid, self.mark), grace)


class Kept(Part):
    """A program whose terminal is all of its output: a shell that outlives the connections to it."""

    def __init__(self, size):
        super().__init__("")
        self.log = os.devnull
        self.terminal: Terminal = Terminal(*size)

    def _write(self, log, data):
        self.terminal.put(data)


def read(fd):
    try:
        return os.read(fd, 1 << 16)
    except OSError:
        return b""  # nobody holds the terminal open any more


def write_all(fd, data):
    """How many bytes could be written: a full disk or a closed stdout must not end the job."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except OSError:
            break
    return len(data) - len(view)
