"""What a terminal shows again, and the keys that leave it. No pod, no pty."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kubectl_sky import terminals
from kubectl_sky.errors import UsageError

REMOTE = str(Path(terminals.__file__).parent / "remote")


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch):
    """The pod's modules, which import each other by their bare names."""
    monkeypatch.syspath_prepend(REMOTE)
    before = set(sys.modules)
    import attach
    import screen

    yield screen.Screen(), attach.Keys
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_the_last_lines_are_shown_again(remote) -> None:
    screen, _ = remote
    screen.feed(b"".join(b"line %d\r\n" % i for i in range(100)) + b"$ ")
    assert screen.shown(3) == b"line 98\r\nline 99\r\n$ "
    assert screen.shown().startswith(b"line 0\r\n")


def test_text_is_bounded_and_begins_with_a_whole_line(remote) -> None:
    screen, _ = remote
    for i in range(20000):
        screen.feed(b"line %d\r\n" % i)
    shown = screen.shown()
    assert len(shown) < 1 << 17 and shown.startswith(b"line ") and shown.endswith(b"line 19999\r\n")


@pytest.mark.parametrize("size", (1, 2, 3, 7, 1000))
def test_modes_come_back_and_go(remote, size: int) -> None:
    """Whatever pieces the output came in."""
    screen, _ = remote
    said = b"text\x1b[?2004h\x1b[?1049;1000hinside\x1b[?25l"
    for at in range(0, len(said), size):
        screen.feed(said[at : at + size])
    assert screen.full
    assert screen.shown() == b"text\x1b[?2004h\x1b[?1049h\x1b[?1000h\x1b[?25l\x1b[2J"
    assert screen.left() == b"\x1b[?2004l\x1b[?1049l\x1b[?1000l\x1b[?25h\x1b[m"
    screen.feed(b"\x1b[?1049lback\x1b[?2")
    assert not screen.full
    assert screen.shown().startswith(b"textback\x1b[?2004h") and screen.shown().endswith(b"\x1b[?2")


def test_questions_are_not_asked_again(remote) -> None:
    screen, _ = remote
    screen.feed(
        b"a\x1b[cb\x1b[>0cc\x1b[6nd\x1b]11;?\x07e\x1b[?2026$pf\x1b[>qg\x1bP+q544e\x1b\\h\x1b]10;?\x1b\\i\x1b[0mj"
    )
    assert screen.shown() == b"abcdefghi\x1b[0mj"


def test_keys_that_detach(remote) -> None:
    _, keys = remote
    typed = keys(b"\x10\x11")
    assert typed.typed(b"ab\x10") == (b"ab", False)
    assert typed.typed(b"c") == (b"\x10c", False)  # it was Ctrl-P after all
    assert typed.typed(b"\x10") == (b"", False)
    assert typed.typed(b"\x11more") == (b"", True)
    assert keys(b"").typed(b"\x10\x11") == (b"\x10\x11", False)


def test_names_of_keys() -> None:
    assert terminals.key_sequence("ctrl-p,ctrl-q") == b"\x10\x11"
    assert terminals.key_sequence("ctrl-@,a,ctrl-[") == b"\x00a\x1b"
    assert terminals.key_sequence("") == b""
    with pytest.raises(UsageError, match="'alt-x' is no key"):
        terminals.key_sequence("ctrl-a,alt-x")
