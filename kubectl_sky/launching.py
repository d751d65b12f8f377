"""A launch, from a task to its first line of output. Each step can be killed and done again."""

from __future__ import annotations

import json
import pkgutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kubectl_sky import cluster_objects, facts, identity, names, podspec, running, settings
from kubectl_sky.errors import Failure, TaskErrors, UsageError
from kubectl_sky.output import Progress
from kubectl_sky.startup import Startup

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster
    from kubectl_sky.task import Task

CODE = (
    "agent.py",
    "ctl.py",
    "distribute.py",
    "frames.py",
    "job.py",
    "nodes.py",
    "process.py",
    "receive.py",
    "session.py",
    "sshd_nodes.conf",
    "sshd_people.conf",
    "supervisor.py",
    "wire.py",
)
SHAPE = "kubectl-sky/shape"  # annotation: what the task's nodes are, to compare a second launch with
SECRET_LIMIT = 1 << 20


@dataclass(frozen=True)
class Options:
    name: str
    detach: bool = False
    down: bool = False
    timeout: float = 600.0  # s until node 0 must be up


def code() -> dict[str, str]:
    """File name -> text of what runs in the pods."""
    return {name: (pkgutil.get_data("kubectl_sky.remote", name) or b"").decode() for name in CODE}


def plan(task: Task, options: Options, found: podspec.Facts, key: podspec.Identity) -> podspec.Plan:
    """Everything that the manifests depend on. Raises UsageError when the task is too large for a Secret."""
    job = podspec.job_spec(task) if not mounts(task) and (task.run or task.setup) else None
    made = podspec.Plan(
        task=task,
        name=options.name,
        facts=found,
        settings=settings.load(),
        identity=key,
        code=code(),
        user=identity.user(),
        job=job,
        down=options.down,
        annotations={SHAPE: json.dumps(shape(task))},
    )
    if len(json.dumps(job)) > SECRET_LIMIT - 8192:
        raise UsageError("setup, run and envs are too large together: at most 1 MB", "put what is large into the workdir")
    return made


def shape(task: Task) -> dict[str, Any]:
    """What a task demands of its nodes; None for what it leaves open."""
    r = task.resources
    gpus = [f"{a.name}:{a.count:g}" for a in r.accelerators[:1]]
    return {"cpus": r.cpus, "memory": r.memory, "accelerators": gpus or None, "image": r.image_id}


def mounts(task: Task) -> list[tuple[Any, str]]:
    """(local path, destination) of all that must be sent."""
    found: list[tuple[Any, str]] = [(mount.src, mount.dst) for mount in task.file_mounts]
    if task.workdir is not None:
        found.insert(0, (task.workdir, "~/sky_workdir"))
    return found


def launch(cluster: Cluster, task: Task, options: Options) -> int:
    """Runs the task; returns its exit code (0 when detached). Raises Failure."""
    with Progress(f"Launching {options.name}") as progress:
        job = _existing(cluster, options.name, progress)
        if job is None:
            with ThreadPoolExecutor(2) as pool:
                found = pool.submit(facts.gather, cluster, settings.load(), bool(task.resources.accelerators))
                key = pool.submit(identity.new_identity)
            made = plan(task, options, found.result(), key.result())
            job = cluster_objects.create(cluster, podspec.render(made))
            request = {"op": "follow", "job": 1} if made.job else None
        else:
            _check_fits(task, job, options.name)
            request = None
        head = Startup(cluster, job).wait(progress, options.timeout)
        nodes = min(task.num_nodes, job["spec"].get("parallelism", 1))
        send_files(cluster, task, head, job["spec"].get("parallelism", 1), progress)
        if request is None:
            if not (task.run or task.setup):
                progress.close()
                print(f"{options.name} is up. Use it: kubectl sky exec {options.name} COMMAND", file=sys.stderr)
                return 0
            request = {"op": "submit", "spec": podspec.job_spec(task), "down": options.down}
        request["follow"] = not options.detach
        finder = running.Head(cluster, options.name, first=head)
        result = running.follow(cluster, options.name, request, nodes, finder, progress, None)
        if options.detach:
            print(f"Detached. See it: kubectl sky logs {options.name}", file=sys.stderr)
        return result


def _existing(cluster: Cluster, name: str, progress: Progress) -> dict[str, Any] | None:
    """The Job of a task that is up or starts, or None after what was left of an ended one is gone."""
    job = cluster_objects.get_job(cluster, name)
    if job is None:
        return None
    if not job["metadata"].get("deletionTimestamp") and not cluster_objects.finished(job):
        return job
    progress.update(f"Waiting for the ended {name} to go away")
    cluster_objects.remove(cluster, name)
    return None


def _check_fits(task: Task, job: dict[str, Any], name: str) -> None:
    """A second launch uses the nodes that are there; raises UsageError when it asks for other ones."""
    there = json.loads(job["metadata"].get("annotations", {}).get(SHAPE, "{}"))
    other = [
        f"{what}: asked for {wanted}, has {there.get(what) or 'the default'}"
        for what, wanted in shape(task).items()
        if wanted is not None and there.get(what) != wanted
    ]
    nodes = job["spec"].get("parallelism", 1)
    if task.num_nodes > nodes:
        other.append(f"num_nodes: asked for {task.num_nodes}, has {nodes}")
    if other:
        text = "\n".join([f"{name} is up already, with other resources:", *(f"  {line}" for line in other)])
        raise UsageError(text, f"kubectl sky down {name}, or launch under another name with -c NAME")


def send_files(cluster: Cluster, task: Task, head: str, nodes: int, progress: Progress) -> None:
    if mounts(task):
        from kubectl_sky import sending

        sending.send(cluster, mounts(task), head, nodes, progress)


def check_supported(task: Task) -> None:
    """Raises TaskErrors for what the task file may say but cannot be run yet."""
    from kubectl_sky import task as tasks

    problems = tasks.unsupported(task)
    if problems:
        raise TaskErrors(problems)


def name_of(task: Task, given: str | None) -> str:
    """-c NAME, else the task's own name, else a new one."""
    if given:
        return names.object_name(given)
    if task.name:
        return names.object_name(task.name, "name")
    return names.random_name(identity.user())


def with_command(task: Task, script: str | None) -> Task:
    return replace(task, run=script) if script else task


def not_up(cluster: Cluster, name: str) -> Failure:
    return running.unknown(cluster, name)
