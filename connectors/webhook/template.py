"""The text that a platform signs, made of parts of a delivery by a template such as `{ts}.{body}`."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias
from urllib.parse import parse_qsl

import msgspec

from bridge.contract import HttpArrival
from bridge.errors import NotAuthentic
from bridge.surrogates import decoded

BODY: Final = "{body}"
_PART: Final = re.compile(r"\{(body|ts|url|header:[A-Za-z0-9-]+|query:[^{}|]+|json:/[^{}|]+)(\|lower)?\}")
_GROUP: Final = re.compile(r"\[([^\[\]]*)\]")
_decode: Final = msgspec.json.decode


class Sources(msgspec.Struct, frozen=True):
    """The things that parts are taken from.

    url  the public address, as the platform was told it
    """

    arrival: HttpArrival
    stamp: str
    url: str


_Take: TypeAlias = Callable[[Sources], bytes | None]


class Template:
    """A template, compiled. Raises ValueError with what is wrong with it."""

    def __init__(self, text: str) -> None:
        self.is_body = text == BODY
        self.has_time = "{ts}" in text
        self.has_body = BODY in text
        self.has_url = "{url}" in text
        self._groups: list[tuple[bool, Sequence[_Take]]] = []
        end = 0
        for match in _GROUP.finditer(text):
            self._add(text[end : match.start()], is_optional=False)
            self._add(match[1], is_optional=True)
            end = match.end()
        self._add(text[end:], is_optional=False)

    def _add(self, text: str, *, is_optional: bool) -> None:
        parts: list[_Take] = []
        end = 0
        for match in _PART.finditer(text):
            parts += [_literal(text[end : match.start()]), _part(match[1], lower=bool(match[2]))]
            end = match.end()
        self._groups.append((is_optional, [*parts, _literal(text[end:])]))

    def made(self, sources: Sources) -> bytes:
        """The text that was signed. Raises NotAuthentic if a part of it is not there."""
        whole = bytearray()
        for is_optional, parts in self._groups:
            found = [part(sources) for part in parts]
            if None not in found:
                whole += b"".join(part for part in found if part is not None)
            elif not is_optional:
                raise NotAuthentic("a part of what is signed is not in the delivery")
        return bytes(whole)


def _literal(text: str) -> _Take:
    if "{" in text or "}" in text:
        raise ValueError(
            f"{text!r}: parts of what is signed are {{body}}, {{ts}}, {{url}}, {{header:NAME}}, {{query:NAME}} and "
            "{json:/POINTER}"
        )
    raw = text.encode()
    return lambda _: raw


def _part(name: str, *, lower: bool) -> _Take:
    kind, _, of = name.partition(":")
    take = _PARTS[kind](of)
    if not lower:
        return take

    def lowered(sources: Sources) -> bytes | None:
        found = take(sources)
        return None if found is None else found.lower()

    return lowered


def raw(text: str) -> bytes:
    """The bytes of a header, as they came. Undecodable bytes arrive as lone surrogates."""
    return text.encode(errors="surrogateescape")


def _header(name: str) -> _Take:
    def take(sources: Sources) -> bytes | None:
        found = sources.arrival.headers.get(name)
        return raw(found) if found else None

    return take


def parameters(query: str) -> Mapping[str, str]:
    """The parameters of a query. Of several with one name the first counts."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        found.setdefault(name, value)
    return found


def _query(name: str) -> _Take:
    def take(sources: Sources) -> bytes | None:
        found = parameters(sources.arrival.query).get(name)
        return found.encode() if found else None

    return take


def _json(pointer: str) -> _Take:
    steps = pointer.lstrip("/").split("/")

    def take(sources: Sources) -> bytes | None:
        try:
            found = decoded(_decode, sources.arrival.body)
        except (ValueError, RecursionError):
            return None
        for step in steps:
            found = found.get(step) if isinstance(found, dict) else None
        is_scalar = isinstance(found, str) or type(found) is int
        return str(found).encode(errors="surrogatepass") if is_scalar else None

    return take


_PARTS: Final[Mapping[str, Callable[[str], _Take]]] = {
    "body": lambda _: lambda sources: sources.arrival.body,
    "ts": lambda _: lambda sources: sources.stamp.encode(),
    "url": lambda _: lambda sources: sources.url.encode(),
    "header": _header,
    "query": _query,
    "json": _json,
}
