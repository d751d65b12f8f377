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


def link_tools():
    os.makedirs(BIN, exist_ok=True)
    for name in ("rsync", "scp", "sftp-server"):
        if not os.path.lexists(BIN + "/" + name):
            os.symlink("/sky/tools/bin/" + name, BIN + "/" + name)


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
