"""krew.py EXECUTABLE: beside it, makes the archive that krew installs and the plugin manifest with its digest.

With kubectl-sky-windows-amd64.exe beside it, also what krew installs on Windows.
"""

import gzip
import hashlib
import io
import os
import re
import sys
import tarfile
from pathlib import Path

PROJECT = Path(__file__).parent.parent


def archive(members: dict[str, tuple[Path, int]], date: int) -> bytes:
    """A .tar.gz of name -> (file, mode) that is the same on every machine."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", filename="", mtime=date) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, (path, mode) in sorted(members.items()):
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = path.stat().st_size, mode, date
            with path.open("rb") as content:
                tar.addfile(info, content)
    return buffer.getvalue()


def version() -> str:
    text = (PROJECT / "kubectl_sky" / "__init__.py").read_text()
    found = re.search(r'^__version__ = "(.+)"', text, re.MULTILINE)
    assert found, "kubectl_sky/__init__.py has no __version__"
    return found[1]


def packed(program: Path, name: str, archive_name: str) -> str:
    """Makes the archive beside the program; its digest."""
    members = {name: (program, 0o755), "LICENSE": (PROJECT / "LICENSE", 0o644)}
    made = archive(members, int(os.environ["SOURCE_DATE_EPOCH"]))
    program.with_name(archive_name).write_bytes(made)
    return hashlib.sha256(made).hexdigest()


def main(executable: Path) -> None:
    manifest = (PROJECT / "krew-manifest.yaml").read_text()
    every, _, windows = manifest.partition("# krew.py leaves")
    digests = {"@SHA256@": packed(executable, "kubectl-sky", "kubectl-sky.tar.gz")}
    if (native := executable.with_name("kubectl-sky-windows-amd64.exe")).exists():
        every += windows.partition("\n")[2]
        digests["@SHA256-WINDOWS@"] = packed(native, "kubectl-sky.exe", "kubectl-sky-windows-amd64.tar.gz")
    for word, value in {"@VERSION@": version(), **digests}.items():
        every = every.replace(word, value)
    executable.with_name("krew-manifest.yaml").write_text(every)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
