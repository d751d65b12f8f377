"""When an idle task ends: what the task, the flags and the defaults say together. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kubectl_sky.errors import UsageError
from kubectl_sky.resources import WAIT_FOR, Autostop

ANNOTATION = "kubectl-sky/autostop"  # of the Job: the policy, for whoever looks
STOPPED = "kubectl-sky/stopped"  # annotation of the Job: when `stop` suspended it
DEFAULT_MINUTES = 5  # of the verb `autostop`, as in SkyPilot


@dataclass(frozen=True)
class Policy:
    """After `minutes` without what is in `wait_for` the pods end; `down`: and nothing is kept for a `start`."""

    minutes: int
    wait_for: str = "jobs_and_ssh"
    down: bool = False

    @property
    def at_once(self) -> bool:
        """Whether the end of the last job is the end of all."""
        return self.minutes == 0 and self.down

    def as_dict(self) -> dict[str, Any]:
        """As the agent wants it."""
        return asdict(self)


def policy(said: Autostop | None, minutes: int | None, wait_for: str | None, down: bool) -> Policy | None:
    """Of the task file (`said`) and the flags, which win; None: it stays up. UsageError for senseless flags."""
    if wait_for is not None and wait_for not in WAIT_FOR:
        raise UsageError(f"--wait-for: {wait_for!r} should be one of {', '.join(WAIT_FOR)}")
    if minutes is not None and minutes < 0:
        said, minutes = None, None  # as SkyPilot says "never"
    on = said is not None and said.enabled
    if minutes is None and not on and not down:
        if wait_for is not None:
            raise UsageError("--wait-for says what an idle cluster waits for", "add --idle-minutes-to-autostop MINUTES")
        return None
    idle = minutes if minutes is not None else said.idle_minutes if said and on else 0
    known = said.wait_for if said and on else None
    after_jobs = "jobs" if idle == 0 and minutes is None and not on else "jobs_and_ssh"
    return Policy(idle, wait_for or known or after_jobs, down or bool(said and on and said.down))


def stopped(job: Mapping[str, Any]) -> bool:
    """Whether `start` brings a task back: it was suspended by `stop`, or ended by itself when it was idle."""
    if (job["metadata"].get("annotations") or {}).get(STOPPED):
        return True
    ended = {c["type"] for c in job.get("status", {}).get("conditions") or [] if c.get("status") == "True"}
    policy = read(job)
    return "Complete" in ended and policy is not None and not policy.down


def annotated(policy: Policy | None) -> dict[str, str | None]:
    """Of the Job; None takes one away."""
    return {ANNOTATION: json.dumps(policy.as_dict()) if policy else None}


def read(job: Mapping[str, Any]) -> Policy | None:
    """What a Job's annotation says; None also for what another hand wrote there."""
    try:
        return Policy(**json.loads((job["metadata"].get("annotations") or {})[ANNOTATION]))
    except (KeyError, TypeError, ValueError):
        return None
