"""Rules between fields, old forms, and how a file is split into tasks."""

from __future__ import annotations

import re
from typing import Any

from kubectl_sky import resources
from kubectl_sky.taskfile.field import Field, Report, check, join
from kubectl_sky.taskfile.problem import shown
from kubectl_sky.taskfile.taskyaml import Node


def _delay(value: int | str | dict[str, Any]) -> None:
    if not isinstance(value, dict) and not re.fullmatch(r"[0-9]+[smhdw]?", str(value), re.IGNORECASE):
        raise ValueError(f"{shown(value)} should be seconds, or a time such as 30s, 5m or 1h")


HEADER = Field("", "map", fields=(
    Field("name", "text"),
    Field("execution", "text", choices=("serial", "parallel"), exact_case=True),
    Field("primary_tasks", "list", item=Field("", "text")),
    Field("termination_delay", "int|text|map", value=Field("", "int|text", check=_delay), check=_delay),
    Field("inter_connection", "bool"),
))  # fmt: skip


def split(documents: list[Node], report: Report) -> tuple[str, dict[str, Any], list[Node]]:
    """Documents -> (task, pipeline or group; the header; the tasks' documents)."""
    first = documents[0] if documents else Node({})
    if len(documents) < 2 or first.kind != "map":
        return ("task" if len(documents) < 2 else "pipeline"), {}, documents
    execution = first.get("execution")
    if execution is not None and execution.value == "parallel":
        _check_group(first, documents[1:], report)
        return "group", first.raw(), documents[1:]
    if set(first.value) in ({"name"}, {"name", "execution"}):
        check(first, HEADER, "", report)
        return ("pipeline" if len(documents) > 2 else "task"), first.raw(), documents[1:]
    return "pipeline", {}, documents


def _check_group(header: Node, jobs: list[Node], report: Report) -> None:
    known = {field.name for field in HEADER.fields}
    for key, key_node, _ in list(header.entries()):
        if key not in known:
            report.warn(key_node, str(key), "is unknown in a job group's header and ignored")
            del header.value[key]
    check(header, HEADER, "", report)
    name = header.get("name")
    if name is None or not re.fullmatch(r"[\w-]+", str(name.value)):
        report.error(name or header, "name", "a job group needs a name of letters, digits, `-` and `_`")
    seen: set[str] = set()
    for job in jobs:
        own = job.get("name")
        if own is None or not re.fullmatch(r"[A-Za-z0-9_-]+", str(own.value)) or own.value in seen:
            message = "each job of a group needs a name of its own (letters, digits, `-` and `_`)"
            report.error(own or job, "name", message)
        seen.add(str(own.value) if own else "")
    _check_named_jobs(header, seen, report)


def _check_named_jobs(header: Node, jobs: set[str], report: Report) -> None:
    """The jobs that a group's header names are in the file."""
    primary, delays = header.get("primary_tasks"), header.get("termination_delay")
    listed = primary.value if primary is not None and primary.kind == "list" else []
    named = [(item.value, item, f"primary_tasks[{index}]") for index, item in enumerate(listed)]
    for key, key_node, _ in delays.entries() if delays is not None else ():
        if key != "default":
            named.append((key, key_node, join("termination_delay", key)))
    for name, node, path in named:
        if isinstance(name, str) and name not in jobs:
            report.error(node, path, f"no job of this group is called {shown(name)}")


def old_forms(root: Node, report: Report) -> None:
    """Rewrites what older SkyPilot versions took: `experimental.config_overrides`, and the alias `gpus`."""
    for name in ("execution", "primary_tasks"):
        if name in root.value:
            report.error(root.keys.get(name, root), name, "belongs to the header of several tasks, not to a task",
                         "the header is the first document of the file: `name`, `execution`, then `---`")  # fmt: skip
            del root.value[name]
    experimental = root.get("experimental")
    if experimental is not None and experimental.value == {}:
        report.warn(root.keys["experimental"], "experimental", "is the old form of `config`", "remove it")
    old = experimental.get("config_overrides") if experimental is not None else None
    if experimental is not None and old is not None:
        place = root.keys["experimental"]
        if root.get("config") is not None:
            report.error(place, "experimental.config_overrides", "cannot be given together with `config`")
        else:
            report.warn(place, "experimental.config_overrides", "is the old form", "write `config:` instead")
            root.value["config"] = old
            root.keys["config"] = place
            del root.value["experimental"]
    for part, path in _resource_maps(root.get("resources")):
        if "gpus" in part.value:
            key = part.keys.get("gpus", part)
            if "accelerators" in part.value:
                report.error(key, join(path, "gpus"), "cannot be given together with `accelerators`: they are the same")
            part.value.setdefault("accelerators", part.value["gpus"])
            part.keys.setdefault("accelerators", key)
            del part.value["gpus"]
        if "hooks" in part.value:
            report.error(part.keys.get("hooks", part), join(path, "hooks"), "hooks are a field of `config`",
                         "move them to `config.hooks`")  # fmt: skip
            del part.value["hooks"]


def _resource_maps(node: Node | None, path: str = "resources") -> list[tuple[Node, str]]:
    """The resources and all their alternatives that are maps."""
    if node is None or node.kind != "map":
        return []
    found = [(node, path)]
    for name in ("any_of", "ordered"):
        listed = node.get(name)
        for index, item in enumerate(listed.value if listed is not None and listed.kind == "list" else ()):
            if item.kind == "map":
                found.append((item, f"{path}.{name}[{index}]"))
    return found


def check_name(node: Node | None, pattern: re.Pattern[str], report: Report) -> None:
    """A task's name."""
    if node is not None and node.kind == "text" and not pattern.fullmatch(node.value):
        message = f"{shown(node.value)} should be letters and digits, with single or double `.`, `_` or `-` between"
        report.error(node, "name", message)


def check_resources(node: Node | None, report: Report) -> None:
    """The rules between the fields of resources."""
    if node is None or node.kind != "map":
        return
    for part, path in _resource_maps(node):
        _check_place(part, path, report)
        if part is not node:
            _check_same_form(part, node, path, report)
        _check_units(part, path, report)
        _check_labels(part, path, report)
        _check_instance_type(part, node, path, report)
        _check_image(part, path, report)
    any_of, ordered, kinds = node.get("any_of"), node.get("ordered"), node.get("accelerators")
    if any_of is not None and ordered is not None:
        report.error(ordered, "resources.ordered", "cannot be given together with `any_of`")
    several = kinds is not None and kinds.kind in ("list", "map") and len(kinds.value) > 1
    if several and kinds is not None and ordered is not None and ordered.value:
        report.error(kinds, "resources.accelerators", "several accelerators cannot be given together with `ordered`")
    if several and kinds is not None and kinds.kind == "list" and any_of is not None and any_of.value:
        report.error(kinds, "resources.accelerators", "a list (in order) cannot be given together with `any_of`",
                     "write a map: {A100:8, H100:8}")  # fmt: skip


def _check_place(part: Node, path: str, report: Report) -> None:
    infra, cloud, region = part.get("infra"), part.get("cloud"), part.get("region")
    old = _old_place(part)
    if infra is not None and old:
        report.error(infra, join(path, "infra"), f"cannot be given together with `{old}`")
        return
    where = infra or cloud
    name = str(where.value).strip().split("/")[0].lower() if where is not None else None
    if where is not None and name not in ("k8s", "kubernetes", "*") and name in resources.CLOUDS:
        field = "infra" if infra is not None else "cloud"
        report.warn(where, join(path, field), f"{shown(where.value)} is ignored: tasks run on Kubernetes")
    elif cloud is not None and name in ("k8s", "kubernetes"):
        new = "k8s" if region is None else f"k8s/{region.value}"
        report.warn(cloud, join(path, "cloud"), "is the old form", f"write `infra: {new}` instead")
    elif cloud is None and region is not None:
        message = "has no meaning on Kubernetes and is ignored"
        report.warn(region, join(path, "region"), message, "a context: `infra: k8s/NAME`")


def _old_place(part: Node) -> str | None:
    """The first of the fields that say it in the old form."""
    return next((name for name in ("cloud", "region", "zone") if part.get(name) is not None), None)


def _check_same_form(part: Node, base: Node, path: str, report: Report) -> None:
    """An alternative on top of the rest: not `infra` there and the old form here, or the other way round."""
    for own, beside in (("infra", _old_place(base)), (_old_place(part), "infra")):
        node = part.get(own) if own else None
        if own and node is not None and beside and base.get(beside) is not None:
            report.error(node, join(path, own), f"cannot be given together with `{beside}` of resources")


def _check_units(part: Node, path: str, report: Report) -> None:
    """`GiB` is no unit of SkyPilot's."""
    for name in ("memory", "disk_size"):
        node = part.get(name)
        if node is None or node.kind != "text" or node.origin:
            continue
        match = re.fullmatch(r"([0-9.]+ *[KMGTP])i(B)(\+?)", node.value, re.IGNORECASE)
        if match:
            report.warn(node, join(path, name), f"{shown(node.value)} is no form of SkyPilot's",
                        f"the same in both: {''.join(match.groups())}")  # fmt: skip


def _check_labels(part: Node, path: str, report: Report) -> None:
    labels = part.get("labels")
    for key, key_node, value in labels.entries() if labels is not None else ():
        fault = resources.label_fault(str(key), value.value) if value.kind == "text" else None
        if fault:
            report.error(key_node, join(join(path, "labels"), key), fault)


def _check_instance_type(part: Node, base: Node, path: str, report: Report) -> None:
    node = part.get("instance_type")
    if node is None or node.kind != "text":
        return
    if not resources.is_virtual_type(node.value):
        where = next((found for one in (part, base) for name in ("infra", "cloud") if (found := one.get(name))), None)
        if where is not None and str(where.value).split("/")[0].lower() in ("k8s", "kubernetes"):
            report.error(node, join(path, "instance_type"), f"{shown(node.value)} is no instance type of Kubernetes",
                         "write <n>CPU--<m>GB or <n>CPU--<m>GB--<GPU>:<k>, such as 4CPU--16GB--H100:1")  # fmt: skip
            return
        message = f"{shown(node.value)} has no meaning on Kubernetes and is ignored"
        report.warn(node, join(path, "instance_type"), message, "a form that has: 4CPU--16GB--H100:1")
        return
    given = [name for name in ("cpus", "memory", "accelerators") if part.get(name) is not None]
    if given:
        report.warn(part.get(given[0]) or node, join(path, given[0]), "is used instead of what instance_type says")


def _check_image(part: Node, path: str, report: Report) -> None:
    node = part.get("image_id")
    path = join(path, "image_id")
    given = [(path, node)] if node is not None and node.kind == "text" else []
    given += [(join(path, key), value) for key, _, value in node.entries()] if node is not None else []
    for where, one in given:
        if one.kind == "text" and resources.is_machine_image(one.value):
            report.warn(one, where, f"{shown(one.value)} is an image of virtual machines and is ignored",
                        "a container's image is written docker:IMAGE")  # fmt: skip


def check_serving(root: Node, report: Report) -> None:
    """service and pool exclude each other."""
    service = root.get("service")
    if service is not None and root.get("pool") is not None:
        report.error(root.keys.get("service", service), "service", "cannot be given together with `pool`")


def places(root: Node) -> dict[str, tuple[int, int]]:
    """Path of every field -> line and column."""
    found: dict[str, tuple[int, int]] = {}

    def walk(node: Node, path: str) -> None:
        if node.line:
            found[path] = (node.line, node.column)
        for key, _, value in node.entries():
            walk(value, join(path, key))
        for index, item in enumerate(node.value if isinstance(node.value, list) else ()):
            walk(item, f"{path}[{index}]")

    walk(root, "")
    return found
