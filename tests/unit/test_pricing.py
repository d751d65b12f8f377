"""The user's own price table, and the settings that say which contexts may be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kubectl_sky import settings
from kubectl_sky.capacity import pricing
from kubectl_sky.capacity.pricing import Prices
from kubectl_sky.errors import UsageError

TABLE = {"cpu": 0.03, "memory": 0.004, "accelerators": {"H100": 2.5, "A100": 1, "A100-80GB": 1.6, 4090: 0.4}}


@pytest.mark.parametrize(
    ("asked", "price"),
    [
        ((4, 16), 4 * 0.03 + 16 * 0.004),
        ((8, 32, "H100", 8), 8 * 0.03 + 32 * 0.004 + 8 * 2.5),
        ((0, 0, "a100", 2), 2),
        ((0, 0, "A100-80GB", 2), 3.2),
        ((0, 0, "H100-MEGA", 1), 2.5),  # a kind of H100
        ((0, 0, "A100-80GB or H100", 1), 2.5),  # by memory: any of them may be had
        ((0, 0, "H100 or T4", 1), None),
        ((4, 16, "T4", 1), None),
    ],
)
def test_what_a_node_costs(asked: tuple[Any, ...], price: float | None) -> None:
    found = pricing.table(TABLE, "ctx", "config").hourly(*asked)
    assert found == (pytest.approx(price) if price is not None else None)


def test_a_table_may_say_little() -> None:
    assert Prices().hourly(4, 16) is None
    assert Prices(cpu=0.5).hourly(4, 16) == 2
    assert Prices(cpu=0.0).hourly(4, 16) == 0
    assert Prices(accelerators={"T4": 1}).hourly(4, 16, "T4", 2) == 2
    assert Prices(accelerators={"T4": 1}).hourly(4, 16) is None


def test_a_context_has_its_own_prices_on_top() -> None:
    values = {**TABLE, "contexts": {"own": {"cpu": 0, "accelerators": {"H100": 1.9}}, "none": None}}
    own, other = pricing.table(values, "own", "f"), pricing.table(values, "none", "f")
    assert (own.cpu, own.memory, own.accelerators["H100"], own.accelerators["A100"]) == (0, 0.004, 1.9, 1)
    assert (other.cpu, other.accelerators["H100"]) == (0.03, 2.5)
    assert pricing.table({}, "x", "f") == Prices()


@pytest.mark.parametrize(
    ("values", "message", "hint"),
    [
        ([], "f: pricing: should be a map of cpu, memory, accelerators, contexts", None),
        ({"contexts": []}, None, None),
        ({"contexts": ["a"]}, "f: pricing.contexts: should be a map of contexts to prices", None),
        ({"gpu": 1}, "f: pricing: unknown: gpu", "known: cpu, memory, accelerators, contexts"),
        (
            {"contexts": {"ctx": {"gpu": 1}}},
            "f: pricing.contexts.ctx: unknown: gpu",
            "known: cpu, memory, accelerators",
        ),
        (
            {"contexts": {"ctx": 3}},
            "f: pricing.contexts.ctx: unknown: (it is no map)",
            "known: cpu, memory, accelerators",
        ),
        ({"cpu": "a"}, "f: pricing.cpu: should be $ an hour, such as 2.5, not 'a'", None),
        ({"cpu": True}, "f: pricing.cpu: should be $ an hour, such as 2.5, not True", None),
        (
            {"accelerators": {"H100": -1}},
            "f: pricing.accelerators.H100: should be $ an hour, such as 2.5, not -1",
            None,
        ),
        (
            {"accelerators": ["H100"]},
            "f: pricing.accelerators: should be a map of names to $ an hour, such as H100: 2.5",
            None,
        ),
    ],
)
def test_what_is_wrong_with_a_table(values: Any, message: str | None, hint: str | None) -> None:
    if message is None:
        assert pricing.table(values, "ctx", "f") == Prices()
        return
    with pytest.raises(UsageError) as error:
        pricing.table(values, "ctx", "f")
    assert (error.value.message, error.value.hint) == (message, hint)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "config.yaml"
    monkeypatch.setenv("KUBECTL_SKY_CONFIG", str(file))
    monkeypatch.delenv("KUBECTL_SKY_ALLOWED_CONTEXTS", raising=False)
    return file


def test_prices_come_from_the_settings(config: Path) -> None:
    assert settings.prices("ctx") == Prices()
    config.write_text("runtime_image: x\n")
    assert settings.prices("ctx") == Prices()
    config.write_text("pricing:\n  accelerators: {H100: 2.5}\n  contexts: {ctx: {cpu: 1}}\n")
    assert settings.prices("ctx") == Prices(cpu=1, accelerators={"H100": 2.5})
    assert settings.load().allowed_contexts == ""
    config.write_text("pricing: 3\n")
    with pytest.raises(UsageError, match=r"config\.yaml: pricing: should be a map of cpu"):
        settings.prices("ctx")


@pytest.mark.parametrize(
    ("text", "found"),
    [("[a, b]", "a,b"), ("a", "a"), ("all", "all"), ("", ""), ("[]", ""), ("[1, x@y]", "1,x@y")],
)
def test_allowed_contexts(config: Path, monkeypatch: pytest.MonkeyPatch, text: str, found: str) -> None:
    config.write_text(f"allowed_contexts: {text}\n")
    assert settings.load().allowed_contexts == found
    monkeypatch.setenv("KUBECTL_SKY_ALLOWED_CONTEXTS", "z")
    assert settings.load().allowed_contexts == "z"


def test_contexts_are_no_map(config: Path) -> None:
    config.write_text("allowed_contexts: {a: b}\n")
    with pytest.raises(UsageError, match="allowed_contexts: should be a single value"):
        settings.load()
