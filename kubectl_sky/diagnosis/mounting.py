"""Why the volumes of a pod are not there: from the events of its pod and its claims. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from kubectl_sky.diagnosis.fault import Fault, Told
from kubectl_sky.diagnosis.pulling import last_words

Object = dict[str, Any]


_NAME = "make it, or correct its name in config.kubernetes.pod_config"
_FAULTS = (
    Fault("NoSecret", r'secret "(?P<what>[^"]+)" not found', "the Secret {what!r} does not exist", _NAME),
    Fault("NoConfigMap", r'configmap "(?P<what>[^"]+)" not found', "the ConfigMap {what!r} does not exist", _NAME),
    Fault(
        "NoKey",
        r"references non-existent (?:secret|config) key: (?P<what>\S+)",
        "it has no key {what!r}",
        "correct `items` of the volume in config.kubernetes.pod_config",
    ),
    Fault(
        "HostPath",
        r"hostPath type check failed,?:? ?(?P<what>\S+)",
        "the node has no {what} of the kind that its hostPath wants",
        "make it on the nodes, or change `path` or `type` of the volume (DirectoryOrCreate)",
    ),
    Fault(
        "NoDriver",
        r"driver name (?P<what>\S+) not found in the list of registered CSI drivers",
        "the node has no storage driver {what!r}",
        "its administrators must install it there: kubectl get csidrivers, csinodes",
    ),
    Fault(
        "MultiAttach",
        r"Multi-Attach error.*?(?:used by pod\(s\) (?P<what>[^\n]+)|$)",
        "it is attached to another node, and can be on one at a time (ReadWriteOnce) {what}",
        "end the pods that use it (kubectl get pods -o wide), or use a claim with ReadWriteMany",
    ),
    Fault(
        "MountFailed",
        r"unknown filesystem type '(?P<what>\w+)'",
        "the node cannot mount the file system {what}",
        "its administrators must install its tools there",
    ),
    Fault(
        "MountFailed",
        r"(?:access denied by server|Permission denied)",
        "the file server refuses the node",
        "check the server's export, and the path in the volume",
    ),
    Fault(
        "MountFailed",
        r"(?:No such host|Name or service not known|Connection timed out|No route to host)",
        "the file server does not answer the node",
        "check the server's name in the volume, and that the nodes may reach it",
    ),
    Fault(
        "Slow",
        r"timed out waiting for the condition|context deadline exceeded",
        "it is not there yet",
        "see the claim's events: kubectl describe pvc",
    ),
)


def mount(said: str) -> Told:
    """(reason, message, next step) for the message of FailedMount and FailedAttachVolume."""
    named = re.search(r'for volume "(?P<name>[^"]+)"', said)
    which = f"the volume {named['name']!r} cannot be mounted" if named else "a volume cannot be mounted"
    for one in _FAULTS:
        if found := re.search(one.pattern, said, re.S):
            values = {key: (value or "").strip() for key, value in found.groupdict().items()}
            return one.reason, f"{which}: {one.text.format(**values).strip()}", one.hint
    return "FailedMount", f"{which}: {last_words(said)}", "see: kubectl get events; kubectl get pvc"


def claims(pod: Object) -> list[str]:
    """The names of a pod's PersistentVolumeClaims, also of those that are made for it."""
    volumes = (pod.get("spec") or {}).get("volumes") or ()
    found = [(volume.get("persistentVolumeClaim") or {}).get("claimName") for volume in volumes]
    made = [f"{pod['metadata']['name']}-{volume['name']}" for volume in volumes if "ephemeral" in volume]
    return [name for name in found if name] + made


def unbound(names: Sequence[str], events: Sequence[Object]) -> Told:
    """Why one of the claims is not bound, by their events, the latest last."""
    # "Provisioning" is said again and again, also after a failure
    latest = list(reversed(events))
    for event in sorted(latest, key=lambda event: event.get("reason") == "ExternalProvisioning"):
        name = (event.get("involvedObject") or {}).get("name", "")
        if name in names and (told := _claim(name, event.get("reason", ""), event.get("message", ""))):
            return told
    which = " or ".join(repr(name) for name in names) or "of it"
    return "ClaimUnbound", f"its claim {which} has no volume yet", f"kubectl describe pvc {' '.join(names)}".rstrip()


def _claim(name: str, reason: str, said: str) -> Told | None:
    which = f"its claim {name!r} has no volume"
    if "no storage class is set" in said:
        text = f"{which}: it names no storage class, and the cluster has no default one"
        return "NoStorageClass", text, "name one (storageClassName): kubectl get storageclasses"
    if found := re.search(r'storageclass\S* "(?P<what>[^"]+)" not found', said):
        text = f"{which}: the cluster has no storage class {found['what']!r}"
        return "NoStorageClass", text, "see those it has: kubectl get storageclasses"
    if reason == "ExternalProvisioning":
        found = re.search(r"provisioner '(?P<what>[^']+)'", said)
        who = f"the provisioner {found['what']!r}" if found else "its provisioner"
        text = f"{which} yet: {who} has to make it"
        return "Provisioning", text, f"if it takes long, is that provisioner running? kubectl describe pvc {name}"
    if reason == "ProvisioningFailed":
        return "ProvisioningFailed", f"{which}: {last_words(said)}", f"kubectl describe pvc {name}"
    if reason == "FailedBinding":
        return "ClaimUnbound", f"{which}: {said}", f"kubectl describe pvc {name}; kubectl get pv"
    return None


def missing_claim(name: str) -> Told:
    text = f"its PersistentVolumeClaim {name!r} does not exist"
    return "NoClaim", text, "make it, or correct claimName: kubectl get pvc"
