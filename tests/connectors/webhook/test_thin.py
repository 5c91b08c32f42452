"""Webhooks that only name an order: a whole bridge fetches it from a real platform, and tells two destinations."""

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from aiohttp import web
from multidict import CIMultiDict

from bridge import fast_path
from bridge.config import read
from bridge.contract import HttpArrival, Reason, Retry, Verified
from bridge.errors import ConfigurationError
from bridge.journal import Selection, State
from bridge.service import fetcher_of

CONFIGURATION = """
sources:
  shop:
    connector: webhook
    shops: {a.example: {secrets: [env:SECRET], authentication: {bearer: env:ACCESS}}}
    token: {}
    lane: = doc.resource.id
    id: = doc.delivery
    fetch:
      url: http://127.0.0.1:PORT/api
      path: /orders/{id}
      values: {id: = doc.resource.id}
      query: {expand: lines}
      document: = answer.order
      version: = doc.changed
      aliases: {email: = doc.email}
destinations:
  one: {connector: http, url: "http://127.0.0.1:PORT/one", idempotency_key: Key, delivery: DELIVERY}
  two: {connector: http, url: "http://127.0.0.1:PORT/two", idempotency_key: Key, delivery: DELIVERY}
delivery: DELIVERY
journal: JOURNAL
door: {port: 0}
private: {port: 0}
rules:
  placed: {for: order, to: one, fact: placed, at: = order.changed, give: {id: = text(order.id)}}
  placed_two: {for: order, to: two, fact: placed, at: = order.changed, give: {id: = text(order.id)}}
  paid: {for: order, to: one, fact: paid, when: = order.paid, at: = order.changed, give: {total: = order.total}}
  paid_two: {for: order, to: two, fact: paid, when: = order.paid, at: = order.changed, give: {total: = order.total}}
""".replace("DELIVERY", "{first_wait: 10ms, longest_wait: 50ms}")


ENVIRON = {"SECRET": "a-long-enough-token", "ACCESS": "s3cret"}


class Platform:
    """A platform that gives its orders, and the two destinations."""

    def __init__(self):
        self.orders = {}
        self.asked = []
        self.told = []
        self.failing = {}

    async def __call__(self, request):
        if request.path.startswith("/api/orders/"):
            number = request.path.rpartition("/")[2]
            self.asked.append((request.raw_path, request.headers.get("Authorization")))
            if number in self.failing:
                return self.failing[number]()
            found = self.orders.get(number)
            return web.json_response({"order": found} if found else {}, status=200 if found else 404)
        if request.method == "POST":
            self.told.append((request.path[1:], await request.json()))
        return web.Response()

    def has(self, number, *, paid=False):
        self.orders[number] = {"id": number, "paid": paid, "total": 9.5, "changed": datetime.now(UTC).isoformat(),
                               "email": "ada.sample@example.com"}  # fmt: skip


@pytest.fixture(params=["sqlite", "postgres"])
def journal(request, tmp_path):
    """The section of a journal, with its secret."""
    if request.param == "sqlite":
        return f"{{kind: sqlite, path: {tmp_path / 'thin.db'}}}", ""
    place = request.getfixturevalue("postgres_place")
    return f"{{kind: postgres, url: env:DATABASE, schema: {place.schema}}}", place.dsn


@pytest.fixture
async def shop(running, journal):
    """A platform, and a bridge that takes its webhooks."""
    platform = Platform()
    runner = web.ServerRunner(web.Server(platform))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = str(site._server.sockets[0].getsockname()[1])

    def settings():
        section, database = journal
        text = CONFIGURATION.replace("PORT", port).replace("JOURNAL", section)
        return read(text, environ=ENVIRON | {"DATABASE": database})

    yield SimpleNamespace(platform=platform, settings=settings, opened=lambda: running(settings()))
    await runner.cleanup()


async def posted(bridge, number, delivery):
    body = f'{{"resource": {{"id": "{number}"}}, "delivery": "{delivery}"}}'.encode()
    assert 200 == (await bridge.post(body))[0]


async def until(holds):
    """Wait until this holds, for as long as a test may take."""
    async with asyncio.timeout(20):
        while not (found := await holds()):
            await asyncio.sleep(0.01)
    return found


async def settled(bridge):
    async def nothing_waits():
        return not any((await bridge.house.journal.levels()).waiting.values())

    await until(nothing_waits)


async def stories(bridge, number):
    journal = bridge.house.journal
    return [await journal.story(lane) for lane in await journal.find(number)]


async def test_what_a_webhook_names_is_fetched_once_and_told_to_all(shop):
    shop.platform.has("7", paid=True)
    async with shop.opened() as bridge:
        await posted(bridge, "7", "d1")
        await settled(bridge)
        (story,) = await stories(bridge, "7")
        assert ["reference", "order"] == [each["kind"] for each in story.documents]
        assert story.documents == (await stories(bridge, "ada.sample@example.com"))[0].documents
        assert 2 == [skip["reason"] for skip in story.skips].count("fetched")
    assert [("/api/orders/7?expand=lines", "Bearer s3cret")] == shop.platform.asked
    facts = [(name, body) for name in ("one", "two") for body in ({"id": "7"}, {"total": 9.5})]
    assert facts == sorted(shop.platform.told, key=lambda told: (told[0], "total" in told[1]))


async def test_the_order_waits_while_the_platform_is_down_and_others_go_on(shop):
    platform = shop.platform
    platform.has("8")
    platform.failing = {"7": lambda: web.Response(status=503)}
    async with shop.opened() as bridge:
        await posted(bridge, "7", "d1")
        await posted(bridge, "7", "d2")
        await posted(bridge, "8", "d3")

        async def eight_is_told():
            return len(platform.told) == 2

        await until(eight_is_told)
        (story,) = await stories(bridge, "7")
        assert {"one", "two"} == {each["dest"] for each in story.waiting}
        assert "server error" in str(story.attempts)
        assert ["reference", "reference"] == [each["kind"] for each in story.documents]
        platform.has("7")
        platform.failing = {}
        await settled(bridge)
        (story,) = await stories(bridge, "7")
        assert ["reference", "reference", "order", "order"] == [each["kind"] for each in story.documents]
    assert {("one", "7"), ("two", "7"), ("one", "8"), ("two", "8")} == {(n, b["id"]) for n, b in platform.told}
    assert 4 == len(platform.told)


async def test_what_waits_is_fetched_after_a_restart(shop):
    shop.platform.failing = {"7": lambda: web.Response(status=429, headers={"Retry-After": "0"})}
    async with shop.opened() as bridge:
        await posted(bridge, "7", "d1")
    shop.platform.failing = {}
    shop.platform.has("7")
    async with shop.opened() as bridge:
        await settled(bridge)
        await posted(bridge, "7", "d1")
        await settled(bridge)
        (story,) = await stories(bridge, "7")
        assert ["reference", "order"] == [each["kind"] for each in story.documents]
    assert 2 == len(shop.platform.told)


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(status=404, text="<html>", content_type="text/html"),
        lambda: web.json_response({"error": "soon"}),
        lambda: web.json_response({"order": []}),
        lambda: web.Response(status=401),
        lambda: web.Response(status=302, headers={"Location": "/"}),
    ],
)
async def test_what_is_not_the_platforms_answer_loses_nothing(shop, answer):
    shop.platform.failing = {"7": answer}
    async with shop.opened() as bridge:
        await posted(bridge, "7", "d1")

        async def asked_again():
            return len(shop.platform.asked) > 2

        await until(asked_again)
        shop.platform.has("7")
        shop.platform.failing = {}
        await settled(bridge)
    assert 2 == len(shop.platform.told)


async def test_what_the_platform_has_no_more_is_not_told(shop):
    async with shop.opened() as bridge:
        await posted(bridge, "7", "d1")
        await settled(bridge)
        (story,) = await stories(bridge, "7")
        assert ["nothing to send"] * 2 == [skip["reason"] for skip in story.skips]
    assert [] == shop.platform.told


async def test_what_the_platform_refuses_is_dead_until_a_person_retries_it(shop):
    shop.platform.failing = {"7": lambda: web.Response(status=422)}
    async with shop.opened() as bridge:
        await posted(bridge, "7", "d1")
        await settled(bridge)
        journal = bridge.house.journal
        dead = [parked async for parked in journal.parked(Selection(state=State.DEAD))]
        assert [("one", "fetched", "refused"), ("two", "fetched", "refused")] == sorted(
            (each.dest, each.fact, each.reason) for each in dead
        )
        shop.platform.failing = {}
        shop.platform.has("7")
        assert 2 == await journal.retry([each.ref for each in dead])
        await settled(bridge)
        assert [] == [parked async for parked in journal.parked(Selection(state=State.DEAD))]
    assert 2 == len(shop.platform.told)


@pytest.mark.parametrize("status", [401, 403, 302])
async def test_a_refusal_of_the_platform_pauses_no_destination(shop, status):
    shop.platform.failing = {"7": lambda: web.Response(status=status)}
    settings = shop.settings()
    body = b'{"resource": {"id": "7"}, "delivery": "d1"}'
    source, now = settings.sources["shop"], datetime.now(UTC)
    arrival = HttpArrival(source="shop", headers=CIMultiDict(), body=body, received_at=now)
    envelope = source.read(arrival, Verified(tenant="a.example", secret=0))
    async with fetcher_of(settings, await fast_path.wire(wanted=True)) as fetcher:
        assert fetcher.is_thin(envelope)
        outcome = await fetcher.fetch(envelope, now=now, fresh=False)
    assert Retry(Reason.NOT_ALLOWED, f"fetching: {status}") == outcome


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("path: /orders/{id}", "path: /orders/{order}"), "is no place of the path"),
        (("http://127.0.0.1:9/api", "http://shop.example"), "http is for this machine only"),
        (("path: /orders/{id}", "path: orders"), "path"),
    ],
)
def test_what_is_wrong_is_refused_with_its_cure(change, said):
    with pytest.raises(ConfigurationError, match=said):
        read(
            CONFIGURATION.replace("PORT", "9").replace(*change),
            environ={"SECRET": "a-long-enough-token", "ACCESS": "s"},
        )
