"""What an admin or a user sets once for all tasks: our own images and where they come from.

Read from $KUBECTL_SKY_CONFIG or ~/.config/kubectl-sky/config.yaml; an environment variable of the same name wins
(`runtime_image` is KUBECTL_SKY_RUNTIME_IMAGE). `pricing` is described in pricing.py, `node_groups` in node_groups.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from kubectl_sky import __version__
from kubectl_sky.capacity import node_groups, pricing
from kubectl_sky.capacity.node_groups import Group
from kubectl_sky.capacity.pricing import Prices
from kubectl_sky.errors import UsageError

PREFIX = "KUBECTL_SKY_"
TABLES = ("pricing", "node_groups")  # settings that are no single values


@dataclass(frozen=True)
class Settings:
    runtime_image: str = f"ghcr.io/kubectl-sky/runtime:{__version__}"
    default_image: str = f"ghcr.io/kubectl-sky/task:{__version__}"
    image_pull_policy: str = "IfNotPresent"
    registry_mirror: str = ""  # host[/path] that stands for the registries of the two images above
    allowed_contexts: str = ""  # names, comma-separated, in the order of preference; "": the current one; "all"
    expose: str = "none"  # of a task's ports, without --expose: loadbalancer | ingress | gateway | clusterip | none
    expose_host: str = ""  # of an Ingress or a Gateway's route, e.g. {name}-{port}.apps.example.com; "": paths
    ingress_class: str = ""  # "": the cluster's default
    gateway: str = ""  # NAME or NAMESPACE/NAME
    image_pull_secret: str = ""  # names, comma-separated, of Secrets that all tasks' images are pulled with
    docker_config: str = "false"  # true | false | hosts: whether this machine's docker login goes along with a task
    allow_privileged_mounts: str = "false"  # true: a bucket may be mounted by a privileged container of the task's pods
    rclone_image: str = "docker.io/rclone/rclone:1.71.1"  # copies buckets; used by tasks that have some
    bucket_endpoints: str = ""  # of S3 servers: SCHEME=URL, comma-separated, e.g. s3=http://minio:9000
    bucket_secret: str = ""  # a Secret of the namespace, the environment of rclone; "": the user's own keys
    keep_hours: str = "24"  # how long an ended cluster stays to be looked at, with its logs
    gang_seconds: str = "30"  # at least so long some nodes of a task keep their places while others have none
    image_volumes: str = "auto"  # auto | true | false: mount the runtime image instead of copying from it

    @property
    def kept_seconds(self) -> int:
        """`keep_hours`. Raises UsageError."""
        try:
            return max(0, round(float(self.keep_hours) * 3600))
        except (ValueError, OverflowError):
            raise UsageError(f"keep_hours: {self.keep_hours!r} is no number of hours") from None

    def own_image(self, image: str) -> str:
        """One of our two images, as it is called on the mirror."""
        if not self.registry_mirror:
            return image
        first, slash, rest = image.partition("/")
        has_registry = slash and ("." in first or ":" in first or first == "localhost")
        path = rest if has_registry else image
        return f"{self.registry_mirror.rstrip('/')}/{path}"


def load() -> Settings:
    """Raises UsageError for an unreadable file or a key that is none."""
    settings = Settings()
    file = config_file()
    if file.is_file():
        settings = replace(settings, **_texts(file, _read(file)))
    given = {f.name: os.environ.get(PREFIX + f.name.upper()) for f in fields(Settings)}
    return replace(settings, **{name: value for name, value in given.items() if value is not None})


def sources() -> dict[str, tuple[Any, str]]:
    """Each setting's value and where it comes from: `FILE:LINE`, `$VARIABLE` or `built-in`. Raises UsageError."""
    from kubectl_sky.taskfile.taskyaml import load as load_nodes

    file, own, lines = config_file(), load(), {}
    if file.is_file():
        root = load_nodes(file.read_bytes(), str(file)).documents
        lines = {key: f"{file}:{node.line}" for key, node, _ in (root[0].entries() if root else ())}
    found: dict[str, tuple[Any, str]] = {}
    for one in fields(Settings):
        variable = PREFIX + one.name.upper()
        source = f"${variable}" if variable in os.environ else lines.get(one.name, "built-in")
        found[one.name] = (getattr(own, one.name), source)
    for key in TABLES:
        if key in lines:
            found[key] = (_read(file)[key], lines[key])
    return found


def config_file() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(os.environ.get(PREFIX + "CONFIG") or f"{base}/kubectl-sky/config.yaml").expanduser()


def prices(context: str, others: Mapping[str, Any] | None = None) -> Prices:
    """The price table of a context: our own file's, else SkyPilot's `others`, else an empty one. Raises UsageError."""
    file = config_file()
    values = _read(file).get("pricing") if file.is_file() else None
    if values is None:
        return pricing.table(dict(others), context, "kubernetes") if others else Prices()
    return pricing.table(values, context, str(file))


def groups(context: str) -> tuple[Group, ...]:
    """The node groups of a context that may have no node now. Raises UsageError."""
    file = config_file()
    values = _read(file).get("node_groups") if file.is_file() else None
    return () if values is None else node_groups.read(values, context, str(file))


def _read(file: Path) -> dict[str, Any]:
    import yaml

    known = [*(f.name for f in fields(Settings)), *TABLES]
    try:
        values = yaml.safe_load(file.read_text("utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as e:
        raise UsageError(f"{file}: cannot be read: {e}") from None
    if not isinstance(values, dict):
        raise UsageError(f"{file}: must map settings to values; known settings: {', '.join(known)}")
    unknown = [str(key) for key in values if key not in known]
    if unknown:
        raise UsageError(f"{file}: unknown setting {', '.join(unknown)}; known: {', '.join(known)}")
    return values


def _texts(file: Path, values: dict[str, Any]) -> dict[str, str]:
    """The settings that are single values; a list is joined by commas."""
    found: dict[str, str] = {}
    for key, value in values.items():
        if key in TABLES or value is None:
            continue
        if isinstance(value, dict):
            raise UsageError(f"{file}: {key}: should be a single value")
        if isinstance(value, list):
            found[key] = ",".join(map(str, value))
        else:
            found[key] = str(value).lower() if isinstance(value, bool) else str(value)
    return found
