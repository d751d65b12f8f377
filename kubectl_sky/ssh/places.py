"""What `cp` copies where: NAME:path, or a path here; pure."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from typing import NamedTuple

from kubectl_sky import system
from kubectl_sky.errors import UsageError

WILDCARDS = frozenset("*?[")


class Place(NamedTuple):
    """A path on a task's node, or here (`name` is None). A relative one there begins at the home."""

    name: str | None
    path: str

    def __str__(self) -> str:
        return f"{self.name}:{self.path}" if self.name else self.path

    @property
    def into(self) -> bool:
        """Whether it can only be a folder that takes what is copied: `folder/`, `.`, `~`, `NAME:`."""
        return posixpath.basename(self.path) in ("", ".", "..", "~")

    @property
    def pattern(self) -> bool:
        """Whether it may stand for several files there; here it is the shell that sees to them."""
        return self.name is not None and not WILDCARDS.isdisjoint(self.path)

    def argument(self) -> str:
        """The path as rsync and scp cannot misread it: no option, no host, no shell's ~."""
        path = self.path
        if self.name and (path == "~" or path.startswith("~/")):
            path = path[2:]
        risky = path.startswith("-") or (not self.name and ":" in path and not os.path.splitdrive(path)[0])
        return f"./{path}" if risky and not path.startswith("/") else path or "."


def parse(word: str) -> Place:
    """As scp reads it: what is before a colon is a name, unless it has a slash (./a:b is a file), or is a drive's."""
    name, colon, path = word.partition(":")
    there = colon and name and "/" not in name and not os.path.splitdrive(word)[0]
    return Place(name, path) if there else Place(None, system.with_slashes(word))


class Copy(NamedTuple):
    """Sources that are all at one place, and where they go."""

    sources: tuple[Place, ...]
    target: Place

    @property
    def names(self) -> tuple[str | None, str | None]:
        return self.sources[0].name, self.target.name


def read(words: Sequence[str]) -> Copy:
    """SRC... DST. UsageError if that cannot be one copy."""
    if len(words) < 2:
        raise UsageError("cp takes SRC... DST", "e.g.: kubectl sky cp train:results .")
    *sources, target = map(parse, words)
    if "" in words:
        raise UsageError("a path is empty")
    names = {place.name for place in sources}
    if len(names) > 1:
        raise UsageError("all sources of one copy must be at one place", "one cp for each")
    if names == {target.name} and target.name is None:
        raise UsageError(
            "nothing here is on a cluster: one side must be NAME:path", f"did you mean {words[0]} NAME:{words[-1]}?"
        )
    return Copy(tuple(sources), target)


def inside(place: Place) -> Place:
    """What is in the folder, in place of the folder itself."""
    return place._replace(path=posixpath.join(place.argument(), "."))


def folder(place: Place) -> Place:
    """The same as a folder that takes what is copied."""
    return place._replace(path=posixpath.join(place.argument(), ""))


def itself(place: Place) -> Place:
    """Without slashes at the end, which say nothing here and much to rsync."""
    return place._replace(path=place.path.rstrip("/") or "/") if place.path else place
