"""Runs once, when the zipapp has unpacked itself.

It leaves the stamp that lets the launcher skip the archive from then on, and removes old builds. shiv hands over
`site_packages` and `env`; without any of this the zipapp works all the same.
"""

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

KEEP = 2  # the newest, and the one that a long `logs` may still be running


def write_stamp(root: Path, build: str, site: Path) -> None:
    start = site.parent / "start.py"
    start.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(site)!r})\n"
        "sys.argv[0] = 'kubectl-sky'\n"
        "from kubectl_sky.__main__ import main\n"
        "sys.exit(main())\n"
    )
    # a virtual environment may go away: name the interpreter under it
    python = getattr(sys, "_base_executable", "") or sys.executable
    stamp = root / f"{build}.start"
    temporary = root / f".{build}.{os.getpid()}"
    temporary.write_text(f"{python}\n{start}\n")
    temporary.replace(stamp)


def prune(root: Path) -> None:
    builds = sorted((d for d in root.iterdir() if (d / "site-packages").is_dir()), key=lambda d: d.stat().st_mtime)
    for old in builds[:-KEEP]:
        build = old.name.rpartition("_")[2]
        for leftover in (root / f"{build}.start", root / f".{old.name}_lock"):
            leftover.unlink(missing_ok=True)
        shutil.rmtree(old, ignore_errors=True)


def main(site: Path, build: str) -> None:
    root = site.parent.parent
    with suppress(OSError):  # only speed and tidiness are lost
        write_stamp(root, build, site)
        prune(root)
    # programs that we start may be shiv's too, and are not to unpack into our folder
    os.environ.pop("SHIV_ROOT", None)


main(site_packages, env.build_id)  # type: ignore[name-defined]  # noqa: F821
