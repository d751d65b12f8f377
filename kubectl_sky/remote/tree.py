"""Files at their place: one destination, below which no symbolic link is ever followed.

A file is written beside its place and then renamed: a kill at any instant leaves the old one or the new one. A small
one where there is none yet is written in its place at once, for less than half the cost: a kill between two system
calls may leave it without its content, and without its time, by which the next sync knows.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from kubectl_sky.remote import frames
    from kubectl_sky.remote.frames import Record

    T = TypeVar("T")
else:
    import frames

WORKDIR = b"sky_workdir"
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
BITS = 0o777  # setuid and its like stay behind; setgid is inherited from the folder


class Refused(Exception):
    """What the user must know; `code` is an errno, or 0."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


def refused(path: bytes, error: OSError) -> Refused:
    text = "cannot write %s: %s (as uid %d)" % (frames.show(path), error.strerror, os.getuid())
    return Refused(text, error.errno or 0)


class Journal:
    """Remembers the one unfinished file of this process, so that the next one can remove it after a kill."""

    def __init__(self, folder: str) -> None:
        self.temp = b".sky-%d-%s" % (os.getpid(), os.urandom(4).hex().encode())
        self._file = os.path.join(os.fsencode(folder), b"sync", self.temp)
        self._fd = -1
        try:
            os.makedirs(os.path.dirname(self._file), 0o700, exist_ok=True)
            self._sweep()
            self._fd = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        except OSError:
            pass  # then litter may stay after a kill, which is no reason not to sync

    def note(self, folder: bytes) -> None:
        """From now on the unfinished file is in `folder` (absolute)."""
        if self._fd >= 0:
            os.pwrite(self._fd, os.path.join(folder, self.temp) + b"\0", 0)

    def close(self) -> None:
        if self._fd >= 0:
            os.unlink(self._file)
            os.close(self._fd)

    def _sweep(self) -> None:
        with os.scandir(os.path.dirname(self._file)) as entries:
            for entry in list(entries):
                fd = os.open(entry.path, os.O_RDWR)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    litter = os.read(fd, 1 << 16).split(b"\0")[0]
                    if litter and os.path.lexists(litter):
                        os.unlink(litter)
                    os.unlink(entry.path)
                except OSError:
                    pass  # its process lives
                finally:
                    os.close(fd)


def locate(destination: bytes, home: bytes) -> bytes:
    """The absolute path of a destination as users write it: `~` is the home, relative ones are below the workdir."""
    if destination == b"~" or destination.startswith(b"~/"):
        return os.path.normpath(os.path.join(home, destination[2:]))
    return os.path.normpath(os.path.join(home, WORKDIR, destination))


class Tree:
    """One destination. Paths are relative to it and checked; raises Refused."""

    def __init__(self, root: Record, home: bytes, journal: Journal) -> None:
        place = locate(root.path, home)
        self.single = b""
        if root.kind == frames.SINGLE:
            if os.path.isdir(place):
                self.single = os.path.basename(root.target)
            else:
                place, self.single = os.path.split(place)
        self.root, self.journal, self.warnings = place, journal, []  # type: bytes, Journal, list[str]
        try:
            self._make_root(root.mode | 0o700 if root.kind == frames.TREE else 0o755)
            self._root_fd = os.open(place, os.O_PATH | os.O_DIRECTORY)
        except OSError as e:
            raise refused(place, e) from e
        self._here, self._fd = None, -1  # type: bytes | None, int
        self._missing = None  # type: bytes | None
        self._noted = None  # type: bytes | None

    def close(self) -> None:
        os.close(self._root_fd)
        if self._fd >= 0:
            os.close(self._fd)

    def has(self, record: Record) -> bool:
        """Whether the file is there as the record says (by type, size, mtime, mode, target)."""
        folder, name = self._split(record)
        if folder == self._missing or not self._enter(folder, False):
            self._missing = folder
            return False
        try:
            found = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
            if found.st_mtime_ns != record.mtime:
                return False
            if record.kind == frames.LINK:
                return stat.S_ISLNK(found.st_mode) and os.readlink(name, dir_fd=self._fd) == record.target
        except OSError:
            return False
        if (found.st_mode & BITS) != record.mode:
            return False
        if record.kind == frames.FOLDER:
            return stat.S_ISDIR(found.st_mode)
        return stat.S_ISREG(found.st_mode) and found.st_size == record.size

    def may_remove(self, record: Record) -> bool:
        """Whether what the client no longer has is still as it was there; what the task made of it stays."""
        folder, name = self._split(record)
        if not self._enter(folder, False):
            return False
        try:
            found = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
        except OSError:
            return False
        if frames.was(record).kind == frames.FOLDER:
            return stat.S_ISDIR(found.st_mode)
        if self.has(frames.was(record)):
            return True
        text = "%s was changed in the pod, and stays there" % frames.show(self._full(record))
        if text not in self.warnings:
            self.warnings.append(text)
        return False

    def remove(self, record: Record) -> None:
        """Takes it away; a folder only if nothing is in it."""
        if not self.may_remove(record):
            return
        name = self._split(record)[1]
        take = os.rmdir if frames.was(record).kind == frames.FOLDER else os.unlink
        try:
            self._take(take, name)
        except OSError as e:
            if e.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise refused(self._full(record), e) from e

    def _take(self, take: Callable[..., None], name: bytes) -> None:
        try:
            take(name, dir_fd=self._fd)
        except PermissionError:
            loosen(self._fd)
            take(name, dir_fd=self._fd)

    def put_folder(self, record: Record) -> None:
        folder, name = self._split(record)
        try:
            self._enter(folder, True)
            os.close(self._step(self._fd, name, True))
            now = os.stat(name, dir_fd=self._fd, follow_symlinks=False).st_mode
            self._set_mode(lambda mode: os.chmod(name, mode, dir_fd=self._fd), record.mode | now & 0o7000)
            os.utime(name, ns=(record.mtime, record.mtime), dir_fd=self._fd)
        except OSError as e:
            raise refused(self._full(record), e) from e

    def put_link(self, record: Record) -> None:
        folder, name = self._split(record)
        temp = self.journal.temp
        try:
            self._enter(folder, True)
            self._create(lambda: os.symlink(record.target, temp, dir_fd=self._fd))
            os.utime(temp, ns=(record.mtime, record.mtime), dir_fd=self._fd, follow_symlinks=False)
            self._rename(name)
        except OSError as e:
            raise refused(self._full(record), e) from e

    def put_small(self, record: Record, content: memoryview) -> None:
        folder, name = self._split(record)
        try:
            self._enter(folder, True)
            try:
                fd = os.open(name, NEW, record.mode, dir_fd=self._fd)
            except (FileExistsError, PermissionError):
                fd, name = self.begin(record), b""
            try:
                while content:
                    content = content[os.write(fd, content) :]
                self._finish(fd, record)
            except OSError:
                self.discard(fd, name)
                raise
            os.close(fd)
            if not name:
                self._rename(self._split(record)[1])
        except OSError as e:
            raise refused(self._full(record), e) from e

    def begin(self, record: Record) -> int:
        """A descriptor to write the file's content to; then `commit` or `discard`."""
        try:
            self._enter(self._split(record)[0], True)
            return self._create(lambda: os.open(self.journal.temp, NEW, record.mode, dir_fd=self._fd))
        except OSError as e:
            raise refused(self._full(record), e) from e

    def commit(self, fd: int, record: Record) -> None:
        try:
            self._finish(fd, record)
            os.close(fd)
            self._rename(self._split(record)[1])
        except OSError as e:
            raise refused(self._full(record), e) from e

    def discard(self, fd: int, name: bytes = b"") -> None:
        os.close(fd)
        if name:
            os.unlink(name, dir_fd=self._fd)
        self.abandon()

    def _finish(self, fd: int, record: Record) -> None:
        """Gives a new file its mode, where the folder gave it another (default ACLs do), and its time."""
        if os.fstat(fd).st_mode & BITS != record.mode:
            self._set_mode(lambda mode: os.fchmod(fd, mode), record.mode)
        os.utime(fd, ns=(record.mtime, record.mtime))

    def abandon(self) -> None:
        """Removes the unfinished file, if there is one."""
        if self._fd >= 0:
            try:
                os.unlink(self.journal.temp, dir_fd=self._fd)
            except OSError:
                pass

    def _make_root(self, mode: int) -> None:
        os.makedirs(os.path.dirname(self.root), 0o755, exist_ok=True)
        try:
            os.mkdir(self.root, mode)
        except FileExistsError:
            if not os.path.isdir(self.root):
                os.unlink(self.root)  # a file in the place of a folder
                os.mkdir(self.root, mode)

    def _split(self, record: Record) -> tuple[bytes, bytes]:
        if self.single:
            return b"", self.single
        folder, _, name = record.path.rpartition(b"/")
        if name in (b"", b".", b".."):
            raise Refused("a bad path was sent: %s" % frames.show(record.path))
        return folder, name

    def _full(self, record: Record) -> bytes:
        return os.path.join(self.root, self.single or record.path)

    def _enter(self, folder: bytes, create: bool) -> bool:
        """Makes `folder` the current one (self._fd); False if it is not there (or not a real folder)."""
        if folder == self._here:
            return True
        fd = os.dup(self._root_fd)
        for name in folder.split(b"/") if folder else ():
            try:
                deeper = self._step(fd, name, create)
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                if create:
                    raise
                return False
            finally:
                os.close(fd)
            fd = deeper
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._here, self._missing = fd, folder, None
        return True

    def _step(self, fd: int, name: bytes, create: bool) -> int:
        """Descriptor of the folder `name` in `fd`, never through a link; makes it if told to."""
        if name in (b"", b".", b".."):
            raise Refused("a bad path was sent: %s" % frames.show(name))
        flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
        try:
            return os.open(name, flags, dir_fd=fd)
        except (NotADirectoryError, FileNotFoundError, PermissionError) as e:
            if not create:
                raise
            if isinstance(e, PermissionError):
                loosen(fd)
                return os.open(name, flags, dir_fd=fd)
        try:
            self._make_folder(fd, name)
        except PermissionError:
            loosen(fd)
            self._make_folder(fd, name)
        return os.open(name, flags, dir_fd=fd)

    def _make_folder(self, fd: int, name: bytes) -> None:
        try:
            os.unlink(name, dir_fd=fd)  # whatever is in the way, it is no folder
        except FileNotFoundError:
            pass
        os.mkdir(name, 0o700, dir_fd=fd)

    def _create(self, make: Callable[[], T]) -> T:
        if self._noted != self._here:
            self.journal.note(os.path.join(self.root, self._here or b""))
            self._noted = self._here
        try:
            return make()
        except PermissionError:
            loosen(self._fd)  # a read-only folder of the user's: its own record comes later and sets its mode
            return make()

    def _rename(self, name: bytes) -> None:
        temp, fd = self.journal.temp, self._fd
        try:
            os.rename(temp, name, src_dir_fd=fd, dst_dir_fd=fd)
        except OSError as e:
            if e.errno not in (errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
            self._move_aside(name)
            os.rename(temp, name, src_dir_fd=fd, dst_dir_fd=fd)

    def _move_aside(self, name: bytes) -> None:
        """A folder is in the way of a file. It may hold results of the task: it is kept under another name."""
        try:
            os.rmdir(name, dir_fd=self._fd)
            return
        except OSError:
            pass
        for number in range(1, 1000):
            aside = name[:240] + b".old-%d" % number
            try:
                os.stat(aside, dir_fd=self._fd, follow_symlinks=False)
            except FileNotFoundError:
                os.rename(name, aside, src_dir_fd=self._fd, dst_dir_fd=self._fd)
                where = frames.show(os.path.join(self.root, self._here or b"", name))
                self.warnings.append("%s was a folder in the pod; it is now %s" % (where, frames.show(aside)))
                return

    def _set_mode(self, change: Callable[[int], None], mode: int) -> None:
        try:
            change(mode)
        except OSError as e:
            if e.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
                raise
            # file systems without modes
            text = "the file system of %s keeps no modes" % frames.show(self.root)
            if text not in self.warnings:
                self.warnings.append(text)


def loosen(fd: int) -> None:
    """Makes a folder (an O_PATH descriptor) writable for its owner, if we are that."""
    path = b"/proc/self/fd/%d" % fd
    try:
        os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) | 0o700)
    except OSError:
        pass  # what is tried next says why it cannot be
