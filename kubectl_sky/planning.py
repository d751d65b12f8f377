"""From a task to the plan of its manifests: everything that they depend on, without asking a cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from kubectl_sky import costs, identity, images, jobspec, names, optimizer, podspec, registry, settings, shape
from kubectl_sky import task as tasks
from kubectl_sky.autostop import Policy
from kubectl_sky.buckets import access
from kubectl_sky.diagnosis import limits
from kubectl_sky.errors import TaskErrors, UsageError
from kubectl_sky.managed import Managed
from kubectl_sky.parts import carried, claims, fabric, gangs, membership, ports, volumes
from kubectl_sky.parts.part import Part
from kubectl_sky.record import Record
from kubectl_sky.task import Task
from kubectl_sky.volumes import fits, wanted

SECRET_LIMIT = 1 << 20
UNINDEXED = "has Kubernetes before 1.22, which makes no Jobs of several numbered pods"


@dataclass(frozen=True)
class Options:
    name: str
    detach: bool = False
    autostop: Policy | None = None
    timeout: float | None = None  # s until node 0 must be up; None: as configured
    exposure: ports.Exposure = field(default_factory=ports.Exposure)
    privileged_mounts: bool = False  # of buckets; agreed to with this launch
    tty: jobspec.Tty | None = None  # of its job
    record: Record | None = None  # of this launch, for a later start
    ran_before: float = 0.0  # seconds, of a cluster that is started again
    here: bool = False  # only in the context that is given, whatever the task says
    managed: Managed | None = None  # it goes on without a client
    recordings: tuple[bytes, ...] = field(default=(), repr=False)  # of the files of its jobs, which go along
    attached: str | None = None  # the keys that detach this terminal from the job's; None: only its log is shown


def code() -> dict[str, str]:
    """File name -> text of what runs in the pods."""
    files = (Path(__file__).parent / "remote").iterdir()
    return {
        file.name: file.read_text("utf-8")
        for file in sorted(files)
        if file.suffix in (".py", ".conf") and file.stat().st_size
    }


def plan(chosen: optimizer.Candidate, options: Options, found: podspec.Facts, key: podspec.Identity) -> podspec.Plan:
    """Everything that the manifests depend on. Raises UsageError when the task is too large for a Secret."""
    task = images.resolved(chosen.task, chosen.place.context)
    if problem := images.missing(task, chosen.place.context):
        raise TaskErrors([problem])
    if problems := impossible(task, options.name, found, chosen.request.key if chosen.request else None):
        raise TaskErrors(problems)
    if options.managed and (options.managed.count > 1 or options.managed.group) and not found.indexed:
        raise UsageError(f"context {found.context} {UNINDEXED}", "one job at a time, or another context (--context)")
    chosen, own = replace(chosen, task=task), settings.load()
    waits = has_files(task) or options.managed
    job = jobspec.job_spec(task, options.tty) if not waits and (task.run or task.setup) else None
    configured = task.settings(found.context)  # whose time in a queue is none in which pods hold their places
    made = podspec.Plan(
        task=task,
        name=options.name,
        facts=found,
        settings=own,
        identity=key,
        code=code(),
        user=identity.user(),
        job=job,
        request=chosen.request,
        parts=(*_parts(chosen, options, found, own), *registry.parts(task, options.name, own)),
        autostop=options.autostop,
        managed=options.managed and replace(options.managed, rules=found.failure_rules, per_index=found.per_index),
        record=options.record,
        provision=limits.provision(options.timeout, None if configured.queue else configured.timeout),
        annotations={
            shape.SHAPE: json.dumps(shape.of(task)),
            **({shape.KEPT: json.dumps(there)} if (there := shape.kept(task, chosen.place.context)) else {}),
            **_priced(chosen, options.ran_before),
            **ports.told(task.resources.ports, options.exposure),
        },
    )
    told = made.managed.as_dict() if made.managed else job or jobspec.variables(task)
    room = SECRET_LIMIT - 8192 - len(json.dumps(told))
    if room < 0:
        raise UsageError(
            "setup, run and envs are too large together: at most 1 MB", "put what is large into the workdir"
        )
    fits = made.record is None or len(json.dumps(made.record.as_dict())) < room
    return made if fits else replace(made, record=None)


def _priced(chosen: optimizer.Candidate, ran_before: float) -> dict[str, str]:
    """Annotations: what it costs, and how long it had run when it was stopped."""
    price = None if chosen.price is None else chosen.price * chosen.task.num_nodes
    return {
        **({costs.PRICE: f"{price:.6g}"} if price is not None else {}),
        **({costs.BEFORE: f"{ran_before:.0f}"} if ran_before else {}),
    }


def _parts(
    chosen: optimizer.Candidate, options: Options, found: podspec.Facts, own: settings.Settings
) -> Iterator[Part]:
    """What features of the task add to its manifests."""
    if chosen.request and chosen.request.claim:
        yield claims.part(options.name, chosen.request)
    task = chosen.task
    scheduler, said = podspec.configured(task, found.context).get("schedulerName"), task.settings(found.context)
    queues = {gangs.KAI: said.kai_queue, gangs.VOLCANO: said.volcano_queue}
    if offer := gangs.chosen(found.gang_schedulers, scheduler, queues):
        yield gangs.part(options.name, task.num_nodes, offer)
    if task.resources.network_tier == "best":
        yield fabric.part(options.name, task.num_nodes, chosen.request, found.nodes, found.pod_security)
    if task.resources.ports:
        yield ports.part(options.name, task.num_nodes, task.resources.ports, options.exposure)
    if task.volumes:
        yield volumes.part(options.name, wanted.of(task), found.storage, task.num_nodes)
    if options.managed and options.managed.group:
        yield membership.part(options.managed.group)
    if any(options.recordings):
        yield carried.part(options.name, options.recordings)
    yield from access.parts(task, options.name, own, found, options.privileged_mounts)


def impossible(task: Task, name: str, found: podspec.Facts, gpus: str | None = None) -> list[tasks.Problem]:
    """What stands against the task in a context, whatever is free there. `gpus`: their resource."""
    many = task.num_nodes > 1 and not found.indexed
    hint = "num_nodes: 1, or another context (--context)"
    lacks = [task.problem("num_nodes", f"context {found.context} {UNINDEXED}", hint)] if many else []
    return [*lacks, *unmountable(task, name, found, gpus)]


def unmountable(task: Task, name: str, found: podspec.Facts, gpus: str | None = None) -> list[tasks.Problem]:
    """What stands against the volumes of the task; nothing where no cluster was asked. `gpus`: their resource."""
    if not task.volumes or found.storage is None:
        return []
    where = fits.Where(found.storage, found.pod_security, found.nodes, gpus, found.context)
    return fits.problems(task, name, wanted.of(task), where)


def blind(task: Task, context: str = "") -> optimizer.Candidate:
    """The choice without a cluster: the task's first alternative that needs no look at nodes. Raises ClusterFailure."""
    return optimizer.choose(optimizer.candidates(task, [optimizer.Place(context, None)]), ordered=True)


def has_files(task: Task) -> bool:
    """Whether local files go along: the first job then waits for them."""
    return task.workdir is not None or any(mount.is_local for mount in task.file_mounts)


def name_of(task: Task, given: str | None) -> str:
    """-c NAME, else the task's own name, else a new one."""
    if given:
        return names.object_name(given)
    if task.name:
        return names.object_name(task.name, "name")
    return names.random_name(identity.user())
