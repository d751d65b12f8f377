"""The syntax of each resource field."""

import pytest

from kubectl_sky import resources as r


@pytest.mark.parametrize(("text", "result"), [
    (4, (4, False)), ("4", (4, False)), ("4+", (4, True)), (0.5, (0.5, False)), ("0.1+", (0.1, True)),
    ("+2", (2, False)),
])  # fmt: skip
def test_amount(text, result):
    assert r.amount(text) == result


@pytest.mark.parametrize("text", ["four", "", "+", "4++", 0, -1, "nan", "inf", "1e400", "4 cores"])
def test_amount_refuses(text):
    with pytest.raises(ValueError, match=r"should be|positive"):
        r.amount(text)


@pytest.mark.parametrize(("text", "gib"), [
    (16, 16), ("16", 16), ("16GB", 16), ("16gb", 16), ("16Gi", 16), ("16GiB", 16), ("16384MB", 16), ("16384Mi", 16),
    ("1TB", 1024), ("1Pi", 1024 * 1024), ("1.5GB", 1.5), ("16 GB", 16), ("1048576KB", 1),
])  # fmt: skip
def test_size(text, gib):
    assert r.size(text) == (gib, False, False)


def test_size_suffixes():
    assert r.size("16+") == (16, True, False)
    assert r.size("16GB+") == (16, True, False)
    assert r.size("3x") == (3, False, True)


@pytest.mark.parametrize("text", ["16G", "16 gigs", "GB", "", "0", -1, "nan", "16+GB"])
def test_size_refuses(text):
    with pytest.raises(ValueError, match=r"should be|positive"):
        r.size(text)


def test_memory_times_cpus():
    assert r.build({"cpus": 4, "memory": "3x"}).memory == 12
    without = r.build({"memory": "3x"})
    assert (without.memory, without.memory_per_cpu) == (None, 3)


@pytest.mark.parametrize(("text", "gb"), [(100, 100), ("100GB", 100), ("1TB", 1024), ("2048MB", 2), (256, None)])
def test_disk(text, gb):
    assert r.disk(text) == gb


@pytest.mark.parametrize("text", ["512MB", "10.5GB", 0, -5, "x", "100 GB"])
def test_disk_refuses(text):
    with pytest.raises(ValueError, match=r"whole number"):
        r.disk(text)


@pytest.mark.parametrize(("value", "ports"), [
    (8080, ("8080",)), ("8080", ("8080",)), ("8000-8010", ("8000-8010",)), ("9000, 8000", ("8000", "9000")),
    ([8080, "8081", "8083-8090,8091"], ("8080-8081", "8083-8091")), (["1-100", "5", "50-200"], ("1-200",)), ([], ()),
    ("1-65535", ("1-65535",)),
])  # fmt: skip
def test_ports(value, ports):
    assert r.ports(value) == ports


@pytest.mark.parametrize("value", [0, 70000, "9-8", "a", "1-2-3", "-1", "80:80", "٣"])
def test_ports_refuses(value):
    with pytest.raises(ValueError, match=r"port|range"):
        r.ports(value)


@pytest.mark.parametrize(("value", "kinds", "ordered"), [
    ("A100", [("A100", 1)], False),
    ("A100:8", [("A100", 8)], False),
    ("A100:0.5", [("A100", 0.5)], False),
    ({"A100": 8}, [("A100", 8)], False),
    ({"A100:1": None, "H100:2": None, "L4": None}, [("A100", 1), ("H100", 2), ("L4", 1)], False),
    (["H100:8", "A100:8"], [("H100", 8), ("A100", 8)], True),
    (["H100", "H100:1"], [("H100", 1)], False),
    ([{"T4": 1}, {"V100": None}], [("T4", 1), ("V100", 1)], True),
    ({4090: 2}, [("4090", 2)], False),
    ("tpu-v5-lite-podslice:4", [("tpu-v5-lite-podslice", 4)], False),
    (None, [], False),
])  # fmt: skip
def test_accelerators(value, kinds, ordered):
    found, in_order = r.accelerators(value)
    assert ([(kind.name, kind.count) for kind in found], in_order) == (kinds, ordered)


@pytest.mark.parametrize(("text", "kind"), [
    ("32GB", r.Accelerator("32GB", 1, 32)),
    ("32GB+", r.Accelerator("32GB+", 1, 32, True)),
    ("32GB:2", r.Accelerator("32GB", 2, 32)),
    ("nvidia:32GB", r.Accelerator("nvidia:32GB", 1, 32, False, "nvidia")),
    ("nvidia:80GB+:4", r.Accelerator("nvidia:80GB+", 4, 80, True, "nvidia")),
    ("1TB", r.Accelerator("1TB", 1, 1024)),
])  # fmt: skip
def test_accelerators_by_memory(text, kind):
    assert r.accelerator(text) == kind


@pytest.mark.parametrize("text", ["A100:8:2", "A100:0", "A100:-1", "A100:x", "A100:", ":8", "", "a:b:c:d", "A100:nan"])
def test_accelerators_refuse(text):
    with pytest.raises(ValueError, match=r"should be|positive"):
        r.accelerator(text)


@pytest.mark.parametrize(("text", "result"), [
    ("k8s", ("kubernetes", None)),
    ("Kubernetes/ctx", ("kubernetes/ctx", "ctx")),
    ("k8s/arn:aws:eks:us-east-1:1:cluster/x", ("kubernetes/arn:aws:eks:us-east-1:1:cluster/x",
                                               "arn:aws:eks:us-east-1:1:cluster/x")),
    ("ssh/pool", ("ssh/pool", "pool")),
    ("aws/us-east-1/a", ("aws/us-east-1/a", None)),
    ("*", (None, None)),
    ("*/us-east-1", ("*/us-east-1", None)),
    ("*/*/*", (None, None)),
])  # fmt: skip
def test_infra(text, result):
    assert r.infra(text) == result


@pytest.mark.parametrize("text", ["k8s//x", "awz", "aws/a/b/c", ""])
def test_infra_refuses(text):
    with pytest.raises(ValueError, match=r"should be|empty"):
        r.infra(text)


def test_old_infra():
    assert r.build({"cloud": "kubernetes", "region": "ctx"}).context == "ctx"
    assert r.build({"cloud": "k8s"}).infra == "kubernetes"
    assert r.build({"cloud": "AWS", "zone": "z"}).infra == "aws/*/z"


@pytest.mark.parametrize(("value", "image", "by_context"), [
    ("docker:ubuntu:22.04", "ubuntu:22.04", {}),
    (" ubuntu ", "ubuntu", {}),
    ({"docker": "docker:a"}, "a", {}),
    ({"ctx1": "docker:a", "ctx2": "b"}, None, {"ctx1": "a", "ctx2": "b"}),
    (None, None, {}),
])  # fmt: skip
def test_images(value, image, by_context):
    assert r.images(value) == (image, by_context)


@pytest.mark.parametrize(("value", "result"), [
    (True, r.Autostop(True)), (False, r.Autostop(False)), (10, r.Autostop(True, 10)), ("10", r.Autostop(True, 10)),
    ("1h", r.Autostop(True, 60)), ("2D", r.Autostop(True, 2880)), ("1w", r.Autostop(True, 10080)),
    (-1, r.Autostop(False)),
    ({"idle_minutes": 5, "down": True, "wait_for": "NONE"}, r.Autostop(True, 5, True, "none")), (None, None),
])  # fmt: skip
def test_autostop(value, result):
    assert r.autostop(value) == result


@pytest.mark.parametrize("value", ["1s", "h", "1.5h", "-5m"])
def test_autostop_refuses(value):
    with pytest.raises(ValueError, match="should be minutes"):
        r.autostop(value)


def test_instance_type_fills_what_is_not_given():
    found = r.build({"instance_type": "4CPU--16GB--H100:2"})
    assert (found.cpus, found.memory, found.accelerators) == (4, 16, (r.Accelerator("H100", 2),))
    assert r.build({"instance_type": "4CPU--16GB", "cpus": 8}).cpus == 8
    assert r.build({"instance_type": "p4d.24xlarge"}).cpus is None


def test_alternatives_are_laid_over_the_base():
    found = r.build({
        "cpus": 2, "labels": {"a": "1"}, "accelerators": {"A100:1": None, "H100:1": None},
        "any_of": [{"use_spot": True, "labels": {"b": "2"}}, {"cpus": 4}],
    })  # fmt: skip
    assert [part.cpus for part in found.any_of] == [2, 4]
    assert found.any_of[0].labels == {"a": "1", "b": "2"}
    parts, ordered = found.candidates()
    assert (len(parts), ordered) == (4, False)


def test_candidates_in_order():
    found = r.build({"ordered": [{"accelerators": "H100"}, {"accelerators": "A100"}]})
    parts, ordered = found.candidates()
    assert ([str(part.accelerators[0]) for part in parts], ordered) == (["H100:1", "A100:1"], True)
    assert r.build({}).candidates() == ([r.Resources()], False)


@pytest.mark.parametrize(("key", "value", "good"), [
    ("a", "b", True), ("example.com/a", "", True), ("a b", "c", False), ("/a", "c", False), ("a", "-b", False),
    ("a" * 64, "", False), ("a", "x" * 64, False), ("A.com/x", "", False),
])  # fmt: skip
def test_labels(key, value, good):
    assert (r.label_fault(key, value) is None) == good
