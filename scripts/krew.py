"""krew.py EXECUTABLE: beside it, makes the archive that krew installs and the plugin manifest with its digest."""

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


def main(executable: Path) -> None:
    members = {"kubectl-sky": (executable, 0o755), "LICENSE": (PROJECT / "LICENSE", 0o644)}
    packed = archive(members, int(os.environ["SOURCE_DATE_EPOCH"]))
    executable.with_name("kubectl-sky.tar.gz").write_bytes(packed)
    manifest = (PROJECT / "krew-manifest.yaml").read_text()
    manifest = manifest.replace("@VERSION@", version()).replace("@SHA256@", hashlib.sha256(packed).hexdigest())
    executable.with_name("krew-manifest.yaml").write_text(manifest)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
