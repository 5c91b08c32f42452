"""Times as people give them."""

import re
from datetime import datetime, timedelta
from typing import Final

_SPAN: Final = re.compile(r"(\d{1,5})([hd])")


def moment_of(given: str, now: datetime) -> datetime:
    """The time that a person means by `7d`, `12h` or an instant with its zone. Raises ValueError, which names these
    forms."""
    if match := _SPAN.fullmatch(given):
        return now - (timedelta(hours=int(match[1])) if match[2] == "h" else timedelta(days=int(match[1])))
    try:
        meant = datetime.fromisoformat(given)
    except ValueError:
        meant = None
    if meant is None or meant.tzinfo is None:
        raise ValueError("7d, 12h, or an instant with its zone: 2026-11-20T00:00:00Z")
    return meant
