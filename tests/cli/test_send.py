"""`send`, at a real door: what it posts, and that it says why something was not taken or has not ended."""

import asyncio
import json
import socket

import pytest
import yaml

from bridge.cli.sender import example, fresh
from bridge.errors import BridgeError
from tests.cli.conftest import CONFIG

PLACED = {
    "for": "order",
    "to": "hellotext",
    "at": "= received_at",
    "give": {"action": "order.placed", "session": "s-1"},
}


@pytest.fixture
def typed_beside(typed, tmp_path):
    """Runs a command beside what runs in the event loop."""
    (tmp_path / "bridge.yaml").write_text(CONFIG)

    async def invoke(*words):
        return await asyncio.to_thread(typed, *words)

    return invoke


@pytest.fixture
def nobody():
    """An address at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


async def test_every_fresh_order_is_another_one(running, typed_beside, tmp_path):
    (tmp_path / "order.json").write_bytes(example("shopify", "order.json"))
    async with running() as bridge:
        for _ in range(2):
            told = await typed_beside("send", "order.json", "--url", bridge.door, "--repeat", "200", "--fresh")
            assert "200 answered 200\n" == told.output
        assert 400 == (await bridge.house.journal.stats()).lanes


async def test_each_order_of_an_answer_of_the_api_is_posted_by_itself(running, typed_beside, tmp_path):
    order = json.loads(example("shopify", "order.json"))
    (tmp_path / "answer.json").write_text(json.dumps({"orders": [{**order, "id": number} for number in (1, 2, 3)]}))
    (tmp_path / "refund.json").write_bytes(example("shopify", "refund.json"))
    async with running() as bridge:
        told = await typed_beside("send", "answer.json", "refund.json", "--url", bridge.door)
        assert (0, "4 answered 200\n") == (told.exit_code, told.stdout)
        assert "answer.json: 3 documents, each posted by itself (orders[0], ...)\n" == told.stderr
        orders = [kept async for kept in _orders(bridge)]
        assert [["order"], ["order"], ["order"], ["refund"]] == [
            [document.kind for document in kept.documents] for kept in orders
        ]


async def _orders(bridge):
    for kept in await bridge.house.journal.orders(after=0, limit=9, since=None, until=None):
        yield kept


def test_fresh_ids_stay_exact_where_numbers_are_doubles(utc_now):
    number = json.loads(fresh(example("shopify", "order.json"), now=utc_now))["id"]
    assert number == int(float(number))


@pytest.mark.parametrize("name", ["customers_redact", "customers_data_request", "shop_redact", "refund", "test-order"])
async def test_an_example_is_sent_as_of_the_shop_and_with_its_topic(running, typed_beside, name):
    async with running() as bridge:
        told = await typed_beside("send", "--example", name, "--url", bridge.door)
        assert (0, "1 answered 200\n") == (told.exit_code, told.output)


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("folder", [], "folder is a folder: name its files, such as folder/*.json"),
        ("cut.json", ["--fresh"], "cut.json is no document that --fresh could make new: Input data was truncated"),
        ("when.json", ["--fresh"], "when.json is no document that --fresh could make new: Invalid isoformat string"),
        ("zone.json", ["--fresh"], "zone.json is no document that --fresh could make new: can't subtract"),
    ],
)
def test_what_cannot_be_posted_is_said_before_anything_is(configured, tmp_path, name, words, said):
    (tmp_path / "folder").mkdir()
    (tmp_path / "good.json").write_bytes(example("shopify", "order.json"))
    (tmp_path / "cut.json").write_text('{"a":')
    (tmp_path / "when.json").write_text('{"id": 1, "created_at": "yesterday"}')
    (tmp_path / "zone.json").write_text('{"id": 1, "created_at": "2026-01-01T00:00:00"}')
    told = configured("send", "good.json", name, *words)
    assert (2, True, False) == (told.exit_code, said in told.output, " answer" in told.output), told.output


async def test_why_the_door_did_not_take_it_stands_beside_the_count(running, typed_beside, tmp_path):
    (tmp_path / "order.json").write_text("[]")
    async with running() as bridge:
        elsewhere = bridge.door + "-of-another"
        told = await typed_beside("send", "order.json", "--url", elsewhere)
        assert (1, "1 answered 404: no source has this path\n") == (told.exit_code, told.output)
        told = await typed_beside("send", "order.json", "--url", elsewhere, "--json")
        assert {"404": "no source has this path"} == json.loads(told.output)["reasons"]


async def test_a_401_names_the_secret_that_signed_and_what_to_do(running, typed_beside, monkeypatch, tmp_path):
    (tmp_path / "order.json").write_bytes(example("shopify", "order.json"))
    async with running() as bridge:
        monkeypatch.setenv("SHOPIFY_SECRET", "another")
        told = await typed_beside("send", "order.json", "--url", bridge.door)
    assert 1 == told.exit_code
    assert "signed with example.myshopify.com: secret 1 of 1 (env:SHOPIFY_SECRET): the bridge at http" in told.output
    assert "send FILE --verify SIGNATURE" in told.output


def test_a_configuration_without_webhooks_has_nothing_to_sign_with(typed, tmp_path):
    topic = "topics: {erp.orders: {tenant: a.example}}, kinds: {order: {id: text, at: time}}"
    source = f"sources: {{erp: {{connector: kafka, brokers: ['k:9092'], group: g, {topic}}}}}\n"
    destination = "destinations: {hellotext: {connector: hellotext, token: env:HELLOTEXT_TOKEN}}\n"
    rule = "{for: order, at: = order.at, give: {action: order.placed, session: s}}"
    (tmp_path / "bridge.yaml").write_text(f"{source}{destination}rules: {{placed: {rule}}}\n")
    (tmp_path / "order.json").write_text("{}")
    told = typed("send", "order.json")
    assert 2 == told.exit_code
    said = " ".join(told.output.split())
    assert "no source of this configuration takes webhooks, and send posts nothing else; there is: erp (kafka)" in said
    assert "preview FILE --source erp --topic TOPIC" in said


async def test_where_nobody_listens_the_rest_is_not_sent(typed_beside, nobody):
    told = await typed_beside("send", "--example", "order", "--url", nobody, "--repeat", "100000000")
    assert 1 == told.exit_code
    assert "nobody listens there" in told.output


@pytest.mark.parametrize("option", ["--url", "--settled"])
async def test_what_is_no_url_is_called_so(typed_beside, option):
    told = await typed_beside("send", "--example", "order", option, "notaurl")
    assert 2 == told.exit_code
    assert f"{option}: notaurl is no URL" in told.output


async def test_send_waits_until_all_is_settled(running, typed_beside):
    async with running() as bridge:
        told = await typed_beside("send", "--example", "order", "--url", bridge.door, "--settled", bridge.private)
        assert (0, True) == (told.exit_code, ": delivered" in told.output)
        wanted = ("--settled", bridge.private, "--as", "test order")
        assert 0 == (await typed_beside("send", "--example", "test-order", "--url", bridge.door, *wanted)).exit_code
        assert 1 == (await typed_beside("send", "--example", "order", "--url", bridge.door, *wanted)).exit_code


async def test_what_has_not_ended_when_the_time_is_over_is_a_failure(running, typed_beside):
    async with running() as bridge:
        await bridge.fail(status=503)
        waited = ("--settled", bridge.private, "--within", "0.5")
        told = await typed_beside("send", "--example", "order", "--url", bridge.door, *waited)
        assert 1 == told.exit_code
        assert "1 of 1 have not ended after 0.5 s" in told.output


async def test_a_private_port_that_is_none_is_a_failure(running, typed_beside, nobody):
    async with running() as bridge:
        for private, said in ((bridge.api, "is no private port of a bridge"), (nobody, "does not answer")):
            sent = ("send", "--example", "order", "--url", bridge.door, "--settled", private, "--within", "1")
            with pytest.raises(BridgeError, match=said):
                await typed_beside(*sent)


def test_which_secret_fits_is_told_with_the_variables_of_a_trial_too(typed, settings_for, tmp_path, monkeypatch):
    (tmp_path / "order.json").write_bytes(example("shopify", "order.json"))
    monkeypatch.setenv("SHOPIFY_SHOP", "example.myshopify.com")
    source = settings_for("http://127.0.0.1:1").sources["shop"]
    signed = source.sign((tmp_path / "order.json").read_bytes(), topic="orders/create", tenant=None, delivery_id="x")
    told = typed("send", "order.json", "--verify", signed["X-Shopify-Hmac-Sha256"])
    assert (0, "example.myshopify.com: secret 1 of 1 (env:SHOPIFY_SECRET)\n") == (told.exit_code, told.output)


@pytest.mark.parametrize(
    "source",
    [
        "{preset: standard-webhooks, lane: = doc.id, shops: {a.example.com: {secrets: [env:WEBHOOK_SECRET]}}}",
        "{preset: ecwid, shops: {a.example.com: {secrets: [env:WEBHOOK_SECRET]}}}",
    ],
    ids=["that signs the id", "that signs parts of the body"],
)
async def test_a_delivery_of_a_platform_is_signed(typed_beside, tmp_path, monkeypatch, nobody, source):
    config = yaml.safe_load(CONFIG)
    config["sources"] = {"shop": {"connector": "webhook", **yaml.safe_load(source)}}
    config["include"], config["rules"] = [], {"placed": PLACED}
    (tmp_path / "bridge.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "order.json").write_text('{"id": "A-1", "eventId": "e", "eventCreated": 1, "data": {"orderId": "A-1"}}')
    monkeypatch.setenv("WEBHOOK_SECRET", "whsec_AAECAwQFBgcICQoLDA0ODw==")
    told = await typed_beside("send", "order.json", "--url", nobody)
    assert "1 got no answer from" in told.output
