"""make_man.py: writes docs/kubectl-sky.1, the man page, from the program's own help."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kubectl_sky import __version__, cli
from kubectl_sky.api.connection import connection_help

PAGE = Path(__file__).parent.parent / "docs" / "kubectl-sky.1"
EXIT_CODES = [
    ("the job's own", "of launch, exec, ssh and logs: what the command ended with, 128 + N after signal N"),
    ("0", "done"),
    ("1", "the cluster refused, or something failed"),
    ("2", "the command line or a task file is wrong; nothing was done"),
    ("124", "a limit of time is over"),
    ("130", "Ctrl-C"),
    ("141", "the reader of a pipe went away"),
]
PLACES = [
    ("KUBECONFIG", "kubeconfig files, as kubectl reads them; else ~/.kube/config"),
    ("KUBECTL_SKY_CONFIG", "the settings; else ~/.config/kubectl-sky/config.yaml. KUBECTL_SKY_NAME sets one of them"),
    ("SKYPILOT_GLOBAL_CONFIG, SKYPILOT_PROJECT_CONFIG", "SkyPilot's ~/.sky/config.yaml and ./.sky.yaml"),
    ("NO_COLOR, FORCE_COLOR", "without colours, with colours"),
    ("HTTPS_PROXY, NO_PROXY", "a proxy to the API server, where the kubeconfig names none"),
    ("~/.cache/kubectl-sky", "the unpacked program, and repositories that were a workdir; can be deleted"),
]


def page() -> str:
    lines = [f'.TH KUBECTL-SKY 1 "" "kubectl-sky {__version__}" "User Commands"', ".SH NAME"]
    lines += [f"kubectl-sky \\- {escaped(cli.ABOUT[:1].lower() + cli.ABOUT[1:].rstrip('.'))}"]
    lines += [".SH SYNOPSIS", ".B kubectl sky", "[FLAGS] VERB [FLAGS]"]
    lines += [".SH EXAMPLES", *preformatted(cli.EXAMPLES.splitlines()[1:]), ".SH VERBS"]
    for verb in cli.VERBS:
        lines += of_verb(verb)
    lines += [".SH FLAGS OF EVERY VERB", *described(connection_help(every=True))]
    lines += [".SH EXIT STATUS", *described(EXIT_CODES), ".SH ENVIRONMENT AND FILES", *described(PLACES)]
    lines += [".SH SEE ALSO", ".BR kubectl (1),", ".BR ssh (1),", ".BR rsync (1)"]
    return "\n".join(lines) + "\n"


def of_verb(verb: str) -> list[str]:
    command = cli.command_of(cli.VERBS[verb])
    text, _, examples = inspect.cleandoc(command.help or "").partition("\b\nExamples:\n")
    arguments = " ".join(one.make_metavar(None) for one in command.params if one.param_type_name == "argument")
    lines = [f".SS kubectl sky {escaped(verb)} [FLAGS] {escaped(arguments)}".rstrip()]
    for paragraph in text.strip().split("\n\n"):
        lines += [escaped(" ".join(paragraph.split())), ".PP"]
    lines += described(options(command))
    return [*lines, ".PP", *preformatted(examples.splitlines())]


def options(command: Any) -> Iterator[tuple[str, str]]:
    for one in command.params:
        if one.param_type_name == "option" and not one.hidden:
            value = "" if one.is_flag else f" {one.metavar or one.type.name.upper()}"
            yield ", ".join([*one.opts, *one.secondary_opts]) + value, one.help or ""


def described(rows: Any) -> list[str]:
    return [line for name, text in rows for line in (".TP", f".B {escaped(name)}", escaped(text) or "\\&")]


def preformatted(lines: list[str]) -> list[str]:
    return [".RS", ".nf", *(escaped(line.strip()) for line in lines if line.strip()), ".fi", ".RE"]


def escaped(text: str) -> str:
    """As roff takes it: backslashes, hyphens that stay hyphens, ASCII, no line that looks like a request."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    text = re.sub(r"[^\x00-\x7f]", lambda found: f"\\[u{ord(found[0]):04X}]", text)
    return re.sub(r"^([.'])", r"\\&\1", text)


if __name__ == "__main__":
    PAGE.write_text(page())
