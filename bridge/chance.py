"""The one source of chance of the program: salts, names and the jitter of waits are drawn from it. Nothing else draws
(ruff bans it), so that a simulated world draws the same again from the same seed."""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random, SystemRandom
from uuid import UUID

_source: Random = SystemRandom()
"""The system's own source, as the module `secrets` has it: what it gives can be a secret."""

_UUID_BYTES = 16  # bytes


def fraction() -> float:
    """Draw a number from 0.0 up to, and without, 1.0."""
    return _source.random()


def octets(count: int) -> bytes:
    """Draw so many bytes."""
    return _source.randbytes(count)


def number(bits: int) -> int:
    """Draw a whole number of at most so many bits."""
    return _source.getrandbits(bits)


def uuid() -> str:
    """Draw a name that nobody else draws: a UUID of version 4."""
    return str(UUID(bytes=octets(_UUID_BYTES), version=4))


@contextmanager
def installed(source: Random) -> Iterator[None]:
    """Let the program draw from this source meanwhile."""
    global _source  # noqa: PLW0603  there is one source
    before, _source = _source, source
    try:
        yield
    finally:
        _source = before
