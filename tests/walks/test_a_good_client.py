"""What a destination is spared, and what one that is slow does to another, through the whole bridge."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from aiohttp import web

from bridge.config import read

TWO = """
sources: {{shop: {{connector: shopify, shops: {{example.myshopify.com: {{secrets: [env:SHOPIFY_SECRET]}}}}}}}}
destinations:
  slow: {{connector: hellotext, token: env:SLOW, url: "{url}", delivery: {{read_timeout: 30s, total_timeout: 60s}}}}
  quick: {{connector: hellotext, token: env:QUICK, url: "{url}"}}
journal: {{path: "{path}", min_free: 0, ballast: 0}}
door: {{host: 127.0.0.1, port: 0}}
private: {{port: 0}}
delivery: {{concurrency: 2, grace: 100ms}}
rules:
  to_slow:
    for: order
    to: slow
    at: = order.created_at
    give: &give {{action: order.placed, profile: P1, object: = text(order.id)}}
  to_quick:
    for: order
    to: quick
    at: = order.created_at
    give: *give
"""


@asynccontextmanager
async def hanging_for(token):
    """One API at one address that answers nobody with this token. Gives its address, and who hangs."""
    hanging, released = [], asyncio.Event()

    async def answer(request):
        if request.headers["Authorization"] == f"Bearer {token}":
            hanging.append(request.path)
            await released.wait()
        return web.json_response({"status": "received"})

    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", hanging
    released.set()
    await runner.cleanup()


async def test_a_destination_that_hangs_holds_no_other_at_the_same_address(running, order, tmp_path):
    environ = {"SHOPIFY_SECRET": "shhh", "SLOW": "slow-one", "QUICK": "quick-one"}
    async with hanging_for("slow-one") as (url, hanging):
        settings = read(TWO.format(url=url, path=tmp_path / "journal.db"), environ=environ)
        async with running(settings) as bridge:
            numbers = []
            for _ in range(6):
                number, body = order()
                numbers.append(number)
                await bridge.post(body)
            for number in numbers:
                facts = await bridge.until(lambda number=number: _facts(bridge, number, "quick"))
                assert ["delivered"] == facts
            assert 2 == len(hanging)
            assert {"slow": 2, "quick": 0} == {told["name"]: told["in_flight"] for told in await _status(bridge)}


async def _facts(bridge, number, dest):
    return [fact["state"] for fact in (await bridge.story(number)).facts if fact["dest"] == dest]


async def _status(bridge):
    async with bridge.session.get(f"{bridge.private}/status") as told:
        return (await told.json())["destinations"]


def _with(settings, **changes):
    return replace(settings, delivery=settings.delivery.model_copy(update=changes))


async def test_a_rate_counts_every_request_also_those_about_identity(running, settings_for, sandbox, order):
    async with running(_with(settings_for(sandbox), rate=20.0)) as bridge:
        for person in range(4):
            _, body = order(email=f"sample.{person}@example.com", contact_email=None, phone=None, customer=None)
            await bridge.post(body)
        lines = await bridge.until(lambda: _at_least(bridge, 12))
        assert {"profiles", "sessions", "attribution"} == {line["path"].split("/")[2] for line in lines}
        took = _at(lines[-1]) - _at(lines[0])
        assert took > 0.8 * (len(lines) - 1) * timedelta(milliseconds=50)


async def _at_least(bridge, many):
    lines = await bridge.received("/v1/")
    return lines if len(lines) >= many else None


def _at(line):
    return datetime.fromisoformat(line["at"])


async def test_refusals_lower_the_limit_and_good_answers_raise_it_and_both_are_shown(
    running, settings_for, sandbox, order
):
    async with running(_with(settings_for(sandbox), concurrency=4)) as bridge:
        assert [4] == [told["limit"] for told in await _status(bridge)]
        await bridge.fail(status=429, times=1, path="/v1/attribution/events")
        number, body = order(financial_status="pending")
        await bridge.post(body)
        await bridge.settled(number)
        assert [2] == [told["limit"] for told in await _status(bridge)]
        async with bridge.session.get(f"{bridge.private}/metrics") as told:
            shown = await told.text()
        assert 'bridge_concurrency_limit{dest="hellotext"} 2.0' in shown
        assert 'bridge_destination_breaker{dest="hellotext"} 0.0' in shown
        assert 'bridge_concurrency_changes_total{dest="hellotext",reason="throttled"}' in shown

        async def wide_open():
            await asyncio.gather(*(bridge.post(order()[1]) for _ in range(8)))
            return 4 == (await _status(bridge))[0]["limit"]

        await bridge.until(wide_open)


async def test_who_is_told_to_wait_sends_nothing_else_either_until_then(running, order):
    async with running() as bridge:
        await bridge.fail(status=429, retry_after=0.6, times=1, path="/v1/attribution/events")
        first, body = order(financial_status="pending")
        await bridge.post(body)
        (refused,) = await bridge.until(bridge.received)
        await bridge.until(lambda: _postponed(bridge, first))
        second, body = order(financial_status="pending")
        await bridge.post(body)
        for number in (first, second):
            await bridge.settled(number)
        after = [_at(line) - _at(refused) for line in await bridge.received() if line != refused]
        assert 2 == len(after)
        assert timedelta(seconds=0.5) < min(after)


async def _postponed(bridge, number):
    return (await bridge.story(number)).attempts
