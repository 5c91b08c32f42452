"""Who may look and who may act: tokens, signed cookies, and forms that only the console's own pages can send."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from http import HTTPStatus
from typing import Final, Protocol
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bridge import chance, clock
from bridge.config.sections import ConsoleSettings
from bridge.errors import BridgeError
from bridge.telemetry import emit, frames

_LASTS: Final = 12 * 3600  # seconds
_AFTER_A_WRONG_TOKEN: Final = 0.5  # seconds: so many are tried in that time that one after the other is refused
_NONCE: Final = 16  # bytes
FORM_TOKEN: Final = "form"  # noqa: S105  the name of a field
"""The field of a form that tells that the page which sent it is one of this console, shown to this visitor."""

HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Headers of every page: no script but the console's own file, in no frame, kept in no cache."""


class Right(IntEnum):
    """What a visitor may do. Each right includes those before it."""

    NONE = 0
    LOOK = 1
    ACT = 2

    @property
    def words(self) -> str:
        return ("nothing", "look", "look and act")[self]


class Forbidden(BridgeError):
    """The visitor may not do this, or the form is not one of the console's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The tokens of the console, and the key that signs cookies and forms. The key is made of the tokens: a visitor of
    one replica is known to the others, and a changed token ends all visits."""

    tokens: Mapping[Right, str]
    key: bytes
    is_open: bool
    """Whether everybody who reaches the console may look."""

    @classmethod
    def of(cls, settings: ConsoleSettings) -> "Access":
        given = {Right.LOOK: settings.read_token, Right.ACT: settings.act_token}
        tokens = {right: token.reveal() for right, token in given.items() if token is not None}
        made_of = b"".join(_digest(tokens[right]) for right in sorted(tokens))
        return cls(
            tokens=tokens,
            key=_digest(made_of) if tokens else chance.octets(32),
            is_open=settings.read_token is None,
        )

    def right_of(self, request: web.Request) -> Right:
        """The right of whoever asks."""
        least = Right.LOOK if self.is_open else Right.NONE
        right, _, rest = self._cookie(request).partition(".")
        until, _, nonce = rest.partition(".")
        if not nonce or int(until) < clock.seconds():
            return least
        return max(least, Right(int(right)))

    def _cookie(self, request: web.Request) -> str:
        """The content of the visitor's cookie. Empty: there is none that this console signed."""
        content, _, seal = request.cookies.get(_cookie_name(request), "").rpartition(".")
        return content if content and hmac.compare_digest(seal.encode(), self._seal("cookie", content).encode()) else ""

    def _seal(self, what: str, content: str) -> str:
        made = hmac.digest(self.key, f"{what}:{content}".encode(), "sha256")
        return base64.urlsafe_b64encode(made).decode().rstrip("=")

    async def sign_in(self, token: str) -> Right:
        """The right that a token gives. Raises Forbidden."""
        given = _digest(token)
        found = [right for right, known in self.tokens.items() if hmac.compare_digest(_digest(known), given)]
        if not found:
            await asyncio.sleep(_AFTER_A_WRONG_TOKEN)
            raise Forbidden("no token of this console")
        return found[0]

    def admit(self, request: web.Request, answer: web.StreamResponse, right: Right) -> None:
        """Give the visitor a cookie that carries this right."""
        nonce = base64.urlsafe_b64encode(chance.octets(_NONCE)).decode().rstrip("=")
        content = f"{int(right)}.{int(clock.seconds()) + _LASTS}.{nonce}"
        value = f"{content}.{self._seal('cookie', content)}"
        answer.set_cookie(
            _cookie_name(request), value, max_age=_LASTS, httponly=True, samesite="Strict", secure=request.secure
        )

    def dismiss(self, request: web.Request, answer: web.StreamResponse) -> None:
        """Take the visitor's cookie away."""
        answer.del_cookie(_cookie_name(request), httponly=True, samesite="Strict")

    def form_token(self, request: web.Request) -> str:
        """The value of FORM_TOKEN in forms that are shown to this visitor."""
        return self._seal("form", self._cookie(request))

    def check_form(self, request: web.Request, given: str) -> None:
        """Raises Forbidden if the form was not sent by a page of this console that was shown to this visitor."""
        check_origin(request)
        if not hmac.compare_digest(given.encode(), self.form_token(request).encode()):
            raise Forbidden("the form is not one of this console, or you signed in again since: open the page anew")


def check_origin(request: web.Request) -> None:
    """Raises Forbidden if a page of another origin sent this. Browsers say so; other programs have no visitor's
    cookie."""
    origin = request.headers.get("Origin")
    is_ours = origin is None or urlsplit(origin).netloc == request.host
    if not is_ours or request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise Forbidden("the form was sent by a page of another site")


def _digest(text: str | bytes) -> bytes:
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).digest()


def _cookie_name(request: web.Request) -> str:
    """Browsers keep cookies by host, whatever the port: two bridges of one machine have two names."""
    return f"bridge-console-{request.url.port}"


class Says(Protocol):
    """What says in a page of its own why something was refused."""

    def refusal(self, request: web.Request, status: HTTPStatus, why: str) -> web.Response: ...
    def sign_in_first(self, request: web.Request) -> web.Response: ...


_FAILED: Final = "This page could not be made; the log event console.failed says where."
_OPEN_PATHS: Final = frozenset({"/sign-in", "/static/console.css", "/static/console.js"})


def guarded(access: Access, says: Says) -> Middleware:
    """Lets only those look who may, and puts the headers on every answer."""

    @web.middleware
    async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in _OPEN_PATHS and access.right_of(request) < Right.LOOK:
            answer: web.StreamResponse = says.sign_in_first(request)
        else:
            answer = await _answered(request, handler, says)
        for name, value in HEADERS.items():
            answer.headers.setdefault(name, value)
        return answer

    return checked


async def _answered(request: web.Request, handler: Handler, says: Says) -> web.StreamResponse:
    try:
        return await handler(request)
    except Forbidden as refused:
        emit("console.refused", detail=str(refused))
        return says.refusal(request, HTTPStatus.FORBIDDEN, str(refused))
    except BridgeError as problem:
        return says.refusal(request, HTTPStatus.SERVICE_UNAVAILABLE, str(problem))
    except web.HTTPException as answer:
        return says.refusal(request, HTTPStatus(answer.status), answer.text or answer.reason)
    except Exception as problem:  # noqa: BLE001  the boundary to a visitor: one page that fails ends no other
        emit("console.failed", problem=type(problem).__name__, frames=frames(problem))
        return says.refusal(request, HTTPStatus.INTERNAL_SERVER_ERROR, _FAILED)
