"""The archive and the manifest of build.sh in the hands of the real krew: installed, run, upgraded, removed."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cluster.binaries import go
from tests.cluster.settings import CACHE
from tests.e2e.conftest import PROJECT, Sky, image
from tests.e2e.test_readme import block

KREW = "v0.4.3"
PROGRAMS = CACHE / "bin" / f"krew-{KREW}"
DIST = PROJECT / "dist"


@dataclass(frozen=True)
class Krew:
    """krew with a folder of its own, for a user whose home is empty."""

    root: Path
    kubeconfig: str

    @property
    def env(self) -> dict[str, str]:
        home = self.root / "home"
        home.mkdir(parents=True, exist_ok=True)
        # without the one that pip has put into the virtual environment
        others = [folder for folder in os.environ["PATH"].split(":") if not Path(folder, "kubectl-sky").exists()]
        path = ":".join([str(self.root / "bin"), str(PROGRAMS), *others])
        return {
            "PATH": path,
            "HOME": str(home),
            "KREW_ROOT": str(self.root),
            "KUBECONFIG": self.kubeconfig,
            "KUBECTL_SKY_PYTHON": sys.executable,
            "KUBECTL_SKY_DEFAULT_IMAGE": image("python"),
        }

    @property
    def version(self) -> str:
        """Of the installed plugin: .../store/sky/VERSION/kubectl-sky."""
        return (self.root / "bin" / "kubectl-sky").resolve().parent.name

    def run(self, *argv: str, code: int = 0) -> str:
        options = {"text": True, "stdin": subprocess.DEVNULL, "capture_output": True, "timeout": 120}
        done = subprocess.run(argv, env=self.env, cwd=PROJECT, **options)
        assert done.returncode == code, (done.stdout, done.stderr)
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def built() -> Path:
    """dist/ as build.sh makes it."""
    if not (DIST / "kubectl-sky.tar.gz").exists():
        subprocess.run(["./build.sh"], cwd=PROJECT, env={**os.environ, "PYTHON": sys.executable}, check=True)
    return DIST


@pytest.fixture
def krew(tmp_path: Path, kubeconfig: str) -> Krew:
    for program in ("krew", "validate-krew-manifest"):
        if not (PROGRAMS / program).exists():
            go(program, "install", f"sigs.k8s.io/krew/cmd/{program}@{KREW}", bin_dir=PROGRAMS)
    return Krew(tmp_path / "krew", kubeconfig)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address that it is served at."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_index_s_own_validator_takes_the_manifest(krew: Krew, built: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "sky.yaml"
    manifest.write_text((built / "krew-manifest.yaml").read_text())
    assert "structural validation OK" in krew.run("validate-krew-manifest", "-skip-install", "-manifest", str(manifest))


def test_installed_from_its_archive_and_used(krew: Krew, built: Path, sky: Sky) -> None:
    typed = block("Install", "sh").splitlines()[1].split()
    assert typed[:3] == ["kubectl", "krew", "install"]
    assert "Needs Python 3.10 or newer" in krew.run(*typed[1:])
    assert "kubectl-sky" in krew.run("kubectl", "plugin", "list")
    use = ("kubectl", "sky", "-n", sky.namespace)
    assert "by krew\n" in krew.run(*use, "launch", "-c", "k", "--", "echo", "by krew")
    assert krew.run(*use, "status", "k").splitlines()[1].startswith("k ")
    krew.run(*use, "down", "k")


def test_on_windows_it_is_the_file_with_a_python(krew: Krew, built: Path, tmp_path: Path) -> None:
    """As krew does it there: the manifest of a release, with a file that only looks like the program."""
    (tmp_path / "kubectl-sky-windows-amd64.exe").write_bytes(b"MZ")
    shutil.copy(built / "kubectl-sky", tmp_path)
    env = {**os.environ, "SOURCE_DATE_EPOCH": "1767225600"}
    subprocess.run([sys.executable, PROJECT / "scripts" / "krew.py", tmp_path / "kubectl-sky"], env=env, check=True)
    manifest = (tmp_path / "krew-manifest.yaml").rename(tmp_path / "sky.yaml")
    assert "structural validation OK" in krew.run("validate-krew-manifest", "-skip-install", "-manifest", str(manifest))
    archive = f"--archive={tmp_path / 'kubectl-sky-windows-amd64.tar.gz'}"
    there = ("env", "KREW_OS=windows", "KREW_ARCH=amd64", "krew")
    krew.run(*there, "install", f"--manifest={manifest}", archive)
    assert (krew.root / "bin" / "kubectl-sky.exe").read_bytes() == b"MZ"


def test_upgraded_from_an_index_and_removed(krew: Krew, built: Path, served: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = served
    archive = (built / "kubectl-sky.tar.gz").read_bytes()
    (folder / "kubectl-sky.tar.gz").write_bytes(archive)
    index = tmp_path / "index"
    (index / "plugins").mkdir(parents=True)
    subprocess.run(["git", "init", "-q", "-b", "master", str(index)], check=True)
    release(index, built, address, "v0.0.1")
    krew.run("krew", "index", "add", "default", str(index))
    krew.run("krew", "install", "sky")
    release(index, built, address, "v0.0.2")
    assert krew.version == "v0.0.1"
    krew.run("krew", "upgrade", "sky")
    assert krew.version == "v0.0.2"
    assert "Client: " in krew.run("kubectl", "sky", "version", "--client")
    krew.run("krew", "uninstall", "sky")
    assert "unknown command" in krew.run("kubectl", "sky", "status", code=1)


def release(index: Path, built: Path, address: str, version: str) -> None:
    """Commits the manifest of a version to the index."""
    lines = (built / "krew-manifest.yaml").read_text().splitlines()
    changed = {"version:": version, "- uri:": f"{address}/kubectl-sky.tar.gz"}
    digest = hashlib.sha256((built / "kubectl-sky.tar.gz").read_bytes()).hexdigest()
    assert any(digest in line for line in lines)
    for key, value in changed.items():
        lines = [f"{line[: line.index(key)]}{key} {value}" if key in line else line for line in lines]
    (index / "plugins" / "sky.yaml").write_text("\n".join(lines) + "\n")
    git = ["git", "-C", str(index), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run([*git, "add", "plugins/sky.yaml"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", version], check=True)
