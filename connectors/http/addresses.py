"""Check what the settings say of requests: no event decides the host, nothing travels in the clear, no secret shows."""

import re
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from bridge.credentials import TOKEN
from connectors.http.template import Text


def _path_complaint(path: str) -> str:
    """Describe what is wrong with a path behind an address. Empty if nothing is."""
    if path and not path.startswith("/"):
        return "a path begins with /, so that it cannot change the host"
    if re.search(r"[?#\\\s\x00-\x1f]", path):
        return "a path takes no ?, no #, no \\ and no blank: parameters stand in `query:`"
    return "a part of a path is not . or .." if {".", ".."} & set(path.split("/")) else ""


_OURS: Final = frozenset(
    ("host", "content-length", "transfer-encoding", "connection", "expect", "te", "trailer", "upgrade")
)
"""Headers that belong to the bridge."""
_SECRET: Final = re.compile(r"authorization|cookie|secret|token|password|api[-_]?key", re.IGNORECASE)
"""Names whose fixed text is probably a secret."""


def _header_complaint(name: str, text: Text) -> str:
    """Describe what is wrong with a header that the settings say. Empty if nothing is."""
    if not re.fullmatch(TOKEN, name):
        return f"{name!r} is no name of a header"
    if name.lower() in _OURS:
        return f"{name} is made by the bridge: take it away"
    if text.is_constant and _SECRET.search(name):
        return f"{name} looks like a secret: write `authentication: {{header: {name}, secret: env:NAME}}`"
    return "" if text.written.isprintable() else f"{name}: its text has a line end or another control character"


def _query_complaint(name: str, text: Text) -> str:
    """Describe what is wrong with a parameter that the settings say. Empty if nothing is."""
    if text.is_constant and _SECRET.search(name):
        return f"{name} looks like a secret: write `authentication: {{query: {name}, secret: env:NAME}}`"
    return ""


def _path(path: Text) -> Text:
    if problem := _path_complaint(path.written):
        raise PydanticCustomError("path", "{problem}", {"problem": problem})
    return path


def _headers(headers: dict[str, Text]) -> dict[str, Text]:
    for name, text in headers.items():
        if problem := _header_complaint(name.removesuffix("?"), text):
            raise PydanticCustomError("header", "{problem}", {"problem": problem})
    return headers


def _query(query: dict[str, Text]) -> dict[str, Text]:
    for name, text in query.items():
        if problem := _query_complaint(name, text):
            raise PydanticCustomError("query", "{problem}", {"problem": problem})
    return query


Path: TypeAlias = Annotated[Text, AfterValidator(_path)]
"""The part of an address behind its fixed part."""
Headers: TypeAlias = Annotated[dict[str, Text], AfterValidator(_headers)]
"""Headers by name."""
Query: TypeAlias = Annotated[dict[str, Text], AfterValidator(_query)]
"""Parameters by name."""
