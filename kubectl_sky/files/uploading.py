"""The files of a task on their way to its nodes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from kubectl_sky import presence, sync, system
from kubectl_sky.files import collect
from kubectl_sky.files.stream import Stream

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster
    from kubectl_sky.output import Progress
    from kubectl_sky.task import Task

WORKDIR = "~/sky_workdir"
DISTRIBUTE = ["/sky/tools/bin/python3", "-SE", "/sky/code/distribute.py"]
STALL_SECONDS = 20.0  # both ends beat twice a second: such a silence is a dead connection
PATIENCE = 60.0  # s without progress, over broken connections
QUIET_SECONDS = 1.0  # an upload that is over before is not worth a word


def mounts(task: Task) -> list[collect.Mount]:
    """What is local and goes along: the workdir and the file_mounts; a destination before those inside of it."""
    found = [collect.Mount(task.workdir, WORKDIR, ignore=True)] if isinstance(task.workdir, Path) else []
    found += [
        collect.Mount(mount.src, mount.dst)
        for mount in task.file_mounts
        if isinstance(mount.src, Path) and mount.is_local
    ]
    return sorted(found, key=lambda mount: mount.destination.count("/"))


def send(cluster: Cluster, files: collect.Files, head: str, nodes: int, progress: Progress) -> None:
    """Brings the files to all nodes, through node 0. Raises SyncFailure."""
    stream(lambda: to_nodes(cluster, head, nodes), files, progress, whole=True)


def to_nodes(cluster: Cluster, head: str, nodes: int, at_work: bool = False) -> Stream:
    """A connection to the receivers of all nodes; `at_work`: while it is open the pods are not idle."""
    program = [*DISTRIBUTE, str(nodes)]
    there = presence.counted(program) if at_work else program
    return to_receiver(cluster.kubectl("exec", "-i", head, "-c", "ssh", "--", *there))


def to_receiver(command: list[str]) -> Stream:
    """A connection to the receiver that `command` runs."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, **system.APART)
    return Stream(process, STALL_SECONDS)


def stream(
    connect: Callable[[], Stream],
    files: collect.Files,
    progress: Progress,
    patience: float = PATIENCE,
    whole: bool = False,
) -> None:
    """Brings the files to where `connect` leads. Raises SyncFailure: `patience` s without progress, or in vain.

    `whole` as of sync.send.
    """
    began = time.monotonic()

    def on_progress(done: int, total: int) -> None:
        if time.monotonic() - began > QUIET_SECONDS:
            progress.update(f"Sending files: {_bar(done, total)} {_megabytes(done)} of {_megabytes(total)} MB")

    told = on_progress if progress.live else None
    result = sync.send(connect, files, told, patience, whole)
    took = time.monotonic() - began
    if took > QUIET_SECONDS:
        sent = f"Sent {result.files_sent} of {result.files_total} files"
        progress.line(f"{sent}, {_megabytes(result.bytes_sent)} MB, in {took:.1f} s")
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)


def _bar(done: int, total: int, width: int = 20) -> str:
    full = width * done // max(total, 1)
    return "━" * full + "─" * (width - full)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f}"
