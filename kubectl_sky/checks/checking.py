"""Asks a context all that `check` tells about it, side by side, and puts the findings together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kubectl_sky import contexts as where
from kubectl_sky import kube, settings
from kubectl_sky.api import kubeconfig
from kubectl_sky.capacity import dra, inventory, nodes
from kubectl_sky.checks import findings, findings_gpus, findings_limits, findings_queues, rights, roles, trial
from kubectl_sky.checks.findings import NOT_ASKED, PROBLEM, Answer, Finding, Seen
from kubectl_sky.errors import ApiError, Failure, UsageError
from kubectl_sky.output import parse_duration

if TYPE_CHECKING:
    from kubectl_sky.api.connection import Connection
    from kubectl_sky.capacity.nodes import Node
    from kubectl_sky.kube import Cluster

Object = dict[str, Any]
PATIENCE = 4.0  # seconds for the first answer of a context
LONG = 3600.0  # where the user wants no limit
# name -> path; what most users may not read is among it
QUESTIONS = {
    "namespace": "/api/v1/namespaces/{namespace}",
    "resourcequotas": "/api/v1/namespaces/{namespace}/resourcequotas",
    "limitranges": "/api/v1/namespaces/{namespace}/limitranges",
    "runtimeclasses": "/apis/node.k8s.io/v1/runtimeclasses",
    "storageclasses": "/apis/storage.k8s.io/v1/storageclasses",
    "autoscaler": "/api/v1/namespaces/kube-system/configmaps/cluster-autoscaler-status",
}


@dataclass(frozen=True)
class Report:
    """One context. `seen` None: it could not be asked. `missing`: Role and ClusterRole for what may not be done."""

    name: str
    server: str
    findings: tuple[Finding, ...]
    seen: Seen | None = None
    missing: tuple[Object, ...] = ()  # without it no task runs
    wanted: tuple[Object, ...] = ()  # for the views

    @property
    def usable(self) -> bool:
        return not any(one.state == PROBLEM for one in self.findings)


def check(connection: Connection, deep: bool = False) -> Report:
    """All about the context of a connection; whatever is wrong with it is a finding."""
    name, server = connection.context or "", ""
    try:
        cluster = kube.connect(connection)
        name, server = cluster.context or name, cluster.server
        return _report(cluster, ask(cluster), trial.run_image(cluster) if deep else None)
    except UsageError:
        raise
    except Failure as error:
        found = Finding("connection", PROBLEM, error.message, error.hint or "")
        return Report(name, server, (found,))


def contexts(connection: Connection, names: Iterable[str], everywhere: bool) -> list[Connection]:
    """A connection for each context to ask: those named, all of the kubeconfig, or the current one."""
    given = where.given(connection) if connection.contexts else []
    wanted = list(dict.fromkeys(names)) or given or (kubeconfig.contexts(connection) if everywhere else [])
    return [replace(connection, context=name, contexts=()) for name in wanted] or [connection]


def side_by_side(connections: list[Connection], deep: bool) -> list[Report]:
    if len(connections) == 1:  # in this thread, where Ctrl-C ends it
        return [check(connections[0], deep)]
    with ThreadPoolExecutor(min(len(connections), 16)) as pool:
        return list(pool.map(lambda one: check(one, deep), connections))


# -- asking ---------------------------------------------------------------------------------------------------------


def ask(cluster: Cluster) -> Seen:
    """Raises Failure when the context does not answer, or does not know who we are."""
    version, skew = _greet(cluster)
    own = settings.load()
    image = own.own_image(own.runtime_image)
    with ThreadPoolExecutor(8) as pool:
        may = pool.submit(rights.review, cluster)
        groups = pool.submit(answer, cluster, "/apis")
        listed = pool.submit(_nodes, cluster, image)
        asked = {name: pool.submit(answer, cluster, _path(cluster, path)) for name, path in QUESTIONS.items()}
        tried = pool.submit(_tried, cluster, asked["namespace"])
        later = pool.submit(_of_groups, cluster, groups)
        claims = pool.submit(_claims, cluster, groups)
        user = pool.submit(rights.user, cluster)
    found, holding = listed.result()
    dynamic = claims.result()
    if found is not None and dynamic.devices:
        found = [nodes.with_devices(node, dynamic.devices.get(node.name, ())) for node in found]
    answers = {name: one.result() for name, one in asked.items()}
    return Seen(
        namespace=cluster.namespace,
        version=version,
        skew=skew,
        user=user.result(),
        rights=may.result(),
        nodes=None if found is None else tuple(found),
        classes=dynamic.classes,
        image=image,
        holding=holding,
        answers={**answers, "groups": groups.result(), **later.result()},
        tried=tried.result(),
    )


def _greet(cluster: Cluster) -> tuple[Object | None, float | None]:
    try:
        limit = cluster.connection.request_timeout
        return cluster.greet(parse_duration(limit) or LONG if limit else PATIENCE)
    except ApiError as error:
        if error.status != 403:
            raise
        return None, None


def _path(cluster: Cluster, path: str) -> str:
    return path.format(namespace=cluster.namespace)


def answer(cluster: Cluster, path: str) -> Answer:
    """What the server says to a GET, also when it says no. Raises Unreachable, and ApiError 401."""
    return _answer(lambda: cluster.get(path))


def _answer(read: Callable[[], Object]) -> Answer:
    try:
        return Answer(read())
    except ApiError as error:
        if error.status == 401:
            raise
        return Answer(None, error.status, error.message, error.hint or "")


def _nodes(cluster: Cluster, image: str) -> tuple[list[Node] | None, int]:
    """The nodes (None: they may not be read), and how many of them have the image."""
    holding = 0

    def convert(item: Object) -> Node:
        nonlocal holding
        holding += has_image(item, image)
        return nodes.read(item)

    try:
        return inventory.collect(cluster, "/api/v1/nodes", convert), holding
    except ApiError as error:
        if error.status != 403:
            raise
        return None, 0


def has_image(node: Object, image: str) -> bool:
    """By its status, where docker.io/ and library/ may stand before a name."""
    return any(
        name == image or name.endswith(f"/{image}")
        for one in (node.get("status") or {}).get("images") or ()
        for name in one.get("names") or ()
    )


def _claims(cluster: Cluster, groups: Future[Answer]) -> dra.Dynamic:
    if groups.result().value is not None and dra.GROUP.rpartition("/")[2] not in Seen(answers=_known(groups)).groups:
        return dra.NONE
    return dra.read(cluster)


def _known(groups: Future[Answer]) -> dict[str, Answer]:
    return {"groups": groups.result()}


def _of_groups(cluster: Cluster, groups: Future[Answer]) -> dict[str, Answer]:
    """What is asked only where the cluster has the API for it."""
    there = Seen(answers=_known(groups)).groups
    paths = {}
    if findings_queues.KUEUE in there:
        versions = there[findings_queues.KUEUE]
        version = next((one for one in ("v1beta2", "v1beta1") if one in versions), versions[0])
        paths["localqueues"] = f"/apis/{findings_queues.KUEUE}/{version}/namespaces/{cluster.namespace}/localqueues"
    if findings_queues.KAI in there:
        paths["kaiqueues"] = f"/apis/{findings_queues.KAI}/v2/queues"
    if findings_queues.KARPENTER in there:
        paths["nodepools"] = f"/apis/{findings_queues.KARPENTER}/{there[findings_queues.KARPENTER][0]}/nodepools"
    version = findings_queues.native_version(there)
    if version:
        paths["scheduling"] = f"/apis/{findings_queues.NATIVE}/{version}"
    return {name: answer(cluster, path) for name, path in paths.items()}


def _tried(cluster: Cluster, namespace: Future[Answer]) -> Answer:
    """A dry run of a task's pod."""
    there = namespace.result()
    if there.status == 404:
        return NOT_ASKED
    level = Seen(answers={"namespace": there}).labels.get(findings.ENFORCE, "privileged")
    pod = trial.dry_pod(cluster.context, level)
    return _answer(lambda: cluster.create(f"/api/v1/namespaces/{cluster.namespace}/pods", pod, dryRun="All"))


# -- telling --------------------------------------------------------------------------------------------------------


def _report(cluster: Cluster, seen: Seen, image: Finding | None) -> Report:
    found = tuple(told(seen, image))
    missing: tuple[Object, ...] = ()
    wanted: tuple[Object, ...] = ()
    if seen.rights.missing((*rights.REQUIRED, *rights.HELPFUL), seen.namespace):
        missing = tuple(roles.in_namespace(seen.user, seen.namespace))
    if seen.rights.missing(rights.VIEWS, None):
        wanted = tuple(roles.in_cluster(seen.user))
    return Report(cluster.context, cluster.server, found, seen, missing, wanted)


def told(seen: Seen, image: Finding | None = None) -> Iterable[Finding]:
    """All findings, in the order in which they are shown. `image`: of a pod that was tried for real."""
    yield findings.check_version(seen)
    yield findings.check_clock(seen)
    namespace = findings.check_namespace(seen)
    yield namespace
    yield from findings.check_rights(seen)
    if namespace.state != PROBLEM:
        yield findings.check_pod_security(seen)
        yield from findings_limits.check_quotas(seen)
        yield from findings_limits.check_limit_ranges(seen)
        yield from findings.check_admission(seen)
    yield findings.check_nodes(seen)
    yield from findings_gpus.check_gpus(seen)
    yield findings.check_runtime_classes(seen)
    yield findings.check_storage(seen)
    yield from findings_queues.check_queues(seen)
    yield findings_queues.check_autoscaler(seen)
    yield image or findings.check_image(seen)
