"""The doubt of a journal that was put back: it cannot know what was sent since its copy was made.

Two cells of `meta` remember it. They travel with the journal: a copy of it is in doubt too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bridge.journal.rows import moment

DOUBTFUL: Final = "doubtful"
"""The last document of the copy, as a number in digits."""
RESTORED: Final = "restored"
"""The name of the cell with the time at which the journal was first served again, in microseconds since 1970. It is
empty until then."""
STAMP: Final = "stamp"
"""How far a SQLite journal goes, see sqlite/stamps.py."""

SERVED: Final = "served"
"""The name of the cell that a SQLite journal has while an owner works with it."""


SERVED_AGAIN: Final = "it was put back: what happened until now may have been sent before"


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """The doubt of a journal that was put back.

    seq       the last document that came before the copy was made; 0: the journal was never put back
    restored  the end of the time in which facts may have been sent that this journal does not know
    """

    seq: int = 0
    restored: datetime | None = None


def doubt_of(meta: Mapping[str, object]) -> Doubt:
    """Read the doubt from the cells of `meta`. Older versions wrote the number only."""
    restored = digits(meta.get(RESTORED))
    return Doubt(seq=digits(meta.get(DOUBTFUL)), restored=moment(restored) if restored else None)


def is_to_be_served(meta: Mapping[str, object]) -> bool:
    """Whether the journal was put back and nobody has served it since."""
    return RESTORED in meta and not digits(meta[RESTORED])


def digits(cell: object) -> int:
    """A number as it stands in `meta`; 0: there is none."""
    text = cell.decode() if isinstance(cell, bytes) else str(cell or "")
    return int(text) if text.isdigit() else 0
