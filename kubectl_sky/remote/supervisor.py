"""PID 1 of the task container: starts programs when it is asked to over a unix socket, reaps, keeps their logs.

Requests, one a connection, each a line of JSON with "op":
  start    {id, script, env}             starts a job; answers {"pid"} or {"error"}; asked again, it does nothing
  follow   {id, offset}                  DATA frames from that byte of the job's log on, then END {exit, oom, limit}
  signal   {id, signal}                  to all processes of the job: {"found"}, whether it was started
  session  {argv, env, tty, size, login} + three file descriptors: {"pid"} (+ the pty's master), then {"exit"}
  pipe     {argv}                        the connection becomes the program's stdin and stdout
  info     {}                            {ip, home, uid, sessions, session_ended}: see people.py for the last two
  hold     {}                            nothing: the connection lasts as long as this container
  exit     {code}                        ends the container
"""

import json
import os
import select
import signal
import socket
import sys
import threading
import time

import links
import people
import process
import wire

JOBS = wire.RUN + "/jobs"
SESSION_BIN = wire.RUN + "/bin"
SETTLE = 0.1  # s without output after a job's end, when a process that it left behind still holds its output open


class Job:
    """A program with a log: a file, and the container's stdout."""

    def __init__(self, name):
        self.log = "%s/%s.log" % (JOBS, name)
        self.changed = threading.Condition()
        self.size = 0
        self.pid = None
        self.exit = None  # as a shell says it: 128 + the signal's number when a signal ended it
        self.done = False
        self.oom = None
        self.oom_before = oom_kills()
        self.wake, self._wake = os.pipe()

    def start(self, argv, env, cwd):
        out, write = os.pipe()
        try:
            with open(os.devnull) as null:
                self.pid = launch(self.ended, argv, env, cwd, [null.fileno(), write, write])
        finally:
            os.close(write)
        threading.Thread(target=self._pump, args=(out,), daemon=True).start()

    def ended(self, code):
        if code == 128 + signal.SIGKILL and oom_kills() > self.oom_before:
            self.oom = memory_limit()
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
                    data = os.read(out, 1 << 16)
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

    def _write(self, log, data):
        write_all(1, data)
        if self.done:
            return
        write_all(log.fileno(), data)
        with self.changed:
            self.size += len(data)
            self.changed.notify_all()

    def _finish(self):
        with self.changed:
            self.done = True
            self.changed.notify_all()

    def follow(self, conn, offset):
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
        conn.sendall(wire.json_frame(wire.END, {"exit": self.exit, "oom": self.oom is not None, "limit": self.oom}))

    def signal(self, number):
        """To every process of the job's session, also those in process groups of their own."""
        for pid in session_members(self.pid):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass


jobs: dict = {}
children: dict = {}  # pid -> what to call with its exit code
lock = threading.RLock()  # held from fork to the entry in `children`: nobody is reaped before
image_folder = os.getcwd()
connections = people.Connections()


def launch(on_exit, argv, env, cwd, fds, **options):
    """process.spawn, and on_exit(code) when it ends."""
    with lock:
        pid = process.spawn(argv, env, cwd, fds, **options)
        children[pid] = on_exit
    return pid


def write_all(fd, data):
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except OSError:
            return  # a full disk or a closed stdout must not end the job


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


def read_number(path, key=None):
    try:
        with open(path) as f:
            for line in f:
                words = line.split()
                if key is None or words[0] == key:
                    return int(words[-1])
    except (OSError, ValueError, IndexError):
        pass
    return None


def oom_kills():
    """How many processes of this container the kernel has killed for want of memory (cgroup v2, v1)."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        count = read_number(path, "oom_kill")
        if count is not None:
            return count
    return 0


def memory_limit():
    """Bytes, or 0 where none is set."""
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        limit = read_number(path)
        if limit is not None and limit < 1 << 60:
            return limit
    return 0


def start(conn, request):
    name = request["id"]
    try:
        with lock:
            job = jobs.get(name)
            if job is None:
                job = Job(name)
                argv = process.command(request["script"], "%s/%s.sh" % (JOBS, name))
                open(job.log, "ab").close()
                env = process.environment(request.get("env", {}))
                job.start(argv, env, process.folder(image_folder))
                jobs[name] = job
    except process.NoShell as e:
        wire.send_line(conn, {"error": str(e)})
        return
    except OSError as e:
        wire.send_line(conn, {"error": process.why_not(e, request.get("env", {}))})
        return
    wire.send_line(conn, {"pid": job.pid})


def session(conn, request, fds):
    master = None
    if request.get("tty"):
        master, slave = os.openpty()
        process.resize(slave, *request["size"])
        for fd in fds:
            os.close(fd)
        fds = [slave, slave, slave]
    argv, first = request["argv"], None
    if argv[0] == "$SHELL":
        shell = process.shell()
        # rsync and scp ask for a program and its words: they work in an image without a shell too
        plain = None if shell or len(argv) < 2 else process.plain_words(argv[2])
        argv = plain or [shell or "/bin/sh"] + argv[1:]
        first = "-" + os.path.basename(argv[0]) if request.get("login") else None
    env = process.environment(request.get("env", {}))
    env["PATH"] += ":" + SESSION_BIN  # rsync, scp and sftp-server, for images that have none
    finished = threading.Event()
    code = []

    def on_exit(status):
        code.append(status)
        finished.set()
        shut(conn)  # ends the recv below

    try:
        pid = launch(on_exit, argv, env, process.HOME, fds, tty=master is not None, first=first)
    except OSError as e:
        wire.send_line(conn, {"error": "%s: %s" % (argv[0], e.strerror), "exit": 127 if e.errno == 2 else 126})
        return
    finally:
        for fd in set(fds):
            os.close(fd)
    head = json.dumps({"pid": pid}).encode() + b"\n"
    socket.send_fds(conn, [head], [master] if master is not None else [])
    if master is not None:
        os.close(master)
    try:
        while not finished.is_set() and conn.recv(1):
            pass
    except OSError:
        pass
    if not finished.is_set():  # the person went away: hang up, as a terminal does
        try:
            os.killpg(pid, signal.SIGHUP)
        except ProcessLookupError:
            pass
        return
    wire.send_line(conn, {"exit": code[0]})


def shut(conn):
    try:
        conn.shutdown(socket.SHUT_RD)
    except OSError:
        pass


def pipe(conn, request):
    fd = conn.fileno()
    env = process.environment(request.get("env", {}))
    launch(lambda code: None, request["argv"], env, process.HOME, [fd, fd, 2])


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
            call = children.pop(pid, None)  # none for what was orphaned and came to us
        if call:
            call(code)


def serve(conn):
    try:
        head, fds, _, _ = socket.recv_fds(conn, 1 << 16, 3, socket.MSG_CMSG_CLOEXEC)
        if not head:
            return
        request = wire.Reader(conn, head).line()
        op = request["op"]
        if op == "start":
            start(conn, request)
        elif op == "follow":
            jobs[request["id"]].follow(conn, request["offset"])
        elif op == "signal":
            found = request["id"] in jobs
            if found:
                jobs[request["id"]].signal(request["signal"])
            wire.send_line(conn, {"found": found})
        elif op == "session":
            session(conn, request, fds)
        elif op == "pipe":
            pipe(conn, request)
        elif op == "info":
            info = {"ip": os.environ.get("SKY_POD_IP"), "home": process.HOME, "uid": os.getuid()}
            wire.send_line(conn, {**info, **connections.info()})
        elif op == "hold":
            conn.recv(1)
        elif op == "exit":
            wire.send_line(conn, {})
            leave(request["code"])
    except (OSError, wire.Cut, ValueError, KeyError) as e:
        if not isinstance(e, (BrokenPipeError, ConnectionResetError, wire.Cut)):
            print("kubectl-sky: %s: %s" % (type(e).__name__, e), file=sys.stderr, flush=True)
    finally:
        conn.close()


def leave(code):
    global exit_code
    exit_code = code
    os.kill(os.getpid(), signal.SIGTERM)


def everything():
    """Pids of all that runs in this container but us."""
    if os.getpid() != 1:  # the pod shares its process namespace: only what we started, and theirs
        return [pid for child in children for pid in session_members(child)]
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and name != "1"]


def end_everything():
    """SIGTERM to all, SIGKILL to what is left after the grace period."""
    grace = float(os.environ.get("SKY_GRACE", "10"))
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 1.0)):
        for pid in everything():
            try:
                os.kill(pid, number)
            except OSError:
                pass
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            reap()
            if not everything():
                return
            time.sleep(0.02)


def link_session_tools():
    os.makedirs(SESSION_BIN, exist_ok=True)
    for name in ("rsync", "scp", "sftp-server"):
        if not os.path.lexists(SESSION_BIN + "/" + name):
            os.symlink("/sky/tools/bin/" + name, SESSION_BIN + "/" + name)


def hold_alive():
    """Keeps the `ssh` container's fifo open for writing: whatever ends us, that is how that container learns of it."""
    path = wire.RUN + "/alive"
    try:
        os.mkfifo(path, 0o666)
        os.chmod(path, 0o666)
    except FileExistsError:
        pass
    os.open(path, os.O_WRONLY)  # waits for the reader; never closed


def main():
    blocked = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    os.makedirs(JOBS, exist_ok=True)
    os.chmod(JOBS, 0o777)
    link_session_tools()
    links.make(process.HOME)
    threading.stack_size(256 << 10)
    threading.Thread(target=hold_alive, daemon=True).start()
    threading.Thread(target=connections.watch, daemon=True).start()
    listener = wire.listen(wire.SUPERVISOR)

    def accept():
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    while signal.sigwait(blocked) == signal.SIGCHLD:
        reap()
    end_everything()
    os._exit(exit_code)


exit_code = 143
if __name__ == "__main__":
    main()
