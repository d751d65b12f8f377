"""Hands the files that were sent to one node on to another, whose pod is new: a tar archive on stdin or stdout.

`give` writes it: the files as they are now on this node, at last the lists of them (sent.py). `take` reads it, and
prints one line of JSON: {} or {"error"}. What came to the new pod meanwhile by itself is newer, and stays.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tarfile
from collections.abc import Iterator
from typing import Any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kubectl_sky.remote import frames, sent, wire
    from kubectl_sky.remote.tree import Journal
else:
    import frames
    import sent
    import wire
    from tree import Journal

MTIME = "SKY.mtime"  # in ns; tar's own is a float, and the next sync compares
END = ".kubectl-sky-end"  # the last member: without it the archive was cut


def give() -> None:
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.PAX_FORMAT, bufsize=frames.LIMIT) as tar:
        for path in [*sent.paths(), *sent.lists()]:
            try:
                member = tar.gettarinfo(path)
                if member is None:  # a socket
                    continue
                member.pax_headers = {MTIME: str(os.lstat(path).st_mtime_ns)}
                if member.isreg():
                    with open(path, "rb") as f:
                        tar.addfile(member, f)
                else:
                    tar.addfile(member)
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                continue  # the task took it away, or closed it
        tar.addfile(tarfile.TarInfo(END))
    sys.stdout.buffer.flush()


class Taken(tarfile.TarFile):
    """Each file is there as a whole or not at all; a killed process' litter is removed by the next sync."""

    journal: Journal

    def makefile(self, tarinfo: tarfile.TarInfo, targetpath: Any) -> None:
        folder = os.path.dirname(targetpath)
        self.journal.note(os.fsencode(folder))
        temporary = os.path.join(folder, os.fsdecode(self.journal.temp))
        try:
            super().makefile(tarinfo, temporary)  # type: ignore[misc]
            os.chmod(temporary, tarinfo.mode)
            _touch(tarinfo, temporary)
            os.replace(temporary, targetpath)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise


def take() -> None:
    """Raises OSError and tarfile.TarError."""
    came: list[tarfile.TarInfo] = []
    journal = Journal(wire.RUN)
    try:
        with Taken.open(fileobj=sys.stdin.buffer, mode="r|", bufsize=frames.LIMIT) as tar:
            tar.journal = journal
            tar.extraction_filter = lambda member, _: member  # the sender is this very task
            tar.extractall("/", members=_wanted(tar, came), numeric_owner=True)
    finally:
        journal.close()
    if not came or came.pop().name != END:
        raise tarfile.ReadError("the archive ends too early")
    for member in came:  # folders, whose times their files have changed
        _touch(member, "/" + member.name)


def _touch(member: tarfile.TarInfo, path: str) -> None:
    time = int(member.pax_headers[MTIME])
    os.utime(path, ns=(time, time), follow_symlinks=False)


def _wanted(tar: tarfile.TarFile, came: list[tarfile.TarInfo]) -> Iterator[tarfile.TarInfo]:
    """Notes in `came` what it yields, and the end."""
    began = os.stat(wire.SUPERVISOR).st_ctime  # of this pod
    for member in tar:
        if member.name == END:
            came.append(member)
        elif member.isdir() or not _newer("/" + member.name, began):
            came.append(member)
            yield member


def _newer(path: str, began: float) -> bool:
    """Whether it is no part of the image: something in this pod has made it."""
    try:
        return os.lstat(path).st_ctime > began
    except OSError:
        return False


def main() -> int:
    os.umask(0o022)  # of folders that are not in the archive; all else has its mode from there
    try:
        if sys.argv[1] == "give":
            give()
        else:
            print(json.dumps(answer()), flush=True)
    except OSError:  # a file became shorter while it was read, or the other side went away: which sees it
        return 1
    return 0


def answer() -> dict[str, str]:
    try:
        take()
    except (OSError, tarfile.TarError) as e:
        while sys.stdin.buffer.read(frames.LIMIT):  # else the answer is lost with what nobody read
            pass
        return {"error": str(e)}
    return {}


if __name__ == "__main__":
    code = main()
    os._exit(code)  # nothing is left to say, to whoever went away
