"""Each transcript of the documents is played (tests/e2e/scenes.py), or is named with why it is not."""

from __future__ import annotations

import re

import pytest

from tests.e2e.scenes import NOT_PLAYED, PLAYED, SHELL_RUN_BY
from tests.unit.test_doc_commands import FENCE, PROJECT

# the commands of a shell, without what they print
SHELL = ("sh", "bash")
PAGES = [PROJECT / "README.md", *sorted(PROJECT.glob("docs/*.md"))]
BLOCKS = {
    (page.name, number): block
    for page in PAGES
    for number, block in enumerate(block for kind, block in FENCE.findall(page.read_text()) if kind == "console")
}


def test_every_transcript_is_played_or_named() -> None:
    played = [(page, number) for page, scenes in PLAYED.items() for scene in scenes for number in scene.blocks]
    assert len(BLOCKS) > 40
    assert sorted([*played, *NOT_PLAYED]) == sorted(BLOCKS), "tests/e2e/scenes.py"
    assert all(NOT_PLAYED.values())


def test_every_block_of_shell_commands_is_run() -> None:
    kinds = [(page.name, [kind for kind, _ in FENCE.findall(page.read_text()) if kind in SHELL]) for page in PAGES]
    assert sorted(SHELL_RUN_BY) == [(page, number) for page, found in kinds for number in range(len(found))]
    for test in SHELL_RUN_BY.values():
        assert (PROJECT / re.split("[,;]", test)[0]).exists()


@pytest.mark.parametrize(("page", "number"), BLOCKS)
def test_a_transcript_begins_with_a_command(page: str, number: int) -> None:
    assert BLOCKS[page, number].lstrip().startswith("$ ")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_typed_and_printed_is_a_transcript(page: str) -> None:
    """So that none is passed over for want of the word `console`."""
    others = [block for kind, block in FENCE.findall(page.read_text()) if kind not in ("console", "text")]
    assert [block for block in others if re.search(r"^ *(\$ |error: )", block, re.MULTILINE)] == []


@pytest.mark.parametrize("page", PLAYED)
def test_commands_that_scenes_speak_of_are_there(page: str) -> None:
    for scene in PLAYED[page]:
        commands = [line[2:] for number in scene.blocks for line in dedented(page, number) if line.startswith("$ ")]
        for beginning in (*scene.meanwhile, *scene.beside, *scene.keys):
            assert any(command.startswith(beginning) for command in commands), beginning


def dedented(page: str, number: int) -> list[str]:
    return [line.strip() for line in BLOCKS[page, number].splitlines()]
