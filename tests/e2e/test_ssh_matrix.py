"""The OpenSSH client and tasks, by the hosts that ssh-config wrote: everything people do, on images of all kinds."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest
import socks

from tests.e2e.conftest import eventually
from tests.e2e.plain_ssh import EVERY_KIND, PYTHON, Machine, free_port, machines

SIZE = 200 * 10**6
AT_ONCE = 50
OWN_SSHD = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR")
# for what takes long and differs little; -m heavy: the others too
FEW = [
    kind if kind in ("busybox", "restricted") else pytest.param(kind, marks=pytest.mark.heavy) for kind in EVERY_KIND
]
few = pytest.mark.parametrize("machine", FEW, indirect=True)
# says its port; answers what it is sent, in capitals, until the other side has no more
SERVER = """
import socket
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
while True:
    client, _ = server.accept()
    data = b""
    while piece := client.recv(65536): data += piece
    client.sendall(data.upper())
    client.close()
"""
# sends text to a port, prints the answer
CLIENT = """
import socket, sys
server = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
server.sendall(b"from there"); server.shutdown(socket.SHUT_WR)
print(server.recv(100).decode())
"""
# what the agent says to "which keys have you?"
ASK_AGENT = """
import os, socket
agent = socket.socket(socket.AF_UNIX); agent.connect(os.environ["SSH_AUTH_SOCK"])
agent.sendall(b"\\0\\0\\0\\1\\x0b"); print(agent.recv(65536))
"""


@pytest.fixture(scope="module")
def found(kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Machine]]:
    with machines(kubeconfig, tmp_path_factory.mktemp("ssh"), EVERY_KIND) as found:
        yield found


@pytest.fixture(params=EVERY_KIND)
def machine(found: dict[str, Machine], request: pytest.FixtureRequest) -> Machine:
    return found[request.param]


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("big") / "file"
    with file.open("wb") as out:
        for _ in range(10):
            out.write(os.urandom(SIZE // 10))
    return file


@contextmanager
def master(machine: Machine, *flags: str) -> Iterator[tuple[str, ...]]:
    """One connection for all; the flags that use it."""
    control = ("-o", f"ControlPath={machine.config.parent}/{machine.name}.ctl")
    process = machine.start(flags=("-M", "-N", *control, *flags))
    try:
        eventually("the master is there", lambda: machine.run(flags=(*control, "-O", "check")).returncode == 0, 20)
        yield control
    finally:
        machine.run(flags=(*control, "-O", "exit"))
        process.communicate(timeout=10)


@contextmanager
def server(machine: Machine) -> Iterator[int]:
    """A server in the task's container; its port."""
    process = machine.start(f"exec {PYTHON} -c '{SERVER}'")
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate(timeout=10)


def exchange(connection: socket.socket) -> None:
    """A megabyte each way, the end of ours told before the answer."""
    text = os.urandom(10**6).hex().encode()
    with connection:
        connection.settimeout(20)
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer == text.upper()


def test_a_command(machine: Machine) -> None:
    """The task's user, home, variables; both streams; quotes; no terminal."""
    script = "id -u; echo $HOME; pwd; echo $OF_THE_TASK $SKYPILOT_NODE_RANK; echo 'a  b' >&2; test -t 0 || echo none"
    done = machine.run(script, flags=("-T",))
    home = machine.home
    assert done.stdout.decode().splitlines() == [str(machine.uid), home, home, f"{machine.name} 0", "none"], done
    assert (done.stderr, done.returncode) == (b"a  b\n", 0)
    assert machine.run("no-such-program").returncode == 127


def test_a_terminal(machine: Machine) -> None:
    """A pty of the container's own: its size, also a new one, Ctrl-C, Ctrl-Z, fg, the exit code of the shell."""
    shell = machine.terminal()
    shell.sendline("stty -echo; PS1=; echo read''y")
    shell.expect("ready\r\n")
    shell.sendline("tty; stty size; echo $TERM; id -u")
    shell.expect(rf"/dev/pts/\d+\r\n33 99\r\nxterm-256color\r\n{machine.uid}\r\n")
    shell.setwinsize(40, 120)
    shell.sendline("sleep 0.3; stty size")
    shell.expect("40 120\r\n")
    # what speaks is in the foreground already; between two commands Ctrl-C is the shell's, and BusyBox's forgets it
    shell.sendline("sh -c 'echo slee''ping; exec sleep 1000'")
    shell.expect("sleeping\r\n")
    shell.sendintr()
    shell.sendline("echo code''d $?")
    shell.expect("coded 130\r\n")
    shell.sendline("sh -c 'echo star''ted; sleep 1000; echo no'")
    shell.expect("started\r\n")
    shell.send("\x1a")
    shell.expect("Stopped|suspended")
    shell.sendline("jobs; fg; echo code''d $?")
    shell.expect("Stopped|suspended")
    shell.expect("star.*\r\n")
    shell.sendintr()
    shell.sendline("echo stil''l here")
    shell.expect("still here\r\n")
    shell.sendline("exit 4")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 4


@few
def test_a_big_file(machine: Machine, big: Path) -> None:
    digest = subprocess.run(["sha256sum", big], capture_output=True, text=True).stdout.split()[0]
    with big.open("rb") as file:
        done = machine.run("sha256sum; wc -c </dev/null", stdin=file, timeout=120)
    assert done.stdout.decode().split() == [digest, "-", "0"], done


def test_bytes_both_ways(machine: Machine) -> None:
    data = bytes(range(256)) * 4000 + os.urandom(4_000_000)
    done = machine.run("cat; echo end >&2", stdin=data)
    assert done.stdout == data and done.stderr == b"end\n"


def test_exit_codes(machine: Machine) -> None:
    """All of them in one image, those that mean something to somebody in the others."""
    codes = range(256) if machine.name == "debian" else (0, 1, 2, 126, 127, 128, 130, 143, 254, 255)
    with master(machine) as control, ThreadPoolExecutor(8) as pool:
        seen = pool.map(lambda code: machine.run(f"exit {code}", flags=control).returncode, codes)
        assert list(seen) == list(codes)
        assert machine.run("kill -9 $$", flags=control).returncode == 137


def fifty(machine: Machine, place: str, *flags: str) -> None:
    """So many sessions that are all there before the first ends."""
    machine.out(f"mkdir ~/{place}; mkfifo ~/{place}.go")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        script = f"touch ~/{place}/$N; read x <~/{place}.go; echo $N"
        seen = [pool.submit(machine.out, f"N={n}; {script}", flags=flags) for n in range(AT_ONCE)]
        try:
            count = f"ls ~/{place} | wc -l"
            eventually("all are there", lambda: int(machine.out(count, flags=flags)) == AT_ONCE, 90)
        finally:
            machine.out(f"exec 3<>~/{place}.go; sleep 1", flags=flags)  # who reads it sees its end
        assert [int(one.result()) for one in seen] == list(range(AT_ONCE))


@few
def test_fifty_sessions_of_one_connection(machine: Machine) -> None:
    with master(machine) as control:
        fifty(machine, "sessions", *control)


def test_fifty_connections(found: dict[str, Machine]) -> None:
    fifty(found["nonroot"], "connections")


def test_ports(machine: Machine) -> None:
    """-L, -D and -R, in one connection."""
    local, dynamic = free_port(), free_port()
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=answer_once, args=(listener,), daemon=True).start()
    with listener, server(machine) as port:
        flags = ("-L", f"{local}:localhost:{port}", "-D", str(dynamic))
        with master(machine, *flags) as control:
            exchange(socket.create_connection(("127.0.0.1", local)))
            through = socks.socksocket()
            through.set_proxy(socks.SOCKS5, "127.0.0.1", dynamic)
            through.connect(("localhost", port))  # a name that is looked up there
            exchange(through)
            back = ("-O", "forward", "-R", f"0:localhost:{listener.getsockname()[1]}")
            remote = machine.out(flags=(*control, *back)).strip()
            assert machine.out(f"{PYTHON} -c '{CLIENT}' {remote}", flags=control) == "from here\n"


def answer_once(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        assert connection.recv(100) == b"from there"
        connection.sendall(b"from here")


def test_the_agent(machine: Machine, tmp_path: Path) -> None:
    """-A: the keys of the agent here can be used there, and nothing of them stays."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "comment-of-the-key", "-f", key], check=True)
    said = subprocess.run(["ssh-agent", "-a", tmp_path / "agent"], capture_output=True, text=True, check=True).stdout
    env = {"SSH_AUTH_SOCK": str(tmp_path / "agent"), "SSH_AGENT_PID": re.search(r"PID=(\d+)", said)[1]}
    try:
        subprocess.run(["ssh-add", "-q", key], env={**os.environ, **env}, check=True)
        argv = machine.ssh(f"{PYTHON} -c '{ASK_AGENT}'; echo $SSH_AUTH_SOCK", flags=("-A",))
        done = subprocess.run(argv, env={**machine.environment(), **env}, capture_output=True, text=True)
        answer, place = done.stdout.splitlines()
        assert "comment-of-the-key" in answer, done
        assert machine.run(f"test -e {place}").returncode == 1
    finally:
        subprocess.run(["ssh-agent", "-k"], env={**os.environ, **env}, stdout=subprocess.DEVNULL)


def test_a_jump(found: dict[str, Machine], machine: Machine) -> None:
    """-J: through any task to a sshd that only the cluster's network reaches: the one of an image that has its own."""
    target = found["own-sshd"]
    target.run("pgrep -x sshd || /usr/sbin/sshd; true")
    address = target.pod["status"]["podIP"]
    argv = ["ssh", "-F", machine.config, *OWN_SSHD, "-J", machine.name, f"root@{address}", "hostname; echo $SSH_TTY"]
    done = subprocess.run(argv, env=machine.environment(), capture_output=True, text=True, timeout=30)
    assert done.stdout.split() == ["own-sshd-0"], done
