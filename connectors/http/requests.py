"""The request that an event becomes. Nothing here knows what comes back."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote, urlencode

import msgspec

from bridge.contract import Event, Json, Request, Response
from connectors.http.template import Filled, Text, Unfilled, scalar

Method = Literal["POST", "PUT", "PATCH", "DELETE"]

_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Characters that no header can carry."""
_TYPES: Final[Mapping[str, str]] = {"json": "application/json", "form": "application/x-www-form-urlencoded"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """Makes requests as the settings say.

    url             address without the path that events fill
    secret_headers  names of `fixed` that hold a secret, in lower case
    idempotency_key header for the key of a fact; empty: none
    shadow          stands in for the answer in shadow mode
    """

    method: Method
    url: str
    path: Text
    query: Mapping[str, Text]
    headers: Mapping[str, Text]
    fixed: Mapping[str, str]
    secret_headers: frozenset[str]
    secret_query: Mapping[str, str]
    body: Literal["json", "form", "none"]
    content: Filled | None
    idempotency_key: str
    repeatable: bool
    shadow: Response

    def of(self, event: Event, key: str) -> Request:
        """The request of an event. Raises Unfilled where the event lacks what a place needs."""
        return Request(
            method=self.method,
            url=self._url(event, key),
            headers=self._headers(event, key),
            body=self._body(event, key),
            repeatable=self.repeatable,
            shadow=self.shadow,
            secret_query=self.secret_query,
            secret_headers=self.secret_headers,
        )

    def probe(self, path: str) -> Request:
        """The harmless read."""
        return Request(
            method="GET",
            url=f"{self.url}{path}",
            headers=self.fixed,
            repeatable=True,
            secret_query=self.secret_query,
            secret_headers=self.secret_headers,
        )

    def _url(self, event: Event, key: str) -> str:
        path = self.path.text(event, key, escaped=_segment)
        if {".", ".."} & set(path.split("/")):
            raise Unfilled("path: a part of it would be a dot or two, which lead elsewhere")
        parameters = [(name, text) for name, text in _filled(self.query, event, key, "query")]
        return f"{self.url}{path}{'?' if parameters else ''}{urlencode(parameters, quote_via=quote, errors='replace')}"

    def _headers(self, event: Event, key: str) -> Mapping[str, str]:
        if not self.headers and not self.idempotency_key:
            return self.fixed
        headers = {**self.fixed}
        for name, text in _filled(self.headers, event, key, "headers"):
            if _UNFIT.search(text):
                raise Unfilled(f"headers.{name}: holds a line end or another control character")
            headers[name] = text
        if self.idempotency_key:
            headers[self.idempotency_key] = key
        return headers

    def _body(self, event: Event, key: str) -> bytes | None:
        if self.body == "none":
            return None
        content = event.give if self.content is None else self.content(event, key)
        if self.body == "form":
            return urlencode(list(_fields(content, "")), errors="replace").encode("ascii")
        try:
            return _encode(content)
        except (ValueError, UnicodeEncodeError):
            raise Unfilled("the body holds a number or a text that JSON cannot have") from None


def fixed_headers(
    body: Literal["json", "form", "none"], authentication: Mapping[str, str], said: Collection[str]
) -> Mapping[str, str]:
    """The headers that every request has. said: names of those that the settings say, in lower case."""
    usual = {"Accept": "application/json", "Content-Type": _TYPES.get(body, "")}
    return {name: text for name, text in usual.items() if text and name.lower() not in said} | dict(authentication)


def _segment(text: str) -> str:
    """A text as a part of a path: nothing in it can end the part. Raises Unfilled if it is empty."""
    if not text:
        raise Unfilled("path: a part of it is empty")
    return quote(text, safe="", errors="replace")


def _filled(texts: Mapping[str, Text], event: Event, key: str, of: str) -> Iterator[tuple[str, str]]:
    for name, text in texts.items():
        try:
            yield name.removesuffix("?"), text.text(event, key)
        except Unfilled as problem:
            if not name.endswith("?"):
                raise Unfilled(f"{of}.{name}: {problem}") from None


def _fields(value: Json, name: str) -> Iterator[tuple[str, str]]:
    """The fields of a form: nested values are named `a[b]` and `a[0]`."""
    inner: Sequence[tuple[str, Json]]
    match value:
        case dict():
            inner = [(f"{name}[{key}]" if name else str(key), one) for key, one in value.items()]
        case list():
            inner = [(f"{name}[{index}]", one) for index, one in enumerate(value)]
        case _:
            yield name, scalar(name, value)
            return
    for key, one in inner:
        yield from _fields(one, key)
