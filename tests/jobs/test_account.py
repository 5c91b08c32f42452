"""`orders account`: what differs between shop, journal and API is named, and what agrees is even to the cent."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from bridge.journal import UNKNOWN, Erasure
from bridge.journal.sqlite import opened

SHOP = "example.myshopify.com"
STILL = ", subscriptions: leave, reconcile: false"


def _recent(minutes=0):
    return (datetime.now(UTC) - timedelta(minutes=minutes)).replace(microsecond=0).isoformat()


@pytest.fixture
def order_now(fake, an_order):
    """Orders of the shop that were made just now."""

    def make(number, **changes):
        return fake.put(an_order(number, **{"created_at": _recent(2), "processed_at": _recent(2)} | changes), at=_at())

    return make


def _at():
    return datetime.now(UTC) - timedelta(minutes=1)


@pytest.fixture
def bridge(running, settings_of, sandbox, fake):
    """A whole bridge for the shop."""
    return lambda **more: running(settings_of(api=sandbox, upkeep=STILL, **more))


async def _delivered(bridge, order):
    status, _ = await bridge.post(json.dumps(order).encode(), topic="orders/updated")
    assert 200 == status
    await bridge.settled(str(order["id"]))


async def test_what_was_delivered_agrees_to_the_cent_and_the_api_lists_it(bridge, order_now, account):
    async with bridge() as running:
        for number in range(1, 4):
            await _delivered(running, order_now(number, total_price=f"{number}0.10"))
        found = await account(running)
    assert found.is_even()
    assert [] == found.differences
    assert (3, {"hellotext": (3, 3)}) == (found.orders, found.listed)
    lines = {fact: line for (_, _, fact), line in found.lines.items()}
    assert {"order.placed", "order.confirmed"} == set(lines)
    assert {"EUR": "60.30"} == {currency: str(amount) for currency, amount in lines["order.placed"].taken.items()}
    assert all(line.agrees() for line in lines.values())


async def test_an_order_that_never_came_and_a_newer_document_are_missing(bridge, order_now, account, fake):
    async with bridge() as running:
        first = order_now(1, financial_status="pending")
        await _delivered(running, first)
        fake.put(first | {"financial_status": "paid"}, at=datetime.now(UTC) - timedelta(seconds=2))
        order_now(2)
        found = await account(running)
    assert not found.is_even()
    assert [("order.placed", "missing"), ("order.confirmed", "missing"), ("order.confirmed", "missing")] == [
        (one.fact, one.sort) for one in found.differences
    ]
    assert "does not know the order" in found.differences[0].detail
    assert "older document only" in found.differences[2].detail


async def test_another_amount_is_named_with_both(bridge, order_now, account, fake):
    async with bridge() as running:
        order = order_now(1)
        await _delivered(running, order)
        fake.orders[order["id"]]["total_price"] = "98.00"
        found = await account(running)
    assert {"amount"} == {one.sort for one in found.differences}
    assert "99.00 EUR was accepted, the shop says 98.00 EUR" == found.differences[0].detail
    assert not found.is_even()


async def test_an_amount_from_before_amounts_were_kept_is_no_difference(bridge, order_now, account, tmp_path):
    async with bridge() as running:
        await _delivered(running, order_now(1))
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection, connection:
        connection.execute("UPDATE fact SET amount = ?", (UNKNOWN,))
    async with bridge() as running:
        await _delivered(running, order_now(2))
        found = await account(running)
    assert ([], True) == (found.differences, found.is_even())
    lines = {fact: line for (_, _, fact), line in found.lines.items()}
    assert {"EUR": "99.00"} == {currency: str(amount) for currency, amount in lines["order.placed"].taken.items()}
    assert all(line.agrees() for line in lines.values())


async def test_an_order_of_somebody_who_was_erased_is_not_sent_and_says_so(bridge, order_now, account):
    async with bridge() as running:
        await running.house.journal.block(Erasure(tenant=SHOP, aliases=("email:ada.sample@example.com",)))
        await _delivered(running, order_now(1))
        found = await account(running)
    assert {("not sent", "erased")} == {(one.sort, one.detail) for one in found.differences}


async def test_trailing_zeros_are_no_difference(bridge, order_now, account, fake):
    async with bridge() as running:
        order = order_now(1)
        await _delivered(running, order)
        fake.orders[order["id"]]["total_price"] = "99.0"
        assert (await account(running)).is_even()


async def test_what_is_refused_is_named_as_dead(bridge, order_now, account):
    async with bridge() as running:
        await running.fail(status=422, times=1, path="/v1/attribution/events")
        await _delivered(running, order_now(1))
        found = await account(running)
    assert ["dead"] == [one.sort for one in found.differences]


async def test_what_waits_is_told_and_is_no_difference(bridge, order_now, account):
    async with bridge() as running:
        await running.fail(status=503)
        order = order_now(1)
        await running.post(json.dumps(order).encode(), topic="orders/updated")
        await running.until(lambda: running.house.journal.find(str(order["id"])))
        found = await account(running)
        await running.recover()
    assert {"waits"} == {one.sort for one in found.differences}
    assert found.is_even()


async def test_what_was_not_sent_says_why(bridge, order_now, account):
    nobody = {"email": None, "contact_email": None, "phone": None, "customer": None, "note_attributes": []}
    nobody |= {"billing_address": None, "shipping_address": None, "landing_site": None}
    async with bridge() as running:
        lines = order_now(9)["line_items"]
        order = order_now(1, **nobody, line_items=[{**line, "properties": []} for line in lines])
        await _delivered(running, order)
        found = await account(running)
    mine = [one for one in found.differences if one.order == str(order["id"])]
    assert {("not sent", "no identity")} == {(one.sort, one.detail) for one in mine}


async def test_test_orders_are_counted_by_their_reason(bridge, order_now, account):
    async with bridge() as running:
        order_now(1, test=True)
        found = await account(running)
    assert ({"test order": 1}, True) == (dict(found.skipped), found.is_even())


async def test_an_order_that_the_api_does_not_list_is_named(bridge, order_now, account, running, settings_of):
    """As if somebody had deleted it there: the account is made against an API that knows nothing."""
    from bridge import registry  # noqa: PLC0415

    async with bridge() as one:
        order = order_now(1)
        await _delivered(one, order)
    async with registry.sandbox("hellotext").serving() as empty, running(settings_of(api=empty, upkeep=STILL)) as other:
        found = await account(other)
    assert {"hellotext": (1, 0)} == found.listed
    assert [("missing", "accepted, but the API does not list the order")] == [
        (one.sort, one.detail) for one in found.differences
    ]


async def test_the_command_prints_it_and_exits_by_it(bridge, order_now, text_of, sandbox, typed, tmp_path):
    config = tmp_path / "bridge.yaml"
    config.write_text(text_of(api=sandbox, upkeep=STILL))
    async with bridge() as running:
        await _delivered(running, order_now(1))
        code, out, err = await typed("orders", "account", "--since", "1d", "--config", config)
        assert (0, "") == (code, err)
        assert "shop, journal and API agree" in out
        assert "hellotext lists 1 of the 1 orders that it accepted" in out
        order_now(2)
        code, out, _ = await typed("orders", "account", "--since", "1d", "--json", "--config", config)
        assert 1 == code
        (told,) = json.loads(out)
        assert (2, False, 2) == (told["orders"], told["even"], len(told["differences"]))


async def test_without_access_the_command_says_so(text_of, typed, tmp_path):
    config = tmp_path / "bridge.yaml"
    config.write_text(text_of().replace(", access: {token: env:SHOPIFY_TOKEN}", ""))
    async with opened(tmp_path / "journal.db", destinations=("hellotext",)):
        pass
    code, _, err = await typed("orders", "account", "--since", "1d", "--config", config)
    assert 2 == code
    assert "write `access:`" in err


async def test_what_could_not_be_read_is_counted_and_does_not_agree(bridge, order_now, account):
    async with bridge() as running:
        await _delivered(running, order_now(1))
        assert 200 == (await running.post(b"[]", topic="orders/paid"))[0]
        found = await account(running)
        assert (1, [], False) == (found.unreadable, found.differences, found.is_even())
