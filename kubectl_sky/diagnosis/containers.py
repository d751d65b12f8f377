"""Why a container does not start, or how it ended: in words, with the next step. Pure."""

from __future__ import annotations

import re
from typing import Any

from kubectl_sky.diagnosis import copying
from kubectl_sky.diagnosis.fault import Fault, Told

Object = dict[str, Any]


_COMMAND = "check the command (config.kubernetes.pod_config), or use an image that has it (image_id)"
_USER = "give it one: config.kubernetes.pod_config.spec: {securityContext: {runAsUser: 1000}}"
_KEY = "make it, or correct its name in config.kubernetes.pod_config"
# what containerd, runc, crun and kubelet say; the first that matches counts
FAULTS = (
    Fault(
        "WrongArchitecture",
        r"exec format error",
        "its program is not for the processor of the node, or no program at all (exec format error)",
        "use an image for that architecture (kubectl get nodes -L kubernetes.io/arch); a script needs a #! line",
    ),
    Fault(
        "WorkingDir",
        r"chdir to cwd \(\"(?P<what>[^\"]*)\"\)[^:]*: (?P<why>.*)|mkdir (?P<dir>/\S+): (?P<no>.*)",
        "its working directory {what}{dir} cannot be used ({why}{no})",
        "correct workingDir in config.kubernetes.pod_config",
    ),
    Fault(
        "CommandNotFound",
        r'exec: "(?P<what>[^"]*)": (?:stat [^:]*: no such file or directory|executable file not found)',
        "its image has no program {what}",
        _COMMAND,
    ),
    Fault(
        "NotExecutable",
        r'exec: "(?P<what>[^"]*)": (?:permission denied|is a directory)|exec (?P<path>/\S+): permission denied',
        "{what}{path} in its image is not executable",
        f"chmod +x it when the image is built; or {_COMMAND}",
    ),
    Fault("CommandNotFound", r"exec (?P<what>/\S+): no such file or directory", "its image has no {what}", _COMMAND),
    Fault(
        "RunAsNonRoot",
        r"runAsNonRoot and image will run as root|non-numeric user|runAsNonRoot",
        "it must not run as root (runAsNonRoot), and its image runs as root",
        _USER,
    ),
    Fault(
        "NoUser",
        r"unable to find (?:user|group) (?P<what>[^:]+): no matching entries",
        "its image has no user {what}",
        "name a user that the image has, or a number: runAsUser in config.kubernetes.pod_config",
    ),
    Fault("NoConfigMap", r'configmap "(?P<what>[^"]+)" not found', "the ConfigMap {what!r} does not exist", _KEY),
    Fault("NoSecret", r'secret "(?P<what>[^"]+)" not found', "the Secret {what!r} does not exist", _KEY),
    Fault("NoKey", r"couldn't find key (?P<what>\S+) in (?P<where>.+)", "{where} has no key {what!r}", _KEY),
    Fault(
        "Memory",
        r"container init was OOM-killed|memory limit too low",
        "its memory limit is too small for it even to start",
        "ask for more memory: --memory GIB",
    ),
)


def fault(said: str) -> Told | None:
    """(reason, message, next step), None for what is not known."""
    for one in FAULTS:
        if found := re.search(one.pattern, said):
            values = {key: value or "" for key, value in found.groupdict().items()}
            return one.reason, re.sub(r"\s+", " ", one.text.format(**values)), one.hint
    return None


SIGNALS = {
    126: " (not executable)",
    127: " (command not found)",
    134: " (SIGABRT)",
    137: " (SIGKILL: somebody or the node killed it)",
    139: " (SIGSEGV: it crashed)",
    143: " (SIGTERM: it was told to end)",
}


def ended(pod: Object, container: Object, end: Object) -> Told:
    """How a container ended: `end` is the `terminated` of its status."""
    name, code, pod_name = container["name"], end.get("exitCode", 0), pod["metadata"]["name"]
    at_start = any(one["name"] == name for one in (pod.get("spec") or {}).get("initContainers") or ())
    where = f"{'init ' if at_start else ''}container `{name}` of pod {pod_name}"
    said = str(end.get("message") or "").strip()
    if end.get("reason") == "OOMKilled":
        return _out_of_memory(where, limit(pod, name))
    if told := copying.ended(pod_name, name, said):
        return told
    known = fault(said)
    if end.get("reason") in ("StartError", "ContainerCannotRun") or (known and code in (1, 126, 127, 128, 255)):
        if known:
            return known[0], f"{where} could not start: {known[1]}", known[2]
        return "StartError", f"{where} could not start: {said}", "check the image, and what pod_config sets"
    text = f"{where} ended with exit code {code}{SIGNALS.get(code, '')}"
    return "Error", f"{text}: {said}" if said else text, f"kubectl logs {pod_name} -c {name}"


def _out_of_memory(where: str, most: str | None) -> Told:
    more = "ask for more: --memory GIB, or `memory:` below `resources:`"
    if most:
        return "OOMKilled", f"{where} used more memory than its limit of {most}", more
    text = f"{where} was killed: its node ran out of memory"
    return "OOMKilled", text, f"{more}; so the node keeps that much free for it"


def limit(pod: Object, name: str) -> str | None:
    """The memory limit of a container, None if it has none."""
    spec = pod.get("spec") or {}
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        if container["name"] == name:
            return ((container.get("resources") or {}).get("limits") or {}).get("memory")
    return None
