"""Broken and odd task files, made from good ones: changes of the tree that they mean, and of their bytes."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import yaml

ODD: list[Any] = [
    None, True, False, 0, 1, -1, 2.5, 1e308, float("nan"), float("inf"), 10**30, 256, 65536, "", " ", "x", "~",
    "A100:8",
    "80GB+", "nvidia:32GB:2", "16GiB", "1+", "4CPU--16GB--H100:0", "10m", "k8s/c", "aws/us-east-1/a", "*", "s3://b/c",
    "hf://x", "https://a.blob.core.windows.net/c", "/a", "/a/", "../x", "~nobody/x", "$A", "${A}", "$", "secrets:A",
    "a:b:c", "é\u2028", "\0", "a" * 300, "1:30", "0x1f", "1e3", "yes", "2024-01-01", [], {}, [[]], [None], {"": None},
    {None: 1}, {1: 2}, {"a": {"b": {"c": []}}},
]  # fmt: skip
TOKENS = [
    b"\0", b"\t", b"\r\n", b"\n", b" ", b"  ", b": ", b"- ", b"{", b"}", b"[", b"]", b"'", b'"', b"|\n", b">-\n",
    b"&a ",
    b"*a", b"<<: *a\n", b"!!python/object:os.system ", b"!!binary ", b"!!int x", b"#", b"---\n", b"...\n",
    b"%YAML 1.1\n",
    b"? ", b"~", b"\xff", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"${A}", b"resources:", b"any_of: [", b"9" * 120,
    b"1:" * 50,
]  # fmt: skip


def mutated(sources: list[bytes], chance: random.Random) -> bytes:
    """One of the sources after some changes; mostly still YAML."""
    data = chance.choice(sources)
    if chance.random() < 0.6:
        data = _in_the_tree(data, sources, chance)
    if chance.random() < 0.4:
        for _ in range(chance.randrange(1, 4)):
            data = chance.choice(_OF_BYTES)(data, sources, chance)
    return data


def _trees(data: bytes) -> list[Any]:
    if b"&" in data:
        return []  # aliases may unfold without an end
    try:
        return list(yaml.safe_load_all(data))
    except (yaml.YAMLError, ValueError, RecursionError):
        return []


def _in_the_tree(data: bytes, sources: list[bytes], chance: random.Random) -> bytes:
    trees = _trees(data)
    if not trees:
        return data
    other = _trees(chance.choice(sources))
    for _ in range(chance.randrange(1, 4)):
        places = [place for tree in trees for place in _places(tree)]
        if not places:
            break
        chance.choice(_OF_TREES)(*chance.choice(places), other, chance)
    flow = chance.choice([False, False, None, True])
    return yaml.dump_all(trees, sort_keys=False, default_flow_style=flow, allow_unicode=True).encode()


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """(a map or list, a key or index in it) for all values of a tree."""
    found: list[tuple[Any, Any]] = []
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else []
    for key in keys:
        found += [(tree, key), *_places(tree[key])]
    return found[:2000]


def _odd(where: Any, key: Any, other: list[Any], chance: random.Random) -> None:
    where[key] = copy.deepcopy(chance.choice(ODD))


def _gone(where: Any, key: Any, other: list[Any], chance: random.Random) -> None:
    del where[key]


def _misspelt(where: Any, key: Any, other: list[Any], chance: random.Random) -> None:
    if isinstance(where, dict) and isinstance(key, str) and key:
        at = chance.randrange(len(key))
        where[chance.choice([key[:at] + key[at + 1 :], key.upper(), key[:at] + "_" + key[at:], key + "s"])] = where.pop(
            key
        )


def _wrapped(where: Any, key: Any, other: list[Any], chance: random.Random) -> None:
    where[key] = chance.choice([[where[key]], {"a": where[key]}, str(where[key])])


def _from_elsewhere(where: Any, key: Any, other: list[Any], chance: random.Random) -> None:
    """A field of another file, under its own name or in place of this one."""
    places = [place for tree in other for place in _places(tree)]
    if not places:
        return
    source, name = chance.choice(places)
    if isinstance(where, dict) and isinstance(source, dict) and chance.random() < 0.6:
        key = name
    where[key] = copy.deepcopy(source[name])


_OF_TREES: list[Callable[..., None]] = [_odd, _odd, _gone, _misspelt, _wrapped, _from_elsewhere, _from_elsewhere]


def _cut(data: bytes, sources: list[bytes], chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _without_a_slice(data: bytes, sources: list[bytes], chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + data[at + chance.randrange(40) :]


def _with_a_token(data: bytes, sources: list[bytes], chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.choice(TOKENS) * chance.choice([1, 1, 1, 2, 80]) + data[at:]


def _with_other_bytes(data: bytes, sources: list[bytes], chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randrange(1, 8) if data else 0):
        changed[chance.randrange(len(data))] = chance.choice([chance.randrange(256), *b"-:{}[]\"'&*!|>#,? \n"])
    return bytes(changed)


def _repeated(data: bytes, sources: list[bytes], chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    end = at + chance.randrange(200)
    return data[:end] + data[at:end] * chance.choice([1, 2, 30]) + data[end:]


def _spliced(data: bytes, sources: list[bytes], chance: random.Random) -> bytes:
    other = chance.choice(sources)
    return data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :]


def _indented(data: bytes, sources: list[bytes], chance: random.Random) -> bytes:
    lines = data.split(b"\n")
    at = chance.randrange(len(lines))
    lines[at] = chance.choice([b" ", b"  ", b"\t"]) + lines[at] if chance.random() < 0.5 else lines[at].lstrip()
    return b"\n".join(lines)


_OF_BYTES: list[Callable[..., bytes]] = [
    _cut, _without_a_slice, _with_a_token, _with_a_token, _with_other_bytes, _repeated, _spliced, _indented,
]  # fmt: skip
