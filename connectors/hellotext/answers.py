"""Find what an answer of the API means: its row in the status table."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from bridge.contract import Attempt, Outcome, Response
from bridge.status_table import CHALLENGE, NO_STATUS, PAGE, UNKNOWN, YES, Fate, Row, judged, statuses
from connectors.hellotext.bodies import (
    errors,
    identity,
    is_challenge,
    is_listing,
    is_page,
    outlined,
    received,
)

_ELSEWHERE = frozenset((*range(300, 400), 405, 407))
"""Statuses that are not the API's own."""
_NOT_FOUND = 404  # status
_LONGEST_WAIT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Asked:
    """The object that was asked for, in the words of logs, and a test whether an answer with a status of success is the
    API's."""

    what: str
    knows: Callable[[Response], bool]


PROFILE = Asked("POST profiles", lambda response: identity(response) is not None)
SESSION = Asked("PATCH sessions", lambda response: identity(response) is not None)
EVENT = Asked("POST events", received)
LIST = Asked("GET list", is_listing)


@dataclass(frozen=True, slots=True)
class Answers:
    """Reads answers by the status table, in which the setting `answers` may have changed some statuses."""

    rows: Mapping[int, Row]

    @classmethod
    def changed(cls, fates: Mapping[int, Fate]) -> "Answers":
        return cls(statuses(fates))

    def row(self, response: Response, asked: Asked) -> Row:
        """The row of a response: by who answers first, then by the status. A status of success is a yes only with the
        API's own answer."""
        row = self.rows.get(response.status, NO_STATUS)
        if is_challenge(response):
            return CHALLENGE
        if is_page(response) and (row.is_yes or response.status == _NOT_FOUND):
            return PAGE
        return UNKNOWN if row is YES and not asked.knows(response) else row

    def is_yes(self, response: Response, asked: Asked) -> bool:
        return self.row(response, asked).is_yes

    def is_no(self, response: Response, asked: Asked) -> bool:
        return self.row(response, asked).is_no

    def outcome(self, response: Response, asked: Asked, attempt: Attempt, *, repeatable: bool) -> Outcome:
        """The outcome of a fact whose request was answered in this way. A yes gives no success here: what was asked for
        is not in it."""
        row = self.row(response, asked)
        if row.is_yes:
            row = UNKNOWN
        detail = f"{asked.what}: {described(response)}"
        if row in _STRANGE or (row.other is Fate.PAUSED and response.status in _ELSEWHERE):
            detail += f" ({outlined(response)}), which is not the API's answer: is the setting url right?"
        return judged(row, detail, repeatable=repeatable, after=retry_after(response, attempt.now))

    def is_answer(self, response: Response) -> bool:
        """Whether the API itself answered a list that was asked for, even with a refusal."""
        row = self.row(response, LIST)
        is_strange = row in _STRANGE or is_page(response) or response.status in _ELSEWHERE
        return not is_strange and row.other is not Fate.UNCERTAIN


_STRANGE = (PAGE, CHALLENGE, UNKNOWN)


def described(response: Response) -> str:
    """Status, and the types and parameters of the errors; never the text, which may quote what was sent."""
    return " ".join([str(response.status), *(" ".join(filter(None, error)) for error in errors(response))])


def named(response: Response) -> frozenset[str]:
    """What a refusal is about: profile, session or both."""
    words = " ".join(f"{kind} {parameter}" for kind, parameter in errors(response))
    return frozenset(word for word in ("profile", "session") if word in words)


def retry_after(response: Response, now: datetime) -> timedelta | None:
    """Retry-After as a span from now: seconds, also with decimals, or an HTTP date; at most a day."""
    told = response.headers.get("retry-after", "").strip()
    wait = _seconds(told) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", told) else _until(told, now)
    return None if wait is None else min(max(wait, timedelta()), _LONGEST_WAIT)


def _seconds(text: str) -> timedelta:
    return timedelta(seconds=float(text))


def _until(text: str, now: datetime) -> timedelta | None:
    try:
        then = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (then if then.tzinfo else then.replace(tzinfo=UTC)) - now
