"""A workdir from git: fetched on the user's machine into a clone that is kept, which then goes the way of any folder.

The pods need no git, no way to the repository and no token. The clone has one commit of history, and git touches only
the files that differ, so that the next launch sends only those. It lives in ~/.cache/kubectl-sky/git and belongs to one
process at a time: another launch of the same repository at the same moment takes the next one.
"""

from __future__ import annotations

import difflib
import hashlib
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kubectl_sky import system
from kubectl_sky.errors import Failure, TaskErrors, UsageError
from kubectl_sky.files import gitaccess
from kubectl_sky.taskfile.mounts import GitSource

if TYPE_CHECKING:
    from kubectl_sky.output import Progress
    from kubectl_sky.task import Task

COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
ALLOW_PATHS = "protocol.file.allow=always"
MAYBE_COMMIT = re.compile(r"[0-9a-f]{7,64}")


class Fetched:
    """A task whose workdir is local; what was fetched for it may change again after `release`."""

    def __init__(self, task: Task, clone: Clone | None):
        self.task, self._clone = task, clone

    def __enter__(self) -> Fetched:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()

    def release(self) -> None:
        if self._clone:
            self._clone.close()
            self._clone = None


def fetched(task: Task, progress: Progress) -> Fetched:
    """The task with a folder in the place of a git repository. Raises Failure: no git, repository, ref or right."""
    source = task.workdir
    if not isinstance(source, GitSource):
        return Fetched(task, None)
    found = gitaccess.access(_absolute(source.url), os.environ)
    key = os.environ.get(gitaccess.KEY)
    if key and gitaccess.is_ssh(found.url):
        _check_key(key)
    progress.update(f"Fetching {found.url}")
    clone = Clone(found)
    try:
        clone.update(source.ref)
    except Refused as e:
        clone.close()
        field, message, hint = e.refusal
        problem = task.problem(f"workdir.{field}" if field else "workdir", message, hint)
        raise (TaskErrors([problem]) if field else Failure(f"workdir: {message}", hint)) from None
    except BaseException:
        clone.close()
        raise
    if lacks := clone.lacks:
        print(f"warning: the submodules of {found.url} are not all there: {lacks}", file=sys.stderr)
    return Fetched(replace(task, workdir=clone.folder), clone)


def _absolute(url: str) -> str:
    """A repository's path on this machine is relative to where the user is."""
    path = os.path.expanduser(url)
    return url if "://" in url or not os.path.exists(path) else os.path.abspath(path)


def _check_key(path: str) -> None:
    try:
        with open(path, "rb"):
            pass
    except OSError as e:
        hint = "it is the path of a private key file"
        raise UsageError(f"cannot read the key {path} that {gitaccess.KEY} names: {e.strerror}", hint) from None


class Refused(Exception):
    """git said no."""

    def __init__(self, refusal: gitaccess.Refusal):
        super().__init__(refusal.message)
        self.refusal = refusal


class Clone:
    """A clone that only this process uses until `close`, or its death."""

    def __init__(self, found: gitaccess.Access):
        self.found = found
        self.lacks = ""  # why not all submodules are there
        self._temporary = ""
        root = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "kubectl-sky", "git")
        name = hashlib.sha256(found.url.encode()).hexdigest()[:16]
        try:
            root.mkdir(0o700, parents=True, exist_ok=True)
            self.folder, self._lock = _take(root, name)
        except OSError:  # a home that cannot be written
            self._temporary = tempfile.mkdtemp(prefix="kubectl-sky-")
            self.folder, self._lock = _take(Path(self._temporary), name)

    def close(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def update(self, ref: str | None) -> None:
        """Makes the folder as the ref is now. Raises Refused, or Failure without git."""
        folder = self.folder / ".git"
        if not folder.exists() or self.git("rev-parse", "--git-dir").returncode:
            shutil.rmtree(self.folder, ignore_errors=True)  # what a killed one left
            self.must("init", "--quiet", "--template=", str(self.folder), inside=False)
        for left in folder.glob("*.lock"):  # by one that was killed: nobody else is here
            left.unlink(missing_ok=True)
        self.must("config", "remote.origin.url", self.found.url)
        commit = self.fetch(ref)
        head = self.git("rev-parse", "--verify", "--quiet", "HEAD").stdout.strip()
        if head != commit or self.must("status", "--porcelain", "--ignored"):
            self.must("checkout", "--quiet", "--force", "--detach", commit)
            self.must("clean", "-ffdxq")
        if (self.folder / ".gitmodules").exists():
            self.update_submodules()

    def update_submodules(self) -> None:
        """Those of submodules too. One that cannot be had is no reason not to run: not every task needs all."""
        # git itself allows no submodule that is a path; one of a repository that is a path may be
        paths = () if gitaccess.is_http(self.found.url) or gitaccess.is_ssh(self.found.url) else ("-c", ALLOW_PATHS)
        self.submodule("sync", "--quiet", "--recursive")
        update = ("update", "--quiet", "--init", "--recursive", "--force")
        # a server may not hand out a commit that is no branch's newest: then the whole history is fetched
        done = self.submodule(*update, "--depth=1", options=paths)
        if done.returncode:
            self.submodule("foreach", "--quiet", "--recursive", "git fetch --quiet --unshallow || :", options=paths)
            done = self.submodule(*update, options=paths)
        if done.returncode:
            self.lacks = gitaccess.refusal(self.found, None, done.stderr).message
        self.submodule("foreach", "--quiet", "--recursive", "git clean -ffdxq")

    def fetch(self, ref: str | None) -> str:
        """The commit of the ref, which is there then."""
        if ref and COMMIT.fullmatch(ref) and (known := self.commit(ref)):
            return known
        fetch = ("fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--force")
        done = self.git(*fetch, "--depth=1", "--end-of-options", self.found.url, ref or "HEAD")
        if done.returncode and "shallow" in done.stderr:  # a plain web server
            done = self.git(*fetch, "--end-of-options", self.found.url, ref or "HEAD")
        if not done.returncode and (commit := self.commit("FETCH_HEAD")):
            return commit
        if done.returncode and not gitaccess.lacks_ref(done.stderr):
            raise Refused(gitaccess.refusal(self.found, ref, done.stderr))
        return self.fetch_all(ref)

    def fetch_all(self, ref: str | None) -> str:
        """A short commit, or one that the server does not hand out by itself: only the whole history tells."""
        if ref and MAYBE_COMMIT.fullmatch(ref):
            deeper = ["--unshallow"] if (self.folder / ".git" / "shallow").exists() else []
            specs = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
            self.must("fetch", "--quiet", "--no-recurse-submodules", *deeper, self.found.url, *specs)
            if commit := self.commit(ref):
                return commit
        listed = self.must("ls-remote", "--heads", "--tags", "--refs", "--end-of-options", self.found.url)
        names = [line.split("/", 2)[2] for line in listed.splitlines() if line.count("/") >= 2]
        near = difflib.get_close_matches(ref or "", names, 2) or (names if len(names) <= 3 else [])
        raise Refused(gitaccess.no_ref(self.found.url, ref, near))

    def commit(self, name: str) -> str:
        """The whole name of a commit that is there, or nothing."""
        words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        return self.git(*words).stdout.strip()

    def submodule(self, *words: str, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        return self.git("-C", str(self.folder), *options, "submodule", *words, inside=False)

    def must(self, *words: str, inside: bool = True) -> str:
        done = self.git(*words, inside=inside)
        if done.returncode:
            raise Refused(gitaccess.refusal(self.found, None, done.stderr))
        return done.stdout

    def git(self, *words: str, inside: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs git; it holds our lock too, so that one that outlives us is not disturbed."""
        place = ["--git-dir", str(self.folder / ".git"), "--work-tree", str(self.folder)] if inside else []
        command = ["git", *self.found.options, *place, *words]
        try:
            return subprocess.run(
                command, env=dict(self.found.env), stdin=subprocess.DEVNULL, capture_output=True,
                encoding="utf-8", errors="replace", check=False, **system.held_by_children(self._lock),
            )  # fmt: skip
        except FileNotFoundError:
            hint = "install git, or clone it by hand and name the folder: workdir: FOLDER"
            raise UsageError("the workdir is a git repository, and there is no git on this machine", hint) from None


def _take(root: Path, name: str) -> tuple[Path, int]:
    """The first clone that nobody uses, and the descriptor that holds it."""
    for number in itertools.count():
        lock = system.open_lock(root / f"{name}-{number}.lock")
        if system.try_lock(lock):
            return root / f"{name}-{number}", lock
        os.close(lock)
    raise AssertionError
