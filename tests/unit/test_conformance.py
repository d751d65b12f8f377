"""Verdicts of SkyPilot 0.14.1's own parser; where ours differs is in differences.tsv, with the reasons."""

import csv
import json
from pathlib import Path

import pytest

from kubectl_sky import task
from kubectl_sky.resources import Resources
from kubectl_sky.taskfile import mounts

DATA = Path(__file__).parents[1] / "conformance"


def rows(name):
    with open(DATA / name, encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]


PROBES = rows("probes.tsv")
CORPUS = rows("corpus.tsv")
DIFFERENCES = {text: (theirs, ours) for text, theirs, ours, _ in rows("differences.tsv")}


def number(value, plus):
    return f"{value:g}" + "+" * plus


def normal(one: Resources) -> dict:
    """As probes.tsv writes resources."""
    out: dict = {}
    is_tpu = any("tpu" in kind.name for kind in one.accelerators)
    if one.infra or is_tpu:
        out["infra"] = one.infra or "kubernetes"
    if one.instance_type:
        out["instance_type"] = one.instance_type
        out["memory"] = str(one.memory)
    else:
        if one.cpus is not None:
            out["cpus"] = number(one.cpus, one.cpus_at_least)
        if one.memory is not None:
            out["memory"] = number(one.memory, one.memory_at_least)
        if one.accelerators:
            out["accelerators"] = {kind.name: kind.count for kind in one.accelerators}
    if is_tpu:
        out["accelerator_args"] = {}
    if one.autostop:
        out["autostop"] = {"idle_minutes": one.autostop.idle_minutes, "down": one.autostop.down}
        out["autostop"] |= {"wait_for": one.autostop.wait_for} if one.autostop.wait_for else {}
        if not one.autostop.enabled:
            out["autostop"] = False
    if one.image_id or one.images:
        images = {"null": one.image_id} if one.image_id else one.images
        out["image_id"] = {context: "docker:" + image for context, image in images.items()}
    if one.job_recovery:
        out["job_recovery"] = {"strategy": None, **one.job_recovery}
    plain = {
        "labels": dict(one.labels),
        "ports": list(one.ports),
        "network_tier": one.network_tier,
        "disk_tier": one.disk_tier,
        "use_spot": one.use_spot,
    }
    return out | {key: value for key, value in plain.items() if value not in (None, {}, [])}


def shown(one: task.Task) -> str:
    parts, ordered = one.resources.candidates()
    texts = sorted(json.dumps(normal(part), sort_keys=True) for part in parts)
    config = {key: value for key, value in one.config.items() if key != "hooks"}
    if config:
        texts = [json.dumps({**json.loads(texts[0]), "_cluster_config_overrides": config}, sort_keys=True)]
    kind = "" if len(texts) == 1 else "list:" if ordered else "set:"
    return kind + "|".join(texts) + (f" name={one.name}" if one.name else "")


def plain(part: dict) -> dict:
    """Theirs, with amounts written as we do: SkyPilot keeps what was written, such as `4 +` and `16.0`."""
    if "instance_type" in part:
        return part
    for key in {"cpus", "memory"} & set(part):
        body, times, _ = part[key].partition("x")
        part[key] = number(float(body.strip(" +")), body.endswith("+"))
        if times:
            part[key] = number(float(body) * float(part["cpus"]), False)
    return part


def expected(text: str) -> list[str]:
    """The tasks of a probe's result, with sorted keys."""
    tasks = text.split(" task(s) ", 1)[1].split(" ;; ")
    result = []
    for one in tasks:
        body, _, name = one.partition(" name=")
        kind, _, rest = body.partition(":") if body.startswith(("set:", "list:")) else ("", "", body)
        parts = sorted(json.dumps(plain(json.loads(part)), sort_keys=True) for part in rest.split("|"))
        result.append((kind + ":" if kind else "") + "|".join(parts) + (f" name={name}" if name else ""))
    return result


def parsed(text, name, base):
    """The file, or None when it is refused."""
    try:
        return task.parse_all(text, name, base=base)[0]
    except task.TaskErrors:
        return None


def check_verdict(name, theirs, found):
    """Ours is SkyPilot's, or what the table of differences says. OTHER: accepted, and read otherwise."""
    ours = "OTHER" if found and DIFFERENCES.get(name) == ("OK", "OTHER") else "OK" if found else "ERR"
    assert (theirs, ours) == DIFFERENCES.get(name, (theirs, theirs))


@pytest.mark.parametrize(("text", "verdict", "result"), PROBES, ids=[row[0] for row in PROBES])
def test_probe(text, verdict, result, tmp_path):
    found = parsed(text.replace("\\n", "\n"), "task.yaml", tmp_path)
    check_verdict(text, verdict, found)
    if found and verdict == "OK":
        is_same = DIFFERENCES.get(text) != ("OK", "OTHER")
        assert ([shown(one) for one in found.tasks] == expected(result)) == is_same


@pytest.mark.parametrize(("name", "verdict"), CORPUS, ids=[row[0] for row in CORPUS])
def test_corpus(name, verdict, tmp_path, monkeypatch):
    monkeypatch.setattr(mounts, "_exists", lambda path, as_folder=False: True)  # the files' own folders are not here
    found = parsed((DATA / "corpus" / name).read_bytes(), name, tmp_path)
    check_verdict(name, verdict.split()[0], found)
    if found and verdict.startswith("OK"):
        _, kind, count = verdict.split()
        assert (found.kind, len(found.tasks)) == (kind.replace("job", ""), int(count))


@pytest.mark.parametrize("name", sorted(set(DIFFERENCES) - {row[0] for row in [*PROBES, *CORPUS]}))
def test_other_differences(name, tmp_path):
    theirs, _ = DIFFERENCES[name]
    check_verdict(name, theirs, parsed(name, "task.yaml", tmp_path))


def test_differences_differ():
    assert [name for name, (theirs, ours) in DIFFERENCES.items() if theirs == ours] == []
