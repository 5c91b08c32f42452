"""Upkeep in trouble: what fails beside the hot path neither ends the service nor keeps other work from being done."""

import asyncio
import json
import signal
from contextlib import suppress
from datetime import UTC, datetime

import aiohttp
import pytest
from multidict import CIMultiDict

from bridge.config import read
from bridge.contract import HttpArrival, Reason, State, Verified
from bridge.errors import JournalBusy
from bridge.jobs.compliance import Compliance
from bridge.journal import Selection, sqlite
from bridge.journal.sqlite import SqliteJournal
from tests.jobs.conftest import ENVIRON
from tests.walks.processes import ShopProcess

SHOP = "example.myshopify.com"


def _recent():
    return datetime.now(UTC).replace(microsecond=0).isoformat()


async def test_a_journal_that_cannot_be_asked_for_a_while_does_not_end_the_service(
    fake, an_order, running, settings_of, sandbox, events, monkeypatch
):
    real, failures = SqliteJournal.recall, []

    async def recall(self, name):
        # What is in force is asked at the start, which needs the journal anyway.
        if failures.count(name) < 2 and name != "facts in force":
            failures.append(name)
            raise JournalBusy("no connection to the database")
        return await real(self, name)

    monkeypatch.setattr(SqliteJournal, "recall", recall)
    order = fake.put(an_order(1, created_at=_recent(), processed_at=_recent()))
    async with running(settings_of(api=sandbox, upkeep=", subscriptions: leave, reconcile_every: 1s")) as bridge:
        await bridge.until(lambda: bridge.house.journal.find(str(order["id"])), seconds=20)
        assert failures
        assert "no connection" in (await events("errand.failed"))[0]["detail"]


async def test_two_bridges_of_one_app_do_not_take_each_others_deliveries(
    fake, running, settings_of, sandbox, events, tmp_path
):
    address = "https://{}.example/webhooks/shop"
    for name in ("live", "trial"):
        kept = f'{{path: "{tmp_path / name}.db", min_free: 0, ballast: 0}}'
        more = {"journal": kept, "address": address.format(name), "upkeep": ", reconcile: false"}
        async with running(settings_of(api=sandbox, **more)) as one:
            await one.until(lambda: events("subscription.mended"))
            wanted = {(topic, address.format(name)) for topic in ("ORDERS_CREATE", "ORDERS_UPDATED", "APP_UNINSTALLED")}
            await one.until(lambda wanted=wanted: _are_there(fake, wanted))
    assert {address.format("live"), address.format("trial")} == {made["uri"] for made in fake.subscriptions.values()}
    assert 6 == len(fake.subscriptions)


async def _are_there(fake, wanted):
    return wanted <= {(made["topic"], made["uri"]) for made in fake.subscriptions.values()}


@pytest.fixture
async def dripping():
    """A shop that answers a byte a second, for longer than anybody waits; its URL, and whether it was asked."""
    asked = asyncio.Event()

    async def drip(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        asked.set()
        while not ended.is_set() and not writer.is_closing():
            writer.write(b" ")
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), 0.5)
        writer.close()

    ended = asyncio.Event()
    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
    ended.set()
    server.close()
    await asyncio.sleep(0)


async def test_a_shop_that_never_ends_its_answer_holds_up_neither_deliveries_nor_the_end(
    dripping, sandbox, text_of, fake, tmp_path, free_port, an_order
):
    url, asked = dripping
    process = ShopProcess(tmp_path, sandbox, ENVIRON, (free_port(), free_port()))
    text = text_of(api=sandbox, upkeep=", subscriptions: leave", port=process.port).replace(fake.url, url)
    process.config.write_text(text.replace("private: {port: 0}", f"private: {{port: {process.private}}}"))
    await process.start()
    await asyncio.wait_for(asked.wait(), 20)
    body = json.dumps(an_order(1)).encode()
    headers = (
        read(text, environ=ENVIRON).sources["shop"].sign(body, topic="orders/create", tenant=SHOP, delivery_id="1")
    )
    async with aiohttp.ClientSession() as session:
        answer = await session.post(f"http://127.0.0.1:{process.port}/webhooks/shop", data=body, headers=headers)
        assert 200 == answer.status
    assert 0 == await process.end(signal.SIGTERM)
    assert "service.stopped" in process.log.read_text()


# -- what platforms tell -----------------------------------------------------------------------------------------------


@pytest.fixture
async def desk(settings_of, tmp_path):
    """A journal, and what carries out in it what the shop tells."""
    settings = settings_of()
    source = settings.sources["shop"]

    class Desk:
        def envelope(self, document, topic, number):
            headers = CIMultiDict({"X-Shopify-Topic": topic, "X-Shopify-Webhook-Id": f"{topic}-{number}"})
            arrival = HttpArrival(
                source="shop", headers=headers, body=json.dumps(document).encode(), received_at=datetime.now(UTC)
            )
            return source.read(arrival, Verified(tenant=SHOP, secret=0))

        async def order(self, number, **more):
            return await self.journal.append(self.envelope({"id": number, **more}, "orders/updated", number))

        async def redact(self, number, **more):
            document = {"shop_id": 1, "shop_domain": SHOP, "orders_to_redact": [], **more}
            return await self.journal.append(self.envelope(document, "customers/redact", number))

        async def requests(self):
            selection = Selection(state=State.DEAD, reason=Reason.NOT_CARRIED_OUT_YET)
            return [parked.id async for parked in self.journal.parked(selection)]

        async def carry_out(self):
            await Compliance(journal=self.journal, sources=settings.sources).carry_out()

    made = Desk()
    async with sqlite.opened(tmp_path / "journal.db", destinations=("hellotext",)) as made.journal:
        yield made


ADA = {"customer": {"id": 7, "email": "ada@example.com"}}


async def test_two_requests_about_one_person_are_both_carried_out(desk):
    await desk.order(1, **ADA)
    await desk.order(2, note="Ada")
    await desk.redact(1, **ADA)
    await desk.redact(2, **ADA, orders_to_redact=[2])
    await desk.carry_out()
    assert [] == await desk.requests()
    assert 0 == (await desk.journal.stats()).bodies


async def test_an_erasure_that_ends_in_the_middle_goes_on_though_its_own_request_was_among_the_first(desk, monkeypatch):
    await desk.redact(1, **ADA)
    for number in range(1, 151):
        await desk.order(number, **ADA)
    real, pages = SqliteJournal.erase, []

    async def erase(self, erasure):
        pages.append(erasure)
        if len(pages) == 2:
            raise JournalBusy("full")
        return await real(self, erasure)

    monkeypatch.setattr(SqliteJournal, "erase", erase)
    with pytest.raises(JournalBusy):
        await desk.carry_out()
    assert ["customers/redact-1"] == await desk.requests()
    await desk.carry_out()
    assert [] == await desk.requests()
    assert 0 == (await desk.journal.stats()).bodies


async def test_a_request_that_cannot_be_carried_out_now_keeps_no_other_from_it(desk, monkeypatch):
    await desk.redact(1, **ADA)
    await desk.redact(2, customer={"email": "eve@example.com"})
    real = SqliteJournal.block

    async def block(self, erasure):
        if "customer:7" in erasure.aliases:
            raise JournalBusy("an order of it is still being sent")
        return await real(self, erasure)

    monkeypatch.setattr(SqliteJournal, "block", block)
    with pytest.raises(JournalBusy, match="still being sent"):
        await desk.carry_out()
    assert ["customers/redact-1"] == await desk.requests()


async def test_a_request_that_names_nobody_is_concluded(desk):
    await desk.redact(1)
    await desk.order(1, **ADA)
    await desk.carry_out()
    assert [] == await desk.requests()
    assert 1 == (await desk.journal.stats()).bodies
