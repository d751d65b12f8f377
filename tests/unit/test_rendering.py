"""Names, accelerators, alternatives, merging: what a manifest is made of."""

from typing import Any

import pytest

from kubectl_sky import accelerators, names, optimizer, podmerge, task
from kubectl_sky.errors import UsageError
from kubectl_sky.settings import Settings


def node(product: str, count: int = 8, key: str = "nvidia.com/gpu.product") -> dict[str, Any]:
    return {"metadata": {"labels": {key: product}}, "status": {"allocatable": {"nvidia.com/gpu": str(count)}}}


@pytest.mark.parametrize(
    ("wanted", "value", "yes"),
    [
        ("H100", "NVIDIA-H100-80GB-HBM3", True),
        ("h100", "nvidia-h100-80gb", True),
        ("A100-80GB", "NVIDIA-A100-SXM4-80GB", True),
        ("A100-80GB", "NVIDIA-A100-SXM4-40GB", False),
        ("L4", "NVIDIA-L40S", False),
        ("A10", "NVIDIA-A100-PCIE-40GB", False),
        ("T4", "nvidia-tesla-t4", True),
    ],
)
def test_one_accelerator_is_not_another(wanted: str, value: str, yes: bool) -> None:
    assert accelerators.matches(wanted, value) is yes


def test_affinity_takes_all_products_of_a_mixed_cluster() -> None:
    found = accelerators.affinity("H100", [node("NVIDIA-H100-PCIe"), node("NVIDIA-H100-80GB-HBM3"), node("Tesla-T4")])
    terms = found["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert terms == [
        {
            "matchExpressions": [
                {
                    "key": "nvidia.com/gpu.product",
                    "operator": "In",
                    "values": ["NVIDIA-H100-80GB-HBM3", "NVIDIA-H100-PCIe"],
                }
            ]
        }
    ]


def test_the_first_alternative_that_is_there_is_taken() -> None:
    parsed, _ = task.parse("resources: {accelerators: [B200:8, H100:8, T4:1]}", "t")
    nodes = [node("NVIDIA-H100-80GB-HBM3"), node("Tesla-T4")]
    assert optimizer.choose(parsed, nodes).resources.accelerators[0].name == "H100"
    assert (
        optimizer.choose(parsed, [node("NVIDIA-H100-80GB-HBM3", 4), node("Tesla-T4")]).resources.accelerators[0].name
        == "T4"
    )
    assert optimizer.choose(parsed, None).resources.accelerators[0].name == "B200"


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
    with pytest.raises(UsageError, match=r"pod_config.spec.containers must be a list, not a map"):
        podmerge.merge(base, {"spec": {"containers": {}}})


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
