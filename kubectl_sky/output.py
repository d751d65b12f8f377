"""What people and scripts read: tables, ages, YAML, colour, progress. The only place that knows them."""

from __future__ import annotations

import enum
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from kubectl_sky.errors import UsageError

if TYPE_CHECKING:
    from kubectl_sky.timings import Timings

# -- formats ------------------------------------------------------------------------------------------------------


class Format(enum.Enum):
    """Values of -o."""

    TABLE = "table"
    WIDE = "wide"
    NAME = "name"
    JSON = "json"
    YAML = "yaml"

    @classmethod
    def parse(cls, text: str | None, *allowed: Format) -> Format:
        """The format that -o `text` names (None: a table). UsageError lists what is `allowed` (default: all)."""
        known = {one.value: one for one in (allowed or cls)}
        if text is None or (text == "table"):
            return cls.TABLE
        if text not in known:
            raise UsageError(f"-o {text}: there is no such format here", f"-o takes: {', '.join(known)}")
        return known[text]


def dump(data: Any, form: Format) -> str:
    """`data` as JSON or YAML text."""
    if form is Format.JSON:
        return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    return to_yaml(data)


def listing(items: Sequence[dict[str, Any]], form: Format) -> str:
    """Objects as one Kubernetes-style List, in JSON or YAML."""
    return dump({"apiVersion": "v1", "kind": "List", "items": list(items)}, form)


def to_yaml(data: Any) -> str:
    """YAML in the order of the dicts, with multi-line text as | blocks."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Without anchors: kubectl reads them, people do not."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def scalar(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        # PyYAML writes these line ends as they are in single quotes, and reads them back as \n.
        style = '"' if re.search("[\x85\u2028\u2029]", value) else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, scalar)
    blocks: list[str] = []
    text = yaml.dump(
        _without_blocks(data, blocks),
        Dumper=Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=1000,
        default_flow_style=False,
    )
    return re.sub(
        r"^([ -]*)(.*)BLOCK-(\d+)-$", lambda m: m[1] + m[2] + _block(blocks[int(m[3])], len(m[1])), text, flags=re.M
    )


# What a | block cannot hold (or not without an indentation indicator): PyYAML quotes such text.
_NO_BLOCK = re.compile(
    r"^\n*[ \t]|^\n*$|[^\n\t\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


def _without_blocks(data: Any, blocks: list[str]) -> Any:
    """`data` with a mark for each text that is to be a block: PyYAML takes 1 ms for each 2 kB of text, we do not."""
    if isinstance(data, dict):
        return {key: _without_blocks(value, blocks) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_without_blocks(value, blocks) for value in data]
    if isinstance(data, str) and (("\n" in data and not _NO_BLOCK.search(data)) or data.startswith("BLOCK-")):
        blocks.append(data)
        return f"BLOCK-{len(blocks) - 1}-"
    return data


def _block(text: str, indent: int) -> str:
    """`text` as a block below a key in column `indent`."""
    body = text.rstrip("\n")
    ends = len(text) - len(body)
    lines = [" " * (indent + 2) + line if line else "" for line in body.split("\n")]
    return "\n".join(["|" + ("-", "")[ends] if ends < 2 else "|+", *lines, *[""] * (ends - 1)])


def manifests(objects: Sequence[dict[str, Any]], form: Format = Format.YAML) -> str:
    """Manifests as `kubectl apply -f -` takes them: YAML documents, or one JSON List."""
    if form is Format.JSON:
        return listing(objects, form)
    return "---\n".join(to_yaml(one) for one in objects)


def near(name: str, known: Sequence[str]) -> str:
    """A next step for a name that does not exist: the names like it, or all."""
    import difflib

    like = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if like:
        return "did you mean " + " or ".join(f"`{one}`" for one in like) + "?"
    if not known:
        return "there are none"
    return "there are: " + ", ".join(known[:20]) + (", …" if len(known) > 20 else "")


# -- tables, times ------------------------------------------------------------------------------------------------


def table(rows: Sequence[Sequence[str]], headers: Sequence[str] = ()) -> str:
    """Columns as kubectl prints them: upper-case headers, three spaces between, nothing cut off; "" for no rows."""
    lines = [[name.upper() for name in headers]] if headers else []
    lines += [[str(cell) or "<none>" for cell in row] for row in rows]
    if not rows:
        return ""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return (
        "\n".join("   ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines) + "\n"
    )


def age(timestamp: str | None, now: datetime | None = None) -> str:
    """Time since a Kubernetes timestamp as kubectl writes it: 5s, 3m20s, 12m, 3h12m, 2d4h, 12d, 1y30d."""
    if not timestamp:
        return "<unknown>"
    then = datetime.fromisoformat(timestamp.replace("Z", "+00:00"))
    return duration(((now or datetime.now(timezone.utc)) - then).total_seconds())


def duration(seconds: float) -> str:
    """Seconds in kubectl's short form (apimachinery's HumanDuration)."""
    s = max(0, int(seconds))
    m, h, d = s // 60, s // 3600, s // 86400
    for small, text in (
        (s < 120, f"{s}s"),
        (m < 10, _two(m, "m", s % 60, "s")),
        (m < 180, f"{m}m"),
        (h < 8, _two(h, "h", m % 60, "m")),
        (h < 48, f"{h}h"),
        (d < 8, _two(d, "d", h % 24, "h")),
        (d < 730, f"{d}d"),
        (d < 8 * 365, _two(d // 365, "y", d % 365, "d")),
    ):
        if small:
            return text
    return f"{d // 365}y"


def _two(large: int, unit: str, small: int, small_unit: str) -> str:
    return f"{large}{unit}{small}{small_unit}" if small else f"{large}{unit}"


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(text: str) -> float:
    """Seconds of `30s`, `1m30s`, `2h`, `7d`, or of a bare number of seconds. ValueError for anything else."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if not re.fullmatch(r"(\d+(\.\d+)?(ms|s|m|h|d))+", text):
        raise ValueError(f"{text!r} is no duration, e.g. 30s or 1m30s")
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text))


# -- colour, people ----------------------------------------------------------------------------------------------


def colour(stream: TextIO, when: str = "auto") -> bool:
    """Whether to colour what goes to `stream`; `when` is auto, always or never."""
    if when != "auto":
        return when == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def confirm(question: str) -> bool:
    """Ask on the terminal; False at the end of input. Only to be called when `can_ask()`."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def can_ask() -> bool:
    """Whether there is a person to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()


class Progress:
    """What is being waited for, on stderr: a line with a spinner on a terminal, else one line a change.

    Use as a context manager: `with Progress("Starting") as progress: progress.update("pulling the image")`.
    """

    FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

    def __init__(
        self,
        text: str = "",
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        timings: Timings | None = None,
    ):
        self.timings = timings
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")
        self.text, self.clock, self.began = "", clock, clock()
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.update(text)

    def __enter__(self) -> Progress:
        if self.live:
            self._thread = threading.Thread(target=self._spin, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def phase(self, name: str) -> None:
        """What follows is another phase, for those who ask where the time goes."""
        if self.timings:
            self.timings.phase(name)

    def update(self, text: str) -> None:
        """Say what is waited for now; the same text again is not repeated."""
        with self._lock:
            if text == self.text:
                return
            self.text = text
            if self.live:
                self._draw()
            elif text:
                print(text, file=self.stream, flush=True)

    def line(self, text: str) -> None:
        """Print a line that stays."""
        with self._lock:
            self._clear()
            print(text, file=self.stream, flush=True)

    def close(self) -> None:
        """Take the status line away; safe to call again."""
        self._stop.set()
        if self._thread:
            self._thread.join()
            self._thread = None
        with self._lock:
            self._clear()
            self.text = ""

    def _spin(self) -> None:
        while not self._stop.wait(0.1):
            with self._lock:
                self._draw()

    def _draw(self) -> None:
        if not self.text:
            return
        seconds = self.clock() - self.began
        frame = self.FRAMES[int(seconds * 10) % len(self.FRAMES)]
        line = f"{frame} {self.text}" + (f" ({duration(seconds)})" if seconds >= 2 else "")
        self.stream.write("\r\x1b[2K" + line[: _width() - 1])
        self.stream.flush()

    def _clear(self) -> None:
        if self.live:
            self.stream.write("\r\x1b[2K")
            self.stream.flush()


def _width() -> int:
    try:
        return os.get_terminal_size(2).columns or 80
    except OSError:
        return 80
