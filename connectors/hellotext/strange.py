"""Answers with a status of success that are not the API's, as seen in the field. The sandbox can play them."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

Strange: TypeAlias = Literal["challenge", "text", "page", "errors", "array", "truncated", "empty", "other", "typed"]


class Reply(NamedTuple):
    """A reply, as bytes."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = {}


_JSON = "application/json"
STRANGE: Mapping[Strange, Reply] = {
    "challenge": Reply(202, "text/html", b"", {"x-amzn-waf-action": "challenge"}),
    "text": Reply(200, "text/plain", b"OK"),
    "page": Reply(200, "text/html", b"<!doctype html><title>Log in</title>"),
    "errors": Reply(200, _JSON, b'{"errors":[{"type":"not_allowed","message":"x","parameter":null}]}'),
    "array": Reply(200, _JSON, b"[]"),
    "truncated": Reply(200, _JSON, b'{"status":"rece'),
    "empty": Reply(200, _JSON, b""),
    "other": Reply(200, _JSON, b'{"message":"welcome"}'),
    "typed": Reply(200, "text/plain", b'{"status":"received","id":"x1"}'),
}
"""The strange answers: `challenge` of a firewall, `text` of a health check, `page` of a website, `errors` for a refusal
that the status hides, `other` for JSON of something else, `typed` for the right words under a content type that is not
the API's."""
