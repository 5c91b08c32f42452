"""Events sent to a real server: what arrives there, and what its answers make of the fact."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from aiohttp import web

from bridge import fast_path
from bridge.config import read
from bridge.contract import Attempt, Delivered, Event, Reason, Retry, Uncertain
from bridge.delivery.conversation import BeforeSending, Conversation
from bridge.service import client_of, route_of

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
EVENT = Event(rule="placed", fact="order.placed", once="[]", at=NOON, give={"id": "a/b", "total": Decimal("99.00")})
ATTEMPT = Attempt(now=NOON, first_tried_at=NOON, number=1, key="k1")
CONFIGURATION = """
sources: {shop: {connector: shopify, shops: {a.myshopify.com: {secrets: [env:KEY]}}}}
destinations:
  crm: {connector: http, url: "http://127.0.0.1:PORT/v1", path: "/orders/{give.id}", query: {a: "1"}, MORE}
rules: {placed: {for: order, fact: order.placed, at: = order.created_at, give: {id: = text(order.id)}}}
"""


@asynccontextmanager
async def serving(handler):
    runner = web.ServerRunner(web.Server(handler))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield site._server.sockets[0].getsockname()[1]
    finally:
        await runner.cleanup()


async def told(port, more, attempts=1):
    """The outcomes of these attempts, and how often the journal was asked to mark the fact as departed."""
    settings = read(CONFIGURATION.replace("PORT", str(port)).replace("MORE", more), environ={"KEY": "s3cret"})
    marks = []

    async def nothing():
        pass

    async def mark():
        marks.append("departed")

    wire = await fast_path.wire(wanted=True)
    async with client_of(settings.delivery, wire) as client:
        outcomes = []
        for _ in range(attempts):
            before = BeforeSending(confirm=nothing, mark_departed=mark)
            outcomes.append(await Conversation(route_of(settings, "crm"), client, EVENT, before).run(ATTEMPT))
    return outcomes, len(marks)


async def test_a_fact_with_a_key_is_repeated_with_the_same_key():
    came = []

    async def answer(request):
        came.append((request.raw_path, request.headers["Idempotency-Key"], await request.read()))
        if len(came) == 1:
            return web.Response(status=503, headers={"Retry-After": "7"})
        return web.Response(status=204)

    async with serving(answer) as port:
        more = "idempotency_key: Idempotency-Key, authentication: {query: key, secret: env:KEY}"
        outcomes, marks = await told(port, more, attempts=2)
    assert [Retry(Reason.SERVER_ERROR, "POST: 503", timedelta(seconds=7)), Delivered("POST: 204")] == outcomes
    assert [("/v1/orders/a%2Fb?a=1&key=s3cret", "k1", b'{"id":"a/b","total":99.00}')] * 2 == came
    assert 0 == marks


@pytest.mark.parametrize(("more", "kind"), [("repeatable: true", Retry), ("repeatable: false", Uncertain)])
async def test_silence_is_repeated_only_if_a_second_arrival_has_no_effect(more, kind):
    async def hang_up(request):
        request.transport.abort()
        return web.Response()

    async with serving(hang_up) as port:
        (outcome,), marks = await told(port, more)
    assert (kind, Reason.NO_ANSWER) == (type(outcome), outcome.reason)
    assert (kind is Uncertain) == bool(marks)
