"""`orders list`: orders, newest first, by what became of them."""

import json
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from bridge.contract import Envelope, Reason, State
from bridge.journal import Done, Progress, Settled, Skip, sqlite
from bridge.views.listing import Wanted, found

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
FAR = NOW + timedelta(days=900)


def _document(number, *, order=None, source="shop", tenant="a.example", came=None):
    return Envelope(
        source=source,
        id=f"d-{number}",
        topic="orders/create",
        kind="order",
        tenant=tenant,
        lane=order or str(number),
        received_at=came or NOW + timedelta(minutes=number),
        raw=b"{}",
    )


@pytest.fixture
async def journal(tmp_path):
    async with sqlite.opened(tmp_path / "journal.db", destinations=("api",)) as opened:
        yield opened


async def _settle(journal, *settled, skips=()):
    (claim,) = await journal.claim("api", now=FAR, limit=1, budget=10**9)
    await journal.record(claim, Progress(settled=settled, skips=skips, end=Done()), now=NOW)


def _fact(state, reason=None, rule="placed"):
    return Settled(fact=f"order.{rule}", once="[]", rule=rule, state=state, reason=reason)


async def _all(journal, wanted, *, limit=3, most=10**6):
    """The orders of all pages."""
    orders, after = [], None
    while True:
        page = await found(journal, wanted, after=after, limit=limit, most=most)
        assert len(page.orders) <= limit
        orders += [order.order for order in page.orders]
        if (after := page.after) is None:
            return orders


async def _filled(journal):
    for number in range(1, 11):
        await journal.append(_document(number, tenant="ab"[number % 2] + ".example", source="xyz"[number % 3]))
    await journal.append(_document(11, order="1", tenant="b.example"))


async def test_all_pages_together_have_each_order_once_newest_first(journal):
    await _filled(journal)
    for limit, most in product((1, 3, 10, 100), (1, 4, 10**6)):
        assert ["1", *map(str, range(10, 1, -1))] == await _all(journal, Wanted(), limit=limit, most=most)


async def test_a_span_has_the_orders_whose_newest_document_came_in_it(journal):
    await _filled(journal)
    came = {11: "1", **{number: str(number) for number in range(10, 1, -1)}}
    for since, until in product(range(13), (0, 1, 2, 5, 11, 12, 99)):
        wanted = Wanted(since=NOW + timedelta(minutes=since), until=NOW + timedelta(minutes=until))
        assert [order for at, order in came.items() if since <= at < until] == await _all(journal, wanted)


async def test_one_document_of_a_clock_that_was_wrong_does_not_end_a_span(journal, monkeypatch):
    monkeypatch.setattr("bridge.views.listing._STEP", 2)
    for number in (1, 2, 3, 4, 5):
        await journal.append(_document(number, came=NOW - timedelta(days=99) if number == 3 else None))
    assert ["5", "4", "2", "1"] == await _all(journal, Wanted(since=NOW), limit=9)


async def test_a_span_of_long_ago_is_not_walked_to(journal):
    await _filled(journal)
    page = await found(journal, Wanted(since=NOW + timedelta(minutes=12)), after=None, limit=3)
    assert ([], None) == (list(page.orders), page.after)
    page = await found(journal, Wanted(until=NOW + timedelta(minutes=3)), after=None, limit=1, most=1)
    assert ["2"] == [order.order for order in page.orders]


async def test_filters_of_what_became_of_an_order_must_hold_for_one_thing(journal):
    for number in range(1, 5):
        await journal.append(_document(number))
    await _settle(journal, _fact(State.DELIVERED), _fact(State.DEAD, Reason.REFUSED, "paid"))
    await _settle(journal, _fact(State.DEAD, Reason.RULE_FAILED))
    await _settle(journal, skips=[Skip(reason=Reason.NOT_TRUE, rule="paid")])

    async def listed(**of_entry):
        return await _all(journal, Wanted(of_entry=of_entry))

    assert ["2", "1"] == await listed(state="dead")
    assert ["1"] == await listed(state="dead", rule="paid")
    assert [] == await listed(state="delivered", rule="paid")
    assert ["1"] == await listed(reason="refused")
    assert ["2", "1"] == await listed(fact="order.placed")
    assert ["3"] == await listed(state="skipped", reason="not true")
    assert ["4"] == await listed(state="waiting")


async def test_orders_of_one_source_or_shop_alone_are_listed(journal):
    await _filled(journal)
    assert ["9", "6", "3"] == await _all(journal, Wanted(source="x"))
    assert ["10", "8", "6", "4", "2"] == await _all(journal, Wanted(shops=("a.example",)))


async def test_a_page_is_printed_with_where_the_next_begins(journal, typed_beside):
    for number in (1, 2):
        await journal.append(_document(number, tenant="a shop with a name that is longer than most of those there are"))
    await _settle(journal, _fact(State.DEAD, Reason.REFUSED))
    told = await typed_beside("orders", "list", "--limit", "1", "--journal", "journal.db")
    (line,) = told.stdout.splitlines()
    assert (0, True) == (told.exit_code, len(line) <= 80)
    assert "2026-11-20 12:02:00  2  1 waiting  a shop with" in line
    assert "there may be more: the next page is `--after 2`\n" == told.stderr
    told = await typed_beside("orders", "list", "--after", "2", "--journal", "journal.db")
    assert ("", True) == (told.stderr, "2026-11-20 12:01:00  1  1 dead  a shop" in told.stdout)
    told = await typed_beside("orders", "list", "--json", "--journal", "journal.db")
    page = json.loads(told.stdout)
    assert (["2", "1"], None) == ([order["order"] for order in page["orders"]], page["after"])
    told = await typed_beside("orders", "list", "--state", "uncertain", "--journal", "journal.db")
    assert (0, "no order is like that\n") == (told.exit_code, told.output)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--reason", "refusd"), "there is no reason 'refusd'; near it: refused"),
        (("--state", "lost"), "'lost' is not one of"),
        (("--since", "yesterday"), "--since takes 7d, 12h"),
        (("--since", "1d", "--until", "2d"), "--until is not after --since"),
        (("--limit", "0"), "0 is not in the range"),
    ],
)
async def test_a_filter_that_cannot_be_meant_is_refused(journal, typed_beside, words, said):
    told = await typed_beside("orders", "list", *words, "--journal", "journal.db")
    assert (2, True) == (told.exit_code, said in told.output), told.output
