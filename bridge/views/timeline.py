"""The story of an order in the order in which it happened."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple, cast

from bridge.journal import SKIPPED, WAITING, Story

RECEIVED = "received"
TRIED = "tried"


class Moment(NamedTuple):
    """One thing that happened to an order. what: RECEIVED, TRIED, SKIPPED, WAITING or the state of a fact.

    dest, rule, fact  empty where it has none
    seq               number of the document that it was about
    """

    at: datetime | None
    what: str
    dest: str
    rule: str
    fact: str
    text: str
    seq: int


def timeline(story: Story) -> list[Moment]:
    """All that is known of an order, the oldest first. What waits stands last."""
    past = [*_received(story), *_tried(story), *_skipped(story), *_settled(story)]
    return [*sorted(past, key=attrgetter("at")), *_waiting(story)]


def _received(story: Story) -> Iterator[Moment]:
    for row in story.documents:
        text = f"{row['topic']} from {row['source']}, {row['size']} bytes"
        yield _moment(row, "received", RECEIVED, text)


def _tried(story: Story) -> Iterator[Moment]:
    for row in story.attempts:
        yield _moment(row, "at", TRIED, _why(row))


def _skipped(story: Story) -> Iterator[Moment]:
    for row in story.skips:
        yield _moment(row, "at", SKIPPED, _why(row))


def _settled(story: Story) -> Iterator[Moment]:
    for row in story.facts:
        text = ", ".join(filter(None, (str(row["amount"] or ""), _why(row))))
        yield _moment(row, "settled", str(row["state"]), text)


def _waiting(story: Story) -> Iterator[Moment]:
    for row in story.waiting:
        text = f"the rule {row['held']} is held" if row["held"] else f"tried {row['attempt']} times"
        yield _moment(row, "due", WAITING, text)


def _moment(row: Mapping[str, object], time: str, what: str, text: str) -> Moment:
    return Moment(
        at=cast("datetime | None", row[time]),
        what=what,
        dest=str(row.get("dest") or ""),
        rule=str(row.get("rule") or ""),
        fact=str(row.get("fact") or ""),
        text=text,
        seq=int(str(row["seq"])),
    )


def _why(row: Mapping[str, object]) -> str:
    return ": ".join(str(row[name]) for name in ("reason", "detail") if row[name])
