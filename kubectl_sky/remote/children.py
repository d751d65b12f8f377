"""The processes of the task's container, as its PID 1 sees them: started, reaped, and ended with the container."""

import os
import signal
import threading
import time

import process

KILLED_SECONDS = 10.0  # for the kernel to end what got SIGKILL
callbacks: dict = {}  # pid -> what to call with its exit code
lock = threading.Lock()  # held from fork to the entry in `callbacks`: nobody is reaped before


def launch(on_exit, argv, env, cwd, fds, **options):
    """process.spawn, and on_exit(code) when it ends."""
    with lock:
        pid = process.spawn(argv, env, cwd, fds, **options)
        callbacks[pid] = on_exit
    return pid


def reap():
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        code = os.waitstatus_to_exitcode(status)
        code = 128 - code if code < 0 else code
        with lock:
            call = callbacks.pop(pid, None)  # none for what was orphaned and came to us
        if call:
            call(code)


def session_members(sid):
    """Pids of the session, from /proc."""
    members = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.getsid(int(name)) == sid:
                    members.append(int(name))
            except OSError:
                pass
    return members


def members(sid, mark):
    """Pids of the session, of all whose first environment holds `mark`, and of what descends from them.

    A process can leave its session and its parent (setsid, a double fork); its environment stays readable.
    """
    parents, found = {}, set()
    for name in os.listdir("/proc"):
        try:
            pid = int(name)
            with open("/proc/%d/stat" % pid) as f:
                state, parent = f.read().rpartition(")")[2].split()[:2]
            if state == "Z":
                continue  # over, and only not yet reaped
            parents[pid] = int(parent)
            with open("/proc/%d/environ" % pid, "rb") as f:
                marked = mark in f.read().split(b"\0")
            if marked or os.getsid(pid) == sid:
                found.add(pid)
        except (OSError, ValueError):
            pass  # no process, one that has ended, or somebody else's
    while more := {pid for pid, parent in parents.items() if parent in found and pid not in found}:
        found |= more
    return found - {os.getpid()}


def end(find, grace):
    """SIGTERM to all that find() names, SIGKILL to what is left after `grace` seconds; whether none is left then."""
    told: set = set()
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline + KILLED_SECONDS:
        left = find()
        if not left:
            return True
        late = time.monotonic() >= deadline
        kill(left if late else left - told, signal.SIGKILL if late else signal.SIGTERM)
        told |= left
        time.sleep(0.05)
    return False


def kill(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except OSError:
            pass


def everything():
    """Pids of all that runs in this container but us."""
    if os.getpid() != 1:  # the pod shares its process namespace: only what we started, and theirs
        return [pid for child in list(callbacks) for pid in session_members(child)]
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and name != "1"]


def end_everything(grace):
    """SIGTERM to all, SIGKILL to what is left after `grace` seconds."""
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 1.0)):
        kill(everything(), number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            reap()
            if not everything():
                return
            time.sleep(0.02)
