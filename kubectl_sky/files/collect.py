"""The files of a sync: what there is, as records. Nothing is read but names and states."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kubectl_sky.errors import Failure
from kubectl_sky.files.ignore import Rules, rules_for
from kubectl_sky.files.nested import drop_covered
from kubectl_sky.remote import frames
from kubectl_sky.remote.frames import Record
from kubectl_sky.system import GIVEN_MODE, KEPT_MODE, link_target

SHOWN = 20  # of the files that a message names


@dataclass(frozen=True)
class Mount:
    """A local file or folder, and where it belongs in the pod (`~/x`, `/x`, or relative to the workdir there)."""

    source: Path
    destination: str
    ignore: bool = False  # a workdir: .skyignore's or git's rules decide what goes


@dataclass
class Files:
    """The files of some mounts, as encoded records: a destination, what is below it, the next destination...

    A folder's record comes after all that it holds.
    """

    records: list[bytes] = field(default_factory=list)
    mounts: list[tuple[int, Mount]] = field(default_factory=list)  # each with the index of its destination's record
    warnings: list[str] = field(default_factory=list)


class NotReadable(Failure):
    """Local files that cannot be sent."""


def collect(mounts: Sequence[Mount]) -> Files:
    """All files below the mounts. Raises NotReadable with all that are missing or may not be read."""
    files = Files()
    problems: list[str] = []
    for mount in mounts:
        _Walk(mount, files, problems).run()
    if problems:
        shown = "\n".join("  " + problem for problem in problems[:SHOWN])
        more = f"\n  and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        hint = "make them readable, or name what is not needed in a .skyignore file at the top of the workdir"
        raise NotReadable(f"cannot read {len(problems)} of the files to sync:\n{shown}{more}", hint)
    drop_covered(files)
    return files


class _Walk:
    def __init__(self, mount: Mount, files: Files, problems: list[str]):
        self.mount, self.files, self.problems = mount, files, problems
        self.source = os.fsencode(mount.source)
        self.uid = os.getuid() if hasattr(os, "getuid") else 0

    def run(self) -> None:
        try:
            found = os.stat(self.source)
        except OSError as e:
            self.problem(self.source, e)
            return
        folder = stat.S_ISDIR(found.st_mode)
        if not folder and not stat.S_ISREG(found.st_mode):
            self.problems.append(f"{frames.show(self.source)}: neither a file nor a folder")
            return
        destination = self.mount.destination
        if not folder and destination.endswith("/"):
            destination += os.path.basename(os.fspath(self.mount.source))
        name = os.path.basename(os.path.abspath(self.source))
        kind = frames.TREE if folder else frames.SINGLE
        root = Record(kind, found.st_mode & KEPT_MODE | GIVEN_MODE, 0, 0, os.fsencode(destination), name)
        self.files.mounts.append((len(self.files.records), self.mount))
        self.files.records.append(root.encode())
        if folder:
            self.files.records.extend(self.walk())
        else:
            self.files.records.append(encode(frames.FILE, found, b""))
            self.check(self.source, found)

    def walk(self) -> Iterator[bytes]:
        rules: Rules | None = rules_for(self.source) if self.mount.ignore else None
        stack: list[tuple[bytes, bytes]] = [(b"", b"")]  # a folder to visit, or (once visited) its own record
        while stack:
            folder, own = stack.pop()
            if own:
                yield own
                continue
            try:
                with os.scandir(os.path.join(self.source, folder)) as found:
                    entries = list(found)
                if rules:
                    rules.enter(folder, [entry.name for entry in entries])
            except OSError as e:
                self.problem(os.path.join(self.source, folder), e)
                continue
            prefix = folder + b"/" if folder else b""
            for entry in entries:
                path = prefix + entry.name
                if rules and rules.ignores(path, entry.is_dir(follow_symlinks=False)):
                    continue
                try:
                    yield from self.one(entry, path, stack)
                except FileNotFoundError:
                    pass  # gone since the folder was read
                except OSError as e:
                    self.problem(entry.path, e)

    def one(self, entry: os.DirEntry[bytes], path: bytes, stack: list[tuple[bytes, bytes]]) -> Iterator[bytes]:
        found = entry.stat(follow_symlinks=False)
        kind = stat.S_IFMT(found.st_mode)
        if kind == stat.S_IFREG:
            self.check(entry.path, found)
            yield encode(frames.FILE, found, path)
        elif kind == stat.S_IFDIR:
            stack.append((path, encode(frames.FOLDER, found, path)))
            stack.append((path, b""))
        elif kind == stat.S_IFLNK:
            yield encode(frames.LINK, found, path, link_target(entry.path))
        else:
            self.files.warnings.append(f"{frames.show(entry.path)} was left out: a socket, pipe or device")

    def check(self, path: bytes, found: os.stat_result) -> None:
        if found.st_mode & stat.S_IROTH or self.uid == 0 or (found.st_uid == self.uid and found.st_mode & stat.S_IRUSR):
            return
        if not os.access(path, os.R_OK):
            self.problems.append(f"{frames.show(path)}: Permission denied")

    def problem(self, path: bytes, error: OSError) -> None:
        self.problems.append(f"{frames.show(path)}: {error.strerror}")


def encode(kind: bytes, found: os.stat_result, path: bytes, target: bytes = b"") -> bytes:
    """As Record.encode, without making a Record: this runs once a file."""
    size = found.st_size if kind == frames.FILE else 0
    return b"%b%o %d %d %b\0%b\0" % (
        kind,
        found.st_mode & KEPT_MODE | GIVEN_MODE,
        size,
        found.st_mtime_ns,
        path,
        target,
    )
