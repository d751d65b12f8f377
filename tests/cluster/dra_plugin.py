"""A DRA driver with GPUs that do not exist: python3 -m tests.cluster.dra_plugin NODE_DIR MINOR COUNT PRODUCT MEMORY.

DRA (dynamic resource allocation) has the devices with their attributes in a ResourceSlice; a pod asks for them by a
ResourceClaim, the scheduler chooses, and kubelet has the driver prepare them. A container gets the chosen ones as CDI
devices: here each is an environment variable, FAKE_GPU_0=NVIDIA H100 80GB HBM3.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.cluster.control import kubectl
from tests.cluster.plugin_server import block_signals, serve, until_told
from tests.cluster.process import say
from tests.cluster.protobuf import decode, encode, entry
from tests.cluster.settings import VERSIONS, ClusterError, Version

DRIVER = "gpu.nvidia.com"
SERVICE = "k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin"
API = "resource.k8s.io/v1"


def device(index: int, product: str, memory: str) -> dict[str, Any]:
    """One device of a ResourceSlice, as NVIDIA's driver describes it."""
    attributes = {
        "type": {"string": "gpu"},
        "productName": {"string": product},
        "brand": {"string": "Nvidia"},
        "uuid": {"string": f"GPU-00000000-0000-0000-0000-{index:012}"},
        "driverVersion": {"version": "580.95.5"},
    }
    return {"name": f"gpu-{index}", "attributes": attributes, "capacity": {"memory": {"value": memory}}}


def resource_slice(node: str, devices: list[dict[str, Any]]) -> dict[str, Any]:
    """The node's only slice; its pool is named by the node."""
    pool = {"name": node, "generation": 1, "resourceSliceCount": 1}
    spec = {"driver": DRIVER, "nodeName": node, "pool": pool, "devices": devices}
    return {"apiVersion": API, "kind": "ResourceSlice", "metadata": {"name": f"{node}-{DRIVER}"}, "spec": spec}


def device_class() -> dict[str, Any]:
    """What a claim names: any whole GPU of the driver."""
    expression = f"device.driver == '{DRIVER}' && device.attributes['{DRIVER}'].type == 'gpu'"
    selectors = [{"cel": {"expression": expression}}]
    return {
        "apiVersion": API, "kind": "DeviceClass", "metadata": {"name": DRIVER}, "spec": {"selectors": selectors},
    }  # fmt: skip


def cdi_kind(node: str) -> str:
    """CDI's name of this kind of device."""
    return f"{node}.{DRIVER}/gpu"


def cdi_spec(node: str, devices: list[dict[str, Any]]) -> dict[str, Any]:
    """What containerd does to a container that gets a device: it sets a variable."""
    edits = {
        item["name"]: {
            "env": [f"FAKE_{item['name'].upper().replace('-', '_')}={item['attributes']['productName']['string']}"]
        }
        for item in devices
    }
    entries = [{"name": name, "containerEdits": edit} for name, edit in edits.items()]
    return {"cdiVersion": "0.6.0", "kind": cdi_kind(node), "devices": entries}


def prepared(claim: dict[str, Any], node: str) -> bytes:
    """A NodePrepareResourceResponse: the devices that the scheduler chose for a ResourceClaim."""
    results = claim["status"]["allocation"]["devices"]["results"]
    devices = [
        encode((1, item["request"]), (2, item["pool"]), (3, item["device"]), (4, f"{cdi_kind(node)}={item['device']}"))
        for item in results
        if item["driver"] == DRIVER
    ]
    return encode(*((1, item) for item in devices))


def methods(node: str, version: Version) -> dict[str, Any]:
    """The service DRAPlugin. A request has claims of (namespace, uid, name), a response a map by uid."""

    def prepare(request: bytes, context: Any) -> bytes:
        responses = []
        for claim in decode(request)[1]:
            namespace, uid, name = (decode(claim)[number][0].decode() for number in (1, 2, 3))
            try:
                found = json.loads(kubectl(version, "-n", namespace, "get", "resourceclaim", name, "-o", "json"))
                response = prepared(found, node)
            except ClusterError as error:
                response = encode((2, str(error)))
            say(f"prepared {namespace}/{name}")
            responses.append(entry(uid, response))
        return encode(*((1, response) for response in responses))

    def unprepare(request: bytes, context: Any) -> bytes:
        uids = [decode(claim)[2][0].decode() for claim in decode(request)[1]]
        return encode(*((1, entry(uid, b"")) for uid in uids))

    return {"NodePrepareResources": prepare, "NodeUnprepareResources": unprepare}


def main(node_dir: str, minor: str, count: str, product: str, memory: str) -> None:
    """Publishes the devices, and registers with the kubelet of the node until SIGTERM."""
    block_signals()
    folder, version = Path(node_dir), VERSIONS[minor]
    node = folder.name
    devices = [device(index, product, memory) for index in range(int(count))]
    (folder / "cdi").mkdir(exist_ok=True)
    (folder / f"cdi/{DRIVER}.json").write_text(json.dumps(cdi_spec(node, devices)))
    services = {SERVICE: methods(node, version)}
    server = serve(folder / "kubelet/plugins_registry", "DRAPlugin", DRIVER, "v1.DRAPlugin", services)
    for document in (device_class(), resource_slice(node, devices)):
        kubectl(version, "apply", "-f", "-", stdin=json.dumps(document))
    server.registered.wait()
    say("published")
    until_told([server])


if __name__ == "__main__":
    main(*sys.argv[1:])
