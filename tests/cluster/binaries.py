"""What the cluster needs on the machine: Debian packages, and Kubernetes and containerd built with Go."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.process import missing, run, say
from tests.cluster.settings import CACHE, CONTAINERD, CONTAINERD_BIN, ClusterError, Version

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
        minor = version.minor.split(".")
        package = "k8s.io/component-base/version"
        values = {"gitVersion": version.release, "gitMajor": minor[0], "gitMinor": minor[1]}
        flags = " ".join(["-s -w", *(f"-X {package}.{key}={value}" for key, value in values.items())])
        partial = version.bin / "kube.partial"
        go(f"Kubernetes {version.release}", "build", "-ldflags", flags, "-o", str(partial), ".", cwd=version.module)
        partial.rename(program)
    kubectl = version.bin / "kubectl"
    if not kubectl.exists():
        kubectl.symlink_to("kube")


def ensure_containerd() -> None:
    """Builds containerd, once (1-2 minutes on 2 cores)."""
    if all((CONTAINERD_BIN / program).exists() for program in CONTAINERD_PROGRAMS):
        return
    module = "github.com/containerd/containerd/v2/cmd"
    packages = [f"{module}/{program}@{CONTAINERD}" for program in CONTAINERD_PROGRAMS]
    go(f"containerd {CONTAINERD}", "install", "-ldflags", "-s -w", *packages, bin_dir=CONTAINERD_BIN)


def go(what: str, verb: str, *arguments: str, cwd: Path | None = None, bin_dir: Path | None = None) -> None:
    """Runs `go build` or `go install`, with a line a minute while it works. Raises ClusterError."""
    if missing("go"):
        raise ClusterError(f"building {what} needs Go 1.26 or later: https://go.dev/doc/install (its bin in PATH)")
    say(f"building {what} (once; minutes)")
    started = time.monotonic()
    env = {**os.environ, "CGO_ENABLED": "0", **({"GOBIN": str(bin_dir)} if bin_dir else {})}
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
