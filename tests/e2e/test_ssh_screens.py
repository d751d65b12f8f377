"""Full-screen programs over ssh: each screen, with its colours, beside that of the same program on this machine."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pyte
import pytest

from tests.cluster.binaries import ensure_programs
from tests.e2e.conftest import eventually
from tests.e2e.plain_ssh import Machine, machines

PACKAGES = {"vim.tiny": "vim-tiny", "tmux": "tmux", "htop": "htop"}
ENV = "-u LINES -u COLUMNS TERM=xterm-256color LANG=C.UTF-8 SHELL=/bin/sh"
VIM = f"rm -f /tmp/of-vim; exec env {ENV} vim.tiny -u NONE -N +'set number ruler showmode hlsearch' /tmp/of-vim"
PANES = "split-window -h 'printf \"\\033[1;35m\\342\\224\\214\\342\\224\\200\\342\\224\\220\\033[0m\"; exec sleep 100'"
TMUX = (
    f"exec env {ENV} tmux -u -L sky-test -f /dev/null new-session -n window 'seq 60; exec sleep 100' "
    f"\\; set -g status-right fixed \\; set -g status-left left \\; {PANES}"
)
HTOP = f"exec env {ENV} HTOPRC=/dev/null htop -d 20"


class Emulator(pyte.Screen):
    """Without vim's CSI > 4 m, which says nothing about the screen and is unknown to pyte."""

    def select_graphic_rendition(self, *attributes: int, private: bool = False) -> None:
        if not private:
            super().select_graphic_rendition(*attributes)


class Screen:
    """A program on a terminal of 33 lines and 99 columns, and what a person would see of it."""

    def __init__(self, child: pexpect.spawn):
        self.child = child
        self.screen = Emulator(99, 33)
        self.stream = pyte.Stream(self.screen)

    def read(self) -> None:
        """All that comes until nothing has for a while."""
        try:
            while True:
                self.stream.feed(self.child.read_nonblocking(1 << 16, timeout=0.3))
        except (pexpect.TIMEOUT, pexpect.EOF):
            pass

    def resize(self, lines: int, columns: int) -> None:
        self.screen.resize(lines, columns)
        self.child.setwinsize(lines, columns)

    @property
    def lines(self) -> list[str]:
        self.read()
        return [line.rstrip() for line in self.screen.display]

    @property
    def cells(self) -> list[list[pyte.screens.Char]]:
        """Text, colours and attributes of each place."""
        self.read()
        size = self.screen
        return [[size.buffer[line][column] for column in range(size.columns)] for line in range(size.lines)]


@pytest.fixture(scope="module")
def machine(kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    ensure_programs(PACKAGES)
    with machines(kubeconfig, tmp_path_factory.mktemp("ssh"), ("own-sshd",)) as found:
        yield found["own-sshd"]


Start = Callable[[str], tuple[Screen, Screen]]


@pytest.fixture
def start(machine: Machine) -> Iterator[Start]:
    """Starts a command there and here: (over ssh, local)."""
    children = []

    def start(command: str) -> tuple[Screen, Screen]:
        local = pexpect.spawn("/bin/sh", ["-c", command], timeout=30, encoding="utf-8", dimensions=(33, 99))
        children.extend([machine.terminal(command), local])
        return Screen(children[0]), Screen(children[1])

    yield start
    for child in children:
        child.close(force=True)


def alike(there: Screen, here: Screen, text: str) -> None:
    """Both show the text, and in the end the same in every place, with the cursor at the same one."""
    eventually(f"{text!r} is on both", lambda: all(text in "\n".join(one.lines) for one in (there, here)), 20)
    try:
        eventually("they show the same", lambda: there.cells == here.cells, 10)
    except AssertionError:
        assert there.lines == here.lines
        raise
    where = [(one.screen.cursor.y, one.screen.cursor.x) for one in (there, here)]
    assert where[0] == where[1]


def type_on(both: tuple[Screen, Screen], keys: str) -> None:
    for one in both:
        one.child.send(keys)
    time.sleep(0.1)


def resize(both: tuple[Screen, Screen]) -> None:
    for one in both:
        one.read()
        one.resize(40, 120)


def test_vim(start: Start, machine: Machine) -> None:
    both = start(VIM)
    alike(*both, "[New")
    type_on(both, "ihello\r\x1b[A\x1b[4~ wörld €\x1b")  # arrow up, End
    alike(*both, "hello wörld €")
    type_on(both, ":s/l/L/g\r/L\r")
    alike(*both, "heLLo wörLd €")
    resize(both)
    alike(*both, "heLLo wörLd €")
    type_on(both, ":wq\r")
    both[0].child.expect(pexpect.EOF)
    assert machine.out("cat /tmp/of-vim") == Path("/tmp/of-vim").read_text() == "heLLo wörLd €\n\n"


@pytest.fixture
def no_tmux(machine: Machine) -> Iterator[None]:
    yield
    end = "tmux -L sky-test kill-server"
    machine.run(end)
    subprocess.run(end.split())


@pytest.mark.usefixtures("no_tmux")
def test_tmux(start: Start) -> None:
    both = start(TMUX)
    alike(*both, "┌─┐")
    assert "│" in both[0].lines[10] and both[0].lines[-1].startswith("left0:window")
    resize(both)
    alike(*both, "┌─┐")
    type_on(both, "\x02z")  # one pane alone
    alike(*both, "window*Z")


def test_htop(start: Start) -> None:
    """Its figures differ: the frame around them does not."""
    both = start(HTOP)
    for size in (33, 40):
        if size == 40:
            resize(both)
        for one in both:
            eventually("htop is there", lambda one=one: "F10Quit" in one.lines[-1] and len(one.lines) == size, 20)
        there, here = (one.lines for one in both)
        assert there[-1] == here[-1] and there[-1].startswith("F1Help")
        heads = [next(line.split() for line in lines if "PID" in line and "USER" in line) for lines in (there, here)]
        assert heads[0] == heads[1]
        bars = [[cell.fg for cell in one.cells[-1]] for one in both]
        assert bars[0] == bars[1] and len(set(bars[0])) > 1
    type_on(both, "q")
    both[0].child.expect(pexpect.EOF)
