"""Terminals that stay: jobs with one, `attach`, `ssh --persist`. With real ptys on both sides."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from conftest import Sky, eventually, image, namespace

DETACH = "\x10\x11"
# draws its whole screen when it is told of another size, as editors do
FULL_SCREEN = """
import signal, sys, time
def draw(*_): print('\\033[H\\033[2Jdrawn by the program', flush=True)
signal.signal(signal.SIGWINCH, draw)
print('\\033[?1049h\\033[?25l', end=''); draw()
sys.stdin.readline()
print('\\033[?25h\\033[?1049l', end='')
"""


@pytest.fixture(scope="module")
def box(kubeconfig: str) -> Iterator[Sky]:
    with namespace(kubeconfig) as sky:
        sky.ok("launch", "-c", "box")
        yield sky


class Terminal(pexpect.spawn):
    """`kubectl sky ...` on a terminal of 33 lines and 99 columns."""

    def __init__(self, sky: Sky, *args: str):
        program, *words = sky.argv(*args)
        env = {**sky.environment(), "TERM": "xterm-256color"}
        super().__init__(program, words, env=env, timeout=30, encoding="utf-8", dimensions=(33, 99))

    def says(self, line: str, expected: str) -> re.Match[str]:
        """Types a command; waits for what it prints (the echo has the end of it in quotes)."""
        self.sendline(line)
        self.expect(expected)
        assert self.match and not isinstance(self.match, type)
        return self.match

    def code(self) -> int | None:
        self.expect(pexpect.EOF)
        self.close()
        return self.exitstatus


def test_a_job_with_a_terminal_is_left_and_found_again(box: Sky) -> None:
    one = Terminal(box, "exec", "-it", "box", "--", "bash --norc")
    one.expect(r"\$ |# ")
    one.says("tty; stty size; echo $TERM rank $SKYPILOT_NODE_RANK", "/dev/pts/\\d+\r\n33 99\r\nxterm-256color rank 0")
    one.setwinsize(40, 120)
    one.says("sleep 0.3; stty size", "40 120\r\n")
    one.says("sh -c \"echo sleep''ing; exec sleep 100\"", "sleeping\r\n")
    one.sendintr()
    one.says("echo code''s $?", "codes 130")
    one.send(DETACH)
    one.expect(r"Detached; the job runs on. Come back: kubectl sky attach .*box (\d+)")
    number = one.match.group(1)
    assert one.code() == 0

    two = Terminal(box, "attach", "box")  # the newest that runs
    two.expect("codes 130")  # what was on the screen
    two.says("stty size", "33 99\r\n")
    three = Terminal(box, "attach", "box", number, "--detach-keys", "ctrl-b,d")
    three.expect("33 99")
    two.says("echo seen by bo''th", "seen by both")
    three.expect("seen by both")
    three.send("\x02d")
    three.expect("Detached")
    two.kill(signal.SIGHUP)  # the window is closed
    two.close()
    four = Terminal(box, "attach", "box", number)
    four.expect("seen by both")
    four.says("exit 7", f"error: job {number} failed with exit code 7")
    assert four.code() == 7

    log = box.run("logs", "box", number)
    assert log.code == 7 and "\nsleeping\n" in log.out and "seen by both" in log.out, log
    over = box.run("attach", "box", number)
    assert over.code == 1 and f"job {number} of box is over" in over.err and f"box {number}" in over.err, over


def test_a_debugger(box: Sky) -> None:
    program = "x = 5; breakpoint()\nprint('x is', x)\n"
    one = Terminal(box, "exec", "-t", "box", "--", "python3", "-c", program)
    one.expect(r"\(Pdb\) ")
    one.says("x = 6", r"\(Pdb\) ")
    one.says("c", "x is 6\r\n.*✓ Job \\d+ succeeded")
    assert one.code() == 0


def test_a_full_screen_program_draws_itself_again(box: Sky) -> None:
    one = Terminal(box, "exec", "-it", "box", "--", f'python3 -c "{FULL_SCREEN}"')
    one.expect("drawn by the program")
    one.send(DETACH)
    one.expect_exact("\x1b[?1049l\x1b[?25h")  # this terminal is as it was before
    one.expect("Detached")
    two = Terminal(box, "attach", "box")
    two.expect_exact("\x1b[?1049h\x1b[?25l")
    two.expect("drawn by the program")
    two.sendline()
    assert two.code() == 0


def test_without_a_terminal(box: Sky) -> None:
    """A job that has none shows its log; and where there is none here, nothing is attached."""
    idle = box.run("attach", "box")
    assert idle.code == 1 and "no job of box runs" in idle.err and "exec " in idle.err, idle
    box.ok("exec", "-d", "box", "--", "echo said; while [ ! -e ~/end ]; do sleep 0.1; done; exit 3")
    one = Terminal(box, "attach", "box")
    one.expect(r"Job \d+ has no terminal; this is its log. One with a terminal: kubectl sky exec .*-it box COMMAND")
    one.expect("said\r\n")
    box.ok("ssh", "box", "touch ~/end")
    assert one.code() == 3
    piped = box.run("exec", "-t", "box", "--", "test -t 0 && tty")
    assert piped.code == 0 and piped.out.startswith("/dev/pts/"), piped
    alone = box.run("exec", "-i", "box", "--", "cat")
    assert alone.code == 2 and "add -t" in alone.err, alone
    persist = box.run("ssh", "--persist", "box")
    assert persist.code == 2 and "needs a terminal" in persist.err, persist
    unknown = box.run("attach", "box", "99")
    assert unknown.code == 1 and "box has no job 99" in unknown.err, unknown


def test_a_shell_that_stays(box: Sky) -> None:
    one = Terminal(box, "ssh", "--persist", "box")
    one.expect(r"\$ |# ")
    pid = one.says("X=mine; echo pid''s $$", r"pids (\d+)").group(1)
    other = Terminal(box, "ssh", "--persist", "--session", "other", "box")
    other.expect(r"\$ |# ")
    other.says("echo X is''[$X]", r"is\[\]")
    other.sendline("exit 4")
    assert other.code() == 4
    os.kill(connection_of(one.pid), signal.SIGKILL)  # by itself, it comes back
    one.expect("Reconnecting")
    one.expect(f"pids {pid}")
    one.says("echo stil''l $X $$", f"still mine {pid}")
    one.send(DETACH)
    one.expect("the shell stays. Come back: kubectl sky ssh .*--persist box")
    assert one.code() == 0
    two = Terminal(box, "ssh", "--persist", "box")
    two.expect(f"still mine {pid}")
    two.sendline("exit 5")
    assert two.code() == 5


@pytest.mark.parametrize("name", ("busybox", "debian-nonroot"))
def test_any_image(sky: Sky, name: str) -> None:
    """No bash, no terminfo, no python; a user of its own."""
    sky.ok("launch", "-c", "other", "--image-id", image(name))
    one = Terminal(sky, "ssh", "--persist", "other")
    one.says("stty size; echo shell''s $$", "33 99\r\n.*shells \\d+")
    one.send(DETACH)
    assert one.code() == 0
    two = Terminal(sky, "exec", "-it", "other", "--", "sh")
    two.says("echo -n job''s; id -u", r"jobs\d+")
    two.sendline("exit 6")
    assert two.code() == 6


def connection_of(pid: int) -> int:
    """The kubectl that carries the ssh connection of our process `pid`."""
    found: list[int] = []

    def look() -> bool:
        parents = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
        below = {pid}
        for _ in range(10):
            below |= {child for child, parent in parents.items() if parent in below}
        for child in below:
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            if words[0].endswith(b"kubectl") and b"exec" in words:
                found.append(child)
        return bool(found)

    eventually("kubectl runs", look, 10)
    return found[0]
