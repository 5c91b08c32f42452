"""Client credentials of OAuth2 at a real server: when a token is asked for, and what becomes of a fact without one."""

import asyncio
import base64
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import pytest
from aiohttp import web

from bridge import fast_path
from bridge.config import read
from bridge.contract import Attempt, Delivered, Event, Paused, Reason, Retry
from bridge.delivery.conversation import BeforeSending, Conversation
from bridge.dry_run import stand_in
from bridge.dry_run.request_text import _request
from bridge.service import client_of, route_of

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
EVENT = Event(rule="placed", fact="order.placed", once="[]", at=NOON, give={"id": "1"})
CONFIGURATION = """
sources: {shop: {connector: shopify, shops: {a.myshopify.com: {secrets: [env:SECRET]}}}}
destinations:
  crm:
    connector: http
    url: http://127.0.0.1:PORT/v1
    authentication:
      oauth2: {token_url: "http://127.0.0.1:PORT/token", client_id: m:e, client_secret: env:SECRET, MORE}
rules: {placed: {for: order, fact: order.placed, at: = order.created_at, give: {id: = text(order.id)}}}
"""


class Api:
    """A server that gives numbered tokens, and takes those that it has not revoked."""

    def __init__(self, **answer):
        self.given = []
        self.came = []
        self.revoked = set()
        self.answer = answer
        self.status = 200

    async def __call__(self, request):
        if request.path == "/token":
            self.given.append((request.headers.get("Authorization"), dict(parse_qsl(await request.text()))))
            token = {"access_token": f"t{len(self.given)}", "token_type": "bearer", **self.answer}
            return web.json_response(token, status=self.status, headers={"Retry-After": "9"})
        token = request.headers["Authorization"].removeprefix("Bearer ")
        self.came.append(token)
        return web.Response(status=401 if token in self.revoked else 200)


@asynccontextmanager
async def telling(api, more="scope: a b"):
    """A function that tells the API a fact, so many seconds after noon."""
    runner = web.ServerRunner(web.Server(api))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = str(site._server.sockets[0].getsockname()[1])
        text = CONFIGURATION.replace("PORT", port).replace("MORE", more)
        settings = read(text, environ={"SECRET": "s3cret&"})
        async with client_of(settings.delivery, await fast_path.wire(wanted=True)) as client:

            async def nothing():
                pass

            async def tell(after=0):
                now = NOON + timedelta(seconds=after)
                before = BeforeSending(confirm=nothing, mark_departed=nothing)
                attempt = Attempt(now=now, first_tried_at=now, number=1, key="k")
                return await Conversation(route_of(settings, "crm"), client, EVENT, before).run(attempt)

            yield tell
    finally:
        await runner.cleanup()


async def test_facts_share_a_token_until_it_is_about_to_end():
    api = Api(expires_in=3600)
    async with telling(api) as tell:
        await asyncio.gather(*(tell() for _ in range(5)))
        for after in (3539, 3540, 3541):
            assert Delivered("POST: 200") == await tell(after)
    assert (["t1"] * 6 + ["t2"] * 2, 2) == (api.came, len(api.given))
    expected = base64.b64encode(b"m%3Ae:s3cret%26").decode()
    assert (f"Basic {expected}", {"grant_type": "client_credentials", "scope": "a b"}) == api.given[0]


async def test_a_token_that_is_refused_is_renewed_once():
    api = Api(expires_in=3600)
    async with telling(api) as tell:
        await tell()
        api.revoked = {"t1"}
        assert [Delivered("POST: 200")] * 3 == await asyncio.gather(*(tell() for _ in range(3)))
        assert 2 == len(api.given)
        api.revoked = {"t2", "t3"}
        assert Paused(Reason.NOT_ALLOWED, "POST: 401") == await tell()
    assert 3 == len(api.given)


@pytest.mark.parametrize(
    ("status", "answer", "outcome"),
    [
        (503, {}, Retry(Reason.SERVER_ERROR, "token: 503", timedelta(seconds=9))),
        (429, {}, Retry(Reason.THROTTLED, "token: 429", timedelta(seconds=9))),
        (400, {"error": "invalid_client"}, Paused(Reason.NOT_ALLOWED, "token: 400")),
        (401, {}, Paused(Reason.NOT_ALLOWED, "token: 401")),
        (200, {"access_token": "a\nb"}, None),
        (200, {"token_type": "mac"}, None),
    ],
)
async def test_without_a_token_the_fact_waits_and_nothing_of_it_is_sent(status, answer, outcome):
    api = Api(**answer)
    api.status = status
    async with telling(api) as tell:
        found = await tell()
        assert outcome in (found, None)
        assert isinstance(found, Paused) or outcome is not None
        api.status, api.answer = 200, {}
        assert Delivered("POST: 200") == await tell()
    assert 1 == len(api.came)


async def test_a_token_endpoint_that_is_gone_is_tried_again():
    settings = read(CONFIGURATION.replace("PORT", "9").replace("MORE", "scope: a"), environ={"SECRET": "s"})

    async def nothing():
        pass

    async with client_of(settings.delivery, await fast_path.wire(wanted=True)) as client:
        before = BeforeSending(confirm=nothing, mark_departed=nothing)
        attempt = Attempt(now=NOON, first_tried_at=NOON, number=1, key="k")
        outcome = await Conversation(route_of(settings, "crm"), client, EVENT, before).run(attempt)
    assert (Retry, Reason.UNREACHABLE) == (type(outcome), outcome.reason)


async def test_a_token_whose_end_nobody_says_is_renewed_after_its_lifetime():
    api = Api()
    async with telling(api, "lifetime: 60s, renew_before: 10s, credentials: body, parameters: {audience: x}") as tell:
        for after in (0, 49, 50):
            await tell(after)
    assert ["t1", "t1", "t2"] == api.came
    expected = {"grant_type": "client_credentials", "audience": "x", "client_id": "m:e", "client_secret": "s3cret&"}
    assert (None, expected) == api.given[0]


@pytest.mark.parametrize("place", ["header", "body"])
def test_neither_secret_nor_token_shows(place):
    text = CONFIGURATION.replace("PORT", "9").replace("MORE", f"credentials: {place}")
    settings = read(text, environ={"SECRET": "s3cret"})
    conversation = settings.destinations["crm"].destination.converse(
        EVENT, Attempt(now=NOON, first_tried_at=NOON, number=1)
    )
    asked = next(conversation)
    sent = conversation.send(stand_in(asked))
    assert "Bearer shadow" == sent.headers["Authorization"]
    shown = json.dumps([_request(each) for each in (asked, sent)]) + repr((asked, sent))
    assert "s3cret" not in shown
    assert "shadow" not in json.dumps([_request(sent)])
