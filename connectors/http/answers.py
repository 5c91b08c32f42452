"""Find what an answer means: by who gave it, by its status, and by what its body must hold."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from bridge.contract import Json, Outcome, Response
from bridge.status_table import CHALLENGE, NO_STATUS, PAGE, UNKNOWN, YES, Fate, Row, judged, statuses

_LONGEST_WAIT: Final = timedelta(days=1)
_CUT: Final = 206
"""The status of partial content, which nobody asked for."""
_NOT_FOUND: Final = 404  # status
_ELSEWHERE: Final = frozenset((*range(300, 400), 407))
"""Statuses of a redirect or a proxy."""
_FIREWALLS: Final = ("x-amzn-waf-action", "cf-mitigated")
"""Headers by which a firewall says that it answered itself, and let nothing pass."""
_MEDIA_TYPE: Final = re.compile(r"[a-z]{1,20}/[a-z.+-]{1,40}")
_STRANGE: Final = (PAGE, CHALLENGE, UNKNOWN)
_anything: Final = msgspec.json.Decoder()


class Receipt(BaseModel):
    """What the body of an answer must hold, besides a status of success, to count as the API's yes. Names may have
    dots: `data.id`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    equal: dict[str, str | int | bool] = Field(default_factory=dict)
    """Values that the body must have, by name."""
    present: list[str] = Field(default_factory=list)
    """Names that the body must have a value for."""
    absent: list[str] = Field(default_factory=list)
    """Names that the body must have no value for, such as `errors`. An empty list, text or mapping is no value."""

    @property
    def is_empty(self) -> bool:
        """Whether any body will do."""
        return not (self.equal or self.present or self.absent)

    def fits(self, response: Response) -> bool:
        """Whether an answer with a status of success is the API's yes."""
        if response.status == _CUT:
            return False
        if self.is_empty:
            return True
        told = _document(response) if response.is_whole else None
        if not isinstance(told, dict):
            return False
        return (
            all(_same(_at(told, name), value) for name, value in self.equal.items())
            and all(_at(told, name) is not None for name in self.present)
            and not any(_at(told, name) for name in self.absent)
        )


def _same(found: Json, wanted: Json) -> bool:
    return found == wanted and isinstance(found, bool) == isinstance(wanted, bool)


def _at(document: Json, name: str) -> Json:
    for step in name.split("."):
        document = document.get(step) if isinstance(document, dict) else None
    return document


def _document(response: Response) -> Json:
    try:
        return _anything.decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def shadow_of(receipt: Receipt) -> Response:
    """The answer that stands in for the API's in shadow mode: it fits the receipt."""
    made: dict[str, Json] = {}
    for name, value in {**dict.fromkeys(receipt.present, "shadow"), **receipt.equal}.items():
        *above, last = name.split(".")
        place = made
        for step in above:
            place = place.setdefault(step, {})
        place[last] = value
    return Response(status=200, body=msgspec.json.encode(made))


@dataclass(frozen=True, slots=True)
class Answers:
    """Reads answers by the status table, in which the setting `answers` may have changed some statuses."""

    rows: Mapping[int, Row]
    receipt: Receipt

    @classmethod
    def changed(cls, fates: Mapping[int, Fate], receipt: Receipt) -> "Answers":
        return cls(statuses(fates), receipt)

    def row(self, response: Response, receipt: Receipt) -> Row:
        """The row of a response: by who answers first, then by the status, then by the receipt."""
        row = self.rows.get(response.status, NO_STATUS)
        if any(name in response.headers for name in _FIREWALLS):
            return CHALLENGE
        if _is_page(response) and (row.is_yes or response.status == _NOT_FOUND):
            return PAGE
        return UNKNOWN if row is YES and not receipt.fits(response) else row

    def outcome(self, response: Response, method: str, now: datetime, *, repeatable: bool) -> Outcome:
        """The outcome of a fact whose request was answered in this way. Its detail quotes nothing of the body."""
        row = self.row(response, self.receipt)
        detail = f"{method}: {response.status}"
        if row in _STRANGE or (row.other is Fate.PAUSED and response.status in _ELSEWHERE):
            detail += f" ({_outlined(response)}), which is not the API's answer: are url, path and receipt right?"
        return judged(row, detail, repeatable=repeatable, after=retry_after(response, now))

    def is_answer(self, response: Response, receipt: Receipt) -> bool:
        """Whether the API itself answered the probe, even with a refusal."""
        row = self.row(response, receipt)
        is_strange = row in _STRANGE or _is_page(response) or response.status in _ELSEWHERE
        return not is_strange and row.other is not Fate.UNCERTAIN

    def is_anybodys(self, response: Response) -> bool:
        """Whether anybody but a firewall answered, and it is no failure of a server."""
        is_challenge = any(name in response.headers for name in _FIREWALLS)
        return not is_challenge and self.rows.get(response.status, NO_STATUS).other is not Fate.UNCERTAIN


def _is_page(response: Response) -> bool:
    """Whether it is a page in HTML. XML is no page where the answer says that it is XML."""
    return response.body.lstrip().startswith(b"<") and "xml" not in response.headers.get("content-type", "").lower()


def _outlined(response: Response) -> str:
    """The kind of a body and its size: all that may be shown of a body that nobody vouches for."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    shown = kind if _MEDIA_TYPE.fullmatch(kind) else "an odd content type" if kind else "no content type"
    return f"{shown}, {'' if response.is_whole else 'more than '}{len(response.body)} bytes"


def retry_after(response: Response, now: datetime) -> timedelta | None:
    """Retry-After as a span from now: seconds, also with decimals, or an HTTP date (RFC 9110, 10.2.3); at most a
    day."""
    told = response.headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", told):
        return min(timedelta(seconds=float(told)), _LONGEST_WAIT)
    try:
        then = parsedate_to_datetime(told)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    wait = (then if then.tzinfo else then.replace(tzinfo=UTC)) - now
    return min(max(wait, timedelta()), _LONGEST_WAIT)
