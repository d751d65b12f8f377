"""A person's session in the task's container: a program on the person's own file descriptors or on a new pty."""

import array
import json
import os
import signal
import socket
import threading

import children
import process
import wire

BIN = wire.RUN + "/bin"


# scp and sftp-server refuse to work for a uid that has no name in the image
NAMED = """\
#!/sky/tools/bin/python3 -SE
import os, sys
os.environ.update(LD_PRELOAD="{library}", NSS_WRAPPER_PASSWD="{passwd}", NSS_WRAPPER_GROUP="{group}")
os.execv("{program}", sys.argv)
"""


def link_tools():
    """Makes BIN. Its programs see the image's users, and ours too if that is not one of them."""
    os.makedirs(BIN, exist_ok=True)
    nameless = not process.has_name()
    for name in ("rsync", "scp", "sftp-server"):
        file, program = BIN + "/" + name, "/sky/tools/bin/" + name
        if os.path.lexists(file):
            continue
        if nameless and name != "rsync":
            wrap(file, program)
        else:
            os.symlink(program, file)


def wrap(file, program):
    ours = {
        "passwd": "%s:x:%d:%d::%s:%s\n"
        % (process.user(), os.getuid(), os.getgid(), process.HOME, process.login_shell()),
        "group": "%s:x:%d:\n" % (process.user(), os.getgid()),
    }
    for name, line in ours.items():
        with open(wire.RUN + "/" + name, "w", errors="surrogateescape") as f:
            f.write(read("/etc/" + name) + line)
    text = NAMED.format(
        library="/sky/tools/lib/libnss_wrapper.so", program=program, **{name: wire.RUN + "/" + name for name in ours}
    )
    with open(os.open(file, os.O_WRONLY | os.O_CREAT, 0o755), "w") as f:
        f.write(text)


def read(path):
    """The text of a file of the image; nothing if there is none."""
    try:
        with open(path, errors="surrogateescape") as f:
            text = f.read()
    except OSError:
        return ""
    return text if not text or text.endswith("\n") else text + "\n"


def receive(conn):
    """(bytes, file descriptors) from a connection.

    Not by socket.recv_fds, which drops the flag: what other sessions started meanwhile would hold the descriptors too,
    and a session that has ended would not be over.
    """
    descriptors = array.array("i")
    data, messages, _, _ = conn.recvmsg(1 << 16, socket.CMSG_LEN(3 * descriptors.itemsize), socket.MSG_CMSG_CLOEXEC)
    for _, _, content in messages:
        descriptors.frombytes(content)
    return data, list(descriptors)


def program(request, variables):
    """(argv, environment, argv's first word as the program is to see it, or None) of what a person runs."""
    argv, shell, first = request["argv"], process.login_shell(), None
    if argv[0] == "$SHELL":
        # rsync and scp ask for a program and its words: they work in an image without a shell too
        plain = None if process.shell() or len(argv) < 3 else process.plain_words(argv[2])
        argv = plain or [shell] + argv[1:]
        first = "-" + os.path.basename(shell) if request.get("login") else None
    env = process.environment({"SHELL": shell, **variables, **request.get("env", {})})
    env["LOGNAME"] = env["USER"]
    env["PATH"] += ":" + BIN  # rsync, scp and sftp-server, for images that have none
    return argv, env, first


def serve(conn, request, variables):
    """Starts it, hands the master of its pty over, waits for its end. `variables` are the task's own."""
    master, fds = None, request["fds"]
    if request.get("tty"):
        master, slave = os.openpty()
        process.resize(slave, *request["size"])
        for fd in fds:
            os.close(fd)
        fds = [slave, slave, slave]
    argv, env, first = program(request, variables)
    finished = threading.Event()
    code = []

    def on_exit(status):
        code.append(status)
        finished.set()
        shut(conn)  # ends the recv below

    try:
        pid = children.launch(on_exit, argv, env, process.HOME, fds, tty=master is not None, first=first)
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
