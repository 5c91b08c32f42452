"""Find how long an answer asks to be left alone: in a header or in the body, as a span or as an instant."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bridge.contract import Json, Response
from connectors.http.bodies import at, document

_LONGEST: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER: Final = re.compile(r"[0-9]{1,19}(\.[0-9]{1,9})?")

Form: TypeAlias = Literal["seconds", "milliseconds", "date", "epoch", "epoch_milliseconds"]


class RetryAfter(BaseModel):
    """Place where an answer says how long to wait: `header` or `field`. If it is not there, `Retry-After` counts."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    header: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]+$")
    """Header that holds it, such as `X-RateLimit-Reset`."""
    field: str | None = Field(default=None, min_length=1)
    """Field of the body that holds it. Its name may have dots: `error.retry_after`."""
    form: Form = "seconds"
    """Form: `seconds` or `milliseconds` from now, `date` (of HTTP or ISO 8601), or `epoch` and `epoch_milliseconds`,
    which count from 1970."""

    @model_validator(mode="after")
    def _is_one_place(self) -> "RetryAfter":
        if (self.header is None) == (self.field is None):
            raise ValueError("say where the wait stands in one way: `header:` or `field:`")
        return self

    def told(self, response: Response) -> Json:
        """What stands there. None: nothing does."""
        if self.header is not None:
            return response.headers.get(self.header.lower())
        return at(document(response), self.field or "")


def asked_wait(response: Response, said: RetryAfter | None, now: datetime) -> timedelta | None:
    """The span from now that an answer asks for, at most a day. None: it asks for none that can be read.

    said: a place beside `Retry-After`, which may hold seconds, also with decimals, or a date (RFC 9110, 10.2.3).
    """
    found = None if said is None else _span(said.told(response), said.form, now)
    usual = response.headers.get("retry-after")
    if found is None and usual is not None:
        found = _span(usual, "seconds", now)
        found = _span(usual, "date", now) if found is None else found
    return None if found is None else min(max(found, timedelta()), _LONGEST)


def _span(told: Json, form: Form, now: datetime) -> timedelta | None:
    """The span from now, which may be negative or long."""
    text = str(told).strip() if isinstance(told, str | int | Decimal) else ""
    if form == "date":
        then = _date(text)
        return None if then is None else then - now
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text) / (1000 if form in ("milliseconds", "epoch_milliseconds") else 1)
    if form in ("epoch", "epoch_milliseconds"):
        number -= (now - _EPOCH).total_seconds()
    return timedelta(seconds=min(number, _LONGEST.total_seconds()))


def _date(text: str) -> datetime | None:
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            then = read(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        return then if then.tzinfo else then.replace(tzinfo=UTC)
    return None
