"""The pod of a small task, to try: as a dry run, or for real from the runtime image."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kubectl_sky import names, own_containers, planning, podspec, settings, task
from kubectl_sky.checks.findings import INFO, OK, PROBLEM, WARNING, Finding
from kubectl_sky.cluster_objects import collection
from kubectl_sky.diagnosis import podstate, pulling
from kubectl_sky.errors import ApiError, Failure

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

Object = dict[str, Any]
SECONDS = 90.0  # for a real pod
SMALL = "run: 'true'\nresources: {cpus: 0.1, memory: 0.1}"


def dry_pod(context: str, pod_security: str) -> Object:
    """As the Job of a task that asks for as little as can be would make it."""
    small, _ = task.parse(SMALL, "check")
    options = planning.Options(name="sky-check")
    facts = podspec.Facts(context=context, pod_security=pod_security)
    rendered = podspec.render(planning.plan(planning.blind(small, context), options, facts, podspec.Identity("", "")))
    return _pod(rendered[-1]["spec"]["template"]["spec"])


def image_pod(own: settings.Settings) -> Object:
    """One container of the runtime image, secured like those of tasks, that ends at once."""
    container = {
        "name": "image",
        "image": own.own_image(own.runtime_image),
        "imagePullPolicy": own.image_pull_policy,
        "command": [*podspec.PYTHON, "-c", "pass"],
        "securityContext": own_containers.HARDENED,
        "resources": own_containers.RESOURCES,
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "activeDeadlineSeconds": int(SECONDS),
        "containers": [container],
    }
    return _pod(spec)


def _pod(spec: Object) -> Object:
    name = f"sky-check-{uuid.uuid4().hex[:6]}"
    # the labels of tasks: `down` finds what a killed check has left
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": names.labels(name)}, "spec": spec}


def run_image(cluster: Cluster) -> Finding:
    """Starts a pod from the runtime image, waits for its end or for what holds it, and takes it away."""
    pod = image_pod(settings.load())
    image = pod["spec"]["containers"][0]["image"]
    try:
        with _made(cluster, pod) as made:
            return finding(image, _last(cluster, made))
    except Failure as error:
        return Finding("image", PROBLEM, f"a pod from {image} cannot be tried: {error.message}", error.hint or "")


def finding(image: str, pod: Object | None) -> Finding:
    """What the pod's end, or where it stands at the limit, says about the image. Pure."""
    if pod is None:
        return Finding("image", WARNING, f"the pod from {image} was deleted by somebody while it was tried")
    state = podstate.pod_state(pod, {})
    node = pod["spec"].get("nodeName", "")
    if state.phase == podstate.COMPLETED:
        return Finding("image", OK, f"a pod from {image} ran on node {node}")
    stuck = _waiting(pod)
    if stuck.get("reason") in PULLS:
        why, hint, transient = pulling.explained(image, str(stuck.get("message") or ""), node)
        text, hint = f"the image {image} cannot be pulled: {why}", hint.replace(" (`image_id`)", "")
        return Finding("image", WARNING if transient else PROBLEM, text, f"{hint}\n{OTHER_IMAGE}")
    why = state.message or state.reason or state.phase
    if state.phase == podstate.FAILED:
        return Finding("image", PROBLEM, f"a pod from {image} does not run: {why}", state.hint or "")
    text = f"a pod from {image} did not run within {SECONDS:.0f} s: {why}"
    return Finding("image", WARNING if node else INFO, text, state.hint or "")


PULLS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
OTHER_IMAGE = "where it is on a mirror: KUBECTL_SKY_REGISTRY_MIRROR=HOST, or KUBECTL_SKY_RUNTIME_IMAGE=IMAGE"


def _waiting(pod: Object) -> Object:
    """{"reason", "message"} of the container that cannot start."""
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        return dict((status.get("state") or {}).get("waiting") or {})
    return {}


def _last(cluster: Cluster, pod: Object) -> Object | None:
    """The pod as it is when it has ended, is sure not to start, or its time is over; None: deleted."""
    metadata, found = pod["metadata"], pod
    where = {"fieldSelector": f"metadata.name={metadata['name']}", "resourceVersion": metadata["resourceVersion"]}
    for event in cluster.watch(collection(cluster, "Pod"), timeout=SECONDS, **where):
        if event["type"] == "DELETED":
            return None
        found = event["object"]
        if podstate.pod_state(found, {}).phase in (podstate.COMPLETED, podstate.FAILED):
            break
    return found


@contextmanager
def _made(cluster: Cluster, pod: Object) -> Iterator[Object]:
    """The pod in the cluster; it is gone afterwards, whatever happens."""
    pods, name = collection(cluster, "Pod"), pod["metadata"]["name"]
    try:
        yield cluster.create(pods, pod)
    finally:
        try:
            cluster.delete(f"{pods}/{name}", gracePeriodSeconds=0)
        except ApiError as error:
            if error.status != 404:
                raise
