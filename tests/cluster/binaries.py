"""What the cluster needs on the machine: Debian packages, and Kubernetes and containerd built with Go."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.process import missing, run, say
from tests.cluster.settings import CACHE, CONTAINERD, CONTAINERD_BIN, OLD_CONTAINERD_BIN, ClusterError, Version

# program -> the Debian package that has it
PACKAGES = {
    "runc": "runc",
    "iptables": "iptables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "debootstrap": "debootstrap",
    "conntrack": "conntrack",
    "sysctl": "procps",
}
CNI = Path("/usr/lib/cni")  # where Debian's containernetworking-plugins are
CONTAINERD_PROGRAMS = ("containerd", "containerd-shim-runc-v2", "ctr")


def ensure_packages() -> None:
    """Installs the Debian packages that are missing. Raises ClusterError."""
    if os.geteuid() != 0:
        raise ClusterError("the test cluster needs root: it makes net namespaces, mounts and cgroups")
    cni = [] if (CNI / "bridge").exists() else ["containernetworking-plugins"]
    ensure_programs(PACKAGES, *cni)


def ensure_programs(packages: Mapping[str, str], *more: str) -> None:
    """Installs the Debian packages of the programs that are missing, and `more`. Raises ClusterError."""
    wanted = sorted({*(packages[program] for program in missing(*packages)), *more})
    if not wanted:
        return
    if missing("apt-get") or os.geteuid() != 0:
        raise ClusterError(f"missing on this machine: {' '.join(wanted)} (root with apt-get could install them)")
    say(f"apt-get install {' '.join(wanted)}")
    install = ("apt-get", "-qq", "install", "-y", "--no-install-recommends", *wanted)
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "apt.lock", "w") as file:  # other tests install others
        fcntl.flock(file, fcntl.LOCK_EX)
        run("apt-get", "-qq", "update", check=False)
        run("env", "DEBIAN_FRONTEND=noninteractive", *install)


def ensure_kubernetes(version: Version) -> None:
    """Builds Kubernetes, etcd and CoreDNS as one program, once a release (8 minutes on 2 cores)."""
    program = version.bin / "kube"
    if not program.exists():
        partial = version.bin / "kube.partial"
        arguments = ["-ldflags", link_flags(version), "-o", str(partial), "."]
        what = f"Kubernetes {version.release}"
        if version.at_least(24):
            go(what, "build", *arguments, cwd=version.module)
        else:
            with tempfile.TemporaryDirectory() as folder:
                go(what, "build", "-mod=vendor", *arguments, cwd=with_openapi(version.module, Path(folder)))
        partial.rename(program)
    kubectl = version.bin / "kubectl"
    if not kubectl.exists():
        kubectl.symlink_to("kube")


def link_flags(version: Version) -> str:
    """What lets the program tell its version: two packages have it in old releases."""
    minor = version.minor.split(".")
    values = {"gitVersion": version.release, "gitMajor": minor[0], "gitMinor": minor[1]}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(
        ["-s -w", *(f"-X {package}.{key}={value}" for package in packages for key, value in values.items())]
    )


def with_openapi(source: Path, folder: Path) -> Path:
    """A module's copy in `folder` with all that it needs, and the description of Kubernetes' API generated into it.

    Modules of Kubernetes before 1.24 lack that file. Its generator finds packages in $GOPATH/src alone.
    """
    module = folder / "module"
    vendor, generator = module / "vendor", folder / "openapi-gen"
    shutil.copytree(source, module)
    run("env", "-C", module, "go", "mod", "vendor")
    package = "k8s.io/kube-openapi/cmd/openapi-gen"
    go("the generator of the API's description", "build", "-mod=vendor", "-o", str(generator), package, cwd=module)
    (folder / "src").symlink_to(vendor)
    tagged = run("grep", "-rl", "--include=*.go", "^// +k8s:openapi-gen=true", vendor / "k8s.io").split()
    described = sorted({str(Path(file).parent.relative_to(vendor)) for file in tagged})
    gopath = ["GO111MODULE=off", f"GOPATH={folder}", "GODEBUG=gotypesalias=0", "GOFLAGS="]
    output = ["-p", "k8s.io/kubernetes/pkg/generated/openapi", "-O", "zz_generated.openapi", "-o", vendor]
    words = [generator, "-i", ",".join(described), *output, "-h", "/dev/null", "-r", folder / "violations"]
    run("env", "-C", vendor, *gopath, *words)
    return module


def ensure_containerd(version: Version) -> None:
    """Builds containerd, once (1-2 minutes on 2 cores). Kubelets before 1.23 need an old one: Debian's, unpacked."""
    if all((version.containerd / program).exists() for program in CONTAINERD_PROGRAMS):
        return
    if version.containerd == OLD_CONTAINERD_BIN:
        folder = OLD_CONTAINERD_BIN.parents[1]
        folder.mkdir(parents=True, exist_ok=True)
        run("env", "-C", str(folder), "apt-get", "-qq", "download", "containerd")
        run("dpkg", "-x", *folder.glob("containerd_*.deb"), folder)
        return
    module = "github.com/containerd/containerd/v2/cmd"
    packages = [f"{module}/{program}@{CONTAINERD}" for program in CONTAINERD_PROGRAMS]
    go(f"containerd {CONTAINERD}", "install", "-ldflags", "-s -w", *packages, bin_dir=CONTAINERD_BIN)


def module_folder(module: str, version: str) -> Path:
    """The folder of a Go module, which is downloaded if it is not there."""
    return Path(json.loads(run("go", "mod", "download", "-json", f"{module}@{version}"))["Dir"])


@contextmanager
def module_copy(module: str, version: str) -> Iterator[Path]:
    """A copy of a Go module that can be changed and built by its own requirements (replace)."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "module"
        shutil.copytree(module_folder(module, version), copy)
        run("chmod", "-R", "u+w", copy)
        yield copy


def go(
    what: str,
    verb: str,
    *arguments: str,
    cwd: Path | None = None,
    bin_dir: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> None:
    """Runs `go build` or `go install`, with a line a minute while it works. Raises ClusterError."""
    if missing("go"):
        raise ClusterError(f"building {what} needs Go 1.26 or later: https://go.dev/doc/install (its bin in PATH)")
    say(f"building {what} (once; minutes)")
    started = time.monotonic()
    env = {**os.environ, "CGO_ENABLED": "0", **({"GOBIN": str(bin_dir)} if bin_dir else {}), **(env or {})}
    argv = ["go", verb, "-trimpath", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, cwd=cwd, env=env, text=True, stdout=pipe, stderr=subprocess.STDOUT) as process:
        while True:
            try:
                output, _ = process.communicate(timeout=60)
                break
            except subprocess.TimeoutExpired:
                say(f"building {what}: {time.monotonic() - started:.0f} s")
    if process.returncode:
        raise ClusterError(f"building {what} failed:\n" + "\n".join(output.splitlines()[-15:]))
    say(f"built {what} in {time.monotonic() - started:.0f} s")
