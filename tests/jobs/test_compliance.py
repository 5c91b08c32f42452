"""The compliance topics and the end of an app, carried out; and the same by hand."""

import asyncio
import json
from datetime import UTC, datetime

import pytest

from bridge import registry
from bridge.contract import Envelope, Reason, State
from bridge.jobs.compliance import Compliance
from bridge.journal import Erasure, Selection
from bridge.journal.sqlite import opened

SHOP = "example.myshopify.com"
STILL = ", subscriptions: leave, reconcile: false"
EMAIL = "ada.sample@example.com"
EVE = {
    **dict.fromkeys(("contact_email", "phone", "customer", "billing_address")),
    "email": "eve@example.com",
    "shipping_address": {"phone": "020 7946 0999", "country_code": "GB"},
}
"""What an order has of another buyer."""


def _recent():
    return datetime.now(UTC).replace(microsecond=0).isoformat()


@pytest.fixture
def bridge(running, settings_of, sandbox):
    return lambda: running(settings_of(api=sandbox, upkeep=STILL))


@pytest.fixture
def request_of():
    """A compliance body of the contract, for our shop."""

    def make(name, **changes):
        document = json.loads((registry.folder("shopify") / "examples" / f"{name}.json").read_text())
        return json.dumps({**document, "shop_domain": SHOP, **changes}).encode()

    return make


@pytest.fixture
def sent(an_order):
    """An order of hers, delivered; its id."""

    async def make(bridge, number=1, **changes):
        order = an_order(number, created_at=_recent(), processed_at=_recent(), updated_at=_recent(), **changes)
        assert 200 == (await bridge.post(json.dumps(order).encode(), topic="orders/create"))[0]
        await bridge.settled(str(order["id"]))
        return str(order["id"])

    return make


async def _requests(bridge):
    return [
        one async for one in bridge.house.journal.parked(Selection(state=State.DEAD, reason=Reason.NOT_CARRIED_OUT_YET))
    ]


async def _ended(bridge):
    return await bridge.until(lambda: _none_left(bridge))


async def _none_left(bridge):
    return not await _requests(bridge)


async def test_a_redacted_customer_is_erased_the_keys_stay_and_the_next_order_does_not_bring_her_back(
    bridge, sent, request_of, events, an_order
):
    async with bridge() as one:
        hers = await sent(one)
        others = await sent(one, 2, **EVE)
        status, _ = await one.post(request_of("customers_redact"), topic="customers/redact")
        assert 200 == status
        await _ended(one)
        assert [] == list(await one.house.journal.find(EMAIL))
        assert b"" == (await one.house.journal.document((await one.story(hers)).documents[0]["seq"])).raw
        assert b"" != (await one.house.journal.document((await one.story(others)).documents[0]["seq"])).raw
        assert "delivered" == (await one.states(hers))["order.placed"]
        before = len(await one.received())
        later = an_order(3, created_at=_recent(), processed_at=_recent())
        assert 200 == (await one.post(json.dumps(later).encode()))[0]
        story = await one.settled(str(later["id"]))
        assert ["erased"] == [skip["reason"] for skip in story.skips]
        assert before == len(await one.received())
        (erased,) = await one.until(lambda: events("erased"))
        assert (2, 2) == (erased["orders"], erased["bodies"])  # the order, and the request itself
        assert EMAIL not in json.dumps(await events("erased"))
    async with bridge() as one:
        assert [] == await _requests(one)


async def test_whoever_is_known_by_the_phone_in_an_address_only_is_erased_by_it(bridge, sent, request_of):
    async with bridge() as one:
        hers, eves = await sent(one), await sent(one, 2, **EVE)
        profiles = [line["body"] for line in await one.received("/v1/profiles")]
        assert any("+442079460999" in json.dumps(body) for body in profiles), "it is what the API was told"
        who = {"customer": {"phone": "+442079460999"}, "orders_to_redact": []}
        await one.post(request_of("customers_redact", **who), topic="customers/redact")
        await _ended(one)
        assert b"" == (await one.house.journal.document((await one.story(eves)).documents[0]["seq"])).raw
        assert b"" != (await one.house.journal.document((await one.story(hers)).documents[0]["seq"])).raw


async def test_a_request_is_carried_out_by_what_it_has_only_an_email_and_orders(bridge, sent, request_of):
    async with bridge() as one:
        hers = await sent(one)
        by_id = await sent(one, 2, email=None, contact_email=None, phone=None, customer=None)
        changes = {"customer": {"email": EMAIL.upper()}, "orders_to_redact": [int(by_id)]}
        await one.post(request_of("customers_redact", **changes), topic="customers/redact")
        await _ended(one)
        for order in (hers, by_id):
            assert b"" == (await one.house.journal.document((await one.story(order)).documents[0]["seq"])).raw


async def test_a_request_that_came_while_the_bridge_could_not_write_is_carried_out_at_the_next_start(
    bridge, sent, request_of, monkeypatch
):
    async def never(self):
        pass

    with monkeypatch.context() as patched:
        patched.setattr(Compliance, "carry_out", never)
        async with bridge() as one:
            await sent(one)
            await one.post(request_of("customers_redact"), topic="customers/redact")
            assert 1 == len(await _requests(one))
    async with bridge() as one:
        await _ended(one)
        assert [] == list(await one.house.journal.find(EMAIL))


async def test_all_of_a_shop_is_erased_when_it_says_so(bridge, sent, request_of, events):
    async with bridge() as one:
        orders = [await sent(one, number) for number in range(1, 6)]
        await one.post(request_of("shop_redact"), topic="shop/redact")
        await _ended(one)
        for order in orders:
            assert b"" == (await one.house.journal.document((await one.story(order)).documents[0]["seq"])).raw
            assert "delivered" == (await one.states(order))["order.placed"]
        await one.until(lambda: events("erased"))
    assert "shop/redact" == (await events("erased"))[0]["topic"]


@pytest.mark.parametrize("name", ["customers_redact", "shop_redact"])
async def test_the_very_same_request_to_erase_waits_for_a_persons_word_when_it_comes_again(
    bridge, sent, request_of, events, typed, tmp_path, text_of, sandbox, name
):
    """Its signature is as good as ever: whoever kept it may send it again, and what is erased does not come back."""
    config = tmp_path / "bridge.yaml"
    config.write_text(text_of(api=sandbox, upkeep=STILL))
    topic = name.replace("_", "/", 1)
    async with bridge() as one:
        await sent(one)
        assert 200 == (await one.post(request_of(name), topic=topic, delivery_id="first"))[0]
        await _ended(one)
        later = await sent(one, 2, **EVE, id=6042000000001) if name == "customers_redact" else await sent(one, 2)
        assert 200 == (await one.post(request_of(name), topic=topic, delivery_id="again"))[0]
        (told,) = await one.until(lambda: events("request.repeated"))
        (request,) = await _requests(one)
        assert (request.ref, "again") == (told["ref"], request.id)
        kept = (await one.story(later)).documents[0]["seq"]
        if name == "shop_redact":
            assert b"" != (await one.house.journal.document(kept)).raw
        code, out, err = await typed("erase", request.ref, "--yes", "--config", config)
        assert (0, True) == (code, "the request is carried out" in out), (out, err)
        assert [] == await _requests(one)
        assert b"" == (await one.house.journal.document(kept)).raw
        assert 2 == (await typed("erase", request.ref, "--yes", "--config", config))[0]


async def test_a_shop_that_is_gone_is_not_asked_any_more_until_somebody_subscribes_again(
    fake, running, settings_of, sandbox, text_of, typed, tmp_path, events
):
    every = ", subscriptions: leave, reconcile_every: 1s"
    async with running(settings_of(api=sandbox, upkeep=every)) as one:
        body = json.dumps({"id": 61000000001, "name": "Example", "myshopify_domain": SHOP}).encode()
        await one.until(lambda: events("reconciliation.done"), seconds=15)
        await one.post(body, topic="app/uninstalled")
        await one.until(lambda: events("errands.paused"))
        await _ended(one)
        await asyncio.sleep(0.3)
        asked = len(fake.asked)
        await asyncio.sleep(1.5)
        assert asked == len(fake.asked)
        config = tmp_path / "bridge.yaml"
        config.write_text(text_of(api=sandbox, upkeep=every))
        code, _, err = await typed("shopify", "subscribe", "--config", config)
        assert (0, "") == (code, err)
        done = len(await events("reconciliation.done"))

        async def goes_on():
            return len(await events("reconciliation.done")) > done

        await one.until(goes_on, seconds=15)


# -- handing out -------------------------------------------------------------------------------------------------------


async def test_a_request_for_data_waits_for_a_person_who_hands_out_all_that_is_kept(
    bridge, sent, request_of, text_of, typed, tmp_path, sandbox, events
):
    config = tmp_path / "bridge.yaml"
    config.write_text(text_of(api=sandbox, upkeep=STILL))
    async with bridge() as one:
        hers = await sent(one)
        await sent(one, 2, **EVE)
        assert 200 == (await one.post(request_of("customers_data_request"), topic="customers/data_request"))[0]
        await one.until(lambda: events("disclosure.due"))
        (request,) = await _requests(one)
        assert request.ref == (await events("disclosure.due"))[0]["ref"]
        code, out, err = await typed("disclose", request.ref, "--config", config)
        assert (0, "") == (code, err)
        assert '[\n  {\n    "shop": ' in out
        told = {found["order"]: found for found in json.loads(out)}
        assert hers in told
        assert not any("eve@example.com" in json.dumps(found) for found in told.values())
        assert EMAIL == told[hers]["documents"][0]["body"]["email"]
        assert {"order.placed", "order.confirmed"} == {fact["fact"] for fact in told[hers]["sent"]}
        code, out, _ = await typed("disclose", request.ref, "--done", "--config", config)
        assert (0, "carried out\n") == (code, out)
        assert [] == await _requests(one)
        code, _, err = await typed("disclose", request.ref, "--done", "--config", config)
        assert 2 == code


# -- by hand -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_running", [True, False])
async def test_a_person_is_erased_by_hand_and_allowed_again(
    bridge, sent, text_of, typed, tmp_path, sandbox, is_running, an_order
):
    config = tmp_path / "bridge.yaml"
    config.write_text(text_of(api=sandbox, upkeep=STILL))
    erase = ("erase", "--email", EMAIL, "--config", config)
    async with bridge() as one:
        await sent(one)
        if is_running:
            assert 0 == (await typed(*erase, "--yes"))[0]
    if not is_running:
        _, out, _ = await typed(*erase, "--yes")
        assert "erased: 1 documents of 1 orders" in out
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file() and "journal" in file.name)
    assert EMAIL.encode() not in stored
    async with bridge() as one:
        order = an_order(5, created_at=_recent(), processed_at=_recent())
        await one.post(json.dumps(order).encode())
        assert "erased" == (await one.settled(str(order["id"]))).skips[0]["reason"]
        code, out, _ = await typed(*erase, "--allow")
        assert (0, "1 names are no longer blocked\n") == (code, out)
        await sent(one, 6)
        assert 1 == len(await one.house.journal.find(EMAIL))


async def test_erasing_by_hand_leaves_what_a_platform_asked_for_until_it_is_carried_out(
    bridge, sent, request_of, text_of, typed, tmp_path, sandbox
):
    config = tmp_path / "bridge.yaml"
    config.write_text(text_of(api=sandbox, upkeep=STILL))
    async with bridge() as one:
        await sent(one)
        await one.post(request_of("customers_data_request"), topic="customers/data_request")
        (request,) = await _requests(one)
        code, out, err = await typed("erase", "--email", EMAIL, "--yes", "--config", config)
        assert (0, "erased: 1 documents of 1 orders") == (code, out.partition(";")[0])
        assert "left: 1 requests of platforms" in err
        assert [request] == await _requests(one)


async def test_an_order_is_erased_by_hand(bridge, sent, text_of, typed, tmp_path, sandbox):
    config = tmp_path / "bridge.yaml"
    config.write_text(text_of(api=sandbox, upkeep=STILL))
    async with bridge() as one:
        first, second = await sent(one), await sent(one, 2)
        code, _, _ = await typed("erase", "--order", first, "--config", config, "--yes")
        assert 0 == code
        assert [second] == [(await one.house.journal.story(lane)).order for lane in await one.house.journal.find(EMAIL)]
        assert 1 == len(await one.house.journal.lanes(Erasure(tenant=SHOP, orders=(first,)), limit=5))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["erase"], "say who: --customer, --email, --phone or --order"),
        (["erase", "--email", "x@example.com", "--shop", "nowhere"], "the journal knows no shop nowhere"),
        (["disclose", "17-00000000", "--done"], "17-00000000 is no request of a platform that waits"),
        (["disclose", "17-00000000"], "is no request to disclose what is kept about a person"),
        (["disclose"], "say who"),
        (["disclose", "--email", "notanemail"], "--email 'notanemail' is not valid; write it as ada@example.com"),
        (["erase", "--yes", "--phone", "01632 960001"], "nothing is kept under --phone '01632 960001'"),
        (["erase", "--yes", "--order", EMAIL], f"--order '{EMAIL}' is no order's id; it names "),
        (["erase", "--yes", "--phone", "unknown"], "--phone 'unknown' is not valid; write it as +441632960001"),
    ],
)
async def test_a_mistake_is_said_and_nothing_is_done(bridge, sent, text_of, typed, tmp_path, sandbox, words, said):
    config = tmp_path / "bridge.yaml"
    config.write_text(text_of(api=sandbox, upkeep=STILL))
    async with bridge() as one:
        await sent(one)
        code, _, err = await typed(*words, "--config", config)
        assert 2 == code
        assert said in err
        assert 1 == len(await one.house.journal.find(EMAIL))


@pytest.mark.parametrize("command", [["erase", "--yes"], ["disclose"]])
async def test_an_id_that_several_shops_may_give_needs_its_shop(text_of, typed, tmp_path, sandbox, command):
    config, journal = tmp_path / "bridge.yaml", tmp_path / "journal.db"
    config.write_text(text_of(api=sandbox, upkeep=STILL))
    for tenant in (SHOP, "other.myshopify.com"):
        await _kept(tenant, journal)
    code, out, err = await typed(*command, "--order", "1042", "--config", config)
    assert (2, "") == (code, out)
    assert "say whose order or customer it is by --shop: example.myshopify.com, other.myshopify.com" in err
    code, out, _ = await typed(*command, "--order", "1042", "--shop", SHOP, "--config", config)
    assert 0 == code
    assert "other.myshopify.com" not in out
    async with opened(journal, destinations=("hellotext",)) as journal:
        kept = await journal.append(_order("other.myshopify.com", "later"))
        assert b"{}" == (await journal.document(kept.seq)).raw


def _order(tenant, delivery):
    return Envelope(
        source="shop",
        id=delivery,
        topic="orders/updated",
        kind="order",
        tenant=tenant,
        lane="1042",
        received_at=datetime.now(UTC),
        raw=b"{}",
    )


async def _kept(tenant, journal):
    async with opened(journal, destinations=("hellotext",)) as owned:
        await owned.append(_order(tenant, "first"))


async def test_nothing_kept_about_somebody_is_told_by_the_exit_code(bridge, text_of, typed, tmp_path, sandbox):
    config = tmp_path / "bridge.yaml"
    config.write_text(text_of(api=sandbox, upkeep=STILL))
    async with bridge():
        code, out, err = await typed("disclose", "--email", "nobody@example.com", "--config", config)
        assert (1, "[]\n") == (code, out)
        assert "nothing is kept" in err
        code, out, _ = await typed("erase", "--yes", "--email", "nobody@example.com", "--config", config)
        assert (
            0,
            "nothing is kept under these names, so nothing was erased; what comes later under them is skipped\n",
        ) == (code, out)
