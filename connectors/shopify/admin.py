"""Ask the shop itself through the ShopifyAPI package. Only this module imports it. It makes the errands of a Shopify
source.

The package does much unasked (docs/contracts/shopify.md 8). It waits without end, follows redirects with the token to
any host, and logs tokens at level debug. It forces the host to *.myshopify.com, keeps sessions per class and thread,
and loses fields in `to_dict()`. All this is fenced off here: one function enters the session, takes the raw bytes, and
leaves it again.
"""

import logging
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import shopify
from pyactiveresource import connection as active
from pyactiveresource import formats
from shopify.base import ShopifyConnection

from bridge import clock
from bridge.contract import Response
from bridge.errors import ErrandFailed, NoAnswer
from connectors.shopify import Shopify
from connectors.shopify.errands import ShopifyErrands

TIMEOUT = timedelta(seconds=10)
"""The longest time between two pieces of an answer."""
WHOLE = timedelta(seconds=45)
"""The longest time for a whole request and its answer."""
_PIECE = 1 << 16  # bytes
_LONGEST = 64 * 1024 * 1024  # bytes

# It logs every header of a request, the token among them.
logging.getLogger("pyactiveresource.connection").disabled = True


class _Session:
    """The part of a session that `activate_session` reads. The host stays as it is configured."""

    def __init__(self, site: str, token: str, version: str) -> None:
        self.site = site
        self.url = urlsplit(site).netloc
        self.token = token
        try:
            self.api_version = shopify.ApiVersion.coerce_to_version(version)
        except (shopify.VersionNotFoundError, TypeError):
            raise ErrandFailed(f"there is no API version {version!r}: write one such as 2026-10") from None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A handler that refuses redirects: they would be followed with the token, to whatever host they name."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


class _Bounded:
    """An answer that is read within a time and a size, whatever the other side does."""

    def __init__(self, response: Any, until: float) -> None:  # noqa: ANN401  of urllib
        self._response = response
        self._until = until
        self.code = response.code
        self.headers = response.headers
        self.msg = response.msg

    def read(self) -> bytes:
        body = bytearray()
        while piece := self._response.read1(_PIECE):
            body += piece
            if clock.monotonic() > self._until:
                raise NoAnswer("Shopify's answer did not end in time")
            if len(body) > _LONGEST:
                raise ErrandFailed("Shopify's answer is larger than 64 MiB")
        told = self.headers.get("Content-Length", "")
        if told.isdecimal() and len(body) < int(told):
            raise NoAnswer("Shopify's answer broke off")
        return bytes(body)

    def close(self) -> None:
        self._response.close()


class _Connection(ShopifyConnection):  # type: ignore[misc]  # the package has no types
    """The package's connection with the fences: `_urlopen` is there to be overridden."""

    def _urlopen(self, request: urllib.request.Request) -> _Bounded:
        opener = urllib.request.build_opener(_NoRedirects)
        until = clock.monotonic() + WHOLE.total_seconds()
        return _Bounded(opener.open(request, timeout=self.timeout), until)


def get(url: str, token: str) -> Response:
    """One GET of the REST API, blocking; called in one thread only. Raises NoAnswer, ErrandFailed.

    url  whole: .../admin/api/VERSION/...
    """
    site, _, rest = url.partition("/admin/api/")
    version = rest.partition("/")[0]
    session = _Session(f"{site}/admin/api/{version}", token, version)
    try:
        shopify.ShopifyResource.activate_session(session)
        connection = _Connection(shopify.ShopifyResource.site, timeout=TIMEOUT.total_seconds())
        return _response(lambda: connection.get(url, headers=dict(shopify.ShopifyResource.headers)))
    except NoAnswer as silence:
        raise NoAnswer(f"{site}: {silence}") from None
    finally:
        shopify.ShopifyResource.clear_session()


def _response(ask: Callable[[], Any]) -> Response:
    """Turn what the package raises into what was answered. An answer of 5xx comes without its headers."""
    try:
        found = ask()
    except active.ServerError as problem:
        return Response(status=problem.code)
    except active.ConnectionError as problem:
        headers = problem.response.headers
        return Response(status=problem.response.code, headers={name.lower(): text for name, text in headers.items()})
    except active.Error as problem:
        raise NoAnswer(_detail(problem)) from None
    except (TimeoutError, OSError, formats.Error) as problem:
        raise NoAnswer(_detail(problem)) from None
    return Response(
        status=found.code,
        headers={name.lower(): text for name, text in found.headers.items()},
        body=found.body,
    )


def _detail(problem: BaseException) -> str:
    """Describe a problem by its kind, not by its text, which may quote an answer."""
    inner = problem.args[0] if problem.args else problem
    reason = getattr(inner, "reason", inner)
    found = reason if isinstance(reason, BaseException) else problem
    kinds = [kind.__name__ for kind in type(found).__mro__]
    words = next((_WORDS[kind] for kind in kinds if kind in _WORDS), kinds[0])
    return f"it cannot be reached: {words}"


_WORDS: Mapping[str, str] = {
    "gaierror": "the name does not resolve; is the shop's name right, and does DNS work on this machine?",
    "ConnectionRefusedError": "the connection is refused",
    "TimeoutError": "no answer in time",
    "ConnectionResetError": "the connection broke",
    "SSLError": "no TLS, or a certificate that is not trusted; is there a proxy on the way?",
}


def made(source: str, settings: Shopify) -> ShopifyErrands:
    """The errands of a source."""
    return ShopifyErrands(source, settings, get)


ADMIN = made
