"""What the administrators' page tells to apply: its manifests in a real API server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import PROJECT, OwnCluster, Sky, namespace

PAGE = (PROJECT / "docs" / "admin.md").read_text()
SMALL = ("--cpus", "0.1")


def manifest(kind: str) -> str:
    """The page's block with an object of that kind."""
    (found,) = [
        block for block in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.M) if f"kind: {kind}\n" in block
    ]
    return str(found)


def test_the_network_policy_is_of_our_pods(sky: Sky) -> None:
    applied = manifest("NetworkPolicy").replace("namespace: ml", f"namespace: {sky.namespace}")
    sky.kubectl("apply", "-f", "-", stdin=applied)
    (policy,) = json.loads(sky.kubectl("get", "networkpolicies", "-o", "json"))["items"]
    sky.ok("launch", "-c", "pair", "--num-nodes", "2", *SMALL, "--", "true")
    selector = ",".join("=".join(one) for one in policy["spec"]["podSelector"]["matchLabels"].items())
    assert len(sky.kubectl("get", "pods", "-l", selector, "-o", "name").split()) == 2
    dns = sky.kubectl("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.labels}")
    assert policy["spec"]["egress"][1]["to"][0]["namespaceSelector"]["matchLabels"].items() <= json.loads(dns).items()


@pytest.fixture
def audited(own_cluster: OwnCluster, tmp_path: Path) -> Iterator[tuple[Sky, Path]]:
    """A cluster with the page's audit policy, and its log."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(manifest("Policy"))
    own_cluster.do("restart-apiserver", "--audit", str(policy))
    with namespace(own_cluster.kubeconfig) as sky:
        yield sky, Path(own_cluster.kubeconfig).with_name("audit.log")
    own_cluster.do("restart-apiserver")


def test_the_audit_log_has_who_did_what_and_no_secret(audited: tuple[Sky, Path]) -> None:
    sky, log = audited
    sky.env["TOKEN"] = "very-secret-0123456789"
    sky.ok("launch", "-c", "seen", "--secret", "TOKEN", *SMALL, "--", "echo ran")
    sky.ok("ssh", "seen", "true")
    events: list[dict[str, Any]] = [json.loads(line) for line in log.read_text().splitlines()]
    ours = [one for one in events if one["userAgent"].startswith("kubectl-sky/")]
    (made,) = [one for one in ours if one["verb"] == "create" and one["objectRef"]["resource"] == "jobs"
               and one["stage"] == "ResponseComplete"]  # fmt: skip
    assert made["user"]["username"] and made["requestObject"]["metadata"]["name"] == "seen"
    shells = [one for one in events if one["objectRef"].get("subresource") == "exec"]
    assert {one["objectRef"]["namespace"] for one in shells} == {sky.namespace}
    secrets = [one for one in ours if one["objectRef"]["resource"] == "secrets"]
    assert secrets and not any("requestObject" in one for one in secrets)
    assert sky.env["TOKEN"] not in log.read_text()
