"""sshd's ForceCommand: hands a person's session to the supervisor, which runs it in the task's container.

The session gets this connection's own file descriptors, or a pty of the task container's devpts. When sshd goes away
before the session's end, so do we, and the supervisor hangs up.
"""

import array
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
import termios
import tty

import wire

# sshd's own words about this container; all else is the terminal's, the connection's, or what the client sent
OURS = ("HOME", "LOGNAME", "MAIL", "PATH", "PWD", "SHELL", "SHLVL", "SSH_ORIGINAL_COMMAND", "SSH_TTY", "USER", "_")


def request(command, is_tty):
    if command in ("internal-sftp", "sftp"):
        argv = ["sftp-server"]
    else:
        argv = ["$SHELL", "-c", command] if command else ["$SHELL"]
    env = {k: v for k, v in os.environ.items() if k not in OURS}
    if "SSH_AUTH_SOCK" in env:
        env["SSH_AUTH_SOCK"] = shared(env["SSH_AUTH_SOCK"])
    return {"op": "session", "argv": argv, "env": env, "tty": is_tty, "size": window(), "login": not command}


def shared(agent):
    """Where the task's container sees the socket of the forwarded agent, which its user may use then."""
    os.chmod(os.path.dirname(agent), 0o711)
    os.chmod(agent, 0o666)
    return wire.RUN + agent[len("/tmp") :]  # this container's /tmp is the pod's /sky/run


def window():
    """(rows, columns) of the terminal, or zeros."""
    try:
        return struct.unpack("HHHH", fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8))[:2]
    except OSError:
        return (0, 0)


def ended(conn):
    """Waits for the session's end, or for sshd's."""
    try:
        sshd = os.pidfd_open(os.getppid())
    except OSError:  # not in every sandbox
        return True
    return conn in select.select([conn, sshd], [], [])[0]


def relay(master):
    """Copies between sshd's terminal and the task's, until the task's closes."""
    tty.setraw(0, termios.TCSANOW)  # without a flush: people type before the shell is there
    wake, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes)

    def resize(*_):
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", *window(), 0, 0))

    signal.signal(signal.SIGWINCH, resize)
    sources = [0, master, wake]
    while master in sources:
        for fd in select.select(sources, [], [])[0]:
            try:
                data = os.read(fd, 1 << 16)
            except OSError:
                data = b""
            if fd == wake:
                continue
            if not data:
                sources.remove(fd)
                continue
            target = master if fd == 0 else 1
            while data:
                data = data[os.write(target, data) :]


def main():
    is_tty = os.isatty(0)
    if is_tty and "SKY_TERMINAL" in os.environ:
        import attach

        attach.main(os.environ["SKY_TERMINAL"], request("", True)["env"])
    try:
        conn = wire.connect(wire.SUPERVISOR, patience=5)
    except OSError:
        sys.stderr.write("kubectl-sky: the task's container is not running\n")
        os._exit(255)
    line = json.dumps(request(os.environ.get("SSH_ORIGINAL_COMMAND", ""), is_tty)).encode() + b"\n"
    conn.sendmsg([line], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
    first, fds, _, _ = socket.recv_fds(conn, 4096, 1)
    reader = wire.Reader(conn, first)
    answer = reader.line()
    if "error" in answer:
        sys.stderr.write(answer["error"] + "\n")
        os._exit(answer["exit"])
    if fds:
        relay(fds[0])
    else:
        for fd in (0, 1, 2):
            os.close(fd)
    try:
        os._exit(reader.line()["exit"] if reader.buffer or ended(conn) else 255)
    except wire.Cut:
        os._exit(255)


if __name__ == "__main__":
    main()
