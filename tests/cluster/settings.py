"""Where the test cluster's things are, how they are named, and the versions that it is made of."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("KUBECTL_SKY_CACHE", "~/.cache/kubectl-sky")).expanduser()

# Clusters with different numbers (0-9) can run side by side; everything of one is named by its number.
NUMBER = int(os.environ.get("KUBECTL_SKY_CLUSTER_NUMBER", "0"))
PREFIX = f"ksky{NUMBER}"
ROOT = Path(os.environ.get("KUBECTL_SKY_CLUSTER", f"/var/lib/kubectl-sky-cluster{NUMBER or ''}"))
KUBECONFIG = ROOT / "admin.kubeconfig"

NETWORK = f"172.31.{240 + NUMBER}"  # a /24: the machine is .1, the control plane .2, node i is .(10+i)
HOST_IP = f"{NETWORK}.1"
CONTROL_IP = f"{NETWORK}.2"
CONTROL = f"{PREFIX}-control"  # the net namespace of the control plane
POD_PREFIX = f"10.{220 + NUMBER}"  # node i has POD_PREFIX.i.0/24
SERVICE_PREFIX = f"10.{230 + NUMBER}.0"  # a /16
API_SERVER = f"https://{CONTROL_IP}:6443"
TOKENS = ROOT / "tokens.csv"
PKI = ROOT / "pki"


@dataclass(frozen=True)
class Version:
    """One Kubernetes minor. Its Go module, with everything pinned, is kube/MINOR."""

    minor: str
    release: str
    feature_gates: str = ""
    apis: str = ""  # as --runtime-config has them
    variant: str = ""

    @property
    def name(self) -> str:
        """What `up --version` calls it."""
        return self.minor + self.variant

    @property
    def module(self) -> Path:
        """The directory of the Go module that builds it."""
        return HERE / "kube" / self.minor

    @property
    def bin(self) -> Path:
        """Where its built programs are."""
        return CACHE / "bin" / self.release

    def at_least(self, minor: int) -> bool:
        """Is it Kubernetes 1.MINOR or later?"""
        return int(self.minor.split(".")[1]) >= minor

    @property
    def containerd(self) -> Path:
        """The folder of the containerd that its kubelet can talk to."""
        return CONTAINERD_BIN if self.at_least(23) else OLD_CONTAINERD_BIN


# with Kubernetes' own gang scheduling, which nobody has without asking for it yet
GANG = Version("1.37", "v1.37.2", "GenericWorkload=true", "scheduling.k8s.io/v1beta1=true", "-gang")
# 1.20 is the oldest that the program promises to work with; 1.24 the oldest here that numbers the pods of Jobs
RELEASES = ("v1.37.2", "v1.31.0", "v1.24.17", "v1.20.15")
VERSIONS = {v.name: v for v in (*(Version(release[1:5], release) for release in RELEASES), GANG)}
DEFAULT_VERSION = "1.37"
CONTAINERD = "v2.4.2"
CONTAINERD_BIN = CACHE / "bin" / f"containerd-{CONTAINERD}"
OLD_CONTAINERD_BIN = CACHE / "bin" / "containerd-debian" / "usr" / "bin"


@dataclass(frozen=True)
class Node:
    """Node number `index`, from 1."""

    index: int

    @property
    def name(self) -> str:
        return f"node-{self.index}"

    @property
    def netns(self) -> str:
        return f"{PREFIX}-n{self.index}"

    @property
    def ip(self) -> str:
        return f"{NETWORK}.{10 + self.index}"

    @property
    def pods(self) -> str:
        return f"{POD_PREFIX}.{self.index}.0/24"

    @property
    def dir(self) -> Path:
        return ROOT / self.name

    @property
    def socket(self) -> Path:
        return self.dir / "containerd.sock"


class ClusterError(Exception):
    """The test cluster cannot do what was asked; the message says why, for people."""
