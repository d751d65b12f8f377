"""Tables, ages, durations, YAML, formats, progress."""

import io
from datetime import datetime, timezone

import pytest
import yaml

from kubectl_sky import output
from kubectl_sky.errors import UsageError
from kubectl_sky.output import Format


def test_table() -> None:
    text = output.table([["a", "1/1", ""], ["longer", "0/10", "x"]], ["name", "nodes", "ip"])
    assert text == "NAME     NODES   IP\na        1/1     <none>\nlonger   0/10    x\n"
    assert output.table([["a", "b"]]) == "a   b\n"
    assert output.table([], ["name"]) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (135, "2m15s"), (600, "10m"), (179 * 60, "179m"),
        (3 * 3600, "3h"), (3 * 3600 + 720, "3h12m"), (8 * 3600, "8h"), (47 * 3600, "47h"), (48 * 3600, "2d"),
        (52 * 3600, "2d4h"), (8 * 86400, "8d"), (700 * 86400, "700d"), (730 * 86400, "2y"), (3000 * 86400, "8y"),
    ],
)  # fmt: skip
def test_duration(seconds: float, text: str) -> None:
    assert output.duration(seconds) == text


def test_age() -> None:
    now = datetime(2026, 1, 1, 0, 5, tzinfo=timezone.utc)
    assert output.age("2026-01-01T00:00:00Z", now) == "5m"
    assert output.age(None) == "<unknown>"


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("1m30s", 90), ("2h", 7200), ("0", 0), ("1.5", 1.5), ("250ms", 0.25)]
)
def test_parse_duration(text: str, seconds: float) -> None:
    assert output.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "x", "5x", "-3s", "1m 3s"])
def test_no_duration(text: str) -> None:
    with pytest.raises(ValueError):
        output.parse_duration(text)


@pytest.mark.parametrize(
    "text",
    ["a\nb\n", "a \nb", "\ta\n", "a\r\nb", " x\ny", "\n", "é\n", "x: y\n# no\n", "a\n\n\n", "\x07\n", "yes", "1e3"],
)
def test_yaml_of_any_text_is_read_back(text: str) -> None:
    assert yaml.safe_load(output.to_yaml({"run": text})) == {"run": text}


def test_yaml_of_random_texts_is_read_back() -> None:
    import random

    chance = random.Random(7)
    letters = "a \n\t:#-|>'\"é\u2028\x85\r\ufeff\x00😀BLOCK-0-"
    for _ in range(3000):
        text = "".join(chance.choice(letters) for _ in range(chance.randrange(12)))
        data = {"a": text, "b": [text, {"c": text, "d": "BLOCK-0-"}, [text]], "e": "x\ny"}
        assert yaml.safe_load(output.to_yaml(data)) == data


def test_yaml_for_people() -> None:
    labels = {"b": "1", "a": "2"}
    text = output.manifests([{"kind": "Job", "run": "a\nb\n", "labels": labels, "again": labels}, {"kind": "Secret"}])
    assert text == (
        "kind: Job\nrun: |\n  a\n  b\nlabels:\n  b: '1'\n  a: '2'\nagain:\n  b: '1'\n  a: '2'\n---\nkind: Secret\n"
    )
    assert [one["kind"] for one in yaml.safe_load_all(text)] == ["Job", "Secret"]


def test_json_list() -> None:
    assert '"kind": "List"' in output.manifests([{"kind": "Job"}], Format.JSON)


def test_formats() -> None:
    assert Format.parse(None) is Format.TABLE
    assert Format.parse("json", Format.JSON) is Format.JSON
    with pytest.raises(UsageError) as caught:
        Format.parse("wide", Format.JSON, Format.YAML)
    assert caught.value.hint == "-o takes: json, yaml"


def test_progress_without_terminal_prints_each_change_once() -> None:
    stream = io.StringIO()
    with output.Progress("one", stream) as progress:
        progress.update("one")
        progress.update("two")
        progress.line("stays")
    assert stream.getvalue() == "one\ntwo\nstays\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with output.Progress("one", stream) as progress:
        progress.line("stays")
    assert "⠋ one" in stream.getvalue()
    assert "stays\n" in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[2K")


def test_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert output.colour(Terminal())
    assert not output.colour(io.StringIO())
    assert output.colour(io.StringIO(), "always")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert output.colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not output.colour(Terminal())


def test_near() -> None:
    assert output.near("trian", ["train", "other"]) == "did you mean `train`?"
    assert output.near("x", []) == "there are none"
    assert output.near("x", ["train"]) == "there are: train"
