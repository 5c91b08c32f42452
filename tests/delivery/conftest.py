"""One destination without the rest of the bridge: real rules, a real journal, and an API on a port of its own."""

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import pytest
from aiohttp import web

from bridge.config.sections import OwnDelivery
from bridge.contract import Delivered, Request, Response
from bridge.delivery import plain_wire, wire
from bridge.delivery.client import opened_client
from bridge.delivery.conversation import Route
from bridge.delivery.document import DocumentDelivery
from bridge.delivery.from_settings import bounds_of, retry_of, timeouts_of
from bridge.delivery.worker import Worker
from bridge.journal import sqlite
from bridge.mapping.rulebook import Rulebook
from bridge.status_table import judged, statuses
from tests.mapping.rules_of import SHAPE, envelope, rules

TWO_RULES = """
placed: {for: order, to: api, at: = order.created_at, give: {action: order.placed, amount: = order.total_price}}
paid: {for: order, to: api, at: = order.created_at, give: {action: order.confirmed, amount: = order.total_price}}
"""


@dataclass
class Api:
    """Answers events with the statuses that a test gives: by action, then by default."""

    url: str = ""
    status: int = 200
    by_action: dict = field(default_factory=dict)
    received: list = field(default_factory=list)
    on_event: object = None

    async def event(self, request):
        body = json.loads(await request.read())
        self.received.append(body["action"])
        if self.on_event is not None:
            await self.on_event(body)
        return web.Response(status=self.by_action.get(body["action"], self.status))

    async def probe(self, _request):
        return web.Response(status=200)


@pytest.fixture
async def api():
    found = Api()
    application = web.Application()
    application.router.add_post("/events", found.event)
    application.router.add_get("/probe", found.probe)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    yield found
    await runner.cleanup()


class Events:
    """A destination of one request a fact, judged by the status table."""

    def __init__(self, url, *, repeatable=True):
        self._url = url
        self._repeatable = repeatable

    def shape(self):
        return SHAPE

    def converse(self, event, _attempt):
        body = json.dumps({"action": event.give["action"], "once": event.once}).encode()
        shadow = Response(status=200)
        response = yield Request(
            method="POST", url=f"{self._url}/events", body=body, repeatable=self._repeatable, shadow=shadow
        )
        row = statuses({})[response.status]
        return Delivered() if response.status == 200 else judged(row, str(response.status), repeatable=self._repeatable)

    def probe(self):
        return Request(method="GET", url=f"{self._url}/probe", repeatable=True)

    def is_answer(self, response):
        return response.status < 500


@pytest.fixture
async def journal(tmp_path):
    async with sqlite.opened(tmp_path / "journal.db", destinations=("api",)) as found:
        yield found


@pytest.fixture
def order():
    """Makes documents of orders, each with a number of its own."""

    def make(number=1, document=None, *, delivery=None):
        return envelope(document, id=delivery or f"delivery-{number}", lane=str(number))

    return make


def route_to(destination, *, shadow=False, **settings):
    """Where facts go, with waits that a test can wait for."""
    short = {"first_wait": timedelta(milliseconds=10), "longest_wait": timedelta(milliseconds=50)}
    delivery = OwnDelivery(**(short | settings))
    return Route(
        name="api", destination=destination, shadow=shadow, bounds=bounds_of(delivery), retry=retry_of(delivery)
    ), timeouts_of(delivery)


@pytest.fixture
def delivering(journal, api):
    """Opens the delivery of documents: `async with delivering(RULES) as (delivery, outcomes)`."""

    @asynccontextmanager
    async def opened(text=TWO_RULES, *, repeatable=True):
        route, timeouts = route_to(Events(api.url, repeatable=repeatable))
        outcomes = []
        async with opened_client(timeouts=timeouts, connections=4, user_agent="tests") as client:
            delivery = DocumentDelivery(
                route,
                journal=journal,
                book=Rulebook(rules(text)),
                client=client,
                on_outcome=lambda outcome, _began: outcomes.append(outcome),
            )
            yield delivery, outcomes

    return opened


@pytest.fixture
def working(journal, api):
    """Opens a worker: `async with working() as worker`; it runs until the test stops it."""

    @asynccontextmanager
    async def opened(text=TWO_RULES, **settings):
        route, timeouts = route_to(Events(api.url), **settings)
        async with opened_client(timeouts=timeouts, connections=64, user_agent="tests") as client:
            yield Worker(route, journal=journal, book=Rulebook(rules(text)), client=client)

    return opened


WIRES = {"fast": wire.opened, "plain": plain_wire.opened}


@pytest.fixture(params=WIRES)
def kind(request):
    """Which wire sends: the fast one, or the one on the public interface of aiohttp."""
    return request.param


@pytest.fixture
def opened(kind):
    """Opens a client over that wire."""
    return partial(opened_client, opened=WIRES[kind])
