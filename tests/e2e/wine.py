"""A Windows that the tests can start: wine, with kubectl.exe, and small programs in the place of OpenSSH's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.binaries import ensure_programs, go
from tests.cluster.process import run
from tests.cluster.settings import CACHE, DEFAULT_VERSION, VERSIONS
from tests.e2e.conftest import PROJECT, Result, image

WINE = "/usr/lib/wine/wine64"
COMPILER = "x86_64-w64-mingw32-gcc"
PACKAGES = {WINE: "wine64", COMPILER: "gcc-mingw-w64-x86-64-win32", "mvn": "maven", "unzip": "unzip"}
PROGRAMS = CACHE / "bin" / "windows"
PREFIX = CACHE / "native" / "wine"
HERE = Path(__file__).parent / "windows"
BUILT = PROJECT / "dist" / "kubectl-sky-windows-amd64.exe"
# a library of Windows 10 that Go's programs want, and Debian's wine does not have yet
RANDOM = """\
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size) { return SystemFunction036(data, (ULONG)size); }
"""


@dataclass(frozen=True)
class Wine:
    """A user of Windows, with `kubectl-sky.exe` in a folder of the PATH."""

    folder: Path
    kubeconfig: Path
    namespace: str

    @property
    def home(self) -> Path:
        """As wine has it, whatever the environment says."""
        [found] = (home for home in (PREFIX / "drive_c" / "users").iterdir() if home.name != "Public")
        return found

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "WINEPREFIX": str(PREFIX),
            "WINEARCH": "win64",
            "WINEDEBUG": "-all",
            "WINEPATH": f"{windows(PROGRAMS)};{windows(self.folder / 'bin')}",
            "KUBECONFIG": windows(self.kubeconfig),
            "KUBECTL_SKY_DEFAULT_IMAGE": image("python"),
        }

    def start(self, program: str, *args: str, cwd: Path | None = None) -> subprocess.Popen[bytes]:
        argv = [WINE, str(PROGRAMS / program if program != "kubectl-sky.exe" else self.folder / "bin" / program), *args]
        pipe = subprocess.PIPE  # wine gives a program no standard output that is a file
        return subprocess.Popen(
            argv, env=self.environment(), cwd=cwd or self.folder, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe,
            start_new_session=True,
        )  # fmt: skip

    def run(self, program: str, *args: str, cwd: Path | None = None, timeout: float = 120) -> Result:
        process = self.start(program, *args, cwd=cwd)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with what it has unpacked and started
            raise
        return Result(process.returncode, out.decode(), err.decode())

    def sky(self, *args: str, cwd: Path | None = None, code: int = 0) -> Result:
        result = self.run("kubectl-sky.exe", "--namespace", self.namespace, *args, cwd=cwd)
        assert result.code == code, result
        return result


def windows(path: Path) -> str:
    """The path as Windows' programs see it."""
    return "Z:" + str(path).replace("/", "\\")


def ensure() -> None:
    """Everything that is needed, made once: a quarter of an hour on two cores."""
    ensure_programs(PACKAGES)
    PROGRAMS.mkdir(parents=True, exist_ok=True)
    system = {"GOOS": "windows", "GOARCH": "amd64"}
    if not (PROGRAMS / "kubectl.exe").exists():
        module, out = VERSIONS[DEFAULT_VERSION].module, str(PROGRAMS / "kubectl.exe")
        go(
            "kubectl.exe",
            "build",
            "-ldflags",
            "-s -w",
            "-o",
            out,
            "k8s.io/kubernetes/cmd/kubectl",
            cwd=module,
            env=system,
        )
    go("ssh.exe and ssh-keygen.exe", "build", "-o", f"{PROGRAMS}/", "./...", cwd=HERE, env=system)
    if not (library := PREFIX / "drive_c/windows/system32/bcryptprimitives.dll").exists():
        PREFIX.mkdir(parents=True, exist_ok=True)
        run("env", f"WINEPREFIX={PREFIX}", "WINEARCH=win64", "WINEDEBUG=-all", WINE, "wineboot", "-i")
        source = PROGRAMS / "random.c"
        source.write_text(RANDOM)
        run(COMPILER, "-shared", "-O2", "-s", "-o", library, source, "-ladvapi32")
    if not BUILT.exists():
        env = {**os.environ, "PYTHON": sys.executable}
        if not (PROJECT / "build" / "site" / "kubectl_sky").exists():
            subprocess.run(["./build.sh"], cwd=PROJECT, env=env, check=True)
        subprocess.run(["scripts/native-windows.sh"], cwd=PROJECT, env=env, check=True)
