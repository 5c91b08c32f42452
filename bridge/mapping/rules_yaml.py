"""The rules that result from includes and overrides, as YAML, each line with the place that it comes from."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from bridge.contract import Json
from bridge.mapping.compiler import Written
from bridge.mapping.loader import scalar

WIDTH: Final = 88  # characters of a line
_PLAIN_FIRST: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_=/")

Path = tuple[str | int, ...]


def shown(written: Written) -> Iterator[str]:
    """Lines such as `    at: = order.created_at   # bridge.yaml:12`."""
    lines = [(f"{written.name}:", ()), *_lines(written.body, (), 1)]
    for text, path in lines:
        file, line, _ = written.where(path)
        yield f"  {text:<{WIDTH}}  # {file}:{line}"


def as_yaml(value: Json) -> str:
    """A value as a person would write it."""
    return "".join(f"{text}\n" for text, _ in _lines(value, (), 0))


def _lines(value: Json, path: Path, depth: int) -> Iterator[tuple[str, Path]]:
    indent = "  " * depth
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _entry(f"{indent}{_scalar(key)}:", each, (*path, key), depth)
    elif isinstance(value, list):
        for at, each in enumerate(value):
            yield from _entry(f"{indent}-", each, (*path, at), depth)


def _entry(head: str, value: Json, path: Path, depth: int) -> Iterator[tuple[str, Path]]:
    if isinstance(value, dict | list) and value:
        yield head, path
        yield from _lines(value, path, depth + 1)
    else:
        yield f"{head} {_scalar(value)}", path


def _scalar(value: Json) -> str:
    if isinstance(value, str):
        return value if _is_plain(value) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, Decimal):
        return format(value, "f")
    return "[]" if value == [] else "{}" if value == {} else json.dumps(value)


def _is_plain(text: str) -> bool:
    """Whether YAML reads it back as the same without quotes."""
    return (
        bool(text)
        and text[0] in _PLAIN_FIRST
        and text == text.strip()
        and isinstance(scalar(text), str)
        and not any(sign in text for sign in (": ", " #", "\n", "\t"))
        and not text.endswith(":")
    )
