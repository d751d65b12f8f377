"""`explain task.FIELD`, which needs no cluster."""

import pytest
import yaml

from kubectl_sky import cli
from kubectl_sky.errors import UsageError
from kubectl_sky.taskfile import described, field_help
from kubectl_sky.taskfile.fields import TASK


def explain(*words):
    return cli.run(["kubectl-sky", "explain", *words], cli.Scan())


def test_a_field(capsys):
    assert explain("task.workdir") == 0
    assert (
        capsys.readouterr().out
        == """\
FIELD: task.workdir <text or map>

DESCRIPTION:
    Folder (or git repository) that becomes ~/sky_workdir on every node.

ACCEPTED:
    .
    ~/project
    {url: https://github.com/me/project, ref: main}

FIELDS:
    url <text> -required-
      A git repository.
    ref <text>
      Branch, tag or commit.
"""
    )


def test_limits_choices_and_notes():
    assert "    at least -1000, at most 1000\n" in field_help.screen("task.resources.priority", False)
    text = field_help.screen("task.resources.disk_tier", False)
    assert "    one of: low, medium, high, ultra, best\n" in text
    assert "NOTE:\n    It has no meaning on Kubernetes and is ignored.\n" in text


def test_the_top_lists_all_fields():
    text = field_help.screen("task", False)
    assert [one.name for one in TASK.fields if not one.internal and f"\n    {one.name} <" not in text] == []
    assert "_metadata" not in text


def test_recursive(capsys):
    assert explain("task.config.kubernetes", "--recursive") == 0
    out = capsys.readouterr().out
    assert "    enable_docker <true|false, text or map>\n      mode <text>\n" in out


def test_below_lists_and_free_maps():
    assert field_help.find("task.resources.any_of[0].cpus") == field_help.find("task.resources.cpus")
    assert field_help.find("task.file_mounts.store").choices
    assert field_help.find("task.volumes.size").help


def test_output_for_programs(capsys):
    assert explain("task.resources.infra", "-o", "yaml") == 0
    assert yaml.safe_load(capsys.readouterr().out)["type"] == "string"


@pytest.mark.parametrize(("path", "hint"), [
    ("task.resource", "did you mean task.resources?"),
    ("task.resources.acelerators", "did you mean task.resources.accelerators?"),
    ("task.name.first", "task.name has no fields"),
    ("task.", "known there: name, workdir, "),
])  # fmt: skip
def test_unknown_fields(path, hint):
    with pytest.raises(UsageError) as raised:
        field_help.screen(path, False)
    assert raised.value.hint is not None and raised.value.hint.startswith(hint)


def test_names_of_clusters_are_no_fields():
    assert [name for name in ("tasks", "task-1", "my.task", "job/task") if field_help.is_field_path(name)] == []


def test_every_field_has_help():
    for path, field in described.walk(described.task(), "task"):
        assert field.help.endswith("."), path
        assert field.help in field_help.screen(path, True).replace("\n    ", " "), path
