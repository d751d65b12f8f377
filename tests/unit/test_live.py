"""Views that go on: what a terminal shows after several drawings, what a pipe gets."""

from __future__ import annotations

import io
import queue

import pyte
import pytest

from kubectl_sky.live import Live, Objects, Rows, settled


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def screen(written: str) -> list[str]:
    terminal = pyte.Screen(20, 6)
    pyte.Stream(terminal).feed(written.replace("\n", "\r\n"))
    return [line.rstrip() for line in terminal.display]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("COLUMNS", "20"), ("LINES", "6"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)


def test_each_drawing_takes_the_place_of_the_one_before(small: None) -> None:
    view = Live(Terminal())
    assert view.on
    for text in ("a much longer first line of all\nsecond\nthird", "short\nsecond", "now\nsecond"):
        view.draw(text)
    assert screen(view.stream.getvalue()) == ["now", "second", "", "", "", ""]


def test_what_does_not_fit_is_cut_and_counted(small: None) -> None:
    view = Live(Terminal())
    view.draw("\n".join(f"line {n} is too long for it" for n in range(9)))
    view.draw("\n".join(f"line {n} is too long for it" for n in range(8)))
    shown = screen(view.stream.getvalue())
    assert shown == ["line 0 is too long", "line 1 is too long", "line 2 is too long", "line 3 is too long",
                     "... 4 more lines", ""]  # fmt: skip


def test_no_terminal_no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not Live(io.StringIO()).on
    monkeypatch.setenv("TERM", "dumb")
    assert not Live(Terminal()).on


def test_rows_are_printed_when_they_change(capsys: pytest.CaptureFixture[str]) -> None:
    rows = Rows(("name", "age", "state"), ("age",))
    rows.show({1: ["long-name", "1s", "Pending"]})
    rows.show({1: ["long-name", "2s", "Pending"], 2: ["b", "0s", "Up"]})
    rows.show({1: ["long-name", "3s", "Up"], 2: ["b", "1s", "Up"]})
    assert capsys.readouterr().out.splitlines() == [
        "NAME        AGE   STATE",
        "long-name   1s    Pending",
        "b           0s    Up",
        "long-name   3s    Up",
    ]
    silent = Rows(("name",), (), with_headers=False)
    silent.show({})
    silent.show({1: ["a"]})
    assert capsys.readouterr().out == "a\n"


def test_objects_that_changed() -> None:
    objects = Objects()
    assert objects.changed({"a": {"x": 1}, "b": {}}) == ["a", "b"]
    assert objects.changed({"a": {"x": 1}, "b": {"y": 2}}) == ["b"]
    assert objects.changed({"a": {"x": 1}}) == []


def test_a_burst_is_one_piece_of_news() -> None:
    events: queue.Queue[int] = queue.Queue()
    for number in range(3):
        events.put(number)
    news = settled(events, tick=0.01, quiet=0.01)
    assert next(news) == [0, 1, 2]
    assert next(news) == []
