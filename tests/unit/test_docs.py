"""What the documents say is true: links lead somewhere, the reference is the program's own, the YAML parses."""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
import yaml

import kubectl_sky
from kubectl_sky import cli, task
from kubectl_sky.taskfile import field_help

PROJECT = Path(__file__).parents[2]
PAGES = sorted(PROJECT.glob("*.md")) + sorted(PROJECT.glob("docs/*.md")) + sorted(PROJECT.glob("runtime/*.md"))
README = PROJECT / "README.md"


def load_script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, PROJECT / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_that_are_named_are_there(page: Path) -> None:
    named = re.findall(r"examples/[\w./-]*\w", page.read_text())
    assert [name for name in named if not (PROJECT / name).exists()] == []


def test_reference_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    script = load_script("make_reference")
    assert script.REFERENCE.read_text() == script.reference(), "make reference"


def test_the_page_of_the_task_file_is_up_to_date() -> None:
    script = load_script("make_task_yaml")
    assert script.PAGE.read_text() == script.page(), "make reference"


def test_the_man_page_is_up_to_date_and_reads_without_a_warning() -> None:
    script = load_script("make_man")
    assert script.PAGE.read_text() == script.page(), "make reference"
    if shutil.which("groff"):
        done = subprocess.run(["groff", "-man", "-ww", "-z", script.PAGE], capture_output=True, text=True, check=True)
        assert done.stderr == ""


def test_the_page_of_messages_is_up_to_date() -> None:
    script = load_script("make_errors")
    assert script.PAGE.read_text() == script.page(), "make reference"


def test_every_message_has_a_way_out() -> None:
    script = load_script("make_errors")
    found = script.messages()
    assert len(found) > 300
    assert [one.text for one in found if not script.way(one)] == [], "scripts/errors.yaml"
    assert script.unused("causes") + script.unused("ways") == []


def test_messages_that_users_see_are_on_the_page() -> None:
    """The catalogue is read from the source: that it reads right is seen on messages that tests really provoke."""
    page = (PROJECT / "docs" / "errors.md").read_text()
    for text in (
        "cannot reach the cluster at SERVER: connection refused",
        "used more memory than its limit of",
        "there is no verb NAME",
        "ever run this task",
        "the namespace's quota NAME is exceeded",
    ):
        assert text in page


def test_the_tests_that_show_fields_exist() -> None:
    told = yaml.safe_load((PROJECT / "scripts/task_yaml.yaml").read_text())
    for path, (test, *_) in told.items():
        file, _, function = test.partition("::")
        assert f"def {function}(" in (PROJECT / "tests" / file).read_text(), (path, test)
        assert field_help.find(path), path


def test_the_administrators_roles_are_those_of_check() -> None:
    from kubectl_sky.checks import roles

    made = roles.text([*roles.in_namespace("jane@example.com", "ml"), *roles.in_cluster("jane@example.com")])
    assert f"```yaml\n{made}```" in (PROJECT / "docs" / "admin.md").read_text()


def test_images_and_settings_of_the_administrators_page() -> None:
    from kubectl_sky.settings import Settings

    page, own = (PROJECT / "docs" / "admin.md").read_text(), Settings()
    for setting in ("runtime_image", "default_image", "rclone_image"):
        name = getattr(own, setting).replace(kubectl_sky.__version__, "VERSION")
        assert f"| `{name}` |" in page and f"| `{setting}` |" in page
    named = re.findall(r"^([a-z_]+): ", page, re.MULTILINE)
    assert {"registry_mirror", "allowed_contexts"} <= set(named)


def test_every_verb_is_in_the_readme() -> None:
    rows = re.findall(r"^\| `([\w -]+)` \|", README.read_text(), re.MULTILINE)
    assert set(cli.VERBS) <= set(rows)


def test_make_targets_in_the_readme_exist() -> None:
    makefile = (PROJECT / "Makefile").read_text()
    targets = re.findall(r"(?:^|`)make ([a-z-]+)", README.read_text(), re.MULTILINE)
    assert targets
    rules = set(re.findall(r"^([a-z0-9 -]+):", makefile, re.MULTILINE))
    known = {name for rule in rules for name in rule.split()}
    assert set(targets) <= known


def test_task_in_the_readme_parses(tmp_path: Path) -> None:
    [text] = re.findall(r"```yaml\n(# task.yaml.*?)```", README.read_text(), re.DOTALL)
    parsed, warnings = task.parse(text, "task.yaml", base=tmp_path)
    assert (parsed.num_nodes, warnings) == (2, [])
