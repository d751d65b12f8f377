"""Destinations inside others: of two files for one place, the one of the inner destination goes. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kubectl_sky.remote import frames

if TYPE_CHECKING:
    from kubectl_sky.files.collect import Files


def drop_covered(files: Files) -> None:
    """Takes out those that a file of an inner destination would replace.

    Both would be compared before either is written: the outer one would be sent, and stay, at each second launch.
    """
    places = [_place(mount.destination) for _, mount in files.mounts]
    inner = {i: [j for j, other in enumerate(places) if _below(other, place)] for i, place in enumerate(places)}
    if not any(inner.values()):
        return
    bounds = list(itertools.pairwise([*(start for start, _ in files.mounts), len(files.records)]))
    records: list[bytes] = []
    for i, (start, end) in enumerate(bounds):
        begin = len(records)
        covered: set[bytes] = set()
        for j in inner[i]:
            prefix = places[j].removeprefix(places[i]).lstrip(b"/")
            covered |= _covered(prefix, files.records[bounds[j][0] : bounds[j][1]])
        records += _left(files.records[start:end], covered) if covered else files.records[start:end]
        files.mounts[i] = (begin, files.mounts[i][1])
    files.records = records


def _place(destination: str) -> bytes:
    return destination.rstrip("/").encode("utf-8", "surrogateescape")


def _below(place: bytes, outer: bytes) -> bool:
    return place.startswith(outer + b"/")


def _covered(prefix: bytes, records: Sequence[bytes]) -> set[bytes]:
    """Paths in the outer destination at which it must put no file: an inner one has a file there, or below."""
    names = prefix.split(b"/")
    found = {b"/".join(names[:count]) for count in range(1, len(names) + 1)}
    for record in records:
        if record[:1] in (frames.FILE, frames.LINK) and (path := path_of(record)):
            found.add(prefix + b"/" + path)
    return found


def _left(records: Sequence[bytes], covered: set[bytes]) -> list[bytes]:
    kept = (frames.FOLDER, *frames.ROOTS)
    return [record for record in records if record[:1] in kept or path_of(record) not in covered]


def path_of(record: bytes) -> bytes:
    return record[: record.index(b"\0")].split(b" ", 3)[3]
