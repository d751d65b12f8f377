"""envs and secrets: where values come from, and `$VAR` in other fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from kubectl_sky.taskfile.field import Report, join
from kubectl_sky.taskfile.overrides import Overrides
from kubectl_sky.taskfile.problem import shown
from kubectl_sky.taskfile.taskyaml import MAX_BYTES, Node

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_VARIABLE = re.compile(r"\$\{?\b([a-zA-Z_][a-zA-Z0-9_]*)\b\}?", re.ASCII)
DOCKER_LOGIN = ("SKYPILOT_DOCKER_PASSWORD", "SKYPILOT_DOCKER_SERVER", "SKYPILOT_DOCKER_USERNAME")


@dataclass(frozen=True)
class SecretRef:
    """A secret without a value in the task. `scope` is personal, workspace, global or None."""

    name: str
    scope: str | None = None
    mount_path: str | None = None
    field: str = ""


def read_envs(node: Node | None, overrides: Mapping[str, str | None], report: Report) -> dict[str, str]:
    """The task's envs with `--env` on top. A null one without `--env` is an error."""
    values = _texts(node, "envs", report)
    return _with_overrides(node, values, overrides, "env", report)


def read_secrets(
    node: Node | None, overrides: Mapping[str, str | None], report: Report
) -> tuple[dict[str, str], list[SecretRef]]:
    """The task's secrets with `--secret` on top, and those that have no value."""
    refs: list[SecretRef] = []
    if node is not None and node.kind == "list":
        refs = _references(node, report)
        node = None
    values = _texts(node, "secrets", report)
    for name in [name for name, value in values.items() if value is None and name not in overrides]:
        del values[name]
        refs.append(_reference(name, join("secrets", name)))
    secrets = _with_overrides(None, values, overrides, "secret", report)
    return secrets, [ref for ref in refs if ref.name not in secrets]


def with_env_file(secrets: Node | None, overrides: Overrides) -> tuple[dict[str, str | None], dict[str, str | None]]:
    """The overrides of envs and of secrets, each over what --env-file has for it."""
    listed = [item.value for item in secrets.value] if secrets is not None and secrets.kind == "list" else []
    names = [key for key, _, _ in secrets.entries()] if secrets is not None else []
    named = {_reference(str(name), "").name for name in (*listed, *names)}
    kinds: tuple[dict[str, str | None], dict[str, str | None]] = ({}, {})
    for name, value in overrides.env_file.items():
        kinds[name in named][name] = value
    return {**kinds[0], **overrides.envs}, {**kinds[1], **overrides.secrets}


def managed(node: Node | None) -> list[SecretRef]:
    """`managed_secrets`, whose shape was checked."""
    refs = []
    for index, item in enumerate(node.value if node is not None and node.kind == "list" else ()):
        place = f"managed_secrets[{index}]"
        if item.kind == "text":
            refs.append(_reference(item.value, place))
        for name, _, options in item.entries():
            path = options.get("mount_path")
            refs.append(_reference(str(name), place, path.value if path else None))
    return refs


def names_a_secret(text: str) -> bool:
    """Whether it names a secret, which becomes a variable."""
    return bool(_NAME.fullmatch(_reference(text, "").name))


def check_managed(node: Node | None, report: Report) -> None:
    """The names in `managed_secrets`, whose shape was checked."""
    for index, item in enumerate(node.value if node is not None and node.kind == "list" else ()):
        names = [str(key) for key, _, _ in item.entries()] if item.kind == "map" else [str(item.value)]
        if not all(map(names_a_secret, names)):
            report.error(item, f"managed_secrets[{index}]", "should be the NAME of a secret, without a value")


def _reference(text: str, field: str, mount_path: str | None = None) -> SecretRef:
    name = text.removeprefix("secrets:")
    scope, dot, rest = name.partition(".")
    if dot and scope in ("personal", "workspace", "global"):
        return SecretRef(rest, scope, mount_path, field)
    return SecretRef(name, None, mount_path, field)


def _references(node: Node, report: Report) -> list[SecretRef]:
    refs = []
    for index, item in enumerate(node.value):
        place = f"secrets[{index}]"
        if item.kind == "text" and item.value.startswith("secrets:") and names_a_secret(item.value):
            refs.append(_reference(item.value, place))
        else:
            # what follows may be its value
            name = re.split(r"[=:\s]", item.text.removeprefix("secrets:"))[0] if item.kind == "text" else ""
            wanted = f"`secrets: {{{name or 'NAME'}: value}}`"
            message = f"{shown(name) if name else 'an item'} should be secrets:NAME"
            report.error(item, place, message, f"for a value in the file: {wanted}")
    return refs


def _texts(node: Node | None, field: str, report: Report) -> dict[str, str | None]:
    """NAME -> text or None; what is not text becomes text as Python writes it, which is what SkyPilot does."""
    values: dict[str, str | None] = {}
    if node is None:
        return values
    if node.kind == "broken":
        return values
    if node.kind != "map":
        found = shown(node.value) if field == "envs" else node.kind
        report.error(node, field, f"should be a map of NAME: value, not {found}")
        return values
    for key, key_node, value in node.entries():
        name, path = str(key), join(field, key)
        is_reference = field == "secrets" and re.match(r"(secrets:|personal\.|workspace\.|global\.)", name)
        if is_reference and value.kind != "null":
            report.error(value, path, "a reference to a managed secret has no value", "remove the prefix, or the value")
        elif not is_reference and not _NAME.fullmatch(name):
            report.error(key_node, path, _bad_name(name))
        values[name] = None if value.kind == "null" else str(value.raw())
        if value.kind != "text" and value.kind != "null" and values[name] != value.text:
            written = f"`{value.text}`" if value.text else shown(value.value)
            message = f"{written} becomes the text {shown(values[name])}"
            if field == "secrets":  # whose values are never shown
                message = "is not text: YAML changes how it is written"
            report.warn(value, path, message, "put it in quotes to keep it")
    return values


def _bad_name(name: str) -> str:
    return f"{shown(name)} is no name of an environment variable (letters, digits and _, not starting with a digit)"


def _with_overrides(
    node: Node | None, values: dict[str, str | None], overrides: Mapping[str, str | None], kind: str, report: Report
) -> dict[str, str]:
    for name, value in overrides.items():
        flag = Node(value, origin=f"--{kind} {name}")
        if not _NAME.fullmatch(name):
            report.error(flag, "", _bad_name(name))
        elif value is None:
            report.error(flag, "", "has no value", f"--{kind} {name}=VALUE")
        else:
            values[name] = value
    merged = {}
    for name, value in values.items():
        if value is not None:
            merged[name] = value
        elif name not in overrides:
            place = node.value[name] if node is not None and name in node.value else Node(None)
            report.error(place, join(f"{kind}s", name), "has no value",
                         f'give it with --{kind} {name}=VALUE, or write {name}: "" to have it empty')  # fmt: skip
    return merged


def check_docker_login(envs: Mapping[str, str], secrets: Mapping[str, str], node: Node, report: Report) -> None:
    """SKYPILOT_DOCKER_*: all three of them, in one place."""
    in_envs, in_secrets = [[name for name in DOCKER_LOGIN if name in place] for place in (envs, secrets)]
    if in_envs and in_secrets:
        report.error(node, "envs", f"{', '.join(DOCKER_LOGIN)} must be all in envs or all in secrets")
        return
    for field, found in (("envs", in_envs), ("secrets", in_secrets)):
        missing = [name for name in DOCKER_LOGIN if name not in found]
        if found and missing:
            report.error(node.get(field) or node, field, f"{', '.join(missing)} is missing beside {', '.join(found)}")


def substitute(node: Node, values: Mapping[str, str]) -> Node:
    """A copy of `node` with `$VAR` and `${VAR}` filled in, in keys too; unknown ones are left as they are.

    ValueError when the result is far larger than a task file can be.
    """
    return _fill_in(node, values, [MAX_BYTES])


def _fill_in(node: Node, values: Mapping[str, str], left: list[int]) -> Node:
    def one(match: re.Match[str]) -> str:
        value = values.get(match[1], match[0])
        left[0] -= len(value)
        if left[0] < 0:
            raise ValueError("becomes larger than 1 MiB when its variables are filled in")
        return value

    def fill(text: str) -> str:
        return _VARIABLE.sub(one, text)

    if isinstance(node.value, str):
        return Node(fill(node.value), node.line, node.column, node.text, node.plain, origin=node.origin)
    if isinstance(node.value, list):
        return Node([_fill_in(item, values, left) for item in node.value], node.line, node.column, origin=node.origin)
    if isinstance(node.value, dict):
        filled = {fill(key) if isinstance(key, str) else key: item for key, item in node.value.items()}
        keys = {fill(key) if isinstance(key, str) else key: item for key, item in node.keys.items()}
        new = {key: _fill_in(item, values, left) for key, item in filled.items()}
        return Node(new, node.line, node.column, keys=keys, origin=node.origin)
    return node
