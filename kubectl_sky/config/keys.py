"""The keys of a `kubernetes:` section, as data: what SkyPilot takes there, and what has no effect here and why."""

from __future__ import annotations

from typing import Any

from kubectl_sky.capacity import pricing
from kubectl_sky.errors import UsageError
from kubectl_sky.taskfile.field import Field
from kubectl_sky.taskfile.fields_config import KUBERNETES as OF_A_TASK

TEXT = Field("", "text")
AUTOSCALERS = ("gke", "karpenter", "coreweave", "nebius", "generic")
PORTS = ("loadbalancer", "ingress", "podip")
NEEDLESS = "has no effect: kubectl sky needs nothing of the kind"


def _prices(values: Any) -> None:
    try:
        pricing.table(values, "", "")
    except UsageError as error:
        raise ValueError(error.message.removeprefix(": ")) from None


def _not_here(_: Any) -> None:
    raise ValueError("is a key of the section kubernetes itself")


def _no_addresses(_: Any) -> None:
    raise ValueError("nodes cannot be chosen by their addresses here: use `names` or `label_selector`")


_ALLOWED_NODES = Field("allowed_nodes", "map", "The only nodes for tasks: those that any line names.", (
    Field("label_selector", "map", "Nodes with any of these labels.", value=TEXT),
    Field("names", "list", "Names of nodes.", item=TEXT),
    Field("ips", "list", "Refused: addresses of nodes.", check=_no_addresses),
))  # fmt: skip

_OF_A_CONTEXT: tuple[Field, ...] = (
    *OF_A_TASK.fields,
    Field("namespace", "text", "The namespace, where neither -n nor the kubeconfig's context says one."),
    Field("ports", "text", "How the task's `ports` are opened.", choices=PORTS),
    Field("autoscaler", "text", "The cluster gets nodes when pods wait for them.", choices=AUTOSCALERS),
    _ALLOWED_NODES,
    Field("pricing", "map", "$ an hour: cpu, memory (a GiB), accelerators (by name).", check=_prices),
    Field("networking", "text", note=NEEDLESS),
    Field("fuse", "map", note=NEEDLESS),
    Field("max_inline_command_length", "int", note=NEEDLESS),
    Field("post_provision_runcmd", "list", note="has no effect; put it into the task's `setup`"),
    Field("apt_mirrors", "list", note="has no effect: nothing is installed in pods"),
    Field("auto_mounts", "list", note="has no effect; name them in the task's `volumes`"),
    Field("rdma", "map", note="has no effect; put the resource and the annotation into pod_config"),
    Field("high_availability", "map", note="has no effect: there is no controller"),
)

# of the section `kubernetes` of a file; what is above may also stand in context_configs.CONTEXT
KUBERNETES = Field("kubernetes", "map", "Settings of Kubernetes.", (
    *_OF_A_CONTEXT,
    Field("allowed_contexts", "list|text", "Contexts for tasks, the preferred one first; or all.", item=TEXT),
    Field("context_configs", "map", "The same keys for one context.", value=Field("", "map", fields=(
        *_OF_A_CONTEXT, Field("allowed_contexts", "list|text", check=_not_here, internal=True),
    ))),
))  # fmt: skip
