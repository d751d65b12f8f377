"""The file that users get: dist/kubectl-sky, and what krew needs to install it. Made by build.sh."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from kubectl_sky import __version__

PROJECT = Path(__file__).parents[2]
DIST = PROJECT / "dist"


@pytest.fixture
def executable() -> Path:
    if not (DIST / "kubectl-sky").exists():
        pytest.skip("dist/kubectl-sky is not built: make build")
    return DIST / "kubectl-sky"


def start(executable: Path, cache: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs it as a user whose home is empty; by the interpreter of the tests."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(cache / "home"),
        "XDG_CACHE_HOME": str(cache),
        "KUBECTL_SKY_PYTHON": sys.executable,
        **environment,
    }
    command = [str(executable), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_archive_is_pure_python_and_complete(executable: Path) -> None:
    with zipfile.ZipFile(executable) as archive:
        names = set(archive.namelist())
    assert not [name for name in names if re.search(r"\.(so|pyd|dylib|dll)(\.|$)", name)]
    files = [path for path in (PROJECT / "kubectl_sky").rglob("*") if path.suffix in {".py", ".conf"}]
    ours = {f"site-packages/{path.relative_to(PROJECT)}" for path in files}
    assert ours <= names


def test_second_start_skips_the_archive(executable: Path, tmp_path: Path) -> None:
    first = start(executable, tmp_path, "--help")
    assert first.returncode == 0, first.stderr
    [stamp] = (tmp_path / "kubectl-sky").glob("*.start")
    python, script = stamp.read_text().splitlines()
    assert Path(python).exists()
    Path(script).write_text("import sys; print(sys.argv); sys.exit(3)")
    second = start(executable, tmp_path, "a b", "*")
    assert (second.returncode, second.stdout) == (3, f"{[script, 'a b', '*']}\n")


def test_every_module_imports_without_what_the_build_left_out(executable: Path, tmp_path: Path) -> None:
    start(executable, tmp_path, "--help")
    [site] = (tmp_path / "kubectl-sky").glob("*/site-packages")
    names = [str(path.relative_to(site).with_suffix("")).replace("/", ".") for path in site.glob("kubectl_sky/*.py")]
    names += [f"kubectl_sky.commands.{path.stem}" for path in site.glob("kubectl_sky/commands/*.py")]
    program = f"import sys, importlib; sys.path.insert(0, {str(site)!r})\n"
    program += f"for name in {sorted(set(names) - {'kubectl_sky.__init__'})}: importlib.import_module(name)"
    done = subprocess.run([sys.executable, "-IS", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_users_python_settings_do_not_get_in(executable: Path, tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise SystemExit('the wrong typer')")
    for _ in range(2):  # unpacking, and unpacked
        done = start(executable, tmp_path, "version", "--client", PYTHONPATH=str(tmp_path), PYTHONHOME="/nowhere")
        assert done.returncode == 0, done.stderr


def test_home_that_cannot_be_written(executable: Path, tmp_path: Path) -> None:
    for _ in range(2):
        done = start(executable, tmp_path, "--help", XDG_CACHE_HOME="/proc/none", TMPDIR=str(tmp_path))
        assert done.returncode == 0, done.stderr
    [root] = tmp_path.glob("kubectl-sky-*")
    assert root.stat().st_mode & 0o777 == 0o700
    done = start(executable, tmp_path, "--help", XDG_CACHE_HOME="/proc/none", TMPDIR="/proc/none")
    assert done.returncode == 1
    assert "XDG_CACHE_HOME" in done.stderr


def test_no_python_that_is_new_enough(executable: Path, tmp_path: Path) -> None:
    for name in ["python3"] + [f"python3.{minor}" for minor in range(10, 15)]:
        old = tmp_path / name
        old.write_text("#!/bin/sh\n[ $1 = --version ] && echo Python 3.9.6\nexit 1\n")
        old.chmod(0o755)
    done = start(executable, tmp_path, "--help", KUBECTL_SKY_PYTHON="", PATH=f"{tmp_path}:/usr/bin:/bin")
    assert done.returncode == 1
    assert done.stderr.startswith("error: kubectl-sky needs Python 3.10 or newer")
    assert "Python 3.9.6" in done.stderr


def test_two_first_starts_at_once(executable: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "KUBECTL_SKY_PYTHON": sys.executable}
    command = [str(executable), "--help"]
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [process.wait(60) for process in both] == [0, 0, 0]


def test_old_builds_go(executable: Path, tmp_path: Path) -> None:
    root = tmp_path / "kubectl-sky"
    for age in (3, 2, 1):
        old = root / f"kubectl-sky_old{age}"
        (old / "site-packages").mkdir(parents=True)
        (root / f"old{age}.start").touch()
        os.utime(old, (1_700_000_000 - age,) * 2)
    root.chmod(0o700)
    assert start(executable, tmp_path, "--help").returncode == 0
    left = sorted(path.name for path in root.iterdir() if "old" in path.name)
    assert left == ["kubectl-sky_old1", "old1.start"]


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not on the PATH")
def test_kubectl_starts_it_through_a_link(executable: Path, tmp_path: Path) -> None:
    (tmp_path / "kubectl-sky").symlink_to(executable)
    path = f"{tmp_path}:{os.environ['PATH']}"
    kubectl = Path(shutil.which("kubectl") or "")
    done = start(kubectl, tmp_path / "cache", "sky", "--help", PATH=path)
    assert done.returncode == 0, done.stderr
    assert "kubectl sky" in done.stdout
    assert start(kubectl, tmp_path / "cache", "sky", "lunch", PATH=path).returncode == 2


def test_krew_archive(executable: Path) -> None:
    with tarfile.open(DIST / "kubectl-sky.tar.gz") as tar:
        assert {member.name: member.mode for member in tar} == {"kubectl-sky": 0o755, "LICENSE": 0o644}
        packed = tar.extractfile("kubectl-sky")
        assert packed is not None
        assert packed.read() == executable.read_bytes()


def test_krew_manifest(executable: Path) -> None:
    """krew's own rules, and what the reviewers of its index ask for."""
    manifest = yaml.safe_load((DIST / "krew-manifest.yaml").read_text())
    assert (manifest["apiVersion"], manifest["kind"]) == ("krew.googlecontainertools.github.com/v1alpha2", "Plugin")
    assert manifest["metadata"] == {"name": "sky"}
    spec = manifest["spec"]
    assert spec["version"] == f"v{__version__}"
    assert spec["homepage"] and spec["description"]
    assert "\n" not in spec["shortDescription"] and len(spec["shortDescription"]) <= 50
    [platform] = spec["platforms"]
    assert platform["uri"].endswith(f"/v{__version__}/kubectl-sky.tar.gz")
    assert platform["sha256"] == hashlib.sha256((DIST / "kubectl-sky.tar.gz").read_bytes()).hexdigest()
    assert platform["bin"] == "kubectl-sky"
    assert platform["selector"] == {
        "matchExpressions": [{"key": "os", "operator": "In", "values": ["linux", "darwin"]}]
    }


def test_krew_on_windows(executable: Path, tmp_path: Path) -> None:
    """Beside the file for Windows, the manifest has it too; the rest stays as it was."""
    native = tmp_path / "kubectl-sky-windows-amd64.exe"
    native.write_bytes(b"MZ")
    shutil.copy(executable, tmp_path)
    env = {**os.environ, "SOURCE_DATE_EPOCH": "1767225600"}
    subprocess.run([sys.executable, PROJECT / "scripts" / "krew.py", tmp_path / "kubectl-sky"], env=env, check=True)
    manifest = yaml.safe_load((tmp_path / "krew-manifest.yaml").read_text())
    before = yaml.safe_load((DIST / "krew-manifest.yaml").read_text())
    [_, windows] = manifest["spec"]["platforms"]
    assert windows["selector"] == {"matchLabels": {"os": "windows", "arch": "amd64"}}
    assert windows["bin"] == "kubectl-sky.exe"
    archive = tmp_path / windows["uri"].rpartition("/")[2]
    assert windows["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    with tarfile.open(archive) as tar:
        assert {member.name: member.mode for member in tar} == {"kubectl-sky.exe": 0o755, "LICENSE": 0o644}
    for one in (manifest, before):
        del one["spec"]["platforms"]
    assert manifest == before


def test_all_that_runs_in_pods_is_sent() -> None:
    from kubectl_sky import planning

    files = {path.name for path in (PROJECT / "kubectl_sky" / "remote").iterdir() if path.suffix in {".py", ".conf"}}
    assert set(planning.code()) == files - {"__init__.py"}
