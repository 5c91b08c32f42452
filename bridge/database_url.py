"""Check that the address of a database is one that its driver takes. The words of a complaint show nothing of the
address.

A driver quotes what it could not read of an unfit address, and that may be the password.
"""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import SplitResult, urlsplit

_SCHEMES: Final = ("postgres", "postgresql")
_ODD_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SSLMODE: Final = re.compile(r"(?:^|&)sslmode=([^&]*)")
_MOST_PORTS: Final = 65_535  # the largest port
_QUOTED: Final = (
    "in a password write / as %2F, ? as %3F, # as %23, @ as %40 and % as %25, or give it apart, as `password:`"
)


def complaint(url: str) -> str | None:
    """Describe what is wrong, without a word of the address. None: nothing is wrong.

    The form is libpq's: postgres://user:password@host:port/database?sslmode=..., with several host:port separated by
    commas.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"is no address of a database: its host cannot be read; {_QUOTED}"
    return next(_complaints(url, parts), None)


def _complaints(url: str, parts: SplitResult) -> Iterator[str]:
    mode = _SSLMODE.search(parts.query)
    if parts.scheme not in _SCHEMES:
        yield "is no address of a database: write postgres://user@host:port/database"
    if "#" in url or _is_cut(parts):
        yield f"holds a character that ends a part of it too early; {_QUOTED}"
    if _ODD_PERCENT.search(url):
        yield f"has a % without two hexadecimal digits; {_QUOTED}"
    if not all(map(_is_port, parts.netloc.rpartition("@")[2].split(","))):
        yield f"has a port that is no number from 1 to {_MOST_PORTS}; {_QUOTED}"
    if mode is not None and mode[1] not in _MODES:
        yield f"has an unknown sslmode; there are: {', '.join(_MODES)}"


def _is_cut(parts: SplitResult) -> bool:
    """Whether a character of the password was read as a sign of the address."""
    is_later = "@" not in parts.netloc and "@" in parts.query
    return parts.netloc.count("@") > 1 or "@" in parts.path or is_later


def _is_port(host: str) -> bool:
    """Whether the port of one host is valid or missing. The host may be an IPv6 address in brackets."""
    port = re.fullmatch(r"(?:\[[^\[\]]*\]|[^:\[\]]*)(?::(\d{0,5}))?", host)
    return port is not None and (not port[1] or 0 < int(port[1]) <= _MOST_PORTS)
