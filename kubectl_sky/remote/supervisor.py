"""PID 1 of the task container: starts programs when it is asked to over a unix socket, reaps, keeps their logs.

Requests, one a connection, each a line of JSON with "op":
  start    {id, script, env, tty, boot}  starts a job; answers {"pid"} or {"error"}; asked again, it does nothing;
                                         tty: [rows, columns] of its terminal, or null for none; boot: as info says
                                         it; {"lost"} when that was another supervisor
  follow   {id, offset}                  DATA frames from that byte of the job's log on, then END {exit, oom, limit,
                                         taken}; the last is whether the pod is being taken away, and the job with it
  end      {id, grace}                   ends all processes of the job, or that it ever starts: {"left"}, whether one is
  session  {argv, env, tty, size, login} + three file descriptors: {"pid"} (+ the pty's master), then {"exit"}
  environment {env, ssh}                 all nodes are up: the variables of the task for sessions, until a job brings
                                         its own; how they reach each other (neighbours.py), or null: {}
  attach   {id, size, start, env}        a job's terminal, or a kept one, which `start` makes {argv, login}; answers
                                         {} or {"error", "exit"}, then frames: see terminal.py
  pipe     {argv}                        the connection becomes the program's stdin and stdout
  info     {}                            {ip, home, uid, boot, replaced, sent, sessions, session_ended}: see gang.py for
                                         `replaced`, sent.py for `sent` (is there a list), people.py for the last two
  keep     {at, values}                  {}: node 0's records, newer than those that are there; see copies.py
  recall   {}                            {at, values}
  hold     {}                            nothing: the connection lasts as long as this container
  hooked   {}                            {}: its end needs no hooks, somebody ran them
  clear    {prefix, attempt, say}        ends the parts of jobs whose id begins so, then writes `say` to stdout: {};
                                         of ids with an attempt (JOB.PHASE@ATTEMPT) only that one is started from now on
  exit     {code, message, stay}         ends the container, or with `stay` only says what its end will be; `message`
                                         (text or null) is kept in the pod's status
"""

import os
import signal
import sys
import threading
import time

import children
import gang
import hooks
import lastwords
import links
import neighbours
import part
import people
import process
import sent
import sessions
import wire
from part import BOOT, JOBS, Kept, Part

SOON = 5.0  # s
KNOWN = 2.0  # s that the first sessions wait for the variables; where other nodes are away they come without


jobs: dict = {}
records: dict = {"at": 0.0, "values": {}}  # node 0's
unwanted: set = set()  # jobs that were ended before they were started
kept: dict = {}
lock = threading.Condition()  # a job is started once, whoever asks; notified then
group = gang.Gang()
variables: dict = {}  # of the newest job on this node: sessions get them too
told = threading.Event()  # whether there are any yet
image_folder = os.getcwd()
connections = people.Connections()


def start(conn, request):
    name = request["id"]
    if request.get("boot") not in (None, BOOT):
        wire.send_line(conn, {"lost": True})
        return
    try:
        with lock:
            job = jobs.get(name)
            if "@" in name and (taken or name.rpartition("@")[2] != attempt):
                # it began in the pod before this one, or this one is about to go
                wire.send_line(conn, {"error": "this pod has no part in it", "taken": True})
                return
            if name in unwanted:
                wire.send_line(conn, {"error": "it was ended before it was started"})
                return
            if job is None:
                job = Part(name, request.get("tty"))
                argv = process.command(request["script"], "%s/%s.sh" % (JOBS, name))
                open(job.log, "ab").close()
                env = process.environment(request.get("env", {}))
                job.start(argv, env, process.folder(image_folder))
                group.form()
                jobs[name] = job
                lock.notify_all()
                variables.clear()
                variables.update(request.get("env", {}))
                variables.pop(wire.PART, None)  # a person's session is no part of the job
                told.set()
    except process.NoShell as e:
        wire.send_line(conn, {"error": str(e)})
        return
    except OSError as e:
        wire.send_line(conn, {"error": process.why_not(e, request.get("env", {}))})
        return
    wire.send_line(conn, {"pid": job.pid})


def attach(conn, request):
    try:
        terminal = find_terminal(request)
    except OSError as e:
        wire.send_line(conn, {"error": "%s: %s" % (e.filename, e.strerror), "exit": 127 if e.errno == 2 else 126})
        return
    if terminal is None:
        wire.send_line(conn, {"error": "there is no such terminal", "exit": 1})
        return
    wire.send_line(conn, {})
    terminal.attach(conn, request["size"])


def find_terminal(request):
    """The terminal asked for; None if there is none. Raises OSError when what is to run in it cannot be started."""
    name, new = request["id"], request["start"]
    with lock:
        if new and (name not in kept or kept[name].done):
            shell = Kept(request["size"])
            argv, env, first = sessions.program({**new, "env": request["env"]}, variables)
            shell.start(argv, env, process.HOME, first)
            kept[name] = shell
        # a job that was said to run is about to be started here
        lock.wait_for(lambda: name in kept or name in jobs, SOON)
        found = kept.get(name) or jobs.get(name)
    return found and found.terminal


def follow(conn, request):
    jobs[request["id"]].follow(conn, request["offset"], lambda: taken)


def end(conn, request):
    with lock:
        job = jobs.get(request["id"])
        if job is None:
            unwanted.add(request["id"])
    wire.send_line(conn, {"left": job is not None and not job.end(request["grace"])})


def session(conn, request):
    told.wait(KNOWN)
    sessions.serve(conn, request, variables)


def environment(conn, request):
    group.form()
    if request["ssh"]:
        neighbours.make(request["ssh"])
    if not jobs:
        variables.update(request["env"])
    told.set()
    wire.send_line(conn, {})


def pipe(conn, request):
    fd = conn.fileno()
    env = process.environment(request.get("env", {}))
    children.launch(lambda code: None, request["argv"], env, process.HOME, [fd, fd, 2])


def info(conn, _request):
    mine = {"ip": os.environ.get("SKY_POD_IP"), "home": process.HOME, "uid": os.getuid(), "boot": BOOT}
    wire.send_line(conn, {**mine, "replaced": gang.replaced(), "sent": bool(sent.lists()), **connections.info()})


def keep(conn, request):
    with lock:
        records["at"] = request["at"]
        for key, value in request["values"].items():
            records["values"].pop(key, None)
            if value is not None:
                records["values"][key] = value
    wire.send_line(conn, {})


def recall(conn, _request):
    wire.send_line(conn, records)


def hold(conn, _request):
    conn.recv(1)


def clear(conn, request):
    """Before a managed job begins again: nothing of what ran before is in its way."""
    global attempt
    with lock:
        attempt = request["attempt"]
        known = [job for name, job in jobs.items() if name.startswith(request["prefix"])]
    for job in known:
        job.end(SOON)
    part.write_all(1, request["say"].encode())
    wire.send_line(conn, {})


def let_off_hooks(conn, _request):
    global hooked
    hooked = True
    wire.send_line(conn, {})


def leave(conn, request):
    global exit_code, hooked
    if request.get("message"):
        lastwords.keep(request["message"])
    wire.send_line(conn, {})
    exit_code = request["code"]
    if not request.get("stay"):
        hooked = True
        os.kill(os.getpid(), signal.SIGTERM)


OPERATIONS = {
    "start": start,
    "follow": follow,
    "end": end,
    "session": session,
    "attach": attach,
    "environment": environment,
    "pipe": pipe,
    "info": info,
    "keep": keep,
    "recall": recall,
    "hold": hold,
    "hooked": let_off_hooks,
    "clear": clear,
    "exit": leave,
}


def serve(conn):
    try:
        head, fds = sessions.receive(conn)
        if not head:
            return
        request = wire.Reader(conn, head).line()
        OPERATIONS[request["op"]](conn, {**request, "fds": fds})
    except (OSError, wire.Cut, ValueError, KeyError) as e:
        if not isinstance(e, (BrokenPipeError, ConnectionResetError, wire.Cut)):
            print("kubectl-sky: %s: %s" % (type(e).__name__, e), file=sys.stderr, flush=True)
    finally:
        conn.close()


def hold_alive():
    """Keeps the `ssh` container's fifo open for writing: whatever ends us, that is how that container learns of it."""
    path = wire.RUN + "/alive"
    try:
        os.mkfifo(path, 0o666)
        os.chmod(path, 0o666)
    except FileExistsError:
        pass
    os.open(path, os.O_WRONLY)  # waits for the reader; never closed


def run_hooks(event):
    """One after the other, on this node; main()'s signals are blocked meanwhile."""
    for name, script, seconds in hooks.of(event):
        job = Part(name)
        try:
            argv = process.command(script, "%s/%s.sh" % (JOBS, name))
            job.start(argv, process.environment(variables), process.folder(image_folder))
        except (OSError, process.NoShell) as e:
            print("kubectl-sky: %s: %s" % (name, e), file=sys.stderr, flush=True)
            continue
        deadline = time.monotonic() + seconds
        while not job.done and time.monotonic() < deadline:
            signal.sigtimedwait({signal.SIGCHLD}, 0.1)
            children.reap()
        job.end(0)


def main():
    global taken
    blocked = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    os.makedirs(JOBS, exist_ok=True)
    os.chmod(JOBS, 0o777)
    sessions.link_tools()
    links.make(process.HOME)
    threading.stack_size(256 << 10)
    threading.Thread(target=hold_alive, daemon=True).start()
    threading.Thread(target=connections.watch, daemon=True).start()
    threading.Thread(target=group.watch, daemon=True).start()
    listener = wire.listen(wire.SUPERVISOR)

    def accept():
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    while signal.sigwait(blocked) == signal.SIGCHLD:
        children.reap()
    taken = exit_code is None
    if group.formed and not hooked:
        run_hooks("preemption")
    children.end_everything(float(os.environ.get("SKY_GRACE", "10")))
    os._exit(group.exit_code() if exit_code is None else exit_code)


exit_code = None  # as it was told
attempt = None  # of a managed job
taken = False  # whether its end comes from outside
hooked = False
if __name__ == "__main__":
    main()
