"""Which files of a workdir stay at home: .skyignore (git's syntax, in any folder), else git's own rules."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from typing import Protocol

SKYIGNORE, GITIGNORE = b".skyignore", b".gitignore"


class Rules(Protocol):
    """Asked while the folders are walked, parents first. Paths are relative to the workdir."""

    def enter(self, folder: bytes, names: Sequence[bytes]) -> None: ...

    def ignores(self, path: bytes, is_folder: bool) -> bool: ...


def rules_for(workdir: bytes) -> Rules:
    """What SkyPilot does: .skyignore at the top replaces git's rules."""
    if os.path.exists(os.path.join(workdir, SKYIGNORE)):
        return FileRules(workdir, SKYIGNORE)
    ignored = git_ignored(workdir)
    return FileRules(workdir, GITIGNORE) if ignored is None else GitRules(workdir, ignored)


class GitRules:
    """What git itself says: exclude files everywhere, the user's global one, files tracked in spite of a rule."""

    def __init__(self, workdir: bytes, ignored: set[bytes]):
        self.workdir, self.ignored = workdir, ignored

    def enter(self, folder: bytes, names: Sequence[bytes]) -> None:
        if folder and b".git" in names:  # a submodule, or another repository: git does not look into those
            inner = git_ignored(os.path.join(self.workdir, folder)) or set()
            self.ignored.update(folder + b"/" + path for path in inner)

    def ignores(self, path: bytes, is_folder: bool) -> bool:
        return path in self.ignored


def git_ignored(workdir: bytes) -> set[bytes] | None:
    """Ignored files and whole folders, or None where git has no say (no repository, no git, the workdir is ignored)."""
    if not in_repository(workdir):
        return None
    command = ["git", "ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z"]
    env = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(command, cwd=workdir, env=env, capture_output=True, check=False)
    except OSError:
        return None
    paths = done.stdout.split(b"\0")
    if done.returncode or b"./" in paths:
        return None
    return {path.rstrip(b"/") for path in paths if path}


def in_repository(folder: bytes) -> bool:
    folder = os.path.realpath(folder)
    while True:
        if os.path.exists(os.path.join(folder, b".git")):
            return True
        parent = os.path.dirname(folder)
        if parent == folder:
            return False
        folder = parent


class FileRules:
    """Ignore files of one name in any folder; deeper ones win, and the last match in a file."""

    def __init__(self, workdir: bytes, name: bytes):
        self.workdir, self.name = workdir, name
        # folder -> the files that speak of what it holds, deepest first: (length of the file's own folder, patterns)
        self._chains: dict[bytes, list[tuple[int, Patterns]]] = {}

    def enter(self, folder: bytes, names: Sequence[bytes]) -> None:
        chain = self._chains.get(folder.rpartition(b"/")[0], []) if folder else []
        if self.name in names:
            try:
                with open(os.path.join(self.workdir, folder, self.name), "rb") as file:
                    chain = [(len(folder) + bool(folder), Patterns(file.read())), *chain]
            except IsADirectoryError:
                pass
        self._chains[folder] = chain

    def ignores(self, path: bytes, is_folder: bool) -> bool:
        for prefix, patterns in self._chains[path.rpartition(b"/")[0]]:
            verdict = patterns.verdict(path[prefix:], is_folder)
            if verdict is not None:
                return verdict
        return False


class Patterns:
    """One ignore file."""

    def __init__(self, text: bytes):
        found = [pattern for line in text.removeprefix(b"\xef\xbb\xbf").split(b"\n") if (pattern := translate(line))]
        self._patterns = [(re.compile(source, re.DOTALL), ignore, only) for source, ignore, only in reversed(found)]
        self._any = re.compile(b"|".join(b"(?:%b)" % source for source, _, _ in found) or b"(?!)", re.DOTALL)

    def verdict(self, path: bytes, is_folder: bool) -> bool | None:
        """True: ignored, False: kept by a `!`, None: no pattern speaks of it."""
        if not self._any.fullmatch(path):
            return None
        for pattern, ignore, folders_only in self._patterns:
            if (is_folder or not folders_only) and pattern.fullmatch(path):
                return ignore
        return None


def translate(line: bytes) -> tuple[bytes, bool, bool] | None:
    """(regular expression for a whole path, ignore or keep, folders only) of a line; None if it says nothing."""
    line = line.removesuffix(b"\r")
    line = re.sub(rb"^((?:[^\\ ]|\\.| +(?! *$))*) *$", rb"\1", line, flags=re.DOTALL)
    if not line or line.startswith(b"#"):
        return None
    ignore = not line.startswith(b"!")
    line = line if ignore else line[1:]
    folders_only = line.endswith(b"/")
    line = line[:-1] if folders_only else line
    anchored = b"/" in line
    line = line.removeprefix(b"/")
    if not line:
        return None
    try:
        source = b"".join(_tokens(line, anchored))
    except ValueError:  # an open bracket, a last backslash: git never matches these
        return None
    return source if anchored else b"(?:.*/)?" + source, ignore, folders_only


def _tokens(glob: bytes, anchored: bool) -> Iterator[bytes]:
    at = 0
    while at < len(glob):
        rest, start = glob[at:], at == 0 or glob[at - 1 : at] == b"/"
        stars = re.match(rb"\*{2,}(/|\Z)", rest) if anchored and start else None
        if stars:
            yield b"(?:.*/)?" if stars[1] else b".+"
            at += stars.end()
        elif rest.startswith(b"*"):
            yield b"[^/]*"
            at += len(rest) - len(rest.lstrip(b"*"))
        elif rest.startswith(b"?"):
            yield b"[^/]"
            at += 1
        elif rest.startswith(b"["):
            source, length = _bracket(rest)
            yield source
            at += length
        else:
            if rest.startswith(b"\\"):
                at += 1
                if at == len(glob):
                    raise ValueError
            yield re.escape(glob[at : at + 1])
            at += 1


CLASSES = {
    b"alnum": b"0-9A-Za-z", b"alpha": b"A-Za-z", b"blank": rb" \t", b"cntrl": rb"\x00-\x1f\x7f", b"digit": b"0-9",
    b"graph": rb"!-~", b"lower": b"a-z", b"print": b" -~", b"punct": rb"!-/:-@\[-`{-~", b"space": rb"\s",
    b"upper": b"A-Z", b"xdigit": b"0-9A-Fa-f",
}  # fmt: skip


def _bracket(glob: bytes) -> tuple[bytes, int]:
    """The expression for the bracket that `glob` begins with, and its length. ValueError if it does not end."""
    found = re.match(rb"\[([!^]?)(\]?(?:\[:[a-z]*:\]|\\.|[^\]\\])*)\]", glob, re.DOTALL)
    if not found:
        raise ValueError
    parts = re.findall(rb"\[:([a-z]*):\]|(\\.|[^\\])(?:-(\\.|[^\\\]]))?", found[2], re.DOTALL)
    inner = b""
    for name, first, last in parts:
        if name:
            inner += CLASSES[name] if name in CLASSES else _fail()
        elif last:
            low, high = first[-1:], last[-1:]
            inner += re.escape(low) + b"-" + re.escape(high) if low <= high else b""
        else:
            inner += re.escape(first[-1:])
    if found[1]:
        return b"[^/%b]" % inner, found.end()
    return (b"(?!/)[%b]" % inner if inner else b"(?!)"), found.end()


def _fail() -> bytes:
    raise ValueError
