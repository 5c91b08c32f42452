"""What an answer of the API means: one table of statuses, and a reader of error bodies that trusts nothing in them."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum

import msgspec

from bridge.contract import Json, Moment, Outcome, Paused, Reason, Rejected, Response, Retry, Uncertain


class Meaning(Enum):
    """What a status says about the request."""

    ACCEPTED = "it has it"
    REFUSED = "a no to this request, for good"
    NOT_ALLOWED = "a no to everything from this token"
    ELSEWHERE = "not the API: the configured url leads to something else"
    NOT_NOW = "certainly not done; later"
    UNKNOWN = "it may have been done"


TABLE: Mapping[int, Meaning] = {
    **dict.fromkeys(range(200, 300), Meaning.ACCEPTED),
    **dict.fromkeys(range(300, 400), Meaning.ELSEWHERE),
    **dict.fromkeys(range(400, 500), Meaning.REFUSED),
    **dict.fromkeys(range(500, 600), Meaning.UNKNOWN),
    401: Meaning.NOT_ALLOWED,  # token missing, wrong or revoked
    402: Meaning.NOT_ALLOWED,  # assumed: a subscription that has ended
    403: Meaning.NOT_ALLOWED,  # subscription, plan or permission
    405: Meaning.ELSEWHERE,  # the API knows our methods; whoever answers is not it
    407: Meaning.ELSEWHERE,  # a proxy wants a password
    408: Meaning.UNKNOWN,  # somebody gave up waiting, perhaps a proxy with the request passed on
    425: Meaning.NOT_NOW,
    429: Meaning.NOT_NOW,  # documented nowhere (contract 1.2); Retry-After is honoured
}
"""What each status means. A status that is not here is no answer of HTTP: UNKNOWN."""

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


def meaning(response: Response) -> Meaning:
    """A page in HTML is from a proxy or a website: also with status 200 nothing has been accepted."""
    said = TABLE.get(response.status, Meaning.UNKNOWN)
    is_page = said is Meaning.ACCEPTED and response.body.lstrip().startswith(b"<")
    return Meaning.ELSEWHERE if is_page else said


def verdict(response: Response, what: str, moment: Moment, *, repeatable: bool) -> Outcome:
    """The outcome of a fact whose request was answered with anything but yes."""
    detail = f"{what}: {described(response)}"
    match meaning(response):
        case Meaning.REFUSED:
            return Rejected(Reason.REFUSED, detail)
        case Meaning.NOT_ALLOWED:
            return Paused(Reason.NOT_ALLOWED, detail)
        case Meaning.NOT_NOW:
            return Retry(Reason.THROTTLED, detail, retry_after(response, moment.now))
        case Meaning.UNKNOWN if repeatable:
            return Retry(Reason.SERVER_ERROR, detail, retry_after(response, moment.now))
        case Meaning.UNKNOWN:
            return Uncertain(Reason.SERVER_ERROR, detail)
        case Meaning.ELSEWHERE | Meaning.ACCEPTED:
            return Paused(Reason.NOT_ALLOWED, f"{detail}, which is not the API's answer: is the setting url right?")


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
