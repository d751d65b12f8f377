"""Files between here and tasks: rsync over ssh, or scp where there is no rsync."""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

from kubectl_sky.errors import EXIT_INTERRUPT, Failure
from kubectl_sky.ssh import client, places
from kubectl_sky.ssh.client import Way
from kubectl_sky.ssh.places import Copy, Place

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

# Modes, times and links, but not owners: what one copies is one's own. What is half here waits in a folder of its own,
# so that a name never stands for half a file; times count to the nanosecond, or a quick change would be missed
RSYNC = ("rsync", "-rlpt", "-s", "--partial-dir=.kubectl-sky-partial", "--modify-window=-1")
PROGRESS = ("--human-readable", "--info=progress2")
NEEDED = (3, 1, 3)  # the rsync that has all of these
# The other side's words come before its end; without it they come over ssh's stderr, and ssh is killed at once
ORDERLY, ORDERLY_SINCE = "--stderr=client", (3, 2, 3)
SCP = ("scp", "-r", "-p")
CUT = (10, 12, 30, 35, 255)  # rsync's exit codes when the connection ends
TRIES, PAUSE, GOOD = 5, 2.0, 30.0  # in a row; s between them; s after which a connection does not count as a failed one

# rsync: [sender] link_stat "/root/x" failed: No such file or directory (2)
TROUBLE = re.compile(r'rsync: (?:\[(?P<role>\w+)\] )?\w+[^"]* "(?P<path>.*)"[^"]*: (?P<why>[^:"]+?) \(\d+\)')
WRITTEN_AS = re.compile(r"/(?:\.kubectl-sky-partial/)?\.([^/]+)\.\w{6}$")  # until a file is complete
# what it says besides when it has told the reason, or the connection has broken
FOLLOWS = re.compile(
    r"rsync error:|rsync: connection unexpectedly closed"
    r"|rsync: \[\w+\] (write error|safe_(read|write) failed)[^:]*: (Broken pipe|Connection reset)"
)


def copy(cluster: Cluster, wanted: Copy, node: int | None = None, quiet: bool = False) -> None:
    """Copies, over broken connections too. Raises Failure with what could not be copied and why."""
    source, target = wanted.names
    if source and target:
        _between(cluster, wanted, node, quiet)
        return
    name = source or target
    assert name
    if not has_rsync():
        print("no rsync 3.1.3 or newer here: scp copies, which follows links and begins anew", file=sys.stderr)
    tries = 0
    while tries < TRIES:
        began = time.monotonic()
        with client.way(cluster, name, node) as way:
            wanted = settle(way, wanted)
            again = cluster.connection.command("cp", shlex.join(map(str, (*wanted.sources, wanted.target))))
            code, troubles, said = run(way, wanted, quiet)
        if code == EXIT_INTERRUPT:
            raise Failure("stopped", f"this goes on from there: {again}", EXIT_INTERRUPT)
        if troubles or code not in CUT:
            # ssh-proxy's last words are not the reason where there is a better one
            rest = [line for line in said if not (troubles and line.startswith("error: "))]
            print("".join(f"{line}\n" for line in rest), end="", file=sys.stderr)
            if code == 0:
                return
            raise _failure(troubles, code)
        tries = 1 if time.monotonic() - began > GOOD else tries + 1
        print(f"{_reason(said)}; going on", file=sys.stderr)
        time.sleep(PAUSE)
    raise Failure(f"the connection to {name} broke {TRIES} times", f"this goes on from there: {again}")


def _between(cluster: Cluster, wanted: Copy, node: int | None, quiet: bool) -> None:
    """From one task to another, through a folder here."""
    with tempfile.TemporaryDirectory(prefix="kubectl-sky-cp-") as passing:
        copy(cluster, Copy(wanted.sources, Place(None, f"{passing}/")), node, quiet)
        found = tuple(Place(None, os.path.join(passing, name)) for name in sorted(os.listdir(passing)))
        copy(cluster, Copy(found, wanted.target), node, quiet)


def settle(way: Way, wanted: Copy) -> Copy:
    """The same copy in words that mean one thing to rsync, and the same when a part of it is done.

    Rsync puts a folder into the target also where there is none yet; here the target then is the copy, as with `cp -r`.
    """
    sources, target = tuple(map(places.itself, wanted.sources)), wanted.target
    if len(sources) > 1 or sources[0].pattern or target.into:
        return Copy(sources, places.folder(target))
    source = sources[0]
    if source.into or not is_folder(way, source):
        return Copy(sources, target)
    if is_folder(way, target):
        return Copy(sources, places.folder(target))
    return Copy((places.inside(source),), target)


def is_folder(way: Way, place: Place) -> bool:
    """Whether a path is a folder, or a link to one."""
    if place.name is None:
        return os.path.isdir(place.path)
    if not has_rsync():
        return False  # scp asks by itself
    argv = ["rsync", "--list-only", "-d", "-k", "-s", "-e", way.shell, "--", f"{way.host}:{place.argument()}"]
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True).stdout.startswith(b"d")


def has_rsync() -> bool:
    """Whether this machine has an rsync that is new enough; macOS' own is not."""
    if not shutil.which("rsync"):
        return False
    return _version() >= NEEDED


@functools.cache
def _version() -> tuple[int, ...]:
    """Of this machine's rsync; () when it does not say."""
    said = subprocess.run(["rsync", "--version"], capture_output=True, encoding="utf-8", errors="replace").stdout
    found = re.match(r"rsync +version v?(\d+)\.(\d+)\.(\d+)", said)
    return tuple(map(int, found.groups())) if found else ()


def run(way: Way, wanted: Copy, quiet: bool) -> tuple[int, list[str], list[str]]:
    """One attempt: the exit code, what could not be copied and why, what else was said."""
    words = [f"{way.host}:{one.argument()}" if one.name else one.argument() for one in (*wanted.sources, wanted.target)]
    if has_rsync():
        progress = PROGRESS if sys.stdout.isatty() and not quiet else ()
        orderly = (ORDERLY,) if _version() >= ORDERLY_SINCE else ()
        argv = [*RSYNC, *orderly, *progress, "-e", way.shell, "--", *words]
    else:
        argv = [*SCP, *(["-q"] if quiet else []), "-F", way.config, "--", *words]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    host = f"{way.host}:"
    try:
        return _listen(process, *(("", host) if wanted.target.name else (host, "")))
    except KeyboardInterrupt:
        process.wait()  # the terminal has told it too
        return EXIT_INTERRUPT, [], []


def _listen(process: subprocess.Popen[bytes], sender: str, receiver: str) -> tuple[int, list[str], list[str]]:
    """Waits for the end: exit code, troubles (`PATH: why`, with the host where it is one there), and other lines."""
    assert process.stderr
    troubles, said = [], []
    for raw in process.stderr:
        line = raw.decode(errors="replace").rstrip()
        found = TROUBLE.match(line)
        if found:
            host = sender if found["role"] == "sender" else receiver
            path = WRITTEN_AS.sub(r"/\1", found["path"])
            troubles.append(f"{host}{path}: {found['why']}")
        elif line.startswith("scp: "):
            troubles.append(line.removeprefix("scp: "))
        elif line and not FOLLOWS.match(line):
            said.append(line)
    return process.wait(), troubles, said


def _reason(said: list[str]) -> str:
    """Why the connection broke, as ssh-proxy put it."""
    lost = [line.removeprefix("error: ").partition("; ")[0] for line in said if line.startswith("error: ")]
    return lost[0] if lost else "the connection broke"


def _failure(troubles: list[str], code: int) -> Failure:
    """One trouble is the message; of several each has its line."""
    hint = None if has_rsync() else "with rsync 3.1.3 or newer here it works in any image, and says more"
    if not troubles:
        return Failure(f"the copy ended with exit code {code}", hint)
    return Failure(troubles[0] if len(troubles) == 1 else "\n".join(["not all was copied:", *troubles]), hint)
