"""The request that an event becomes. Nothing here knows what comes back."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

import msgspec
from pydantic import GetJsonSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema

from bridge.contract import Json, Request, Response
from bridge.errors import Malformed
from bridge.setting_types import Compiled, EventCondition, Expression
from connectors.http.template import Filled, Filling, Text, Unfilled, scalar

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Characters that no header can carry."""
_TYPES: Final[Mapping[str, str]] = {"json": "application/json", "form": "application/x-www-form-urlencoded"}


class Repeatable(EventCondition):
    """Whether a request may be repeated: always, never, or under a condition."""

    __slots__ = ("fixed",)

    def __init__(self, source: str, compiled: Compiled, fixed: bool | None = None) -> None:  # noqa: FBT001  a value
        super().__init__(source, compiled)
        self.fixed = fixed

    @classmethod
    def always(cls, *, value: bool) -> "Repeatable":
        """The same for every event."""
        return cls(str(value).lower(), lambda _: value, value)

    @classmethod
    def _parse(cls, given: object, info: ValidationInfo) -> "Expression":
        return cls.always(value=given) if isinstance(given, bool) else super()._parse(given, info)

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": "^="}]}


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
    repeatable: Repeatable
    shadow: Response

    def of(self, filling: Filling) -> Request:
        """The request of an event. Raises Unfilled where the event lacks what a place needs."""
        return Request(
            method=self.method,
            url=self._url(filling),
            headers=self._headers(filling),
            body=self._body(filling),
            repeatable=self._is_repeatable(filling),
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

    def _is_repeatable(self, filling: Filling) -> bool:
        if self.repeatable.fixed is not None:
            return self.repeatable.fixed
        try:
            return bool(self.repeatable(filling.scope()))
        except Malformed as problem:
            raise Unfilled(f"repeatable: {problem}") from None

    def _url(self, filling: Filling) -> str:
        path = self.path.text(filling, escaped=_segment)
        if {".", ".."} & set(path.split("/")):
            raise Unfilled("path: a part of it would be a dot or two, which lead elsewhere")
        parameters = [(name, text) for name, text in _filled(self.query, filling, "query")]
        return f"{self.url}{path}{'?' if parameters else ''}{urlencode(parameters, quote_via=quote, errors='replace')}"

    def _headers(self, filling: Filling) -> Mapping[str, str]:
        if not self.headers and not self.idempotency_key:
            return self.fixed
        headers = {**self.fixed}
        for name, text in _filled(self.headers, filling, "headers"):
            if _UNFIT.search(text):
                raise Unfilled(f"headers.{name}: holds a line end or another control character")
            headers[name] = text
        if self.idempotency_key:
            headers[self.idempotency_key] = filling.key
        return headers

    def _body(self, filling: Filling) -> bytes | None:
        if self.body == "none":
            return None
        content = filling.event.give if self.content is None else self.content(filling)
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


def _filled(texts: Mapping[str, Text], filling: Filling, of: str) -> Iterator[tuple[str, str]]:
    for name, text in texts.items():
        try:
            yield name.removesuffix("?"), text.text(filling)
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
