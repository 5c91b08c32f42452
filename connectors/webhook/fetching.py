"""Fetch the document that a thin webhook only names, from the platform's API."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import quote, urlencode

import msgspec
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bridge.contract import (
    Envelope,
    Fetching,
    Json,
    Outcome,
    Reason,
    Rejected,
    Request,
    Response,
    Retry,
    Share,
    Skipped,
)
from bridge.credentials import Credentials, address_complaint
from bridge.errors import Malformed
from bridge.setting_types import AnswerValue, DeliveryExpression, DeliveryTime
from bridge.signatures import name_of
from bridge.status_table import NO_STATUS, judged, statuses
from bridge.surrogates import decoded

Alias: TypeAlias = Literal["name", "email", "phone", "customer", "checkout"]
_PLACE: Final = re.compile(r"\{([^{}]*)\}")
_ROWS: Final = statuses({})
_LONGEST: Final = 4 * 1024 * 1024
"""The most bytes of a document that is fetched."""
_REMEMBERED: Final = timedelta(minutes=10)
"""The time for which an answer serves the other destinations, in memory."""
_CUT: Final = 206  # HTTP status: a part of the document
_SECONDS: Final = re.compile(r"[0-9]{1,6}")
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


def _exact(body: bytes) -> Json:
    """JSON with exact numbers. Raises ValueError, ArithmeticError, RecursionError."""
    return decoded(_decode_exactly, body)


def _number(written: str) -> Decimal | str:
    """A number with a fraction; its text where calculating with it could take long."""
    number = Decimal(written)
    return number if len(written) <= 2 * _DIGITS and abs(number.adjusted()) <= _DIGITS else written


_DIGITS: Final = 40  # decimal digits
_decode_exactly: Final = msgspec.json.Decoder(float_hook=_number).decode


class Fetch(BaseModel):
    """The document is fetched from the platform, because webhooks bring only its id. Rules see what was fetched."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    url: str
    """Address of the platform's API. No delivery changes the host. Plain http is taken on this machine only."""
    path: str = Field(pattern=r"^/[^\s?#\\]*$")
    """Path behind `url`, with places: `/orders/{lane}`. Places are `{lane}`, `{shop}` and the names of `values`."""
    values: dict[str, DeliveryExpression] = {}
    """Expressions over the webhook for places of the path, by name."""
    query: dict[str, str] = {}
    """Parameters that are always the same."""
    headers: dict[str, str] = {}
    """Headers that are always the same."""
    authentication: Credentials | None = None
    """How requests say whose they are. Default: what the shop says, else nothing."""
    gone: list[Annotated[int, Field(ge=400, le=499)]] = [404, 410]
    """Statuses that mean that the platform has the document no more: nothing is sent, and the lane goes on."""
    document: AnswerValue | None = None
    """Expression over `answer`, `status` and `headers` for the document, such as `= answer.order`. Default: the
    body."""
    version: DeliveryTime | None = None
    """Expression over the fetched `doc` for the time of its last change."""
    time: DeliveryTime | None = None
    """Expression over the fetched `doc` for the time at which it happened. Default: the version."""
    aliases: dict[Alias, DeliveryExpression] = {}
    """Expressions over the fetched `doc` for the names under which the order is found and erased."""
    rate: Annotated[float, Field(gt=0, le=1000, strict=False)] | None = None
    """Most requests a second. Default: as many as there are webhooks."""

    @field_validator("url")
    @classmethod
    def _is_safe(cls, url: str) -> str:
        if problem := address_complaint(url):
            raise PydanticCustomError("url", "{problem}", {"problem": problem})
        return url.rstrip("/")

    @model_validator(mode="after")
    def _has_its_places(self) -> "Fetch":
        known = {"lane", "shop", *self.values}
        if unknown := [name for name in _PLACE.findall(self.path) if name not in known]:
            raise ValueError(f"{{{unknown[0]}}} is no place of the path: there are {', '.join(sorted(known))}")
        if {".", ".."} & set(self.path.split("/")):
            raise ValueError("a part of a path is not . or ..")
        return self


Aliased: TypeAlias = Callable[[Mapping[Alias, DeliveryExpression], Mapping[str, Json]], tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What the fetching of one document needs.

    scope     the webhook, as expressions read it
    kind      of the document that is fetched
    aliased   finds the names of a document
    """

    settings: Fetch
    credentials: Credentials | None
    envelope: Envelope
    scope: Mapping[str, Json]
    kind: str
    aliased: Aliased

    def conversation(self, *, now: datetime, fresh: bool) -> Fetching:
        """Ask for the document, and name it."""
        try:
            request = self._request(fresh=fresh)
        except Malformed as problem:
            return Rejected(Reason.UNREADABLE, f"fetching: {problem}")
        response = yield request
        if response.body.lstrip().startswith(b"<"):
            return Retry(Reason.NOT_UNDERSTOOD, f"fetching: {response.status} with a page: is `url` right?")
        if response.status in self.settings.gone:
            return Skipped(Reason.NOTHING_TO_SEND, f"fetching: {response.status}, the platform has it no more")
        if not _ROWS.get(response.status, NO_STATUS).is_yes or response.status == _CUT:
            return self._refused(response)
        try:
            return self._named(response, now)
        except (Malformed, ValueError, ArithmeticError, RecursionError):
            return Retry(Reason.NOT_UNDERSTOOD, f"fetching: {response.status} with what is not the document")

    def _request(self, *, fresh: bool) -> Request:
        given = {"lane": self.envelope.lane, "shop": self.envelope.tenant}
        given |= {name: of(self.scope) or "" for name, of in self.settings.values.items()}

        def filled(match: re.Match[str]) -> str:
            text = given[match[1]]
            if text in ("", ".", ".."):
                raise Malformed(f"{{{match[1]}}} of the path is empty, or a dot")
            return quote(text, safe="", errors="replace")

        path = _PLACE.sub(filled, self.settings.path)
        query = f"?{urlencode(self.settings.query)}" if self.settings.query else ""
        by = self.credentials
        headers = {"Accept": "application/json", **self.settings.headers, **({} if by is None else by.headers())}
        return Request(
            method="GET",
            url=f"{self.settings.url}{path}{query}",
            headers=headers,
            repeatable=True,
            longest=_LONGEST,
            share=Share(key=f"fetch:{self._id}", ttl=_REMEMBERED, keep=self._keep, fresh=fresh),
            secret_query={} if by is None else by.parameters(),
            secret_headers=frozenset() if by is None else frozenset(name.lower() for name in by.headers()),
        )

    @property
    def _id(self) -> str:
        """The id of the document that is fetched: the same at every attempt."""
        envelope = self.envelope
        return name_of(envelope.source, envelope.tenant, envelope.lane, envelope.id, "fetched")

    def _keep(self, response: Response) -> Response | None:
        try:
            self._body(response)
        except (Malformed, ValueError, ArithmeticError, RecursionError):
            return None
        return response if response.status == 200 else None  # noqa: PLR2004  the only one that brings a document

    def _refused(self, response: Response) -> Outcome:
        told = response.headers.get("retry-after", "")
        after = timedelta(seconds=int(told)) if _SECONDS.fullmatch(told) else None
        row = _ROWS.get(response.status, NO_STATUS)
        if row.is_yes:
            return Retry(Reason.NOT_UNDERSTOOD, f"fetching: {response.status}")
        return judged(row, f"fetching: {response.status}", repeatable=True, after=after)

    def _body(self, response: Response) -> bytes:
        """The bytes of the document. Raises Malformed, ValueError, RecursionError."""
        if not response.is_whole:
            raise Malformed("cut off")
        if self.settings.document is None:
            found, body = _exact(response.body), response.body
        else:
            scope = {"answer": _exact(response.body), "status": response.status, "headers": response.headers}
            found = self.settings.document(scope)
            body = _encode(found)
        if type(found) is not dict:
            raise Malformed("no JSON object")
        return body

    def _named(self, response: Response, now: datetime) -> Envelope:
        body = self._body(response)
        scope = {**self.scope, "doc": _exact(body)}
        version = self.settings.version(scope) if self.settings.version is not None else None
        time = self.settings.time(scope) if self.settings.time is not None else version
        return msgspec.structs.replace(
            self.envelope,
            id=self._id,
            kind=self.kind,
            version=version,
            occurred_at=time,
            aliases=self.aliased(self.settings.aliases, scope),
            received_at=now,
            came_at=None,
            raw=body,
        )
