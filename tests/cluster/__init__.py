"""A real Kubernetes cluster for tests, without Docker: `python3 -m tests.cluster up`, as root on Debian."""

from tests.cluster.cluster import block_apiserver, csi_plugin, down, ensure, load, provision_storage, restart_apiserver
from tests.cluster.settings import ClusterError

__all__ = [
    "ClusterError",
    "block_apiserver",
    "csi_plugin",
    "down",
    "ensure",
    "load",
    "provision_storage",
    "restart_apiserver",
]
