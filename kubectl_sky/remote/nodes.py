"""The nodes of a task as node 0 sees them: a unix socket each, forwarded by ssh from the node's supervisor."""

import os
import signal
import socket
import threading
import time

import wire

SSH = "/sky/tools/bin/ssh"
KEY = wire.ETC + "/id_ed25519"
OPTIONS = {
    "BatchMode": "yes",
    "HostKeyAlias": "kubectl-sky",
    "UserKnownHostsFile": wire.ETC + "/known_hosts",
    "StrictHostKeyChecking": "yes",
    "IdentitiesOnly": "yes",
    "ConnectTimeout": "5",
    "ServerAliveInterval": "10",
    "ServerAliveCountMax": "3",
    "ExitOnForwardFailure": "yes",
    "StreamLocalBindUnlink": "yes",
    "StreamLocalBindMask": "0111",
    "LogLevel": "ERROR",
}
LOST_SECONDS = 15.0  # a node out of reach for so long is lost


def resolves(host):
    """Whether there is such a name."""
    try:
        return bool(socket.getaddrinfo(host, None))
    except OSError:
        return False


class Lost(Exception):
    """A node is gone, and its part of the job with it."""


class Node:
    def __init__(self, rank, task, domain):
        self.rank = rank
        self.host = "%s-%d.%s" % (task, rank, domain)
        self.path = wire.node_socket(rank)
        self.info = None
        self.up = threading.Event()
        self.boot = None  # which of the pods that have had this place it is
        self.told = threading.Event()  # what sessions and ssh need
        self.whole = None  # the boot that has the launch's files and setup; of one that replaces another see renewal.py
        self.anew = threading.Event()  # such a one has come
        self.says = None  # what it waits for
        self.busy = False  # whether it gets it just now
        self.failure = None  # (exit code, why) it has not, and does not get it
        threading.Thread(target=self._keep, daemon=True).start()

    def _keep(self):
        """Holds the way to the node open for ever; node 0's is its own supervisor's socket."""
        if self.rank == 0:
            if not os.path.lexists(self.path):
                os.symlink(wire.SUPERVISOR, self.path)
            while not self._greet(patience=60):  # it only starts
                time.sleep(0.05)
            return
        while True:
            if resolves(self.host):
                pid = os.posix_spawn(SSH, self._forward(), dict(os.environ), setsigdef=[signal.SIGCHLD])
                # its sshd may not be up yet, which ends our ssh; or its supervisor, which ends the greeting
                greeted = ended = False
                while not (greeted or ended):
                    greeted = self._greet(patience=0.2)
                    ended = self._has_ended(pid, wait=greeted)
                    time.sleep(0.05)
                self.up.clear()  # its pod may be another when it is back
            time.sleep(0.2)

    @staticmethod
    def _has_ended(pid, wait):
        try:
            return bool(os.waitpid(pid, 0 if wait else os.WNOHANG)[0])
        except ChildProcessError:
            return True  # and the kernel has reaped it: see agent.py

    def _forward(self):
        options = [word for key, value in OPTIONS.items() for word in ("-o", key + "=" + value)]
        way = "%s:%s" % (self.path, wire.SUPERVISOR)
        return ["ssh", "-F", "/dev/null", "-N", "-p", "2222", "-i", KEY, *options, "-L", way, "sky@" + self.host]

    def _greet(self, patience):
        """Whether the node's supervisor answers."""
        try:
            self.info = self.ask({"op": "info"}, patience)
        except (OSError, wire.Cut):
            return False
        if self.boot != self.info["boot"]:
            self.told.clear()
            self.says = self.failure = None
            self.boot = self.info["boot"]
            if self.info["replaced"]:
                self.anew.set()
            else:
                self.whole = self.boot
        self.up.set()
        return True

    def ask(self, request, patience=0.0):
        """The supervisor's answer, a dict. Raises OSError or wire.Cut when it cannot be reached."""
        with wire.connect(self.path, patience) as conn:
            wire.send_line(conn, request)
            return wire.Reader(conn).line()

    def run(self, name, script, env, on_output, offset=0, tty=None, boot=None):
        """Starts a job's part on this node and follows it to its end. Returns {exit, oom, limit} or {error}.

        `offset`: how many bytes of its output are known already, to whoever starts it a second time; `boot`: on which
        of the node's pods: on the next it is lost.
        A broken way to the node is mended: the part runs on meanwhile, and its output goes on where it stopped.
        """
        deadline = None
        while True:
            try:
                answer = self.ask({"op": "start", "id": name, "script": script, "env": env, "tty": tty, "boot": boot})
                if "lost" in answer:
                    raise Lost()
                if "error" in answer:
                    return answer
                with wire.connect(self.path) as conn:
                    wire.send_line(conn, {"op": "follow", "id": name, "offset": offset})
                    reader = wire.Reader(conn)
                    while True:
                        kind, payload = reader.frame()
                        deadline = None
                        if kind == wire.DATA:
                            offset += len(payload)
                            on_output(payload)
                        elif kind == wire.END:
                            return wire.json.loads(payload)
            except (OSError, wire.Cut):
                now = time.monotonic()
                deadline = deadline or now + (1.0 if self.rank == 0 else LOST_SECONDS)
                if now > deadline:
                    raise Lost() from None
                time.sleep(0.2)

    def end(self, name, grace):
        """Ends all processes of the job's part, or sees to it that it is not started; returns when none is left.

        A broken way to the node is mended, or the node is lost.
        """
        deadline = time.monotonic() + (1.0 if self.rank == 0 else LOST_SECONDS)
        while True:
            try:
                self.ask({"op": "end", "id": name, "grace": grace})
                return
            except (OSError, wire.Cut):
                if time.monotonic() > deadline:
                    return
                time.sleep(0.2)
