"""`shopify subscribe` and `shopify doctor`: what rules need is there, and everything wrong is named with its cure."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.errors import NoAnswer
from connectors.shopify.subscriptions import wanted
from tests.jobs.conftest import ENVIRON, GRANTED
from tests.jobs.shop import Fault

SHOP = "example.myshopify.com"
HERE = "http://127.0.0.1:9/webhooks/shop"
TOPICS = {"ORDERS_CREATE", "ORDERS_UPDATED", "APP_UNINSTALLED"}


def _subscribe(errands, *, dry_run=False, kinds=("order",), **more):
    return errands(**more).subscribe(SHOP, kinds=kinds, dry_run=dry_run)


def _told(findings):
    return {(finding.subject.removeprefix("subscription "), finding.state) for finding in findings}


def _there(fake):
    return {(made["topic"], made["uri"], made["name"]) for made in fake.subscriptions.values()}


async def test_an_empty_shop_gets_what_the_rules_need_and_no_more(fake, errands, do):
    findings = await do(_subscribe(errands))
    assert {(topic, HERE, "bridge") for topic in TOPICS} == _there(fake)
    assert {("orders/create", "mended"), ("orders/updated", "mended"), ("app/uninstalled", "mended")} == _told(findings)


@pytest.mark.parametrize("payload", ["null", "{}", '{"webhookSubscription": null, "userErrors": []}'])
async def test_what_shopify_does_not_say_was_done_was_not(fake, errands, do, payload):
    body = f'{{"data": {{"webhookSubscriptionCreate": {payload}}}}}'.encode()
    listed = b'{"data": {"webhookSubscriptions": {"nodes": [], "pageInfo": {"hasNextPage": false}}}}'
    fake.faults = [Fault(body=listed), *(Fault(body=body) for _ in TOPICS)]
    findings = await do(_subscribe(errands))
    assert {"wrong"} == {state for _, state in _told(findings)}
    assert all("does not say that it was done" in finding.detail for finding in findings)


async def test_once_more_changes_nothing(fake, errands, do):
    await do(_subscribe(errands))
    before = dict(fake.subscriptions)
    fake.asked.clear()
    assert {"well"} == {state for _, state in _told(await do(_subscribe(errands)))}
    assert before == fake.subscriptions
    assert not any(b"mutation" in body for _, _, body in fake.asked)


async def test_a_dry_run_says_what_would_be_done_and_does_nothing(fake, errands, do):
    fake.subscribe("ORDERS_PAID", HERE)
    findings = await do(_subscribe(errands, dry_run=True))
    assert ("orders/paid", "would") in _told(findings)
    assert {"ORDERS_PAID"} == {topic for topic, *_ in _there(fake)}


async def test_one_that_shopify_deleted_is_made_again(fake, errands, do):
    await do(_subscribe(errands))
    gone = next(gid for gid, made in fake.subscriptions.items() if made["topic"] == "ORDERS_UPDATED")
    del fake.subscriptions[gone]
    findings = await do(_subscribe(errands))
    assert ("orders/updated", "mended") in _told(findings)
    assert {(topic, HERE, "bridge") for topic in TOPICS} == _there(fake)


@pytest.mark.parametrize(
    "more",
    [
        {"uri": "https://old.example/webhooks/shop"},
        {"filter": "total_price:>=10"},
        {"includeFields": ["id"]},
        {"format": "XML"},
        {"apiVersion": {"handle": "2025-10"}},
        {"name": "somebody's"},
    ],
)
async def test_one_of_ours_that_is_not_right_is_corrected(fake, errands, do, more):
    uri = more.pop("uri", HERE)
    fake.subscribe("ORDERS_CREATE", uri, **more)
    await do(_subscribe(errands))
    (made,) = (made for made in fake.subscriptions.values() if made["topic"] == "ORDERS_CREATE")
    assert (HERE, "JSON", [], None) == (made["uri"], made["format"], made["includeFields"], made["filter"])
    assert "2026-10" == made["apiVersion"]["handle"]


async def test_a_second_one_for_a_topic_is_deleted_and_what_no_rule_reads_too(fake, errands, do):
    fake.subscribe("ORDERS_CREATE", HERE)
    fake.subscribe("ORDERS_CREATE", "https://old.example/")
    fake.subscribe("CARTS_UPDATE", HERE)
    findings = await do(_subscribe(errands))
    assert {(topic, HERE, "bridge") for topic in TOPICS} == _there(fake)
    details = {finding.detail for finding in findings}
    assert "delete: a second one: every delivery comes twice" in details
    assert "delete: no rule reads what it brings" in details


async def test_those_of_others_are_listed_and_left(fake, errands, do):
    fake.subscribe("ORDERS_CREATE", "https://other.example/hook", name=None)
    findings = await do(_subscribe(errands))
    assert ("orders/create", "other") in _told(findings)
    assert ("ORDERS_CREATE", "https://other.example/hook", None) in _there(fake)


async def test_a_version_without_names_asks_for_none(fake, errands, do):
    await do(_subscribe(errands, upkeep=", version: 2026-01"))
    assert not any(b"name" in body.replace(b"fieldname", b"") for _, _, body in fake.asked)
    assert {HERE} == {uri for _, uri, _ in _there(fake)}


async def test_what_shopify_refuses_is_said_in_its_words_and_the_others_are_made(fake, errands, do):
    real = fake._webhookcreate

    def create(asked):
        uri = taken if asked["topic"] == "ORDERS_CREATE" else HERE
        return real({**asked, "input": {**asked["input"], "uri": uri}})

    fake._webhookcreate = create
    taken = "https://taken.example/"
    fake.subscribe("ORDERS_CREATE", taken, name=None)
    findings = await do(_subscribe(errands))
    (wrong,) = (finding for finding in findings if finding.state == "wrong")
    assert wrong.detail.endswith("Shopify says: Address for this topic has already been taken")
    assert {("orders/updated", "mended"), ("app/uninstalled", "mended")} <= _told(findings)
    assert {"ORDERS_UPDATED", "APP_UNINSTALLED"} <= {topic for topic, uri, _ in _there(fake) if uri == HERE}


async def test_silence_after_a_change_ends_it_and_the_next_turn_finds_what_was_done(fake, errands, do):
    fake.silent_changes = 1
    with pytest.raises(NoAnswer):
        await do(_subscribe(errands))
    assert 1 == len(fake.subscriptions) == sum(b"mutation" in body for _, _, body in fake.asked)
    await do(_subscribe(errands))
    assert {(topic, HERE, "bridge") for topic in TOPICS} == _there(fake)
    assert 3 == len(fake.subscriptions)


async def test_topics_that_are_named_are_subscribed_to_besides_and_kept(fake, errands, do):
    more = ", topics: [orders/paid, orders/create]"
    await do(_subscribe(errands, upkeep=more))
    assert TOPICS | {"ORDERS_PAID"} == {topic for topic, *_ in _there(fake)}
    assert {"well"} == {state for _, state in _told(await do(_subscribe(errands, upkeep=more)))}


def test_other_kinds_bring_their_own_topics():
    assert ("fulfillments/create", "fulfillments/update", "app/uninstalled") == wanted(["fulfillment"])
    assert ("refunds/create", "app/uninstalled") == wanted(["refund"])
    assert ("shop/update", "app/uninstalled") == wanted(["shop", "compliance"])


# -- doctor ------------------------------------------------------------------------------------------------------------


def _examined(errands, *, kinds=("order",), now=None, **more):
    return errands(**more).examine(SHOP, kinds=kinds, now=now or datetime.now(UTC))


def _states(findings):
    return {finding.subject: finding.state for finding in findings}


async def test_where_all_is_well_the_doctor_says_so_line_by_line(fake, running, settings_of, do, errands, free_port):
    port = free_port()
    address = f"http://127.0.0.1:{port}/webhooks/shop"
    async with running(
        settings_of(port=port, address=address, upkeep=", subscriptions: leave, reconcile: false")
    ) as bridge:
        await do(_subscribe(errands, address=address))
        findings = await do(_examined(errands, address=address))
        assert {
            **dict.fromkeys(("token", "scopes", "API version", "clock", "subscriptions", "address", "secret"), "well")
        } == _states(findings)
        assert 0 == (await bridge.house.journal.stats()).envelopes


async def test_another_secret_at_the_door_is_seen(fake, running, settings_of, do, errands, free_port):
    port = free_port()
    address = f"http://127.0.0.1:{port}/webhooks/shop"
    door = settings_of(
        environ={**ENVIRON, "SHOPIFY_SECRET": "another"},
        port=port,
        address=address,
        upkeep=", subscriptions: leave, reconcile: false",
    )
    async with running(door):
        states = _states(await do(_examined(errands, address=address)))
    assert ("well", "wrong") == (states["address"], states["secret"])


async def test_an_address_that_nobody_answers_at_is_seen_and_one_that_is_somebody_elses(fake, errands, do):
    assert "wrong" == _states(await do(_examined(errands, address="http://127.0.0.1:1/webhooks/shop")))["address"]
    assert "wrong" == _states(await do(_examined(errands, address=f"{fake.url}/webhooks/shop")))["address"]


async def test_each_thing_that_is_wrong_has_its_cure(fake, errands, do):
    fake.scopes, fake.supported, fake.skew = ("read_products",), ("2026-07",), timedelta(minutes=3)
    findings = {f.subject: f for f in await do(_examined(errands, kinds=("order", "fulfillment")))}
    wrong = {subject for subject, finding in findings.items() if finding.state == "wrong"}
    assert {"scopes", "API version", "clock", "subscriptions", "address"} == wrong
    assert all(findings[subject].cure for subject in wrong)
    assert "read_fulfillments, read_orders" in findings["scopes"].detail
    assert "2026-07" in findings["API version"].cure
    assert "60 days" in findings["older orders"].detail


async def test_a_token_of_another_shop_and_one_that_is_dead(fake, errands, do):
    fake.name = "other.myshopify.com"
    assert "wrong" == _states(await do(_examined(errands)))["token"]
    fake.tokens.clear()
    (token, *_) = await do(_examined(errands))
    assert ("token", "wrong") == (token.subject, token.state)
    assert "not accepted" in token.detail


async def test_a_shop_that_is_not_reached_is_no_matter_of_its_token(fake, errands, do):
    fake.faults = [Fault(reset=True)] * 20
    (shop, *_) = await do(_examined(errands))
    assert ("shop", "wrong") == (shop.subject, shop.state)
    assert "DNS, proxy, firewall" in shop.cure


async def test_an_apps_secret_that_is_not_among_the_secrets_is_seen(fake, errands, do):
    fake.clients = {"the-app": "client-secret"}
    assert "wrong" == _states(await do(_examined(errands, access=GRANTED)))["client secret"]
