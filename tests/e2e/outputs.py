"""docs/output.schema.json, held against all that any test reads with -o json."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema

SCHEMAS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "docs" / "output.schema.json").read_text())["$defs"]
ENDPOINTS = "status --endpoints NAME"
NAMED = {verb.partition(" NAME")[0].partition(" FILE")[0]: told for verb, told in SCHEMAS.items() if verb != ENDPOINTS}


def schema(args: Sequence[str]) -> Any:
    """Of what a command line prints, None where it is not JSON of ours."""
    if ("-o", "json") not in itertools.pairwise(args) or any(one.startswith("task.") for one in args):
        return None
    if "--endpoints" in args:
        return SCHEMAS[ENDPOINTS]
    words = [one for one in args if not one.startswith("-")]
    return NAMED.get(" ".join(words[:2])) or NAMED.get(words[0])


def check(args: Sequence[str], out: str) -> None:
    """Raises ValidationError with the path of what is not as documented."""
    told = schema(args)
    if told is not None:
        jsonschema.validate(json.loads(out), told)
