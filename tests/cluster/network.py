"""The cluster's network: a bridge on the machine, and a net namespace for the control plane and each node.

Nothing but the bridge, its routes and one iptables rule touches the machine's own net namespace.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from tests.cluster.process import run
from tests.cluster.settings import CONTROL, CONTROL_IP, HOST_IP, POD_PREFIX, PREFIX, Node

BRIDGE = PREFIX
FORWARD = ("FORWARD", "-i", BRIDGE, "-o", BRIDGE, "-j", "ACCEPT")


def make_network(nodes: Sequence[Node]) -> None:
    """The bridge, the namespaces, and routes between all pods, nodes, the control plane and this machine."""
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "addr", "add", f"{HOST_IP}/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    run("iptables", "-w", "-I", *FORWARD)
    make_netns(CONTROL, CONTROL_IP, f"{PREFIX}-vc")
    for node in nodes:
        make_netns(node.netns, node.ip, f"{PREFIX}-v{node.index}")
    for node in nodes:
        run("ip", "route", "replace", node.pods, "via", node.ip)
        for netns in (CONTROL, *(other.netns for other in nodes if other != node)):
            run("ip", "-n", netns, "route", "add", node.pods, "via", node.ip)


def make_netns(name: str, ip: str, link: str) -> None:
    """A net namespace with address `ip` on the bridge."""
    run("ip", "netns", "add", name)
    run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
    run("ip", "link", "set", link, "master", BRIDGE, "up")
    run("ip", "-n", name, "link", "set", "lo", "up")
    run("ip", "-n", name, "addr", "add", f"{ip}/24", "dev", "eth0")
    run("ip", "-n", name, "link", "set", "eth0", "up")
    run("ip", "-n", name, "route", "add", "default", "via", HOST_IP)
    run("ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv4.ip_forward=1")


def remove_network() -> None:
    """Removes what make_network made, and nothing else."""
    for name in os.listdir("/run/netns") if os.path.isdir("/run/netns") else []:
        if name == CONTROL or name.startswith(f"{PREFIX}-n"):
            run("ip", "netns", "del", name, check=False)
    run("ip", "link", "del", BRIDGE, check=False)
    run("iptables", "-w", "-D", *FORWARD, check=False)
    for route in run("ip", "route", "show", check=False).splitlines():
        if route.startswith(f"{POD_PREFIX}."):
            run("ip", "route", "del", route.split()[0], check=False)


def block_clients(blocked: bool) -> None:
    """Drops what this machine's clients send to the API server; the nodes are not touched."""
    rule = ("INPUT", "-s", HOST_IP, "-p", "tcp", "--dport", "6443", "-j", "DROP")
    run("ip", "netns", "exec", CONTROL, "iptables", "-w", "-I" if blocked else "-D", *rule, check=blocked)
