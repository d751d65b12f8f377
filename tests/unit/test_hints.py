"""Next steps lead to the cluster and the namespace that the user named."""

from __future__ import annotations

import math

import pytest

from kubectl_sky.api.connection import Connection
from kubectl_sky.diagnosis import limits
from kubectl_sky.diagnosis.hints import located
from kubectl_sky.errors import UsageError


def test_commands_go_where_the_flags_said() -> None:
    text = "free some: kubectl sky status; kubectl sky down NAME; see kubectl describe quota"
    assert located(Connection(), text) == text
    assert located(Connection(namespace="ml"), text) == (
        "free some: kubectl sky status -n ml; kubectl sky down -n ml NAME; see kubectl describe -n ml quota"
    )
    assert located(Connection(namespace="ml"), "kubectl get nodes -L a") == "kubectl get nodes -L a"
    assert located(Connection(context="a b"), "kubectl sky logs x") == "kubectl sky logs --context 'a b' x"


@pytest.mark.parametrize(
    ("flag", "configured", "seconds"),
    [
        (None, None, 600.0),
        (None, 900, 900.0),
        (None, -1, math.inf),
        ("30s", 900, 30.0),
        ("1m30s", None, 90.0),
        ("0", None, math.inf),
        ("-1", None, math.inf),
    ],
)
def test_the_limit_of_a_launch(flag: str | None, configured: int | None, seconds: float) -> None:
    assert limits.provision(limits.given(flag), configured) == seconds


def test_a_limit_that_is_no_time() -> None:
    with pytest.raises(UsageError, match="--provision-timeout: 'soon' is no duration"):
        limits.given("soon")
