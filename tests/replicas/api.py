"""The attribution API of a trial: a real server on this machine that notes every event that arrives, and behaves as its
weather says.

A request has its effect or not, and its answer arrives or not: all four happen.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any, Self

from aiohttp import web

EVENTS = "/v1/attribution/events"
_STATUSES = {"503": 503, "503 after": 503, "422": 422, "429": 429}
_NO_EFFECT = frozenset({"503", "422", "429", "silent", "cut"})
_SURE = frozenset({"422", "429"})
"""Answers that say that nothing was done."""

KINDS = ("503", "503 after", "422", "429", "silent", "silent after", "cut", "cut after", "slow")


@dataclass(frozen=True)
class Weather:
    """How the API is for a while. until: by the loop's time; share: of the requests that it concerns; actions: of these
    events alone; empty: of all."""

    kind: str
    until: float
    share: float
    actions: tuple[str, ...] = ()


@dataclass
class Arrival:
    """An event that reached the API. at: by the loop's time; by: the number of the replica.

    took_effect   the API has it, whatever was answered
    is_sure       it was answered that nothing was done: whoever sent it may send it again
    state         of its fact in the journal when it arrived; None: the fact had none
    """

    at: float
    by: int
    order: str
    action: str
    once: str
    amount: Decimal | None
    currency: str | None
    by_profile: bool
    kind: str
    state: str | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        return self.order, self.action, self.once

    @property
    def is_repeatable(self) -> bool:
        return self.by_profile and self.action.startswith("order.")

    @property
    def took_effect(self) -> bool:
        return self.kind not in _NO_EFFECT

    @property
    def is_sure(self) -> bool:
        return self.kind in _SURE

    def __str__(self) -> str:
        effect = "taken" if self.took_effect else "not taken"
        return (
            f"{self.at:7.3f} {self.action} {self.once} of {self.order} from replica {self.by}, "
            f"{'by profile' if self.by_profile else 'by session'}, {self.kind or 'well'}: {effect}; it was {self.state}"
        )


class Api:
    """arrived: is told of each event before it is answered."""

    def __init__(self, chance: Random, now: Callable[[], float], arrived: Callable[[Arrival], Awaitable[None]]) -> None:
        self._chance = chance
        self._now = now
        self._arrived = arrived
        self.weather: list[Weather] = []
        self.slowness = 0.0
        """Seconds that an answer takes when all is well."""
        self.arrivals: list[Arrival] = []
        self.requests = 0

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        body = json.loads(await request.read() or b"{}", parse_float=Decimal, parse_int=Decimal)
        action = body["action"] if request.path == EVENTS else ""
        kind = self._kind(action)
        if action:
            arrival = self._noted(request, body, kind)
            await self._arrived(arrival)
        return await self._given(request, body, kind)

    def _kind(self, action: str) -> str:
        for one in self.weather:
            if one.until < self._now() or (one.actions and action not in one.actions):
                continue
            if self._chance.random() < one.share:
                return one.kind
        return ""

    def _noted(self, request: web.Request, body: dict[str, Any], kind: str) -> Arrival:
        given = body["object_parameters"]
        is_refund = body["action"] == "refund.received"
        arrival = Arrival(
            at=self._now(),
            by=int(request.headers["Authorization"].rpartition("-")[2]),
            order=body["metadata"]["order"] if is_refund else given["reference"],
            action=body["action"],
            once=given["reference"] if is_refund else "",
            amount=body.get("amount"),
            currency=body.get("currency"),
            by_profile="profile" in body,
            kind=kind,
        )
        self.arrivals.append(arrival)
        return arrival

    async def _given(self, request: web.Request, body: dict[str, Any], kind: str) -> web.StreamResponse:
        await asyncio.sleep(self._chance.uniform(0, 2 * self.slowness))
        if kind.startswith("silent"):
            await asyncio.sleep(30)  # longer than anybody waits for it
        if kind == "slow":
            await asyncio.sleep(self._chance.uniform(0.05, 1.0))
        if kind.startswith("cut"):
            request.transport.abort()
        if (status := _STATUSES.get(kind)) is not None:
            headers = {"Retry-After": "1"} if status == 429 else {}
            errors = {"errors": [{"type": "parameter_missing", "parameter": "object_type"}]}
            return web.json_response(errors, status=status, headers=headers)
        return _well(request, body)


def _well(request: web.Request, body: dict[str, Any]) -> web.Response:
    if request.path == EVENTS:
        return web.json_response({"status": "received"})
    if request.path == "/v1/profiles" and request.method == "POST":
        return web.json_response({"id": f"p-{body.get('email[primary]', '')[:24]}"}, status=201)
    if request.path.startswith("/v1/sessions/"):
        return web.json_response({"id": "x", "type": "session", "profile": 1})
    return web.json_response({"data": []})
