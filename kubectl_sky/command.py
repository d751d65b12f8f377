"""What every verb has in common in its help."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

from kubectl_sky.api.connection import connection_help


class Command(TyperCommand):
    """A verb; its help ends with the connection flags, which cli.Scan has taken out before click sees them."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        super().format_options(ctx, formatter)
        with formatter.section("Kubernetes connection"):
            formatter.write_dl(connection_help())
