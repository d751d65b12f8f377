"""Plays transcripts of the documents: types each command as it is printed there, and compares what it prints.

Ages, times, sizes that grow, random ends of names, addresses and column widths may differ; lines may be left out.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import textwrap
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pexpect

from tests.e2e.conftest import PROJECT, Sky
from tests.e2e.scenes import Scene
from tests.unit.test_doc_commands import FENCE

# asked again until it says what is expected
READ_ONLY = re.compile(r"kubectl (sky (queue|status|jobs queue|explain|volumes ls|cost-report)|describe)\b")
GOES_ON = {"kubectl sky port-forward": "Forwarding", "kubectl sky dev": "Watching"}  # when it says so, until Ctrl-C
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
POD = re.compile(r"\b([\w-]+-\d+)-[a-z0-9]{5}\b")
VARIABLE = (
    (re.compile(r"\b([\w-]+-\d+|job-[\w-]+)-[a-z0-9]{5}\b"), r"\1-RANDOM"),
    (re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.,]\d+"), "TIME"),
    (re.compile(r"\b10(\.\d+){3}(:\d+)?"), "ADDRESS"),
    (re.compile(r"\b\d+(\.\d+)? [KMG]?i?B(/s)?, "), "SIZE, "),  # of rclone's progress
    (re.compile(r"\b\d+(\.\d+)? [KMG]?i?B / "), "SIZE / "),
    (re.compile(r"\b\d+%, "), "PART, "),
    (re.compile(r"\b(\d+[smhd])+\b( ago)?"), "AGE"),
    (re.compile(r"\b\d+\.\d+ s\b"), "AGE"),
    (re.compile(r"\$ 0\.\d\d$"), "COST"),
    (re.compile(r"\b\d+ now\b"), "ROOM"),  # what others leave
    # Kueue's reason comes when it has tried; and that is before or after somebody looks
    (re.compile(r"(, first in line)?(: preempted: .*? by itself)(; the queue's quota is in use.*)?"), r"\2"),
    (re.compile(r"(\d+ before it \([^)]*\)): the queue's quota is in use.*"), r"\1"),
    # whom the scheduler has placed where
    (re.compile(r"\(ranks? [\d, and]+\)"), "(RANKS)"),
    (re.compile(r"held by \S+ \([\d.]+\)(, \S+ \([\d.]+\))*"), "held by OTHERS"),
)


# in commands of tables: what stands for something of the user's, and a job's number
WORDS = {"NAME": "train", "DIR": "folder", "FILE": "x.py", "COMMAND": "hostname"}
JOB = re.compile(r"((?: train|--after|any:) ?)\d+\b")


@dataclass(frozen=True)
class Page:
    """Where a page is played. `shown`: what is there -> how the page has it."""

    user: Sky
    name: str
    shown: Mapping[str, str] = field(default_factory=dict)


def path_of(page: str) -> Path:
    return PROJECT / page if page == "README.md" else PROJECT / "docs" / page


def transcripts(page: str) -> list[str]:
    found = FENCE.findall(path_of(page).read_text())
    return [textwrap.dedent(block) for kind, block in found if kind == "console"]


def steps(transcript: str) -> list[tuple[str, list[str]]]:
    """Each command, without what is said behind it, and what it prints."""
    found: list[tuple[str, list[str]]] = []
    for line in transcript.strip().splitlines():
        if line.startswith("$ "):
            found.append((re.split(r"\s{2,}# ", line[2:])[0].strip(), []))
        else:
            found[-1][1].append(line)
    return found


def same(line: str) -> str:
    for pattern, instead in VARIABLE:
        line = pattern.sub(instead, line)
    return " ".join(line.split())


def missing(expected: list[str], printed: str) -> list[str]:
    """The expected lines that do not come; the order is that of several nodes, and not looked at."""
    there = {same(line) for line in printed.splitlines()}
    return [line for line in expected if line.strip() not in ("...", "…") and same(line) not in there]


def fails(expected: list[str]) -> bool:
    return any(line.startswith("error: ") for line in expected)


class Typed:
    """A command that was typed, in a shell; what it prints is in a file."""

    def __init__(self, page: Page, line: str):
        self.page, self.line = page, line
        self.file = page.user.cwd / f"said-{time.monotonic_ns()}"
        with self.file.open("w") as out:
            # progress too, as on a terminal
            options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": subprocess.STDOUT}
            argv = ["bash", "-c", with_pods(page, line)]
            self.process = subprocess.Popen(
                argv, cwd=page.user.cwd, env=page.user.environment(), process_group=0, **options
            )

    def said(self) -> str:
        return as_shown(self.page, self.file.read_text())

    def ended(self, seconds: float = 150) -> int:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.interrupt()
            raise AssertionError(f"{self.line} does not end:\n{self.said()}") from None

    def interrupt(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(30)


def as_shown(page: Page, text: str) -> str:
    """What a user of the page sees: their home, the page's namespace."""
    shown = {str(page.user.cwd): "", page.user.namespace: "default", "-n default ": "", **page.shown}
    text = ANSI.sub("", text)
    for there, printed in shown.items():
        text = text.replace(there, printed)
    return text


def with_pods(page: Page, line: str) -> str:
    """With the real name of a pod instead of the printed one."""
    for printed, begin in {found[0]: found[1] for found in POD.finditer(line)}.items():
        names = page.user.kubectl("get", "pods", "-o", "name").replace("pod/", "").split()
        line = line.replace(printed, next(name for name in names if POD.sub(r"\1", name) == begin))
    return line


def prepare(page: Page, line: str) -> None:
    """What the page does not show: it must succeed, unless it says `|| true`."""
    typed = Typed(page, line)
    assert typed.ended() == 0, (page.name, line, typed.said())


def play(page: Page, scene: Scene) -> None:
    for name, text in scene.files.items():
        file = page.user.cwd / name.replace("~", "home/ann")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    for line in scene.before:
        prepare(page, line)
    beside: list[tuple[Typed, list[str]]] = []
    for number in scene.blocks:
        for line, expected in steps(transcripts(page.name)[number]):
            for other in of(scene.meanwhile, line) or ():
                prepare(page, other)
            if line.startswith(scene.beside or ("\n",)):
                beside.append((Typed(page, line), expected))
            elif keys := of(scene.keys, line):
                on_a_terminal(page, line, expected, *keys)
            elif says := next((says for beginning, says in GOES_ON.items() if line.startswith(beginning)), ""):
                goes_on(page, line, expected, says)
            else:
                comes_to_an_end(page, line, expected)
    for line in scene.after:
        prepare(page, line)
    for typed, expected in beside:
        check(page, typed.line, expected, typed.ended(), typed.said())


def of(said: Mapping[str, tuple[str, ...]], line: str) -> tuple[str, ...] | None:
    return next((value for beginning, value in said.items() if line.startswith(beginning)), None)


def check(page: Page, line: str, expected: list[str], code: int, printed: str) -> None:
    assert not missing(expected, printed), (page.name, line, missing(expected, printed), printed)
    assert (code != 0) == fails(expected), (page.name, line, code, printed)


def comes_to_an_end(page: Page, line: str, expected: list[str]) -> None:
    deadline = time.monotonic() + 20
    while True:
        typed = Typed(page, line)
        code, printed = typed.ended(), typed.said()
        if not READ_ONLY.match(line) or not missing(expected, printed) or time.monotonic() > deadline:
            return check(page, line, expected, code, printed)
        time.sleep(0.3)


def goes_on(page: Page, line: str, expected: list[str], says: str) -> None:
    """Until it has said what is expected, and that it is at work."""
    typed = Typed(page, line)
    deadline = time.monotonic() + 60
    while says not in typed.said() or missing(expected, typed.said()):
        assert typed.process.poll() is None and time.monotonic() < deadline, (page.name, line, typed.said())
        time.sleep(0.2)
    typed.interrupt()


def on_a_terminal(page: Page, line: str, expected: list[str], seen: str, typed: str) -> None:
    """When it has shown something, that is typed which ends it."""
    env = {**page.user.environment(), "TERM": "xterm-256color"}
    screen = pexpect.spawn("bash", ["-c", line], cwd=str(page.user.cwd), env=env, encoding="utf-8", timeout=60)
    screen.setwinsize(50, 160)
    screen.expect(seen)
    printed = f"{screen.before}{screen.after}"
    screen.send(typed)
    screen.expect(pexpect.EOF)
    screen.close()
    check(page, line, expected, screen.exitstatus or 0, as_shown(page, printed + screen.before))


def of_tables(page: str) -> list[str]:
    """The commands in a page's tables."""
    rows = [row.replace("\\|", "|") for row in path_of(page).read_text().splitlines() if row.startswith("| ")]
    return [line for row in rows for line in re.findall(r"`((?:for )?[^`]*kubectl sky [^`]+)`", row)]


def in_a_table(page: Page, line: str) -> None:
    """Types it, with something for each of its capital words; the cluster that it speaks of is up."""
    for word, instead in WORDS.items():
        line = re.sub(rf"\b{word}(\.\.\.)?(?![\w-])", instead, line)
    if re.search("jobs launch|--num-nodes 4|render", line):  # it cannot be up already
        prepare(page, "kubectl sky down --all -y")
    elif "train" in line:
        prepare(page, "kubectl sky status train >/dev/null || kubectl sky launch task.yaml")
    if JOB.search(line):
        runs = {"cancel": "-d -- sleep 600", "attach": "-d -- sleep 5"}.get(line.split()[2], "-- true")
        prepare(page, f"kubectl sky exec --cpus 0.1 train {runs}")
        jobs = page.user.ok("queue", "train", "-o", "json").out
        line = JOB.sub(rf"\g<1>{max(job['id'] for job in json.loads(jobs)['items'])}", line)
    if " -t " in line:
        return on_a_terminal(page, line, [], r"[#$] ", "exit\n")
    prepare(page, line)
    if "render" in line:  # made without its files
        prepare(page, "kubectl sky down --all -y")
