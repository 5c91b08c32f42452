"""What an answer of the API means: its row in the table of verdicts, and a reader of bodies that trusts nothing."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import msgspec

from bridge.contract import Json, Moment, Outcome, Response
from bridge.verdicts import NO_STATUS, PAGE, Fate, Row, judged, statuses

_ELSEWHERE = frozenset((*range(300, 400), 405, 407))
"""Whoever answers so is not the API."""
_LONGEST_WAIT = timedelta(days=1)
_SAFE = re.compile(r"[A-Za-z](?:[A-Za-z_.]|\[(?:[0-9]{1,3}|[a-z_]{0,20})\])*")
"""What may be shown of an error body: names of types and parameters, such as `items[0].price`. No @, and digits only as
an index: no address and no number of a person passes."""
_LONGEST = 64
_DEEPEST = 4
_MOST_ERRORS = 5


class _Identified(msgspec.Struct, frozen=True):
    id: str | int


_identified = msgspec.json.Decoder(_Identified)
_anything = msgspec.json.Decoder()


@dataclass(frozen=True, slots=True)
class Answers:
    """Reads answers by the table of verdicts, in which the setting `answers` may have changed some statuses."""

    rows: Mapping[int, Row]

    @classmethod
    def changed(cls, fates: Mapping[int, Fate]) -> "Answers":
        return cls(statuses(fates))

    def row(self, response: Response) -> Row:
        """A page in HTML is from a proxy or a website: also with status 200 nothing has been accepted."""
        row = self.rows.get(response.status, NO_STATUS)
        return PAGE if row.is_yes and response.body.lstrip().startswith(b"<") else row

    def is_yes(self, response: Response) -> bool:
        return self.row(response).is_yes

    def is_no(self, response: Response) -> bool:
        return self.row(response).is_no

    def verdict(self, response: Response, what: str, moment: Moment, *, repeatable: bool) -> Outcome:
        """The outcome of a fact whose request was answered so."""
        row, detail = self.row(response), f"{what}: {described(response)}"
        if row is PAGE or (row.other is Fate.PAUSED and response.status in _ELSEWHERE):
            detail += ", which is not the API's answer: is the setting url right?"
        return judged(row, detail, repeatable=repeatable, after=retry_after(response, moment.now))


def described(response: Response) -> str:
    """Status, and the types and parameters of the errors; never the text, which may quote what was sent."""
    return " ".join([str(response.status), *(" ".join(filter(None, error)) for error in errors(response))])


def named(response: Response) -> frozenset[str]:
    """Which of profile and session a refusal is about."""
    words = " ".join(f"{kind} {parameter}" for kind, parameter in errors(response))
    return frozenset(word for word in ("profile", "session") if word in words)


def errors(response: Response) -> list[tuple[str, str]]:
    """Type and parameter of the first errors of a body, whichever of the known forms it has; each may be empty."""
    try:
        document = _anything.decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    if not isinstance(document, dict):
        return []
    told = document.get("errors") or document.get("error")
    return [error for error, _ in zip(_walked(told, "", _DEEPEST), range(_MOST_ERRORS), strict=False)]


def identity(response: Response) -> str | None:
    """The `id` of the object in an answer."""
    try:
        found = _identified.decode(response.body).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return str(found) or None


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


def _walked(told: Json, place: str, depth: int) -> Iterator[tuple[str, str]]:
    """A list of errors, a single one, or errors under the names of their parameters, nested."""
    if depth and isinstance(told, list):
        for one in told:
            yield from _walked(one, place, depth - 1)
    elif isinstance(told, dict) and ("type" in told or "parameter" in told):
        yield _shown(told.get("type")), _shown(told.get("parameter") or place)
    elif depth and isinstance(told, dict):
        for name, one in told.items():
            yield from _walked(one, name, depth - 1)
    elif place:
        yield "", _shown(place)


def _shown(word: Json) -> str:
    return word if isinstance(word, str) and len(word) <= _LONGEST and _SAFE.fullmatch(word) else ""
