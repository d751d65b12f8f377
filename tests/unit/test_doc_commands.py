"""Every `kubectl sky ...` that the documents show is taken by the real command line: its verb, its flags, its words."""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import typer

from kubectl_sky import cli, task
from kubectl_sky.errors import Failure, UsageError

PROJECT = Path(__file__).parents[2]
PAGES = [
    *sorted(PROJECT.glob("*.md")),
    *(page for page in sorted(PROJECT.glob("docs/*.md")) if page.name not in ("errors.md", "reference.md")),
    *sorted(PROJECT.glob("examples/*.md")),
]
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
TYPED = ("console", "sh", "bash", "")
INLINE = re.compile(r"(?<!`)`(kubectl sky [^`]+)`")
OF_OTHERS = ("ssh", "rsync", "cp", "code")  # programs that are called like a verb
SHORT = re.compile(
    rf"(?<!`)`((?:{'|'.join(set(cli.VERBS) - set(OF_OTHERS))}) [^`]*?--?[a-z][^`]*)`"
)  # `launch -i 30`: the verb with a flag
START = re.compile(r"(?:^|[|;&(]\s*|\bdo )((?:[A-Z_]+=\S+ )*kubectl sky .*)")


def commands(page: Path) -> Iterator[str]:
    """In blocks: lines that are typed (after `$ `, or that begin with it); in sentences: what is in backquotes."""
    text = page.read_text()
    for kind, block in FENCE.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            if kind in TYPED and (found := START.search(line.strip().removeprefix("$ "))):
                yield found[1]
    prose = FENCE.sub("", text)
    for found in [*INLINE.findall(prose), *(f"kubectl sky {short}" for short in SHORT.findall(prose))]:
        yield " ".join(found.replace("\\|", "|").split())


def words(command: str) -> list[str] | None:
    """The words after `kubectl sky`, up to what belongs to the shell; None where it is not a whole command."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|;&<>()")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    found: list[str] = []
    for word in lexer:
        if word in ("|", ";", "&", "&&", "<", ">", ">>", ")"):
            break
        found.append(word)
    found = found[found.index("kubectl") + 2 :]
    return None if not found or "..." in found or "…" in found or found[0].isupper() else found


def shown() -> list[tuple[str, list[str]]]:
    found = {(page.name, command): words(command) for page in PAGES for command in commands(page)}
    return [(name, command) for (name, _), command in found.items() if command]


def parse(argv: list[str]) -> None:
    """As cli.run does, up to where the verb would begin. Raises UsageError."""
    given = cli.Scan()
    rest = given.until_verb(list(argv))
    if not rest or rest[0] in ("-h", "--help", "help", "options", "--version"):
        return
    name, arguments = cli.find_verb(rest, given)
    if name in cli.FOR_PROGRAMS or (name not in cli.VERBS and cli.members(name)):
        return
    verb = cli.VERBS.get(name)
    if verb is None:
        raise UsageError(f"there is no verb {name!r}")
    command = cli.command_of(verb)
    arguments = given.after_verb(arguments, cli.takes_value(command), verb.command_after)
    if "--help" in arguments or "-h" in arguments:
        return
    command.make_context(f"kubectl sky {name}", arguments, obj=given.connection())


@pytest.mark.parametrize(("page", "argv"), shown(), ids=lambda one: " ".join(one) if isinstance(one, list) else one)
def test_is_a_command(page: str, argv: list[str]) -> None:
    with redirect_stdout(io.StringIO()):
        try:
            parse(argv)
        except (UsageError, typer._click.exceptions.UsageError) as error:
            if not spoken_of(str(error), argv):
                pytest.fail(f"{page}: kubectl sky {' '.join(argv)}: {error}")


def spoken_of(problem: str, argv: list[str]) -> bool:
    """A verb or flag that a sentence speaks of, without all that it needs; `MINUTES` stands for a number."""
    value = re.match(r"'([A-Z]+)' is not a valid int", problem)
    incomplete = problem.startswith("Missing") or "requires an argument" in problem
    return value is not None or (incomplete and len(argv) <= 3)


def test_the_commands_are_found() -> None:
    """That nothing is left out: the documents have hundreds."""
    assert len(shown()) > 150
    assert {page for page, _ in shown()} >= {"README.md", "migrating.md", "admin.md", "queue.md", "ssh.md"}


@pytest.mark.parametrize(
    "line", ["kubectl sky lanch x", "kubectl sky status --no-such", "kubectl sky logs", "kubectl sky logs a b --tail"]
)
def test_what_is_wrong_is_seen(line: str) -> None:
    argv = words(line)
    assert argv
    with pytest.raises((Failure, typer._click.exceptions.UsageError)):
        parse(argv)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tasks_in_the_documents_are_valid(page: Path, tmp_path: Path) -> None:
    """Blocks that have a `run` (what is outside of a whole task cannot be told from other YAML)."""
    for kind, block in FENCE.findall(page.read_text()):
        if kind != "yaml" or not re.search(r"^(run|resources):", block, re.MULTILINE):
            continue
        for name in re.findall(r": \./(\S+?)[,}\n]", block):
            (tmp_path / name).mkdir(parents=True, exist_ok=True)
        task.parse_all(block, page.name, base=tmp_path)
