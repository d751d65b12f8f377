"""The jobs of tasks that are up, as their agents tell; and what can be asked of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubectl_sky import conversation, running
from kubectl_sky.errors import Failure, UsageError

if TYPE_CHECKING:
    from kubectl_sky.autostop import Policy
    from kubectl_sky.kube import Cluster

After = tuple[int, str]  # a job, and whether it must have succeeded ("ok") or just ended ("any")
AT_ONCE = 16  # agents asked side by side
UNTOLD: dict[str, Any] = {
    **dict.fromkeys(("name", "submitted", "started", "ended", "exit", "reason", "rank", "places")),
    "tty": False,
    "resources": "-",
    "priority": 0,
}


@dataclass(frozen=True)
class Queue:
    """Of one task. `jobs` are states, as the agent's job.py describes them; `idle` is {policy, left (s), sessions}.

    `trouble` is why it could not be asked.
    """

    task: str
    jobs: tuple[dict[str, Any], ...] = ()
    idle: dict[str, Any] | None = None
    trouble: Failure | None = None


def read(cluster: Cluster, names: Sequence[str]) -> list[Queue]:
    """The queues of tasks, asked side by side."""

    def one(name: str) -> Queue:
        try:
            answer = _ask(cluster, name, {"op": "queue"})
        except Failure as failure:
            return Queue(name, trouble=failure)
        return told(name, answer)

    with ThreadPoolExecutor(min(len(names), AT_ONCE) or 1) as pool:
        return list(pool.map(one, names))


def told(name: str, answer: dict[str, Any]) -> Queue:
    """What an agent says, also one of an earlier version, that does not say all."""
    return Queue(name, tuple({**UNTOLD, **job} for job in answer["jobs"]), answer.get("idle"))


def cancel(cluster: Cluster, name: str, jobs: Sequence[int] | None) -> list[dict[str, Any]]:
    """Cancels jobs (None: all); returns the states of those that had not ended. Raises Failure."""
    request = {"op": "cancel", "jobs": list(jobs) if jobs is not None else None}
    return list(conversation.ask(cluster, _head(cluster, name), request)["jobs"])


def set_autostop(cluster: Cluster, name: str, policy: Policy | None) -> None:
    """From now on; None is never. Raises Failure."""
    pod = _head(cluster, name)
    try:
        conversation.ask(cluster, pod, {"op": "autostop", "policy": policy.as_dict() if policy else None})
    except conversation.Broken:
        require(cluster, name, "autostop")
        raise


def require(cluster: Cluster, name: str, what: str) -> None:
    """Raises Failure where the agent in the pod is of the first version, which lets pass what it does not know."""
    if "idle" not in _ask(cluster, name, {"op": "queue"}):
        text = f"{name} was launched by an earlier version of kubectl sky, whose agent knows no {what}"
        raise Failure(text, f"{cluster.connection.command('down', name)}, then launch it again")


def after(texts: Sequence[str]) -> list[After]:
    """--after: `3` (when job 3 has succeeded), `any:3` (when it has ended). Raises UsageError."""
    found = [re.fullmatch(r"(?:(ok|any):)?([0-9]+)", text) for one in texts for text in one.split(",")]
    if not all(found):
        raise UsageError(f"--after: {', '.join(texts)!r} should be job ids", "--after 3, or any:3 if it may also fail")
    return [(int(match[2]), match[1] or "ok") for match in found if match]


def _head(cluster: Cluster, name: str) -> str:
    """Node 0's pod. Raises Failure: why there is none, and what can be done."""
    try:
        return running.Head(cluster, name)()
    except conversation.Broken:
        state = running.explain(cluster, name)
        raise Failure(f"{name} is {state.phase}: {state.message or state.reason}", state.hint) from None


def _ask(cluster: Cluster, name: str, request: dict[str, Any]) -> dict[str, Any]:
    return conversation.ask(cluster, running.Head(cluster, name)(), request)
