"""docker-archive files (what `docker save` writes and `ctr images import` reads), the same bytes every time."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture() -> str:
    """This machine's architecture in the images' words, e.g. amd64."""
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


def write_layer(root: Path, out: Path) -> str:
    """Packs the tree `root` as the layer file `out`; returns its sha256 in hex."""
    tar = ["tar", "--sort=name", "--mtime=@0", "--format=gnu", "--numeric-owner", "-C", str(root), "-cf", str(out), "."]
    subprocess.run(tar, check=True)
    digest = hashlib.sha256()
    with out.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_archive(names: list[str], layers: Sequence[tuple[Path, str]], config: dict[str, Any], out: Path) -> None:
    """Writes an image of that name, or names, to `out` from its layers (file, sha256), the lowest first."""
    description = {
        "architecture": architecture(),
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for _, digest in layers]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "kubectl-sky"} for _ in layers],
    }
    blob = json.dumps(description, sort_keys=True).encode()
    name = f"{hashlib.sha256(blob).hexdigest()}.json"
    files = [f"{digest}.tar" for _, digest in layers]
    manifest = json.dumps([{"Config": name, "RepoTags": names, "Layers": files}]).encode()
    partial = out.with_suffix(".partial")
    with tarfile.open(partial, "w", format=tarfile.GNU_FORMAT) as archive:
        for member, data in ((name, blob), ("manifest.json", manifest)):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for (path, _), member in zip(layers, files, strict=True):
            info = tarfile.TarInfo(member)
            info.size = path.stat().st_size
            with path.open("rb") as file:
                archive.addfile(info, file)
    partial.rename(out)
