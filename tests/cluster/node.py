"""A node: containerd and kubelet in a net namespace, with a cgroup of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.cluster.binaries import CNI
from tests.cluster.control import start_proxy
from tests.cluster.process import daemons, run, spawn, wait_for
from tests.cluster.settings import CONTROL_IP, PKI, PREFIX, ROOT, ClusterError, Node, Version

CGROUPS = Path("/sys/fs/cgroup")
PAUSE = "localhost/pause:1"
POD_LOGS = Path("/var/log/pods")
# of all kubelets of a machine: which devices each pod has. Only a kubelet that starts reads it
DEVICES = Path("/var/lib/kubelet/device-plugins/kubelet_internal_checkpoint")


def start_containerd(node: Node, version: Version) -> None:
    """Starts the node's container runtime, without waiting for it."""
    make_cgroups(node)
    (node.dir / "cni").mkdir(parents=True)
    (node.dir / "cni/pods.conflist").write_text(json.dumps(cni_config(node)))
    (node.dir / "containerd.toml").write_text(containerd_config(node, version))
    argv = [version.containerd / "containerd", "-c", f"{node.dir}/containerd.toml", "-l", "warn"]
    if not version.at_least(31):
        argv = [*own_logs(node), *argv]
    spawn(f"{node.name}-containerd", argv, node.netns)


def start_kubelet(node: Node, version: Version, pause: Path) -> None:
    """Waits for containerd, and starts kubelet and kube-proxy."""
    ctr = [str(version.containerd / "ctr"), "-a", str(node.socket)]
    log = f"{node.name}-containerd"
    wait_for(log, lambda: subprocess.run([*ctr, "version"], capture_output=True).returncode == 0, log=log)
    import_image(node, version, pause)
    (node.dir / "kubelet.yaml").write_text(json.dumps(kubelet_config(node, version)))
    spawn_kubelet(node, version)
    start_proxy(version, node.name, node.netns)


def spawn_kubelet(node: Node, version: Version) -> None:
    """Starts kubelet alone, also on a node that had one."""
    flags = [
        f"--config={node.dir}/kubelet.yaml",
        f"--kubeconfig={ROOT}/{node.name}.kubeconfig",
        f"--root-dir={node.dir}/kubelet",
        f"--cert-dir={node.dir}/kubelet-pki",
        f"--hostname-override={node.name}",
        f"--node-ip={node.ip}",
    ]
    if not version.at_least(27):  # later ones read it in their file
        flags.append(f"--container-runtime-endpoint=unix://{node.socket}")
    if not version.at_least(24):
        flags.append("--container-runtime=remote")
    DEVICES.unlink(missing_ok=True)  # another kubelet's devices would be this one's, at zero
    argv = [version.bin / "kube", "kubelet", *flags]
    if not version.at_least(31):
        (pid,) = daemons(str(node.dir / "containerd.toml"))
        argv = ["nsenter", f"--mount=/proc/{pid}/ns/mnt", *argv]
    spawn(f"{node.name}-kubelet", argv, node.netns)


def own_logs(node: Node) -> list[object]:
    """What starts a program for which /var/log/pods is the node's own.

    Old kubelets know no other folder, and remove from it what they do not know: the logs of other nodes' pods.
    """
    logs = node.dir / "logs"
    logs.mkdir()
    POD_LOGS.mkdir(parents=True, exist_ok=True)
    script = 'mount --bind "$0" "$1" && shift && exec "$@"'
    return ["unshare", "--mount", "--propagation=slave", "sh", "-c", script, logs, POD_LOGS]


def import_image(node: Node, version: Version, archive: Path) -> None:
    """Puts a docker-archive's images on the node."""
    run(version.containerd / "ctr", "-a", node.socket, "-n", "k8s.io", "images", "import", archive)


def make_cgroups(node: Node) -> None:
    """The node's cgroup, in which kubelet puts its pods, in all controllers."""
    try:
        if (CGROUPS / "cgroup.controllers").exists():
            make_cgroup_v2(node)
        else:
            make_cgroups_v1(node)
    except OSError as error:
        raise ClusterError(f"cannot make a cgroup for {node.name}: {error}") from error


def make_cgroup_v2(node: Node) -> None:
    """The node's cgroup, with all controllers handed down to it and to the pods below it."""
    group = CGROUPS / PREFIX / node.name
    group.mkdir(parents=True, exist_ok=True)
    for parent in (CGROUPS, group.parent, group):
        for controller in (parent / "cgroup.controllers").read_text().split():
            (parent / "cgroup.subtree_control").write_text(f"+{controller}")


def make_cgroups_v1(node: Node) -> None:
    """The node's cgroup in each controller's hierarchy."""
    controllers = [path for path in CGROUPS.iterdir() if path.is_dir() and path.name != "unified"]
    if not controllers:
        raise ClusterError(f"no cgroups at {CGROUPS}: mount them, or give this container its host's (--privileged)")
    for hierarchy in controllers:
        group = hierarchy / PREFIX / node.name
        group.mkdir(parents=True, exist_ok=True)
        if hierarchy.name == "cpuset":  # new cpusets are empty: no process could be put in them
            for folder in (group.parent, group):
                for file in ("cpuset.cpus", "cpuset.mems"):
                    (folder / file).write_text((hierarchy / file).read_text())


def cni_config(node: Node) -> dict[str, object]:
    """The node's pod network: a bridge in the node's net namespace."""
    ranges = [[{"subnet": node.pods}]]
    ipam = {"type": "host-local", "dataDir": f"{node.dir}/ipam", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": True, "hairpinMode": True, "ipam": ipam}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": node.netns, "plugins": [bridge, ports]}


def containerd_config(node: Node, version: Version) -> str:
    """containerd.toml, with everything of the node's containerd under the node's directory."""
    if not version.at_least(23):
        return old_containerd_config(node)
    return f'''version = 3
root = "{node.dir}/containerd"
state = "{node.dir}/run"
disabled_plugins = ["io.containerd.nri.v1.nri"]
[grpc]
  address = "{node.socket}"
[ttrpc]
  address = "{node.socket}.ttrpc"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{PAUSE}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true # machines without CAP_SYS_RESOURCE
  device_ownership_from_security_context = true
  netns_mounts_under_state_dir = true
  cdi_spec_dirs = ["{node.dir}/cdi"]
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["{CNI}"]
    conf_dir = "{node.dir}/cni"
'''


def old_containerd_config(node: Node) -> str:
    """The same for containerd 1."""
    return f'''version = 2
root = "{node.dir}/containerd"
state = "{node.dir}/run"
[grpc]
  address = "{node.socket}"
[ttrpc]
  address = "{node.socket}.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI}"
    conf_dir = "{node.dir}/cni"
'''


def kubelet_config(node: Node, version: Version) -> dict[str, object]:
    """kubelet.yaml (as JSON)."""
    gates = dict(gate.split("=") for gate in version.feature_gates.split(",") if gate)
    config: dict[str, object] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(PKI / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{PREFIX}/{node.name}",
        "failSwapOn": False,
        "clusterDNS": [CONTROL_IP],
        "clusterDomain": "cluster.local",
        "resolvConf": str(ROOT / "resolv.conf"),
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "nodeStatusUpdateFrequency": "4s",
        "makeIPTablesUtilChains": False,
        "featureGates": {name: value == "true" for name, value in gates.items()},
    }
    if version.at_least(27):
        config["containerRuntimeEndpoint"] = f"unix://{node.socket}"
    if version.at_least(31):
        config |= {"failCgroupV1": False, "podLogsDir": str(node.dir / "logs")}
    return config
