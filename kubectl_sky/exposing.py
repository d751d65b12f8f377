"""Whether a cluster can expose ports as asked: known before anything is made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kubectl_sky import cluster_objects, settings, versions
from kubectl_sky.errors import ApiError, ClusterFailure, UsageError
from kubectl_sky.output import near
from kubectl_sky.parts import ports
from kubectl_sky.parts.ports import Exposure

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster
    from kubectl_sky.planning import Options
    from kubectl_sky.resources import Resources
    from kubectl_sky.task import Task

DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
CONTROLLERS = "an administrator installs a controller; without one: kubectl sky port-forward NAME"
INDEXED = (1, 28)  # pods carry their index as a label


def wanted(flag: str | None, resources: Resources, mode: str | None = None) -> Exposure:
    """How the ports are to be exposed: by --expose, else by the setting, else by SkyPilot's `mode`. Raises UsageError.

    Its mode podip means the pods' addresses, which need nothing.
    """
    own = settings.load()
    way, source = (flag, "--expose") if flag is not None else (own.expose, f"expose in {settings.config_file()}")
    if flag is None and own.expose == ports.NONE and mode in (ports.LOAD_BALANCER, ports.INGRESS):
        way, source = mode, "kubernetes.ports"
    if way not in ports.WAYS:
        raise UsageError(f"{source}: there is no {way!r}", f"it takes: {', '.join(ports.WAYS)}")
    declared = sorted({port for one in (resources, *resources.candidates()[0]) for port in one.ports})
    if flag not in (None, ports.NONE) and not declared:
        raise UsageError(f"--expose {flag}: the task names no ports", "name them: --ports 8080, or resources.ports")
    if not declared:
        return Exposure()
    exposure = Exposure(way, host=own.expose_host, ingress_class=own.ingress_class, gateway=own.gateway)
    if way != ports.NONE:
        _check(exposure, ports.numbers(declared), source)
    return exposure


def _check(exposure: Exposure, wanted: list[int], source: str) -> None:
    """What can be told without a cluster. Raises UsageError."""
    if len(wanted) > ports.MOST:
        raise UsageError(
            f"{source}: {len(wanted)} ports are too many to expose", f"at most {ports.MOST}; port-forward takes any"
        )
    if exposure.way == ports.GATEWAY and not exposure.gateway:
        hint = f"in {settings.config_file()}: `gateway: NAMESPACE/NAME`, or $KUBECTL_SKY_GATEWAY"
        raise UsageError(f"{source}: which Gateway? The setting `gateway` names none", hint)
    try:
        hosts = {exposure.host_of("name", port) for port in wanted}
    except ValueError as error:
        raise UsageError(f"expose_host {exposure.host!r}: {error}", "such as {name}-{port}.apps.example.com") from None
    if exposure.host and len(hosts) < len(wanted):
        raise UsageError(
            f"expose_host {exposure.host!r} is the same for all {len(wanted)} ports",
            "put {port} into it: {name}-{port}.apps.example.com",
        )


def checked(cluster: Cluster, task: Task, options: Options) -> Options:
    """The options, with what the cluster tells of the exposure. ClusterFailure: it has no such thing, or refuses it."""
    exposure = replace(options.exposure, namespace=cluster.namespace)
    if exposure.way == ports.NONE or not task.resources.ports:
        return replace(options, exposure=exposure)
    if task.num_nodes > 1:
        _check_index(cluster)
    if exposure.way == ports.INGRESS:
        exposure = _with_class(cluster, exposure)
    elif exposure.way == ports.GATEWAY:
        _check_gateway(cluster, exposure)
    for manifest in ports.part(options.name, task.num_nodes, task.resources.ports, exposure).manifests:
        _try(cluster, dict(manifest))
    return replace(options, exposure=exposure)


def _try(cluster: Cluster, manifest: dict[str, Any]) -> None:
    """Rights, quota and admission, before anything is made. Raises ClusterFailure."""
    try:
        cluster_objects.dry_run(cluster, [manifest])
    except ApiError as error:
        if error.reason == "AlreadyExists":  # left by a killed launch, or told when it is made
            return
        text = f"the ports cannot be exposed by a {manifest['kind']}: {error.message}"
        raise ClusterFailure(text, error.hint) from None


def _check_index(cluster: Cluster) -> None:
    """A Service finds node 0 by a label that older clusters do not set."""
    numbers = versions.server(cluster.get("/version"))
    if numbers < INDEXED:
        raise ClusterFailure(
            "ports of several nodes can be exposed from Kubernetes 1.28 on; "
            f"{cluster.context} has {'.'.join(map(str, numbers))}",
            "launch without --expose, then kubectl sky port-forward NAME",
        )


def _with_class(cluster: Cluster, exposure: Exposure) -> Exposure:
    """The ingress class that is meant, and its controller; as it is where classes may not be read."""
    try:
        classes = cluster.get("/apis/networking.k8s.io/v1/ingressclasses")["items"]
    except ApiError as error:
        if error.status == 403:
            return exposure
        if error.status == 404:
            raise ClusterFailure(f"{cluster.context} has no Ingress (networking.k8s.io/v1)", CONTROLLERS) from None
        raise
    known = {one["metadata"]["name"]: one for one in classes}
    if exposure.ingress_class:
        found = known.get(exposure.ingress_class)
        if found is None:
            text = f"{cluster.context} has no ingress class {exposure.ingress_class!r}"
            raise ClusterFailure(text, near(exposure.ingress_class, list(known)) if known else CONTROLLERS)
    else:
        found = _default(classes)
    if found is None and not known:
        raise ClusterFailure(f"{cluster.context} has no ingress class, so nothing would serve an Ingress", CONTROLLERS)
    if found is None:
        raise ClusterFailure(
            f"{cluster.context} has no default ingress class; there are: {', '.join(sorted(known))}",
            f"say which: `ingress_class: NAME` in {settings.config_file()}, or $KUBECTL_SKY_INGRESS_CLASS",
        )
    name, controller = found["metadata"]["name"], (found.get("spec") or {}).get("controller", "")
    return replace(exposure, ingress_class=name, controller=controller)


def _default(classes: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """The class that is marked as the default, or the only one."""
    found = list(classes)
    marked = [one for one in found if (one["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true"]
    return marked[0] if marked else found[0] if len(found) == 1 else None


def _check_gateway(cluster: Cluster, exposure: Exposure) -> None:
    """Whether it is there; a Gateway that may not be read is believed in."""
    namespace, _, name = exposure.gateway.rpartition("/")
    api = f"/apis/{ports.GATEWAY_API}"
    try:
        cluster.get(f"{api}/namespaces/{namespace or cluster.namespace}/gateways/{name}")
        return
    except ApiError as error:
        if error.status == 403:
            return
        if error.status != 404:
            raise
    try:
        cluster.get(api)
    except ApiError as error:
        if error.status != 404:
            raise
        raise ClusterFailure(f"{cluster.context} has no Gateway API ({ports.GATEWAY_API})", CONTROLLERS) from None
    raise ClusterFailure(
        f"{cluster.context} has no Gateway {name!r} in namespace {namespace or cluster.namespace}",
        "kubectl get gateways -A lists what there is; the setting `gateway` names it",
    )


def misfits(exposure: Exposure, job: dict[str, Any]) -> list[str]:
    """How a task that is up is exposed otherwise than asked."""
    told = job["metadata"].get("annotations") or {}
    there = told.get(ports.EXPOSE, ports.NONE)
    if exposure.way in (ports.NONE, there):
        return []
    return [f"expose: asked for {exposure.way}, has {there}"]
