"""Read halves of surrogate pairs in JSON. JavaScript and Java write them for a text that was cut inside of an emoji.

The grammar of JSON allows a half alone, Unicode has no such character, and decoders refuse the whole document.
"""

import re
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

T = TypeVar("T")

_ESCAPES: Final = re.compile(
    rb"(?<!\\)(\\+)u[dD](?:[89abAB][0-9a-fA-F]{2}(\\u[dD][c-fC-F][0-9a-fA-F]{2})?|[c-fC-F][0-9a-fA-F]{2})"
)
_LENGTH: Final = len(rb"\ud83d")
_MOST: Final = 65_536
"""The most surrogates that are looked at in one document: it takes some 50 ms."""


def decoded(decode: Callable[[bytes], T], raw: bytes) -> T:
    """What `decode` makes of JSON. A half of a pair that stands alone is read as U+FFFD. Raises as `decode` does."""
    try:
        return decode(raw)
    except msgspec.DecodeError:
        mended = without_halves(raw)
        if mended is raw:
            raise
    return decode(mended)


def without_halves(raw: bytes) -> bytes:
    """The same JSON with U+FFFD for each half. The very same bytes if there is none."""
    parts: list[bytes] = []
    end = 0
    for count, found in enumerate(_ESCAPES.finditer(raw)):
        if count == _MOST:
            return raw
        is_escape, has_second = len(found[1]) % 2 == 1, found[2] is not None
        if is_escape == has_second:  # a pair; or, behind an escaped backslash, letters without a meaning
            continue
        parts += raw[end : found.end() - _LENGTH], rb"\ufffd"
        end = found.end()
    return b"".join((*parts, raw[end:])) if parts else raw
