"""Names, accelerators, alternatives, merging: what a manifest is made of."""

import pytest

from kubectl_sky import names, podmerge
from kubectl_sky.errors import UsageError
from kubectl_sky.settings import Settings


def test_pod_config_merges_as_in_skypilot() -> None:
    base = {
        "spec": {"containers": [{"name": "task", "env": [{"name": "A", "value": "1"}]}], "tolerations": [{"key": "a"}]}
    }
    extra = {
        "spec": {
            "containers": [{"env": [{"name": "A", "value": "2"}, {"name": "B", "value": "3"}]}, {"name": "side"}],
            "tolerations": [{"key": "a"}, {"key": "b"}],
        }
    }
    assert podmerge.merge(base, extra)["spec"] == {
        "containers": [
            {"name": "task", "env": [{"name": "A", "value": "2"}, {"name": "B", "value": "3"}]},
            {"name": "side"},
        ],
        "tolerations": [{"key": "a"}, {"key": "b"}],
    }
    assert base["spec"]["containers"][0]["env"] == [{"name": "A", "value": "1"}]
    with pytest.raises(podmerge.ClashError, match="should be a list, not a map") as clash:
        podmerge.merge(base, {"spec": {"containers": {}}})
    assert clash.value.path == "spec.containers"


def test_names() -> None:
    assert names.object_name("My_Train.v2") == "my-train-v2"
    for bad in ("task.yaml", "1a", "a b", "-a", "é", "a" * 53):
        with pytest.raises(UsageError):
            names.object_name(bad)


def test_a_mirror_stands_for_any_registry() -> None:
    settings = Settings(registry_mirror="mirror.local:5000/x/")
    assert settings.own_image("ghcr.io/a/b:1") == "mirror.local:5000/x/a/b:1"
    assert settings.own_image("python:3.12") == "mirror.local:5000/x/python:3.12"
    assert settings.own_image("a/b") == "mirror.local:5000/x/a/b"
    assert Settings().own_image("a/b") == "a/b"
