"""Answers of the door. They say what to do about a refusal, and nothing about us. Each is written in one piece."""

from email.utils import formatdate
from functools import lru_cache
from http.client import responses

from aiohttp import HttpVersion11, web

from bridge import clock
from bridge.errors import Reply

_TEXTS = {
    400: "the request is not framed as HTTP says",
    401: "no configured secret made this signature",
    404: "no source has this path",
    405: "deliveries are posted",
    408: "not all of the body came in time",
    413: "the body is too large",
    417: "no such expectation is met",
    431: "the headers are too large",
    500: "not stored: an error in the connector; send it again later",
    503: "not stored: send it again later",
}
_MORE = {405: ("Allow: POST",), 503: ("Retry-After: 10",)}
_CLOSING = frozenset({408, 413, 417, 431, 503})
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""The answer that a client which has sent `Expect: 100-continue` waits for before the body (RFC 9110, 10.1.1)."""


def closes(status: int) -> bool:
    """Whether the connection ends with this answer: what was not read is not awaited."""
    return status in _CLOSING


STORED = Reply(stored=True)
"""The usual answer to a delivery that is stored: 200, and nothing more."""


@lru_cache(maxsize=64)
def refusal(status: int) -> Reply:
    """The reply that refuses, with what to do about it."""
    return Reply(status, f"{_TEXTS[status]}\n" if status in _TEXTS else "")


def answer(reply: Reply, *, keep_alive: bool, is_head: bool = False) -> bytes:
    """The whole answer, with the headers that RFC 9110 asks for. is_head: without the text."""
    head, text = _answer(reply, keep_alive, int(clock.seconds()))
    return head if is_head else head + text


@lru_cache(maxsize=64)
def _answer(reply: Reply, keep_alive: bool, second: int) -> tuple[bytes, bytes]:  # noqa: FBT001  quicker so
    """Head and text."""
    status, text, kind, _ = reply
    lines = [
        f"HTTP/1.1 {status} {responses.get(status, 'Refused')}",
        f"Date: {formatdate(second, usegmt=True)}",
        *_MORE.get(status, ()),
        *([f"Content-Type: {kind}"] if text else []),
        f"Content-Length: {len(text)}",
        *([] if keep_alive else ["Connection: close"]),
        "\r\n",
    ]
    return "\r\n".join(lines).encode("ascii"), text.encode("ascii")


def stays(request: web.BaseRequest, status: int) -> bool:
    """Whether the connection stays after the answer, by the request and the status.

    A connection ends with a request that was refused before its end. It also ends with a chunked request: aiohttp's
    parser hands over what it has read of the trailers as headers of the next request (seen with 3.14.5).
    """
    is_read = request.content.is_eof() and "Transfer-Encoding" not in request.headers
    return is_read and request.keep_alive and request.version == HttpVersion11 and not closes(status)
