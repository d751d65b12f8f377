"""Failures: a message, a next step and an exit code. The modules of api/ make them from what a cluster said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

EXIT_FAILURE, EXIT_USAGE, EXIT_TIMEOUT, EXIT_INTERRUPT, EXIT_PIPE = 1, 2, 124, 130, 141


class Failure(Exception):
    """Something a user is told about: `error: MESSAGE`, then HINT (a command to type or the next step)."""

    def __init__(self, message: str, hint: str | None = None, exit_code: int = EXIT_FAILURE):
        super().__init__(message)
        self.message, self.hint, self.exit_code = message, hint, exit_code


class UsageError(Failure):
    """The command line or a task file is wrong; nothing was done."""

    def __init__(self, message: str, hint: str | None = None):
        super().__init__(message, hint, EXIT_USAGE)


class TaskErrors(UsageError):
    """All problems of a task file at once; `problems` have `str()` of the form `file:line:column: field: text`."""

    def __init__(self, problems: Sequence[Any], where: str = "the task"):
        self.problems = list(problems)
        count = len(self.problems)
        lines = [f"  {problem}" for problem in self.problems]
        super().__init__("\n".join([f"{count} problem{'s' * (count != 1)} in {where}:", *lines]))


class ClusterFailure(Failure):
    """The cluster could not be asked, or what it did is not what was wanted."""


class Unreachable(ClusterFailure):
    """No answer from the API server: refused, timed out, no such host, TLS.

    `never_sent`: the request did not leave, so that any may be repeated; `silent`: connected, but nothing came.
    """

    never_sent = False
    silent = False


class ApiError(ClusterFailure):
    """The API server said no. `status` is the HTTP code, `reason` Kubernetes' word for it (e.g. AlreadyExists)."""

    def __init__(self, status: int, reason: str, message: str, hint: str | None = None):
        super().__init__(message, hint)
        self.status, self.reason = status, reason
        self.said, self.causes = "", list[dict[str, Any]]()  # as the server put it
        self.retry_after: float | None = None


class Expired(ApiError):
    """410: the resourceVersion is too old to watch from; list again."""
