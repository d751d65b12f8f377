"""Why rclone could not copy or mount a bucket: its own last words, in plain ones, with the next step. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from kubectl_sky.diagnosis.fault import Fault, Told
from kubectl_sky.parts import bucket_mounts, bucket_uploads
from kubectl_sky.parts.buckets import CONTAINER

_KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, are read where you launch"
FAULTS = (
    Fault(
        "NoSuchBucket",
        r"NoSuchBucket|ContainerNotFound|bucket does(n't| not) exist|directory not found|object not found|NotFound",
        "there is no such bucket, or nothing at that path in it",
        "check the name, and the endpoint (AWS_ENDPOINT_URL) that it is looked for at",
    ),
    Fault(
        "WrongKey",
        r"InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|ExpiredToken|AuthenticationFailed|invalid_grant"
        r"|InvalidClientTokenId|Unauthorized|[Ss]tatus ?[Cc]ode: 401",
        "the credentials are wrong or have expired",
        _KEYS,
    ),
    Fault(
        "AccessDenied",
        r"AccessDenied|Forbidden|AuthorizationPermissionMismatch|[Ss]tatus ?[Cc]ode: 403|Error 403",
        "the credentials may not {use} it",
        "they need the rights to {rights}",
    ),
    Fault(
        "NoCredentials",
        r"NoCredentialProviders|no EC2 IMDS role|failed to (refresh|retrieve) (cached )?credentials"
        r"|could not find default credentials|DefaultAzureCredential",
        "there are no credentials, and the pod has no identity in the cloud",
        _KEYS,
    ),
    Fault(
        "NoEndpoint",
        r"no such host|connection refused|i/o timeout|Client\.Timeout|no route to host|network is unreachable"
        r"|context deadline exceeded|RequestError",
        "its server cannot be reached from the pod",
        "check the endpoint: it must be one that pods reach (AWS_ENDPOINT_URL), not localhost",
    ),
    Fault(
        "MountLost",
        r"rclone was killed",
        "the mount is lost: a running task does not get it back",
        "take it down and launch it again; with little memory on the node, ask for more: --memory GIB",
    ),
    Fault(
        "NoSpace",
        r"no space left on device",
        "the node's disk is full",
        "ask for more disk: --disk-size GB; or copy less: a prefix of the bucket",
    ),
)

_READ = "list the bucket and to get its objects (s3:ListBucket, s3:GetObject)"
_WRITE = (
    "list the bucket and to put objects (s3:ListBucket, s3:PutObject); to make one that is not there: s3:CreateBucket"
)
# container -> what it does with a bucket, as of its pod
_USES = {
    CONTAINER: ("copied to", "read", _READ),
    bucket_mounts.CONTAINER: ("mounted in", "read", _READ),
    bucket_uploads.CHECKING: ("filled from", "write to", _WRITE),
    bucket_uploads.CONTAINER: ("filled from", "write to", _WRITE),
}


def runs(status: Mapping[str, Any]) -> bool:
    """By a pod's status, whether it copies now."""
    found = status.get("initContainerStatuses") or ()
    return any(one["name"] == CONTAINER and "running" in (one.get("state") or {}) for one in found)


def progress(lines: Iterable[str]) -> str:
    """The last that rclone said of how far it is: `1.2 GiB / 5 GiB, 24%, 100 MiB/s, ETA 38s`; "" for nothing yet."""
    found = [match[1] for line in lines if (match := re.search(r"NOTICE: +([\d.]+ ?\w* / .*?)(?: \(xfr.*\))?$", line))]
    return found[-1] if found else ""


def ended(pod: str, container: str, said: str) -> Told | None:
    """`said` is `URI: LAST LINE`, as parts.buckets has it written. None for other containers, and for no words."""
    if container not in _USES:
        return None
    what, use, rights = _USES[container]
    uri, _, line = said.partition(": ")
    line = re.sub(r"^[\d/]+ [\d:]+ ((ERROR|NOTICE|CRITICAL) *: )?", "", line)
    for one in FAULTS:
        if re.search(one.pattern, line):
            text, hint = (part.replace("{use}", use).replace("{rights}", rights) for part in (one.text, one.hint))
            return one.reason, f"{uri} cannot be {what} pod {pod}: {text} ({_short(line)})", hint
    if uri and line:
        return "NotCopied", f"{uri} cannot be {what} pod {pod}: {_short(line)}", f"kubectl logs {pod} -c {container}"
    return None


def _short(line: str) -> str:
    """rclone's line without its own retries and the ids of requests."""
    line = re.sub(r",? ?\b(request id|host id|RequestID|HostID)[:=] ?[^,)]*", "", line)
    line = re.sub(
        r"^(Attempt \d+/\d+ failed|Failed to \w+|Fatal error)( with \d+ errors?: last error was| [^:]* and)?: ",
        "",
        line,
    )
    return line.strip(" ,.")[:300]
