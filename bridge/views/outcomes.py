"""Follow facts that a person had sent again for some seconds, and say what became of them."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bridge import clock
from bridge.contract import State
from bridge.journal import LaneNumber, Parked, Reader, Story

PATIENCE: Final = 10.0
"""Seconds for which facts are followed. What takes longer is said to wait."""

_LOOK: Final = 0.2  # seconds between two looks
NOT_TRIED: Final = "not tried yet"
"""The end of a fact that nobody came to."""
_AGAIN: Final = {State.DEAD: "dead again", State.UNCERTAIN: "uncertain again"}


async def followed(facts: Sequence[Parked], journal: Reader, *, patience: float) -> Counter[str]:
    """Count how the facts ended, or what they wait for. Each order is looked at until nothing more is about to happen,
    or for so many seconds."""
    ends: Counter[str] = Counter()
    lanes: dict[LaneNumber, list[Parked]] = {}
    for fact in facts:
        lanes.setdefault(fact.lane, []).append(fact)
    until = clock.monotonic() + patience
    while lanes:
        is_last = clock.monotonic() >= until
        for lane in list(lanes):
            told = _ends(await journal.story(lane), lanes[lane])
            if is_last or NOT_TRIED not in told:
                ends.update(told)
                del lanes[lane]
        if lanes:
            await asyncio.sleep(_LOOK)
    return ends


def _ends(story: Story | None, facts: Sequence[Parked]) -> list[str]:
    if story is None:
        return ["not there any more"] * len(facts)
    waiting = {row["dest"]: row for row in story.waiting}
    settled = {(row["dest"], row["fact"], row["once"]): row for row in story.facts}
    return [
        _waits(waiting[fact.dest])
        if fact.dest in waiting
        else _settled(settled.get((fact.dest, fact.fact, fact.once)), fact)
        for fact in facts
    ]


def _waits(row: Mapping[str, Any]) -> str:
    if row["held"] is not None:
        return f"waiting: rule {row['held']} is held"
    if row["due"] > clock.now():
        return f"waiting: tried, and again at {row['due']:%H:%M:%S} UTC"
    return NOT_TRIED


def _settled(row: Mapping[str, Any] | None, fact: Parked) -> str:
    if row is None:
        return "not made by its rules any more"
    state = State(row["state"])
    if row["settled"] == fact.settled_at and state == fact.state:
        return f"{state} as before: its rules make nothing of the newest document"
    why = ": ".join(filter(None, (row["reason"], row["detail"])))
    return f"{_AGAIN[state]}: {why}" if state in _AGAIN else str(state)
