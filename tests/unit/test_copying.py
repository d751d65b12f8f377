"""Why a bucket could not be copied, in words."""

import pytest

from kubectl_sky.diagnosis import copying
from kubectl_sky.diagnosis.podstate import pod_state

AWS = "status code: 403, request id: X1, host id: Y2"


@pytest.mark.parametrize(
    ("line", "reason", "words"),
    [
        (
            f"2026/11/25 03:00:00 Failed to copyto: InvalidAccessKeyId: Unknown\t{AWS}",
            "WrongKey",
            "wrong or have expired",
        ),
        ("2026/11/25 03:00:00 ERROR : : error reading source: directory not found", "NoSuchBucket", "no such bucket"),
        (f"Failed to copyto: AccessDenied: Access Denied {AWS}", "AccessDenied", "may not read it"),
        ("Failed to copyto: NoCredentialProviders: no valid providers in chain", "NoCredentials", "no credentials"),
        ("Failed to copyto: dial tcp 1.2.3.4:80: connect: connection refused", "NoEndpoint", "cannot be reached"),
        ("ERROR : a: Failed to copy: write /copies/0/a: no space left on device", "NoSpace", "disk is full"),
        (
            "2026/11/25 03:00:00 CRITICAL: Failed to copyto: operation error S3: ListObjectsV2, https response error "
            "StatusCode: 403, RequestID: X1, HostID: Y2, api error AccessDenied: Access Denied",
            "AccessDenied",
            "may not read it",
        ),
        ("rclone was killed", "MountLost", "does not get it back"),
        ("Failed to copyto: something else", "NotCopied", "something else"),
    ],
)
def test_rclones_words(line, reason, words):
    found = copying.ended("t-0", "buckets", f"s3://b/x: {line}")
    assert found
    assert (found[0], words in found[1], "X1" in found[1]) == (reason, True, False)
    assert found[1].startswith("s3://b/x cannot be copied to pod t-0: ")


def pod(state):
    status = {"name": "buckets", "state": state}
    spec = {"initContainers": [{"name": "buckets"}]}
    return {"metadata": {"name": "t-0"}, "spec": spec, "status": {"initContainerStatuses": [status]}}


def test_the_state_of_a_pod():
    copies = pod_state(pod({"running": {}}), {})
    assert (copies.phase, copies.reason) == ("Starting", "Copying")
    failed = pod_state(pod({"terminated": {"exitCode": 3, "message": "s3://b: directory not found"}}), {})
    assert (failed.phase, failed.reason) == ("Failed", "NoSuchBucket")
    without_words = pod_state(pod({"terminated": {"exitCode": 137, "message": ""}}), {})
    assert without_words.reason == "Error"


def test_progress():
    line = "2026/11/25 03:00:00 NOTICE:   1.074 MiB / 3.000 MiB, 36%, 100 KiB/s, ETA 19s (xfr#1/3)"
    assert copying.progress(["copying s3://b", line, "x"]) == "1.074 MiB / 3.000 MiB, 36%, 100 KiB/s, ETA 19s"
    assert copying.progress(["copying s3://b"]) == ""
