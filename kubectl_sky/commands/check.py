"""kubectl sky check"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from kubectl_sky.errors import UsageError
from kubectl_sky.output import Format, Progress, colour, dump

if TYPE_CHECKING:
    from kubectl_sky.checks.checking import Report
    from kubectl_sky.checks.findings import Finding

# state -> mark, mark where there is no UTF-8, colour
MARKS = {"ok": ("✓", "+", 32), "info": ("·", "-", 2), "warning": ("!", "!", 33), "problem": ("✗", "x", 31)}
HAND_OVER = "What an administrator can grant (kubectl apply -f FILE):"


def check(
    ctx: typer.Context,
    contexts: Annotated[list[str] | None, typer.Argument(metavar="[CONTEXT]...", help="default: current")] = None,
    everywhere: Annotated[bool, typer.Option("--all-contexts", help="All contexts of the kubeconfig")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Start a short pod: can the image be pulled?")] = False,
    role: Annotated[
        bool, typer.Option("--role", help="Print only the missing Roles, as YAML for kubectl apply")
    ] = False,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="FORMAT", help="json or yaml")] = None,
) -> int:
    """Say whether tasks can run in a context, and what stands in their way. Exit code 0: they can, in one at least.

    \b
    Examples:
      kubectl sky check
      kubectl sky check --all-contexts
      kubectl sky check --role > role.yaml      # for an administrator
    """
    from kubectl_sky.checks import checking, client_tools

    form = Format.parse(output, Format.JSON, Format.YAML)
    if role and output:
        raise UsageError("--role prints YAML: it goes without -o")
    asked = checking.contexts(ctx.obj, contexts or (), everywhere)
    with ThreadPoolExecutor(3) as pool:
        tools = [pool.submit(client_tools.check_kubectl), pool.submit(client_tools.check_ssh)]
        with Progress("Trying a pod from the runtime image" if deep else ""):
            reports = checking.side_by_side(asked, deep)
    local = [tool.result() for tool in tools]
    usable = any(report.usable for report in reports) and not any(one.state == "problem" for one in local)
    if role:
        print_roles(reports)
    elif form is Format.TABLE:
        Printer(sys.stdout).show(usable, local, reports)
    else:
        from kubectl_sky.checks import check_document

        print(dump(check_document.document(usable, local, reports), form), end="")
    return 0 if usable else 1


def print_roles(reports: Sequence[Report]) -> None:
    """Everything that is missing, also for what is not needed to run tasks."""
    from kubectl_sky.checks import roles

    found = [(report, [*report.missing, *report.wanted]) for report in reports]
    for report, objects in found:
        if objects:
            if len(reports) > 1:
                print(f"# context {report.name}")
            print(f"---\n{roles.text(objects)}", end="")
    for report in reports:
        if report.seen is None:
            print(f"{report.name}: {report.findings[0].message}", file=sys.stderr)
    if not any(objects for _, objects in found):
        print("no right is missing", file=sys.stderr)


class Printer:
    """The findings for people."""

    def __init__(self, stream: TextIO):
        self.stream, self.colour = stream, colour(stream)
        self.encoding = stream.encoding or "ascii"
        self.plain = "utf" not in self.encoding.lower()

    def show(self, usable: bool, local: Sequence[Finding], reports: Sequence[Report]) -> None:
        from kubectl_sky.checks import roles

        count = sum(report.usable for report in reports)
        of = f" ({count} of {len(reports)} contexts)" if len(reports) > 1 else ""
        self.line(f"Kubernetes: {self.able(usable)}{of}")
        self.section("this machine", local)
        for report in reports:
            name = f"context {report.name}" if report.name else "no context"
            server = f" ({report.server})" if report.server else ""
            self.section(f"{name}{server}: {self.able(report.usable)}", report.findings)
            if report.missing:
                self.line(f"\n{HAND_OVER}\n\n{roles.text(report.missing).rstrip()}")

    def section(self, title: str, found: Sequence[Finding]) -> None:
        self.line(f"\n{title}")
        for one in found:
            mark, plain, number = MARKS[one.state]
            first, *more = one.message.splitlines()
            self.line(f"  {self.painted(plain if self.plain else mark, number)} {one.check}: {first}")
            for line in [*more, *one.hint.splitlines()]:
                self.line(f"      {line}")

    def able(self, usable: bool) -> str:
        return self.painted("enabled", 32) if usable else self.painted("disabled", 31)

    def painted(self, text: str, number: int) -> str:
        return f"\x1b[{number}m{text}\x1b[0m" if self.colour else text

    def line(self, text: str) -> None:
        print(text.encode(self.encoding, "replace").decode(self.encoding), file=self.stream)
