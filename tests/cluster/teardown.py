"""Removes a cluster, also one whose processes were killed at any moment."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.cluster.network import remove_network
from tests.cluster.node import CGROUPS
from tests.cluster.process import daemons, end, run
from tests.cluster.settings import PREFIX, ROOT


def remove_cluster() -> None:
    """Ends every process, mount, cgroup, net namespace and file of this cluster; nothing when there is none."""
    kubelets = daemons("kubelet")
    end(kubelets, grace=0)  # first: it would start the pods again
    end([pid for group in cgroups() for pid in processes(group)], grace=0)
    end(daemons(), grace=1)
    end([pid for group in cgroups() for pid in processes(group)], grace=0)
    unmount()
    remove_network()
    for group in cgroups():
        try:
            group.rmdir()
        except OSError:
            continue
    forget_names()
    shutil.rmtree(ROOT, ignore_errors=True)


def cgroups() -> Iterator[Path]:
    """The cluster's cgroups in all hierarchies, the deepest first."""
    for top in (CGROUPS / PREFIX, *CGROUPS.glob(f"*/{PREFIX}")):
        for folder, _, _ in os.walk(top, topdown=False):
            yield Path(folder)


def processes(group: Path) -> list[int]:
    """The pids in a cgroup."""
    try:
        return [int(pid) for pid in (group / "cgroup.procs").read_text().split()]
    except OSError:
        return []


def unmount() -> None:
    """Unmounts everything under ROOT."""
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for point in reversed([point for point in points if point.startswith(f"{ROOT}/")]):
        run("umount", "-l", point, check=False)


def forget_names() -> None:
    """Removes what kubelet and CNI leave in places that cannot be set."""
    for link in Path("/var/log/containers").glob("*.log"):
        if link.is_symlink() and os.readlink(link).startswith(f"{ROOT}/"):
            link.unlink()
    results = Path("/var/lib/cni/results")
    for result in results.glob(f"{PREFIX}-n*-*-eth0"):
        sandbox = result.name.split("-")[2]
        (results / f"cni-loopback-{sandbox}-lo").unlink(missing_ok=True)
        result.unlink()
