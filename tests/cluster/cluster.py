"""A real Kubernetes cluster on this machine, for tests: bringing it up, what to do with it, removing it."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from runtime.recipe import BuildError, build
from tests.cluster import gpus as fake
from tests.cluster import plugins
from tests.cluster.binaries import ensure_containerd, ensure_kubernetes, ensure_packages
from tests.cluster.control import answers, kubectl, start_apiserver, start_control_plane
from tests.cluster.network import block_clients, make_network
from tests.cluster.node import import_image, spawn_kubelet, start_containerd, start_kubelet
from tests.cluster.pki import make_certificates, make_users
from tests.cluster.process import command_line, daemons, end, run, say, wait_for
from tests.cluster.recipes import PAUSE, all_images
from tests.cluster.settings import (
    CACHE,
    DEFAULT_VERSION,
    KUBECONFIG,
    NUMBER,
    ROOT,
    VERSIONS,
    ClusterError,
    Node,
    Version,
)
from tests.cluster.storage import start_provisioner
from tests.cluster.teardown import remove_cluster

SPEC = ROOT / "cluster.json"  # what the running cluster was made with; the last file that `up` writes
CONTROL_DAEMONS = 6  # etcd, API server, controller manager, scheduler, CoreDNS, kube-proxy
NODE_DAEMONS = 3  # containerd, kubelet, kube-proxy
READY = "{.items[*].status.conditions[?(@.type=='Ready')].status}"


@dataclass(frozen=True)
class Spec:
    """What a cluster is made with."""

    nodes: int
    version: str
    gpus: int

    def __str__(self) -> str:
        return f"Kubernetes {self.version}, {self.nodes} nodes, {self.gpus} GPUs a node, in {ROOT}"

    @property
    def release(self) -> Version:
        return VERSIONS[self.version]

    @property
    def each_node(self) -> list[Node]:
        return [Node(index) for index in range(1, self.nodes + 1)]

    def node(self, name: str) -> Node:
        """The node of that name. Raises ClusterError."""
        found = [node for node in self.each_node if node.name == name]
        if not found:
            raise ClusterError(f"no node {name}; there are {' '.join(node.name for node in self.each_node)}")
        return found[0]


@contextmanager
def lock(what: str = f"cluster{NUMBER}") -> Iterator[None]:
    """Only one process at a time changes this cluster, or makes what all clusters use."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{what}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ensure(nodes: int = 3, version: str = DEFAULT_VERSION, gpus: int = 0) -> Path:
    """A running cluster with `nodes` nodes of `gpus` GPUs each, and the images on them; returns its kubeconfig.

    One that is already like that stays; any other is removed first. Raises ClusterError.
    """
    ensure_packages()
    if version not in VERSIONS:
        raise ClusterError(f"Kubernetes {version} is not one of {', '.join(VERSIONS)}")
    if not 1 <= nodes <= 9:
        raise ClusterError("the cluster can have 1 to 9 nodes")
    spec = Spec(nodes, version, gpus)
    with lock():
        with lock("making"):
            archives, pause = make_binaries_and_images(spec)
        if healthy(spec):
            say(f"cluster: up already: {spec}")
        else:
            create(spec, pause)
        for archive in archives:
            load_once(archive)
    return KUBECONFIG


def make_binaries_and_images(spec: Spec) -> tuple[list[Path], Path]:
    """The images' archives, and that of the pause image. Raises ClusterError."""
    for needed in {VERSIONS[DEFAULT_VERSION], spec.release}:
        ensure_kubernetes(needed)
    ensure_containerd(spec.release)
    try:
        return [build(recipe) for recipe in all_images()], build(PAUSE)
    except BuildError as error:
        raise ClusterError(str(error)) from error


def current() -> Spec:
    """What the cluster that is up was made with. Raises ClusterError when there is none."""
    try:
        return Spec(**json.loads(SPEC.read_text()))
    except FileNotFoundError:
        raise ClusterError("no test cluster is up: python3 -m tests.cluster up") from None


def ready_nodes(version: Version) -> int:
    """How many nodes are ready."""
    return kubectl(version, "get", "nodes", "-o", f"jsonpath={READY}", check=False).split().count("True")


def healthy(spec: Spec) -> bool:
    """Is the cluster that is up the one asked for, with all its parts running?"""
    if not SPEC.exists() or current() != spec:
        return False
    block_clients(False)  # a killed block-apiserver may have left it so
    expected = CONTROL_DAEMONS + NODE_DAEMONS * spec.nodes
    parts = [pid for pid in daemons() if not is_shim(pid)]
    if len(parts) < expected or not answers(spec.release, "get", "--raw", "/readyz"):
        return False
    return ready_nodes(spec.release) >= spec.nodes  # more, with kwok's


def is_shim(pid: int) -> bool:
    """Is it the parent of a pod's processes?"""
    try:
        return "shim" in Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return True


def create(spec: Spec, pause: Path) -> None:
    """Makes the cluster, after removing whatever is there of another one."""
    remove_cluster()
    started = time.monotonic()
    say(f"cluster: starting {spec}")
    version, nodes = spec.release, spec.each_node
    # kubelets and containerds watch files: Linux gives a user 128 watchers, some twelve nodes' worth
    run("sysctl", "-qw", "fs.inotify.max_user_instances=8192", check=False)
    make_certificates()
    make_users(nodes)
    make_network(nodes)
    for node in nodes:
        start_containerd(node, version)
    start_control_plane(version)
    say(f"cluster: control plane ready after {time.monotonic() - started:.1f} s")
    for node in nodes:
        start_kubelet(node, version, pause)
    wait_for("the nodes", lambda: ready_nodes(version) == len(nodes), log="node-1-kubelet")
    wait_for("the default service account", lambda: answers(version, "get", "serviceaccount", "default"))
    kubectl(version, "create", "rolebinding", "edit", "--clusterrole=edit", "--user=edit")
    for node in nodes if spec.gpus else []:
        fake.add_gpus(node, version, spec.gpus)
    SPEC.write_text(json.dumps(asdict(spec)))
    say(f"cluster: up after {time.monotonic() - started:.1f} s")


def load_once(archive: Path) -> None:
    """Loads an image that build() made, unless the nodes have just this one."""
    done = ROOT / "loaded" / archive.name
    if not done.exists():
        load(archive)
        done.parent.mkdir(exist_ok=True)
        done.touch()


def load(archive: Path) -> None:
    """Puts a docker-archive's images on all nodes."""
    started = time.monotonic()
    if not Path(archive).is_file():
        raise ClusterError(f"no such file: {archive}")
    spec = current()
    for node in spec.each_node:
        import_image(node, spec.release, archive)
    say(f"loaded {archive.name} on all nodes in {time.monotonic() - started:.1f} s")


def down() -> None:
    """Removes the cluster and everything it left."""
    ensure_packages()
    with lock():
        remove_cluster()
    say(f"cluster: removed {ROOT}")


def restart_apiserver(audit: Path | None = None) -> None:
    """Kills the API server and starts it again, as in a crash. `audit`: with a policy of what to log."""
    spec = current()
    end(daemons("kube-apiserver"), grace=0)
    start_apiserver(spec.release, audit)
    say("API server restarted")


def stop_kubelet(name: str) -> None:
    """Kills a node's kubelet; its containers run on."""
    node = current().node(name)
    config = f"--config={node.dir}/kubelet.yaml"
    end([pid for pid in daemons("kubelet") if config in command_line(pid)], grace=0)


def start_kubelet_again(name: str) -> None:
    """After stop_kubelet, or after its Node was deleted: it registers anew."""
    spec = current()
    stop_kubelet(name)
    spawn_kubelet(spec.node(name), spec.release)


def block_apiserver(seconds: float) -> None:
    """Cuts this machine's clients, and not the nodes, off the API server for some time."""
    current()
    block_clients(True)
    try:
        say(f"API server blocked for {seconds:.0f} s")
        time.sleep(seconds)
    finally:
        block_clients(False)


def dress(names: Sequence[str] = ()) -> None:
    """Makes each node look like one of a GPU vendor's (gpus.py)."""
    spec = current()
    for node, vendor in fake.dress(spec.each_node, spec.release, names).items():
        say(f"{node}: {vendor}")


def undress() -> None:
    """Takes away what dress() gave the nodes."""
    spec = current()
    fake.undress(spec.each_node, spec.release)


def device_plugin(name: str, amounts: Mapping[str, int]) -> None:
    """Gives a node so many devices of each resource, by a real device plugin."""
    spec = current()
    plugins.start_device_plugin(spec.node(name), spec.release, amounts)


def dra_plugin(name: str, count: int, product: str, memory: str) -> None:
    """Gives a node GPUs by a real DRA driver."""
    spec = current()
    plugins.start_dra_plugin(spec.node(name), spec.release, count, product, memory)


def csi_plugin(name: str, driver: str, config: str) -> None:
    """Lets a node mount buckets by a CSI driver of that name, with rclone's `config`; "" takes it away."""
    spec = current()
    if config:
        plugins.start_csi_plugin(spec.node(name), spec.release, driver, config)
    else:
        plugins.stop_csi_plugin(spec.node(name), spec.release, driver)


def provision_storage() -> None:
    """Makes volumes on demand: a provisioner and its storage classes."""
    spec = current()
    with lock():
        start_provisioner(spec.release)


def install(start: Callable[[Version], None]) -> None:
    """Adds Kueue or a gang scheduler, by what starts it."""
    spec = current()
    with lock(), lock("making"):
        start(spec.release)


def kwok(nodes: int, pods: int) -> None:
    """Adds nodes that do not exist, and pods that do not run."""
    from tests.cluster.kwok import populate  # needs urllib3, which the other verbs do not

    populate(current().release, nodes, pods)


def environment() -> str:
    """Shell lines that make kubectl use the cluster."""
    return f"export KUBECONFIG={KUBECONFIG}\nexport PATH={current().release.bin}:$PATH"
