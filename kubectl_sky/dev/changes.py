"""What is to be sent when files have changed: the new ones, and the records of those that are gone. Pure."""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kubectl_sky.files.collect import Files, Mount
from kubectl_sky.files.nested import path_of
from kubectl_sky.remote import frames

# what editors and git leave beside the files that they work on: nobody runs his program again for it
ASIDE = ("*.swp", "*.swx", "*.swo", "*~", ".#*", "#*#", "4913", ".DS_Store", "*.tmp", "*.pyc")
GIT = b".git"


@dataclass(frozen=True)
class Change:
    """`files` are to be sent; `names` (below their destinations) are what changed, for people."""

    files: Files
    names: tuple[str, ...]
    matters: bool  # to a program that runs


def between(old: Files, new: Files, is_gone: Callable[[Mount, bytes], bool], everything: bool = False) -> Change | None:
    """None where nothing changed, unless `everything` is to be sent.

    What is left out now but still here (ignored) is not gone: `is_gone` looks.
    """
    files = Files(warnings=new.warnings)
    changed: list[tuple[bytes, str]] = []
    for (mount, before), (_, after) in zip(_by_mount(old), _by_mount(new), strict=True):
        fresh = _by_path(set(after) - set(before))
        lost = _by_path(set(before) - set(after))
        gone = {path: one for path, one in lost.items() if path not in fresh and is_gone(mount, path)}
        # a folder's time is not worth a word, nor a sync: it goes along with what is in the folder
        told = {path for path, one in fresh.items() if one[:1] != frames.FOLDER or path not in lost}
        if not (told or gone or everything):
            continue
        changed += [(path, frames.show(path or mount.destination.encode())) for path in sorted(told)]
        changed += [(path, f"{frames.show(path)} (deleted)") for path in sorted(gone)]
        holding = {folder for path in (*fresh, *gone) for folder in _above(path)}
        files.mounts.append((len(files.records), mount))
        files.records.append(after[0])
        files.records += [frames.gone(gone[path]) for path in sorted(gone, reverse=True)]
        files.records += [
            one for one in after[1:] if everything or (path := path_of(one)) in fresh or _is_folder(one, path, holding)
        ]
    if not files.mounts:
        return None
    return Change(files, tuple(name for _, name in changed), any(matters(path) for path, _ in changed))


def matters(path: bytes) -> bool:
    """Whether a change of this file is one to a program."""
    folders, _, name = path.rpartition(b"/")
    if GIT in (*folders.split(b"/"), name):
        return False
    return not any(fnmatch.fnmatchcase(name, pattern.encode()) for pattern in ASIDE)


def folders(files: Files) -> Iterator[bytes]:
    """All folders here that hold something of `files`, absolute."""
    for mount, records in _by_mount(files):
        source = bytes(mount.source.absolute())
        if records[0][:1] == frames.SINGLE:
            yield source.rpartition(b"/")[0] or b"/"
            continue
        yield source
        for record in records:
            if record[:1] == frames.FOLDER:
                yield source + b"/" + path_of(record)


def _by_mount(files: Files) -> Iterator[tuple[Mount, list[bytes]]]:
    bounds = itertools.pairwise([*(start for start, _ in files.mounts), len(files.records)])
    for (_, mount), (start, end) in zip(files.mounts, bounds, strict=True):
        yield mount, files.records[start:end]


def _by_path(records: set[bytes]) -> dict[bytes, bytes]:
    """Without those of destinations."""
    return {path_of(record): record for record in records if record[:1] not in frames.ROOTS}


def _above(path: bytes) -> Iterator[bytes]:
    while path := path.rpartition(b"/")[0]:
        yield path


def _is_folder(record: bytes, path: bytes, holding: set[bytes]) -> bool:
    return record[:1] == frames.FOLDER and path in holding
