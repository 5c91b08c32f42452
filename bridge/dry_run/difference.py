"""Say by path how two events differ. Numbers compare exactly."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import zip_longest
from typing import Final

import msgspec

from bridge.contract import Json

_NOTHING: Final = object()
_LONGEST_SHOWN: Final = 200  # characters


def between(before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[str]:
    """The differences between two events, as `path: before -> after`."""
    for line in _of_value("", before, after):
        yield line.removeprefix(".").replace(": expected ", ": ", 1).replace(", is ", " -> ", 1)


def _of_value(at: str, expected: Json, given: Json) -> Iterator[str]:
    if isinstance(expected, Mapping) and isinstance(given, Mapping):
        for key in dict.fromkeys((*expected, *given)):
            yield from _of_value(f"{at}.{key}", expected.get(key, _NOTHING), given.get(key, _NOTHING))
    elif isinstance(expected, list) and isinstance(given, list):
        for number, (want, have) in enumerate(zip_longest(expected, given, fillvalue=_NOTHING)):
            yield from _of_value(f"{at}.{number}", want, have)
    elif not _same(expected, given):
        yield f"{at}: expected {_short(expected)}, is {_short(given)}"


def _same(expected: Json, given: Json) -> bool:
    """Whether two values are the same. Numbers compare by their value, exactly; a truth value is no number."""
    numbers = (int, Decimal)
    if isinstance(expected, bool) or isinstance(given, bool):
        return expected is given
    if isinstance(expected, numbers) and isinstance(given, numbers):
        return expected == given
    return type(expected) is type(given) and bool(expected == given)


def _short(value: Json) -> str:
    if value is _NOTHING:
        return "nothing"
    text = msgspec.json.encode(value, enc_hook=str).decode() if not isinstance(value, Decimal) else str(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."
