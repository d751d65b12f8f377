"""The command line: python3 -m tests.cluster up [N] [--version 1.37] [--gpus K] | down | load TAR | env | ..."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.cluster import cluster
from tests.cluster.settings import DEFAULT_VERSION, VERSIONS, ClusterError


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
    verbs.add_parser("restart-apiserver", help="kill the API server and start it again")
    block = verbs.add_parser("block-apiserver", help="cut this machine's clients off the API server for some seconds")
    block.add_argument("seconds", type=float)
    return top


def main() -> None:
    """Runs one verb."""
    words = parser().parse_args()
    if words.verb == "up":
        cluster.ensure(words.nodes, words.version, words.gpus)
        print(cluster.environment())
    elif words.verb == "load":
        cluster.load(words.archive)
    elif words.verb == "env":
        print(cluster.environment())
    elif words.verb == "block-apiserver":
        cluster.block_apiserver(words.seconds)
    else:
        {"down": cluster.down, "restart-apiserver": cluster.restart_apiserver}[words.verb]()


try:
    main()
except ClusterError as error:
    sys.exit(f"error: {error}")
except KeyboardInterrupt:
    sys.exit(130)
