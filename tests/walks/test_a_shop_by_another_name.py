"""A shop whose permanent domain changed is the same shop: what was sent of its orders is not sent again."""

import asyncio
import json

import pytest
from click.testing import CliRunner

from bridge.cli import command
from bridge.config import read
from bridge.errors import ConfigurationError
from bridge.jobs.compliance import REQUESTS
from tests.conftest import CONFIG, SHOP

NEW = "example-new.myshopify.com"


@pytest.fixture
def configured(settings_for, sandbox, tmp_path, environ):
    """Settings with these shops; all have one secret, that of the app."""

    def make(**shops):
        written = ", ".join(
            f"{name}: {{secrets: [env:SHOPIFY_SECRET]{', formerly: [' + ', '.join(former) + ']' if former else ''}}}"
            for name, former in shops.items()
        )
        text = CONFIG.format(url=sandbox, mode="live", path=tmp_path / "journal.db")
        make.text = text.replace(f"{SHOP}: {{secrets: [env:SHOPIFY_SECRET]}}", written) + "rules: {redeemed: true}\n"
        return read(make.text, environ=environ)

    return make


@pytest.fixture
def typed(environ):
    """Types a command; exit code, stdout, stderr."""

    async def run(*words):
        told = await asyncio.to_thread(CliRunner(env=environ).invoke, command, [str(word) for word in words])
        return told.exit_code, told.stdout, told.stderr

    return run


def _post(bridge, body, *, shop, topic="orders/updated"):
    return bridge.post(body, topic=topic, headers={"X-Shopify-Shop-Domain": shop})


@pytest.fixture
def refunded(order):
    """An order with everything that is told once: a coupon, and a refund."""
    moved = {"kind": "refund", "status": "success", "amount": "5.00", "currency": "GBP"}
    refund = {"id": 9, "created_at": "2099-01-01T00:00:00Z", "transactions": [moved], "refund_line_items": []}
    return order(refunds=[refund])


async def test_what_was_sent_under_the_old_name_is_not_sent_again_under_the_new(running, configured, refunded):
    number, body = refunded
    async with running(configured(**{SHOP: []})) as bridge:
        assert (200, "") == await _post(bridge, body, shop=SHOP)
        await bridge.settled(number)
        sent = await bridge.actions()
        assert {"order.placed", "order.confirmed", "coupon.redeemed", "refund.received"} == set(sent)
    touched = json.dumps(json.loads(body) | {"note": "touched"}).encode()
    async with running(configured(**{NEW: [SHOP]})) as bridge:
        assert (200, "") == await _post(bridge, touched, shop=NEW)
        assert (200, "") == await _post(bridge, touched + b" ", shop=SHOP)
        story = await bridge.settled(number)
        assert (3, SHOP) == (len(story.documents), story.tenant)
        assert sent == await bridge.actions()


async def test_orders_of_the_days_in_which_the_bridge_took_the_shop_for_two_stay_the_same_orders(
    running, configured, refunded, order
):
    number, body = refunded
    known, other = order()
    async with running(configured(**{NEW: []})) as bridge:
        assert (200, "") == await _post(bridge, body, shop=NEW)
        await bridge.settled(number)
        sent = await bridge.actions()
    async with running(configured(**{NEW: [SHOP]})) as bridge:
        assert (200, "") == await _post(bridge, body + b" ", shop=NEW)
        assert (200, "") == await _post(bridge, other, shop=NEW)
        await bridge.settled(known)
        story = await bridge.settled(number)
        assert (2, NEW) == (len(story.documents), story.tenant)
        assert SHOP == (await bridge.settled(known)).tenant, "what is new is kept under the oldest name"
        assert len(sent) + 3 == len(await bridge.actions())


async def test_a_person_is_erased_under_every_name_of_the_shop(running, configured, order):
    numbers = [order() for _ in range(2)]
    for (number, body), names in zip(numbers, ({NEW: []}, {NEW: [SHOP]}), strict=True):
        async with running(configured(**names)) as bridge:
            assert (200, "") == await _post(bridge, body, shop=NEW)
            await bridge.settled(number)
    request = {"shop_domain": NEW, "customer": {"email": json.loads(numbers[0][1])["email"]}, "orders_to_redact": []}
    async with running(configured(**{NEW: [SHOP]})) as bridge:
        assert (200, "") == await _post(bridge, json.dumps(request).encode(), shop=NEW, topic="customers/redact")

        async def erased():
            found = [(await bridge.story(number)).documents[0]["seq"] for number, _ in numbers]
            return all([(await bridge.house.journal.document(seq)).raw == b"" for seq in found])

        assert await bridge.until(erased)


@pytest.mark.parametrize("asked", [NEW, SHOP])
async def test_who_asks_for_a_shop_by_one_of_its_names_is_told_of_all(
    running, configured, order, typed, tmp_path, asked
):
    """Half an answer looks like a whole one: of what is kept of a person, and of what was erased."""
    numbers = [order() for _ in range(2)]
    for (number, body), names in zip(numbers, ({NEW: []}, {NEW: [SHOP]}), strict=True):
        async with running(configured(**names)) as bridge:
            assert (200, "") == await _post(bridge, body, shop=NEW)
            await bridge.settled(number)
    email = json.loads(numbers[0][1])["email"]
    config = tmp_path / "bridge.yaml"
    config.write_text(configured.text)
    where = ("--shop", asked, "--config", config)
    for words in (("disclose", "--email", email), ("orders", "show", email, "--json")):
        code, out, _ = await typed(*words, *where)
        told = json.loads(out)
        assert (0, {number for number, _ in numbers}) == (code, {found["order"] for found in told})
    request = {"shop_domain": NEW, "customer": {"email": email}, "orders_requested": []}
    async with running(configured(**{NEW: [SHOP]})) as bridge:
        assert (200, "") == await _post(bridge, json.dumps(request).encode(), shop=NEW, topic="customers/data_request")
        (asking,) = [fact async for fact in bridge.house.journal.parked(REQUESTS)]
        code, out, _ = await typed("disclose", asking.ref, "--config", config)
        assert {number for number, _ in numbers} <= {found["order"] for found in json.loads(out)}
    code, out, _ = await typed("erase", "--email", email, "--yes", *where)
    assert (0, "erased: 2 documents of 2 orders") == (code, out.partition(";")[0])


@pytest.mark.parametrize(
    ("shops", "said"),
    [
        ({NEW: [SHOP], SHOP: []}, f"{SHOP} is named 2 times"),
        ({NEW: ["shop.example"]}, "'shop.example' is not the shop's permanent domain"),
    ],
)
def test_a_domain_is_one_shops(configured, shops, said):
    with pytest.raises(ConfigurationError, match=said):
        configured(**shops)


TWICE = """
sources:
  shop: {connector: shopify, shops: {SHOPS}}
  app: {connector: shopify, shops: {BESIDE}}
destinations: {hellotext: {connector: hellotext, token: env:HELLOTEXT_TOKEN}}
include: [shopify/default]
"""
OLDER = "example-older.myshopify.com"


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ({NEW: [SHOP]}, {NEW: []}, f"sources.app: a shop is {NEW} here and {SHOP}, {NEW} in source shop: "),
        ({NEW: []}, {NEW: [SHOP]}, f"sources.shop: a shop is {NEW} here and {SHOP}, {NEW} in source app: "),
        ({NEW: [SHOP]}, {SHOP: []}, f"sources.app: a shop is {SHOP} here and {SHOP}, {NEW} in source shop: "),
        ({NEW: [SHOP]}, {NEW: [SHOP, OLDER]}, f"sources.shop: a shop is {SHOP}, {NEW} here and {OLDER}, {SHOP}, "),
        ({NEW: [SHOP, OLDER]}, {NEW: [OLDER, SHOP]}, f"sources.app: a shop is {SHOP}, {OLDER}, {NEW} here and "),
        ({NEW: [SHOP]}, {NEW: [SHOP]}, ""),
        ({NEW: [SHOP]}, {OLDER: []}, ""),
    ],
)
def test_sources_of_one_shop_know_it_by_the_same_names(environ, one, other, said):
    """Or an order would be one in one of them, and another in the other."""

    def written(shops):
        return ", ".join(
            f"{name}: {{secrets: [env:SHOPIFY_SECRET], formerly: [{', '.join(former)}]}}"
            for name, former in shops.items()
        )

    text = TWICE.replace("SHOPS", written(one)).replace("BESIDE", written(other))
    if not said:
        assert {"shop", "app"} == set(read(text, environ=environ).sources)
        return
    with pytest.raises(ConfigurationError) as wrong:
        read(text, environ=environ)
    (problem,) = wrong.value.problems
    assert said in str(problem)
