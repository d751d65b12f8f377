"""The command line: python3 -m tests.cluster up [N] [--version 1.37] [--gpus K] | down | load TAR | env | ..."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.cluster import cluster
from tests.cluster.gang_schedulers import start_coscheduling, start_volcano
from tests.cluster.kai import start_kai
from tests.cluster.kueue import start_kueue
from tests.cluster.settings import DEFAULT_VERSION, VERSIONS, ClusterError


def amount(text: str) -> tuple[str, int]:
    """RESOURCE=COUNT."""
    resource, _, count = text.partition("=")
    return resource, int(count)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python3 -m tests.cluster", description="A real Kubernetes cluster for tests.")
    verbs = top.add_subparsers(dest="verb", required=True)
    up = verbs.add_parser("up", help="bring it up; nothing is done if it is up with the same arguments")
    up.add_argument("nodes", nargs="?", type=int, default=3)
    up.add_argument("--version", default=DEFAULT_VERSION, choices=list(VERSIONS), help="Kubernetes' minor version")
    up.add_argument("--gpus", type=int, default=0, help="GPUs that each node says it has")
    verbs.add_parser("down", help="remove it and all that it left")
    verbs.add_parser("load", help="put an image on all nodes").add_argument("archive", type=Path)
    verbs.add_parser("env", help='print what to eval: eval "$(python3 -m tests.cluster env)"')
    restart = verbs.add_parser("restart-apiserver", help="kill the API server and start it again")
    restart.add_argument(
        "--audit", type=Path, metavar="POLICY", help="with an audit log, audit.log beside admin.kubeconfig"
    )
    verbs.add_parser("storage", help="volumes on demand: a provisioner, and the storage classes local and shared")
    verbs.add_parser("stop-kubelet", help="kill a node's kubelet").add_argument("node")
    verbs.add_parser("start-kubelet", help="start a node's kubelet again").add_argument("node")
    verbs.add_parser("kueue", help="install Kueue: queues with quotas (its first build takes minutes)")
    verbs.add_parser("volcano", help="install Volcano's scheduler beside the cluster's own")
    verbs.add_parser("kai", help="install the KAI scheduler beside the cluster's own, and its default queue")
    verbs.add_parser("coscheduling", help="the scheduler with the coscheduling plugin in place of the cluster's own")
    block = verbs.add_parser("block-apiserver", help="cut this machine's clients off the API server for some seconds")
    block.add_argument("seconds", type=float)
    add_accelerator_verbs(verbs)
    return top


def add_accelerator_verbs(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The verbs that pretend to have hardware."""
    dress = verbs.add_parser("dress", help="make the nodes look like those of GPU vendors (labels, taints, resources)")
    dress.add_argument("vendor", nargs="*", help="one for each node; else all in turn (see vendors.py)")
    verbs.add_parser("undress", help="take that away")
    plugin = verbs.add_parser("device-plugin", help="give a node devices, by a real device plugin; none ends it")
    plugin.add_argument("node")
    plugin.add_argument("amounts", nargs="*", type=amount, metavar="RESOURCE=COUNT")
    dra = verbs.add_parser("dra-plugin", help="give a node GPUs by a real DRA driver (ResourceSlice); 0 ends it")
    dra.add_argument("node")
    dra.add_argument("count", type=int)
    dra.add_argument("--product", default="NVIDIA H100 80GB HBM3")
    dra.add_argument("--memory", default="80Gi")
    kwok = verbs.add_parser("kwok", help="thousands of nodes that do not exist, with pods that do not run")
    kwok.add_argument("nodes", type=int)
    kwok.add_argument("pods", type=int)


def main() -> None:
    """Runs one verb."""
    words = parser().parse_args()
    simple = {
        "down": cluster.down, "undress": cluster.undress,
        "storage": cluster.provision_storage,
    }  # fmt: skip
    added = {
        "kueue": start_kueue, "volcano": start_volcano, "coscheduling": start_coscheduling, "kai": start_kai,
    }  # fmt: skip
    if words.verb == "up":
        cluster.ensure(words.nodes, words.version, words.gpus)
        print(cluster.environment())
    elif words.verb == "load":
        cluster.load(words.archive)
    elif words.verb == "env":
        print(cluster.environment())
    elif words.verb == "restart-apiserver":
        cluster.restart_apiserver(words.audit)
    elif words.verb == "block-apiserver":
        cluster.block_apiserver(words.seconds)
    elif words.verb == "stop-kubelet":
        cluster.stop_kubelet(words.node)
    elif words.verb == "start-kubelet":
        cluster.start_kubelet_again(words.node)
    elif words.verb == "dress":
        cluster.dress(words.vendor)
    elif words.verb == "device-plugin":
        cluster.device_plugin(words.node, dict(words.amounts))
    elif words.verb == "dra-plugin":
        cluster.dra_plugin(words.node, words.count, words.product, words.memory)
    elif words.verb == "kwok":
        cluster.kwok(words.nodes, words.pods)
    elif words.verb in added:
        cluster.install(added[words.verb])
    else:
        simple[words.verb]()


try:
    main()
except ClusterError as error:
    sys.exit(f"error: {error}")
except KeyboardInterrupt:
    sys.exit(130)
