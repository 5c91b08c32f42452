"""Read bodies of the API with trust in nothing: its own answers are recognised by what is documented of them.

An answer of the API's is a whole JSON object without errors (docs/contracts/hellotext.md 0.4, 1.2, 1.4, 1.6, 1.7). Any
other body with a status of success comes from a proxy, a firewall or a website, or is of no use.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

import msgspec

from bridge.contract import Json, Response

_SAFE = re.compile(r"[A-Za-z](?:[A-Za-z_.]|\[(?:[0-9]{1,3}|[a-z_]{0,20})\])*")
"""The parts of an error body that may be shown: names of types and parameters, such as `items[0].price`. No @ is
allowed, and digits only as an index: no address and no number of a person passes."""
_LONGEST = 64  # characters
_DEEPEST = 4  # levels
_MOST_ERRORS = 5  # errors
_MEDIA_TYPE = re.compile(r"[a-z]{1,20}/[a-z.+-]{1,40}")
_JSON = re.compile(r"application/([a-z0-9.-]+\+)?json")
_CUT = 206
"""The status of partial content, which nobody asked for."""
_FIREWALLS = ("x-amzn-waf-action", "cf-mitigated")
"""Headers by which a firewall says that it answered itself, with a challenge to a browser, and let nothing pass."""

_anything = msgspec.json.Decoder()
_encode = msgspec.json.encode


def received(response: Response) -> bool:
    """Whether an event was taken: `{"status": "received"}`, or `{"state": "ok"}` as it was first documented."""
    told = _mapping(response)
    return told is not None and (told.get("status") == "received" or told.get("state") == "ok")


def identity(response: Response) -> str | None:
    """The `id` of the object in an answer."""
    found = (_mapping(response) or {}).get("id")
    return str(found) or None if isinstance(found, str | int) and not isinstance(found, bool) else None


def identified(response: Response) -> Response | None:
    """The part of an answer about a profile or a session that is remembered: its id, and nothing of the person."""
    found = identity(response)
    return None if found is None else Response(status=response.status, body=_encode({"id": found}))


def is_listing(response: Response) -> bool:
    """Whether it is an array, or an object without errors: the form of lists is not documented."""
    return _mapping(response) is not None or isinstance(_document(response), list)


def is_page(response: Response) -> bool:
    """Whether it is a page in HTML, which the API never answers."""
    return response.body.lstrip().startswith(b"<")


def is_challenge(response: Response) -> bool:
    """Whether a firewall answered itself: then the request has not come to the API."""
    return any(name in response.headers for name in _FIREWALLS)


def outlined(response: Response) -> str:
    """The kind of a body and its size: all that may be shown of a body that nobody vouches for."""
    kind = _media_type(response.headers.get("content-type", ""))
    shown = kind if _MEDIA_TYPE.fullmatch(kind) else "an odd content type" if kind else "no content type"
    return f"{shown}, {'' if response.is_whole else 'more than '}{len(response.body)} bytes"


def errors(response: Response) -> list[tuple[str, str]]:
    """Type and parameter of the first errors of a body, whichever of the known forms it has; each may be empty."""
    document = _document(response)
    if not isinstance(document, dict):
        return []
    told = document.get("errors") or document.get("error")
    return [error for error, _ in zip(_walked(told, "", _DEEPEST), range(_MOST_ERRORS), strict=False)]


def _mapping(response: Response) -> dict[str, Json] | None:
    """The object that the API answers with. None: it is not the API's, not whole, or reports errors."""
    if response.status == _CUT or not response.is_whole or not _may_be_json(response.headers.get("content-type", "")):
        return None
    document = _document(response)
    is_good = isinstance(document, dict) and not document.get("errors") and not document.get("error")
    return document if is_good else None


@lru_cache(maxsize=64)
def _may_be_json(content_type: str) -> bool:
    kind = _media_type(content_type)
    return not kind or _JSON.fullmatch(kind) is not None


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _document(response: Response) -> Json:
    try:
        return _anything.decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _walked(told: Json, place: str, depth: int) -> Iterator[tuple[str, str]]:
    """The errors of a body: a list, a single one, or nested under the names of their parameters."""
    if depth and isinstance(told, list):
        for one in told:
            yield from _walked(one, place, depth - 1)
    elif isinstance(told, dict) and ("type" in told or "parameter" in told):
        yield _printable(told.get("type")), _printable(told.get("parameter") or place)
    elif depth and isinstance(told, dict):
        for name, one in told.items():
            yield from _walked(one, name, depth - 1)
    elif place:
        yield "", _printable(place)


def _printable(word: Json) -> str:
    return word if isinstance(word, str) and len(word) <= _LONGEST and _SAFE.fullmatch(word) else ""
