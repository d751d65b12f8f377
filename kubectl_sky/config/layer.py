"""One place that settings come from (a file, a flag, the task), checked; and how one is put over another. Pure."""

from __future__ import annotations

from kubectl_sky.config import keys, pod_shape
from kubectl_sky.taskfile.field import Report, check, join
from kubectl_sky.taskfile.problem import nearest
from kubectl_sky.taskfile.taskyaml import Node

# SkyPilot's words for identities that it makes or sends; NO_UPLOAD is what is done here
NO_IDENTITY = {
    "SERVICE_ACCOUNT": "pods have no identity here unless a service account is named",
    "LOCAL_CREDENTIALS": "your kubeconfig is never sent to pods; name a service account",
}
SPLIT = ("pod_config", "context_configs", "allowed_contexts")  # what has a way of its own


def stamp(node: Node, origin: str, line: bool = True) -> Node:
    """Writes into a tree where it comes from; a flag has no lines."""
    stack = [node]
    while stack:
        one = stack.pop()
        one.origin = one.origin or origin
        if not line:
            one.line = one.column = 0
        if isinstance(one.value, dict):
            stack += [*one.value.values(), *one.keys.values()]
        elif isinstance(one.value, list):
            stack += one.value
    return node


def place(node: Node) -> str:
    """`FILE:LINE`, or the flag."""
    return f"{node.origin}:{node.line}" if node.line else str(node.origin)


def section(root: Node, report: Report) -> Node | None:
    """The checked section `kubernetes` of a file; other clouds' sections are none of our business."""
    if root.kind != "map":
        report.error(root, "", "should be a map, such as `kubernetes: {namespace: ml}`")
        return None
    found = root.get("kubernetes")
    if found is None:
        return None
    _drop_unknown(found, "kubernetes", report)
    check(found, keys.KUBERNETES, "kubernetes", report)
    _remark(found, "kubernetes", report)
    for part, where in parts(found, "kubernetes"):
        pod_shape.check(part.get("pod_config"), f"{where}.pod_config", report)
    return found


def parts(node: Node, path: str) -> list[tuple[Node, str]]:
    """The section itself and those of contexts."""
    contexts = node.get("context_configs")
    inner = contexts.entries() if contexts is not None else ()
    return [(node, path), *((value, join(f"{path}.context_configs", key)) for key, _, value in inner)]


def _drop_unknown(node: Node, path: str, report: Report) -> None:
    """Keys of a newer SkyPilot are warned of; what looks like a slip stays, to be refused."""
    for part, where in parts(node, path):
        known = [field.name for field in keys.KUBERNETES.fields]
        for key, key_node, _ in list(part.entries()):
            if key not in known and not nearest(str(key), known):
                report.warn(key_node, join(where, key), "is not known here and has no effect")
                del part.value[key]


def _remark(node: Node, path: str, report: Report) -> None:
    for part, where in parts(node, path):
        identity = part.get("remote_identity")
        for one in identities(identity):
            if one.value in NO_IDENTITY:
                report.warn(one, join(where, "remote_identity"), f"{one.value}: {NO_IDENTITY[one.value]}")


def identities(node: Node | None) -> list[Node]:
    """The values of remote_identity: one, or a map of contexts."""
    if node is None:
        return []
    return [value for _, _, value in node.entries()] if node.kind == "map" else [node]


def flat(section: Node | None, context: str) -> list[Node]:
    """The section, and over it what it says for one context."""
    if section is None:
        return []
    contexts = section.get("context_configs")
    own = contexts.get(context) if contexts is not None else None
    return [section, *([own] if own is not None else [])]


def merged(sections: list[Node]) -> dict[str, Node]:
    """Values by key, but for SPLIT: maps are merged, anything else is replaced; null leaves what there was."""
    made: Node = Node({})
    for one in sections:
        made = _over(made, Node({key: value for key, value in one.value.items() if key not in SPLIT}))
    return dict(made.value)


def _over(base: Node, extra: Node) -> Node:
    if base.kind != "map" or extra.kind != "map":
        return base if extra.value is None else extra
    both = dict(base.value)
    for key, value in extra.value.items():
        both[key] = _over(both[key], value) if key in both else value
    return Node(both, extra.line, extra.column, keys={**base.keys, **extra.keys}, origin=extra.origin)
