"""The text that is signed, made of parts of a request by a template such as `{ts}.{body}`, and the key that signs."""

import base64
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Literal, TypeAlias
from urllib.parse import parse_qsl

import msgspec

from bridge.errors import BridgeError
from bridge.surrogates import decoded

BODY: Final = "{body}"
RECEIVED: Final = frozenset(("body", "ts", "url"))
"""Parts of a request that came in, beside its headers, its query and its document."""
MADE: Final = RECEIVED | {"method", "path"}
"""The same of a request that is made."""
_PART: Final = re.compile(r"\{([a-z]+|header:[A-Za-z0-9-]+|query:[^{}|]+|json:/[^{}|]+)(\|lower)?\}")
_GROUP: Final = re.compile(r"\[([^\[\]]*)\]")
_decode: Final = msgspec.json.decode


KeyForm: TypeAlias = Literal["text", "base64", "hex"]


class Incomplete(BridgeError):
    """A part of what is signed is not in the request."""


def key_of(secret: str, form: KeyForm, prefix: str) -> bytes:
    """The key that a secret stands for. prefix: its beginning that is no part of the key. Raises ValueError if it is
    not written in that form."""
    text = secret.removeprefix(prefix)
    if form == "text":
        found = text.encode()
    elif form == "hex":
        found = bytes.fromhex(text)
    else:
        found = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    if not found:
        raise ValueError("empty")
    return found


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """The things that parts are taken from.

    headers  their names compare in any letter case
    query    what stands behind the `?`
    stamp    the digits of the time
    url      the whole address
    path     its path, as it is sent
    """

    body: bytes
    headers: Mapping[str, str]
    query: str = ""
    stamp: str = ""
    url: str = ""
    method: str = ""
    path: str = ""


_Take: TypeAlias = Callable[[Sources], bytes | None]


class Template:
    """A template, compiled. parts: those without a name in them. Raises ValueError with what is wrong with it."""

    def __init__(self, text: str, parts: Collection[str]) -> None:
        self._parts = parts
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
            if ":" not in match[1] and match[1] not in self._parts:
                raise ValueError(self._complaint(match[0]))
            parts += [self._literal(text[end : match.start()]), _part(match[1], lower=bool(match[2]))]
            end = match.end()
        self._groups.append((is_optional, [*parts, self._literal(text[end:])]))

    def _literal(self, text: str) -> _Take:
        if "{" in text or "}" in text:
            raise ValueError(self._complaint(text))
        raw = text.encode()
        return lambda _: raw

    def _complaint(self, text: str) -> str:
        named = ", ".join(f"{{{name}}}" for name in sorted(self._parts))
        return f"{text!r}: parts of what is signed are {named}, {{header:NAME}}, {{query:NAME}} and {{json:/POINTER}}"

    def made(self, sources: Sources) -> bytes:
        """The text that was signed. Raises Incomplete if a part of it is not there."""
        whole = bytearray()
        for is_optional, parts in self._groups:
            found = [part(sources) for part in parts]
            if None not in found:
                whole += b"".join(part for part in found if part is not None)
            elif not is_optional:
                raise Incomplete("a part of what is signed is not there")
        return bytes(whole)


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
        found = sources.headers.get(name)
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
        found = parameters(sources.query).get(name)
        return found.encode() if found else None

    return take


def _json(pointer: str) -> _Take:
    steps = pointer.lstrip("/").split("/")

    def take(sources: Sources) -> bytes | None:
        try:
            found = decoded(_decode, sources.body)
        except (ValueError, RecursionError):
            return None
        for step in steps:
            found = found.get(step) if isinstance(found, dict) else None
        is_scalar = isinstance(found, str) or type(found) is int
        return str(found).encode(errors="surrogatepass") if is_scalar else None

    return take


_PARTS: Final[Mapping[str, Callable[[str], _Take]]] = {
    "body": lambda _: lambda sources: sources.body,
    "ts": lambda _: lambda sources: sources.stamp.encode(),
    "url": lambda _: lambda sources: sources.url.encode(),
    "method": lambda _: lambda sources: sources.method.encode(),
    "path": lambda _: lambda sources: sources.path.encode(),
    "header": _header,
    "query": _query,
    "json": _json,
}
