"""All places that settings come from, in their order; and what they come to in one context. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from kubectl_sky import names
from kubectl_sky.config import layer
from kubectl_sky.config.layer import NO_IDENTITY
from kubectl_sky.taskfile.taskyaml import Node

ADMISSION = 86400  # s in a queue
ENOUGH = 600  # s for the pods to start after that
HERE = ("NO_UPLOAD", *NO_IDENTITY)


@dataclass(frozen=True)
class AllowedNodes:
    """Nodes with any of the labels, or of these names."""

    labels: tuple[tuple[str, str], ...] = ()
    names: tuple[str, ...] = ()

    def terms(self) -> list[dict[str, list[dict[str, Any]]]]:
        """As alternatives of a required node affinity."""
        found = [
            {"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]} for key, value in self.labels
        ]
        # the API takes one name a term
        return found + [
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]} for name in self.names
        ]


@dataclass(frozen=True)
class Effective:
    """What holds for a task in a context; None and empty where nothing is said.

    `limits`: limits of CPU and memory as a multiple of the requests, 0 for none. `ports` is SkyPilot's word for the
    way. `timeout`: seconds for the pods to start, with a queue also those in it; below 0 for ever. `priority`: the
    class that the task has in its queue. `kai_queue`, `volcano_queue`: the one of that scheduler.
    """

    namespace: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    timeout: int | None = None
    ports: str | None = None
    service_account: str = ""
    autoscaler: str = ""
    queue: str = ""
    priority: str = ""
    kai_queue: str = ""
    volcano_queue: str = ""
    limits: float | None = None
    allowed_nodes: AllowedNodes | None = None
    pricing: Mapping[str, Any] | None = None
    pod_config: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Layers:
    """Sections `kubernetes`, the weakest first: SkyPilot's global file, the project's; then the task's; the flags'."""

    files: tuple[Node, ...] = ()
    task: Node | None = None
    flags: tuple[Node, ...] = ()

    def sections(self, context: str) -> list[Node]:
        """Each, and over it what it says for the context."""
        own = (*self.files, *([self.task] if self.task is not None else []), *self.flags)
        return [part for one in own for part in layer.flat(one, context)]

    def merged(self, context: str) -> dict[str, Node]:
        """Values by key; without pod_config, whose layers are a list of their own."""
        return layer.merged(self.sections(context))

    def pod_config(self, context: str) -> tuple[Node, ...]:
        found = [one.get("pod_config") for one in self.sections(context)]
        return tuple(one for one in found if one is not None)

    def _of_pods(self, what: str, context: str) -> dict[str, str]:
        """The labels or annotations that pod_config says."""
        found: dict[str, str] = {}
        for one in self.pod_config(context):
            raw = one.raw()
            about = raw.get("metadata") if isinstance(raw, dict) else None
            said = about.get(what) if isinstance(about, dict) else None
            found |= _texts(said) if isinstance(said, dict) else {}
        return found

    def allowed_contexts(self) -> Node | None:
        """The last that is said of it."""
        found = [one.get("allowed_contexts") for one in self.sections("")]
        return next((one for one in reversed(found) if one is not None), None)

    def of(self, context: str, labels: Mapping[str, str] = MappingProxyType({})) -> Effective:
        """What holds; `labels` are those of the task's resources."""
        raw = {key: node.raw() for key, node in self.merged(context).items() if node.value is not None}
        metadata = raw.get("custom_metadata") or {}
        labels = {**_texts(metadata.get("labels")), **self._of_pods("labels", context), **labels}
        annotations = {**_texts(metadata.get("annotations")), **self._of_pods("annotations", context)}
        kueue = raw.get("kueue") or {}
        queue = (raw.get("quota") or {}).get("queue") or kueue.get("local_queue_name") or labels.get(names.QUEUE) or ""
        nodes = raw.get("allowed_nodes")
        limits = raw.get("set_pod_resource_limits")
        return Effective(
            namespace=raw.get("namespace"),
            labels=_texts(metadata.get("labels")), annotations=_texts(metadata.get("annotations")),
            timeout=_timeout(raw.get("provision_timeout"), queue, kueue.get("admission_timeout")),
            ports=raw.get("ports"), service_account=service_account(raw.get("remote_identity"), context),
            autoscaler=raw.get("autoscaler") or "", queue=str(queue), priority=labels.get(names.QUEUE_PRIORITY, ""),
            kai_queue=labels.get(names.KAI_QUEUE, ""),
            volcano_queue={**labels, **annotations}.get(names.VOLCANO_QUEUE, ""),
            limits=None if limits is None else float(limits),
            allowed_nodes=_allowed_nodes(nodes), pricing=raw.get("pricing"), pod_config=self.pod_config(context),
        )  # fmt: skip

    def with_flags(self, files: tuple[Node, ...], flags: tuple[Node, ...]) -> Layers:
        return replace(self, files=files, flags=flags)


def service_account(identity: Any, context: str) -> str:
    """Of remote_identity: a name, or a map of contexts (globs) to names."""
    if isinstance(identity, dict):
        identity = next((one for glob, one in identity.items() if fnmatch.fnmatch(context, str(glob))), None)
    return "" if identity is None or identity in HERE else str(identity)


def _timeout(provision: int | None, queue: str, admission: int | None) -> int | None:
    if not queue or (provision is not None and provision <= 0):
        return provision
    wait = ADMISSION if admission is None else admission
    return -1 if wait < 0 else wait + (ENOUGH if provision is None else provision)


def _texts(found: Any) -> dict[str, str]:
    return {str(key): value if isinstance(value, str) else _text(value) for key, value in (found or {}).items()}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def _allowed_nodes(found: Any) -> AllowedNodes | None:
    if not found:
        return None
    labels, names = found.get("label_selector") or {}, found.get("names") or []
    return AllowedNodes(tuple(labels.items()), tuple(names)) if labels or names else None
