"""Recipes of images: a shell script that runs in a Debian root file system, and what of its work becomes the image.

Everything made is under ~/.cache/kubectl-sky (or $KUBECTL_SKY_CACHE) and is named by a hash of what went into it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime.archive import architecture, write_archive, write_layer

SUITE = "bookworm"
MIRROR = os.environ.get("KUBECTL_SKY_DEBIAN_MIRROR", "http://deb.debian.org/debian")
CACHE = Path(os.environ.get("KUBECTL_SKY_CACHE", "~/.cache/kubectl-sky")).expanduser()
IMAGES = CACHE / "images"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")

# In namespaces of its own, so that no mount or process is left behind, however the build ends. $1: lower directories,
# $2: where the writes go, $3: the script, $4: a name for the mount point
ENTER = """
set -eu
mkdir -p "$2.work" "$2.root"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$2.work" "$2.root"
mount -t proc proc "$2.root/proc"
mkdir "$2.root/build"
mount -t tmpfs -o mode=0755 tmpfs "$2.root/build"
cp -r "$3"/. "$2.root/build/"
cp -L /etc/resolv.conf "$2.root/build/resolv.conf"
[ -e "$2.root/etc/resolv.conf" ] || touch "$2.root/etc/resolv.conf"
mount --bind "$2.root/build/resolv.conf" "$2.root/etc/resolv.conf"
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root chroot "$2.root" /bin/sh -eu "/build/$4" /out
"""


class BuildError(Exception):
    """An image cannot be built; the message says why, for people."""


@dataclass(frozen=True)
class Recipe:
    """One image. With `scratch`, it is what the script puts in /out; otherwise, all layers below it and its changes.

    `others`: more names that it has.
    """

    image: str
    script: Path
    config: dict[str, Any] = field(default_factory=dict)
    parent: Recipe | None = None
    scratch: bool = True
    others: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Changes whenever anything changes that goes into the image."""
        digest = hashlib.sha256(f"{SUITE} {MIRROR} {architecture()} {self.image} {self.scratch} {ENTER}".encode())
        digest.update(" ".join(self.others).encode())
        digest.update(json.dumps(self.config, sort_keys=True).encode())
        digest.update(self.parent.key.encode() if self.parent else b"")
        digest.update(self.script.name.encode())
        for path in sources(self.script):
            digest.update(path.name.encode() + path.read_bytes())
        return digest.hexdigest()[:12]

    @property
    def archive(self) -> Path:
        """Where the image's docker-archive is, once built."""
        return IMAGES / f"{self.label}-{self.key}.tar"

    @property
    def label(self) -> str:
        """The image's name and tag as a file name."""
        return self.image.rpartition("/")[2].replace(":", "-")


def sources(script: Path) -> list[Path]:
    """The script and the files that only it uses: those named like it, e.g. alpine.sh and alpine.c."""
    return sorted(path for path in script.parent.glob(f"{script.stem}.*") if path.is_file())


def say(message: str) -> None:
    """One line of progress."""
    print(message, file=sys.stderr, flush=True)


def build(recipe: Recipe) -> Path:
    """Builds the image unless it is there already; returns its archive. Raises BuildError."""
    with lock():
        if not recipe.archive.exists():
            check()
            started = time.monotonic()
            say(f"image {recipe.image}: building")
            layers = [write(root, CACHE / "layers" / f"{name}.tar") for name, root in trees(recipe)]
            write_archive([recipe.image, *recipe.others], layers, recipe.config, recipe.archive)
            size = recipe.archive.stat().st_size / 1e6
            say(f"image {recipe.image}: built in {time.monotonic() - started:.0f} s, {size:.1f} MB")
            forget_older(recipe)
        link = IMAGES / f"{recipe.label}.tar"
        link.unlink(missing_ok=True)
        link.symlink_to(recipe.archive.name)
        return recipe.archive


def forget_older(recipe: Recipe) -> None:
    """Removes what was built of the image before it was changed."""
    for folder in (IMAGES, CACHE / "layers"):
        for path in folder.glob(f"{recipe.label}-{'[0-9a-f]' * 12}*"):
            if not path.name.startswith(f"{recipe.label}-{recipe.key}"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def check() -> None:
    """Raises BuildError for what is missing on this machine."""
    if os.geteuid() != 0:
        raise BuildError("building images needs root (debootstrap, mount, chroot)")
    for tool, package in (("debootstrap", "debootstrap"), ("unshare", "util-linux"), ("tar", "tar")):
        if not shutil.which(tool):
            raise BuildError(f"{tool} is missing: apt-get install {package}")


@contextmanager
def lock() -> Iterator[None]:
    """Only one build at a time, in all processes."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with (CACHE / "build.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def trees(recipe: Recipe) -> list[tuple[str, Path]]:
    """The image's layers (name, tree), the lowest first."""
    tree = run_script(recipe)
    if recipe.scratch:
        return [(f"{recipe.label}-{recipe.key}", tree / "out")]
    below = trees(recipe.parent) if recipe.parent else [(f"base-{SUITE}", base())]
    return [*below, (f"{recipe.label}-{recipe.key}", tree)]


def write(root: Path, out: Path) -> tuple[Path, str]:
    """Packs one layer, once; returns (file, sha256)."""
    digest = out.with_suffix(".sha256")
    if not digest.exists():
        digest.write_text(write_layer(root, out))
    return out, digest.read_text()


def lowers(recipe: Recipe | None) -> list[Path]:
    """The trees that the recipe's work lies on, the highest first, as overlayfs wants them."""
    return [base()] if recipe is None else [run_script(recipe), *lowers(recipe.parent)]


def run_script(recipe: Recipe) -> Path:
    """Runs the recipe's script, once; returns the tree of its changes."""
    done = CACHE / "layers" / f"{recipe.label}-{recipe.key}"
    if done.exists():
        return done
    below = ":".join(str(path) for path in lowers(recipe.parent))
    upper = fresh(done.with_suffix(".partial"))
    script = fresh(done.with_suffix(".script"))
    for path in sources(recipe.script):
        shutil.copy(path, script)
    if AUTHORITIES.exists():  # of a proxy too that this machine is behind: for downloads by anything but apt
        shutil.copy(AUTHORITIES, script / "ca.pem")
    enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER, "build"]
    run([*enter, below, str(upper), str(script), recipe.script.name], f"{recipe.label}: {recipe.script.name}")
    tidy(upper, recipe.scratch)
    for left in (script, Path(f"{upper}.work"), Path(f"{upper}.root")):
        shutil.rmtree(left)
    return upper.rename(done)


def tidy(upper: Path, scratch: bool) -> None:
    """Leaves of the overlay's upper directory only what a layer should have, in a layer's terms."""
    for name in ("build", "etc/resolv.conf", "var/cache/apt", "var/lib/apt/lists", "var/log", "tmp"):
        path = upper / name
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()
    if scratch:
        return
    for folder, _, files in os.walk(upper):
        for name in files:
            path = Path(folder, name)
            found = path.lstat()
            if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0:  # overlayfs's mark of a removed file
                path.unlink()
                path.with_name(f".wh.{name}").touch()


def base() -> Path:
    """The bare Debian system that scripts run in, made once."""
    root = CACHE / "layers" / f"base-{SUITE}-{architecture()}"
    if not root.exists():
        partial = fresh(root.with_suffix(".partial"))
        say(f"Debian {SUITE}: debootstrap from {MIRROR}")
        run(["debootstrap", "--variant=minbase", SUITE, str(partial), MIRROR], "debootstrap")
        security = MIRROR.removesuffix("/") + "-security"
        lists = f"deb {MIRROR} {SUITE} main\ndeb {MIRROR} {SUITE}-updates main\ndeb {security} {SUITE}-security main\n"
        (partial / "etc/apt/sources.list").write_text(lists)
        for name in ("var/cache/apt/archives", "var/lib/apt/lists", "var/log"):
            shutil.rmtree(partial / name)
            (partial / name).mkdir()
        (partial / "etc/resolv.conf").unlink(missing_ok=True)
        (partial / "etc/resolv.conf").touch()
        (partial / "etc/hostname").write_text("localhost\n")
        partial.rename(root)
    return root


def fresh(path: Path) -> Path:
    """An empty directory, whatever a killed build may have left there."""
    for left in (path, Path(f"{path}.work"), Path(f"{path}.root")):
        shutil.rmtree(left, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def run(argv: list[str], what: str) -> None:
    """Runs a command; its output is shown only when it fails, as a BuildError."""
    result = subprocess.run(argv, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.returncode:
        tail = "\n".join(result.stdout.splitlines()[-20:])
        raise BuildError(f"{what} failed with exit code {result.returncode}:\n{tail}")
