"""The attribution API of a world: it takes what comes, as the contract says, unless its weather says otherwise.

It notes everything that it took. A request has its effect or not, and its answer arrives or not: all four happen.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

import aiohttp

from bridge.contract import Request, Response
from tests.world.loop import Schedule

EVENTS = "/v1/attribution/events"
_READ_TIMEOUT = 15.0  # seconds, as the settings of the program say


@dataclass(frozen=True)
class Weather:
    """How the API is for a while. share: of the requests that it concerns. actions: of events alone; empty: all."""

    kind: str
    until: float
    share: float
    actions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Said:
    """An event that reached the API. took_effect: the API has it now, whatever was answered."""

    at: float
    order: str
    action: str
    once: str
    amount: Decimal | None
    currency: str | None
    by_profile: bool
    took_effect: bool


_STATUSES = {
    "500": 500, "503": 503, "408": 408, "401": 401, "403": 403, "404": 404, "422": 422, "429": 429, "redirect": 302,
}  # fmt: skip
KINDS = (
    *_STATUSES, "500 after", "no connection", "lost", "lost after", "silent", "silent after", "slow", "a page",
    "empty", "cut", "not http",
)  # fmt: skip
_NO_EFFECT = frozenset({*_STATUSES, "no connection", "lost", "silent", "a page", "not http"})
_LATE_ANSWER = frozenset({"silent", "silent after"})


_JSON = {"Content-Type": "application/json"}
_MISSING = b'{"errors":[{"type":"parameter_missing","parameter":"object_type"}]}'
_RESULTS: dict[str, Callable[[], Response | Exception]] = {
    "no connection": lambda: aiohttp.ClientConnectionResetError("refused"),
    "lost": aiohttp.ServerDisconnectedError,
    "lost after": aiohttp.ServerDisconnectedError,
    "not http": lambda: aiohttp.ClientOSError("not http"),
    "cut": lambda: aiohttp.ClientPayloadError("cut"),
    "a page": lambda: Response(status=200, headers={"Content-Type": "text/html"}, body=b"<html>Maintenance</html>"),
    "empty": lambda: Response(status=200, headers={}, body=b""),
    "500 after": lambda: Response(status=500, headers=_JSON, body=b"{}"),
    "422": lambda: Response(status=422, headers=_JSON, body=_MISSING),
}
"""What the program gets of a kind of weather."""


class _Exchange:
    """One request of a process, which may be gone before its answer comes."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.answered: asyncio.Future[Response] = self._loop.create_future()

    def end(self, result: Response | Exception) -> None:
        if self.answered.done() or self._loop.is_closed():
            return
        if isinstance(result, Exception):
            self.answered.set_exception(result)
        else:
            self.answered.set_result(result)


class Api:
    """The API of one world, which outlives the processes of the program."""

    def __init__(self, schedule: Schedule, chance: Random, *, leaving: Callable[[Said], None]) -> None:
        self._schedule = schedule
        self._chance = chance
        self._leaving = leaving
        self.weather: list[Weather] = []
        self.said: list[Said] = []
        self.requests = 0
        self._unknown_sessions: dict[str, float] = {}

    def know_session_later(self, session: str, at: float) -> None:
        self._unknown_sessions[session] = at

    @asynccontextmanager
    async def opened(self, timeouts: Any, *, connections: int, user_agent: str, pooled: bool) -> Any:
        yield self

    async def answer(self, request: Request) -> Response:
        """The answer as the program's wire gives it: see bridge.delivery.http.Wire."""
        self.requests += 1
        said = _said(request, self._schedule.clock.at)
        if said is not None:
            self._leaving(said)
        exchange = _Exchange()
        after = self._schedule.after
        after(self._chance.expovariate(50), lambda: self._arrive(request, said, exchange))
        after(_READ_TIMEOUT, lambda: exchange.end(aiohttp.SocketTimeoutError("no byte in time")))
        return await exchange.answered

    def _arrive(self, request: Request, said: Said | None, exchange: "_Exchange") -> None:
        kind = self._kind(said)
        if said is not None and kind not in _NO_EFFECT:
            self.said.append(said)
        if kind not in _LATE_ANSWER:
            wait = self._chance.expovariate(20) + (self._chance.uniform(0, 14) if kind == "slow" else 0.0)
            self._schedule.after(wait, lambda: exchange.end(self._result(kind, request)))

    def _kind(self, said: Said | None) -> str:
        """The weather that this request meets; empty: none."""
        now = self._schedule.clock.at
        self.weather = [one for one in self.weather if one.until > now]
        for one in self.weather:
            if one.actions and (said is None or said.action not in one.actions):
                continue
            if self._chance.random() < one.share:
                return one.kind
        return ""

    def _result(self, kind: str, request: Request) -> Response | Exception:
        if kind in _RESULTS:
            return _RESULTS[kind]()
        if kind == "429":
            after = str(self._chance.choice((1, 5, 60, 86_400)))
            return Response(status=429, headers={"Retry-After": after}, body=b"")
        if kind in _STATUSES:
            return Response(status=_STATUSES[kind], headers=_JSON, body=b"{}")
        return self._well(request, _JSON)

    def _well(self, request: Request, headers: dict[str, str]) -> Response:
        path = request.url.partition("//")[2].partition("/")[2].partition("?")[0]
        if path == "v1/profiles" and request.method == "POST":
            email = json.loads(request.body or b"{}").get("email[primary]", "")
            body = json.dumps({"id": f"p{abs(hash(email)) % 10**9}" if not email else f"p-{email[:24]}"})
            return Response(status=201, headers=headers, body=body.encode())
        if path.startswith("v1/sessions/"):
            if self._unknown_sessions.get(path.rpartition("/")[2], -1.0) > self._schedule.clock.at:
                return Response(status=404, headers=headers, body=b'{"errors":[{"type":"not_found"}]}')
            return Response(status=200, headers=headers, body=b'{"id":"x","type":"session","profile":1}')
        if f"/{path}" == EVENTS:
            return Response(status=200, headers=headers, body=b'{"status":"received"}')
        return Response(status=200, headers=headers, body=b'{"data":[]}')


def _said(request: Request, at: float) -> Said | None:
    if EVENTS not in request.url:
        return None
    body = json.loads(request.body or b"{}", parse_float=Decimal, parse_int=Decimal)
    given = body.get("object_parameters", {})
    refund = body["action"] == "refund.received"
    return Said(
        at=at,
        order=body["metadata"]["order"] if refund else given["reference"],
        action=body["action"],
        once=given["reference"] if refund else "",
        amount=body.get("amount"),
        currency=body.get("currency"),
        by_profile="profile" in body,
        took_effect=True,
    )
