"""A stand-in for the API on this machine: answers and refuses as the contract page says, and tells what it received.

Beside the API's own paths it has these:

    GET    /received          JSON Lines, one request a line: at, method, path, headers, body, status
    DELETE /received          forget what was received; profiles, sessions and orders stay
    POST   /fail              the next answers fail as told, see Failure
    GET    /fail              what is set, a line each, with how often it has struck
    DELETE /fail              nothing fails any more
    POST   /sessions/unknown  {"sessions": [...]}: sessions that it does not know; it knows every other
    DELETE /sessions/unknown  it knows every session
    DELETE /profiles          it knows nobody any more
    POST   /contract          {"contract": "legacy"}: it speaks the form that was first documented; `current`: as now

This module alone here does I/O. It is loaded by its name; nothing imports it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Literal, TypeAlias

import msgspec
from aiohttp import web

from bridge import clock
from bridge.contract import Json
from connectors.hellotext.business import Answer, Business, errors, one, page
from connectors.hellotext.strange import STRANGE, Strange

Form: TypeAlias = Literal["current", "legacy"]
Answering: TypeAlias = Callable[[web.Request, dict[str, Json]], Answer]

_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The way that requests fail until a change.

    status       the answer's; default: as if nothing were wrong (with delay: slow)
    processed    whether the request had its effect before the answer failed
    body         of the failing answer, such as a proxy's page; default: an error as JSON
    delay        seconds before anything else
    reset        the connection is cut `before` the body is read, or `after` the request had its effect
    strange      an answer with a status of success that is not the API's, by its name in strange.py: `challenge`,
                 `text`, `page`, `errors`, `array`, `truncated`, `empty`, `other`, `typed`
    retry_after  a header with status
    share        of the matching requests fail: 0.25 is every fourth
    times        so many fail, then no more; default: all
    path         only requests whose path begins so
    holds        only requests in whose body this text stands: an action, an address
    """

    status: int | None = None
    processed: bool = False
    body: str | None = None
    delay: float = 0
    reset: Literal["before", "after"] | None = None
    strange: Strange | None = None
    retry_after: str | int | float | None = None
    share: float = 1
    times: int | None = None
    path: str = "/"
    holds: str = ""

    @property
    def fails(self) -> bool:
        """Whether the answer is not the API's."""
        return self.status is not None or self.strange is not None

    @property
    def lets_through(self) -> bool:
        """Whether the request has its effect."""
        return self.processed or not self.fails


class Sandbox:
    """The API of one business behind HTTP: its token, its failures, and its memory of requests."""

    def __init__(self, business: Business, *, token: str | None, keep: int, failures: Collection[Failure]) -> None:
        self.business = business
        self.total = 0
        self.received: deque[bytes] = deque(maxlen=keep)
        self._token = token
        self._failures = [_Planned(failure) for failure in failures]

    def handler(self, answer: Answering) -> Callable[..., Awaitable[Any]]:
        """Wraps an answer of the API with everything that may happen to a request."""

        async def handle(request: web.Request) -> web.StreamResponse:
            failure = await self._failure(request)
            await asyncio.sleep(failure.delay)
            if failure.reset == "before":
                return self._cut(request, b"")
            body = await request.read()
            said = self._answered(request, body, answer) if failure.lets_through else (0, None)
            if failure.reset == "after":
                return self._cut(request, body)
            response = _failing(failure) if failure.fails else _response(*said)
            self._remember(request, body, response.status)
            return response

        return handle

    async def _failure(self, request: web.Request) -> Failure:
        """The first failure that strikes. The body is looked at only if a failure asks for it."""
        looks = any(planned.failure.holds for planned in self._failures)
        text = (await request.read()).decode(errors="replace") if looks else ""
        return next((planned.failure for planned in self._failures if planned.strikes(request.path, text)), Failure())

    async def tell(self, _request: web.Request) -> web.Response:
        text = b"".join(line + b"\n" for line in self.received)
        return web.Response(body=text, content_type="application/jsonl", headers={"X-Total": str(self.total)})

    async def forget(self, _request: web.Request) -> web.Response:
        self.received.clear()
        self.total = 0
        return web.Response(status=204)

    async def fail(self, request: web.Request) -> web.Response:
        try:
            failure = msgspec.json.decode(await request.read(), type=Failure)
        except msgspec.DecodeError as problem:
            return web.Response(status=400, text=f"{problem}\n")
        self._failures.append(_Planned(failure))
        return web.Response(status=204)

    async def tell_failures(self, _request: web.Request) -> web.Response:
        text = b"".join(msgspec.json.encode(planned.described()) + b"\n" for planned in self._failures)
        return web.Response(body=text, content_type="application/jsonl")

    async def recover(self, _request: web.Request) -> web.Response:
        self._failures.clear()
        return web.Response(status=204)

    async def lose_sessions(self, request: web.Request) -> web.Response:
        try:
            told = msgspec.json.decode(await request.read(), type=dict[Literal["sessions"], list[str]])
        except msgspec.DecodeError as problem:
            return web.Response(status=400, text=f"{problem}\n")
        self.business.unknown_sessions.update(told.get("sessions", ()))
        return web.Response(status=204)

    async def find_sessions(self, _request: web.Request) -> web.Response:
        self.business.unknown_sessions.clear()
        return web.Response(status=204)

    async def speak(self, request: web.Request) -> web.Response:
        try:
            told = msgspec.json.decode(await request.read(), type=dict[Literal["contract"], Form])
        except msgspec.DecodeError as problem:
            return web.Response(status=400, text=f"{problem}\n")
        self.business.contract = told.get("contract", "current")
        return web.Response(status=204)

    async def forget_profiles(self, _request: web.Request) -> web.Response:
        self.business.forget_profiles()
        return web.Response(status=204)

    def _answered(self, request: web.Request, raw: bytes, answer: Answering) -> Answer:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not token.strip() or self._token not in (None, token):
            return 401, errors(("invalid", "token"))
        body: Json = {}
        if request.method != "GET":
            if request.content_type != "application/json":
                return 400, errors(("invalid", "content_type"))
            try:
                body = _decode(raw)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return 400, errors(("invalid", ""))
        return answer(request, body) if isinstance(body, dict) else (400, errors(("invalid", "")))

    def _cut(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """Ends the connection without an answer."""
        self._remember(request, body, None)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    def _remember(self, request: web.Request, body: bytes, status: int | None) -> None:
        """Keeps a request as it came, numbers as they were written; the token is not kept."""
        headers = {
            name: "Bearer ***" if name.lower() == "authorization" else text for name, text in request.headers.items()
        }
        line = {
            "at": clock.now(),
            "method": request.method,
            "path": request.path_qs,
            "headers": headers,
            "body": _as_json(body),
            "status": status,
        }
        self.total += 1
        self.received.append(msgspec.json.encode(line))


class _Planned:
    """A failure, and how often it has struck."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        self._met = 0
        self._struck = 0

    def described(self) -> dict[str, Json]:
        return {**msgspec.structs.asdict(self.failure), "struck": self._struck}

    def strikes(self, path: str, text: str) -> bool:
        is_meant = path.startswith(self.failure.path) and self.failure.holds in text
        if not is_meant or self._struck == self.failure.times:
            return False
        self._met += 1
        strikes = int(self._met * self.failure.share) > int((self._met - 1) * self.failure.share)
        self._struck += strikes
        return strikes


def application(
    *,
    token: str | None = None,
    unknown_sessions: Collection[str] = (),
    actions: Collection[str] = (),
    failures: Collection[Failure] = (),
    keep: int = 10_000,
    remember: int = 100_000,
) -> web.Application:
    """The sandbox as an aiohttp application.

    token             the only one it takes; None: any
    unknown_sessions  the sessions it does not know
    actions           custom actions that exist
    keep              so many requests are kept for /received
    remember          so many profiles, sessions, orders and events are remembered
    """
    business = Business(unknown_sessions=unknown_sessions, actions=actions, remember=remember)
    sandbox = Sandbox(business, token=token, keep=keep, failures=failures)
    app = web.Application(client_max_size=16 * 1024 * 1024)
    app.add_routes([*_api_routes(sandbox, business), *_control_routes(sandbox)])
    return app


@asynccontextmanager
async def serving(host: str = "127.0.0.1", port: int = 0, **options: Any) -> AsyncIterator[str]:  # noqa: ANN401 - application's
    """Serves until left; gives the address it listens on, as the connector's setting `url` takes it."""
    runner = web.AppRunner(application(**options), access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        bound = runner.addresses[0]
        yield f"http://{f'[{bound[0]}]' if ':' in bound[0] else bound[0]}:{bound[1]}"
    finally:
        await runner.cleanup()


def at_once(method: str, path: str) -> tuple[int, bytes]:
    """Status and body of an API that takes everything and remembers nothing, for `bench`."""
    if path.startswith("/v1/profiles"):
        return (201, b'{"id":"P1","type":"profile"}') if method == "POST" else (200, b"[]")
    if path.startswith("/v1/sessions/"):
        return 200, b'{"id":"S1","type":"session","profile":1}'
    return 200, b'{"status":"received","state":"ok"}'


def _api_routes(sandbox: Sandbox, business: Business) -> list[web.RouteDef]:
    on = sandbox.handler
    return [
        web.post("/v1/profiles", on(lambda _, body: business.save_profile(body))),
        web.get("/v1/profiles", on(lambda request, _: page(business.profiles, request.query)), allow_head=False),
        web.get(
            "/v1/profiles/{id}",
            on(lambda request, _: one(business.profiles, request.match_info["id"])),
            allow_head=False,
        ),
        web.patch(
            "/v1/profiles/{id}", on(lambda request, body: business.update_profile(request.match_info["id"], body))
        ),
        web.patch("/v1/sessions/{id}", on(lambda request, body: business.attach(request.match_info["id"], body))),
        web.post(
            "/v1/sessions/{id}", on(lambda request, body: business.attach_as_before(request.match_info["id"], body))
        ),
        web.post("/v1/attribution/events", on(lambda _, body: business.record(body))),
        web.get(
            "/v1/attribution/events", on(lambda request, _: page(business.events, request.query)), allow_head=False
        ),
        web.get(
            "/v1/attribution/orders", on(lambda request, _: page(business.orders, request.query)), allow_head=False
        ),
        web.get(
            "/v1/attribution/orders/{id}",
            on(lambda request, _: one(business.orders, request.match_info["id"])),
            allow_head=False,
        ),
        web.post("/v1/attribution/actions", on(lambda _, body: business.create_action(body))),
        web.route("*", "/v1/{rest:.*}", on(lambda _request, _body: (404, errors(("not_found", ""))))),
    ]


def _control_routes(sandbox: Sandbox) -> list[web.RouteDef]:
    return [
        web.get("/received", sandbox.tell),
        web.delete("/received", sandbox.forget),
        web.post("/fail", sandbox.fail),
        web.get("/fail", sandbox.tell_failures),
        web.delete("/fail", sandbox.recover),
        web.post("/sessions/unknown", sandbox.lose_sessions),
        web.delete("/sessions/unknown", sandbox.find_sessions),
        web.delete("/profiles", sandbox.forget_profiles),
        web.post("/contract", sandbox.speak),
    ]


def _response(status: int, document: Json) -> web.Response:
    return web.Response(status=status, body=_encode(document), content_type="application/json")


def _failing(failure: Failure) -> web.Response:
    headers = {} if failure.retry_after is None else {"Retry-After": str(failure.retry_after)}
    if failure.strange is not None:
        reply = STRANGE[failure.strange]
        return web.Response(
            status=reply.status, body=reply.body, content_type=reply.content_type, headers={**headers, **reply.headers}
        )
    status = failure.status or 500
    if failure.body is not None:
        return web.Response(status=status, text=failure.body, content_type="text/html", headers=headers)
    return web.Response(
        status=status, body=_encode(errors(("told_to_fail", ""))), content_type="application/json", headers=headers
    )


def _as_json(body: bytes) -> Json:
    """The body in one line, its numbers untouched; as text if it is not JSON; None if there is none."""
    try:
        _decode(body)
        return msgspec.Raw(msgspec.json.format(body, indent=-1))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body.decode(errors="replace") or None
