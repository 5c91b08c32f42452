"""The connector `webhook` by its settings: what it takes, names and answers, and what is refused at the start."""

import json

import pytest
from multidict import CIMultiDict
from pydantic import ValidationError

from bridge.config import read
from bridge.contract import HttpArrival
from bridge.errors import Answered, ConfigurationError, Malformed, NotAuthentic
from tests.connectors.webhook.test_presets import NOON, came, made

HEX = {"signature": {"header": "X-Signature", "encoding": "hex"}}
LONG = "a token of the length that it takes"


def order(**changed):
    return json.dumps({"id": 7, "type": "order.created", "shop": "a", **changed}).encode()


def taken(source, body, *, query="", **changed):
    headers = CIMultiDict(source.sign_at(body, topic="", tenant=None, delivery_id="", at=NOON))
    headers.update(changed)
    arrival = HttpArrival(source="hook", headers=headers, body=body, received_at=NOON, query=query)
    return source.read(arrival, source.verify(arrival))


# -- authentication ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [{}, {"header": "X-Bridge-Token", "prefix": ""}])
def test_a_token_is_taken_and_any_other_refused(token):
    source = made({"token": token}, "old " + LONG, LONG)
    signed = source.sign(order(), topic="", tenant=None, delivery_id="")
    header = token.get("header", "Authorization")
    assert 0 == source.verify(came("", signed, "{}")).secret
    assert 1 == source.verify(came("", {header: token.get("prefix", "Bearer ") + LONG}, "{}")).secret
    for wrong in ("", "Bearer ", LONG[1:], "\udcff", "Bearer é"):
        with pytest.raises(NotAuthentic):
            source.verify(came("", {header: wrong}, "{}"))


def test_a_users_password_is_taken_and_any_other_refused():
    source = made({"basic": {"user": "hook"}}, "open sesame")
    signed = source.sign(order(), topic="", tenant=None, delivery_id="")
    assert {"Authorization": "Basic aG9vazpvcGVuIHNlc2FtZQ=="}.items() <= signed.items()
    assert 0 == source.verify(came("", signed, "{}")).secret
    for wrong in ("Basic aG9vazpvcGVuIHNlc2FtZQ", "Basic é", "Basic ", "Bearer aG9vazpvcGVuIHNlc2FtZQ=="):
        with pytest.raises(NotAuthentic):
            source.verify(came("", {"Authorization": wrong}, "{}"))


def test_all_headers_of_the_name_are_tried():
    source = made(HEX, "secret")
    signed = source.sign(order(), topic="", tenant=None, delivery_id="")["X-Signature"]
    headers = CIMultiDict([("X-Signature", "00" * 32), ("X-Signature", signed)])
    arrival = HttpArrival(source="hook", headers=headers, body=order(), received_at=NOON)
    assert 0 == source.verify(arrival).secret


def test_more_signatures_than_anybody_sends_are_refused_unread():
    source = made({"signature": {**HEX["signature"], "separator": ","}}, "secret")
    with pytest.raises(NotAuthentic, match="more than 10"):
        source.verify(came("", {"X-Signature": "00," * 11}, "{}"))


def test_a_time_that_stands_twice_is_refused():
    source = made({"preset": "stripe"}, "secret")
    signed = source.sign_at(b"{}", topic="", tenant=None, delivery_id="", at=NOON)["Stripe-Signature"]
    with pytest.raises(NotAuthentic, match="one time"):
        source.verify(came("", {"Stripe-Signature": f"t=1,{signed}"}, "{}"))


# -- shops -------------------------------------------------------------------------------------------------------------

TWO = {"shops": {"a.example": {"secrets": ["env:S0"], "called": ["a"]}, "b.example": {"secrets": ["env:S1"]}}}


@pytest.mark.parametrize("shop", ["= doc.shop", '= headers["x-shop"]'])
def test_a_delivery_is_of_the_shop_that_it_names_if_that_shops_secret_signed(shop):
    source = made({**HEX, **TWO, "shop": shop}, "of a", "of b")
    assert "a.example" == taken(source, order(), **{"X-Shop": "a"}).tenant
    with pytest.raises(NotAuthentic, match=r"no secret of shop b\.example"):
        taken(source, order(shop="b.example"), **{"X-Shop": "b.example"})
    for nobody in ("c", "", "a.example"):
        with pytest.raises(NotAuthentic, match=r"not configured|names no shop"):
            taken(source, order(shop=nobody), **{"X-Shop": nobody})


def test_shops_that_share_a_secret_are_told_apart_by_what_was_signed_alone():
    shared = {"shops": {name: {"secrets": ["env:S0"]} for name in ("a", "b")}}
    in_header = made({**HEX, **shared, "shop": '= headers["x-shop"]'}, "secret")
    assert {"a": (b"secret",), "b": (b"secret",)} == in_header.signing_keys()
    assert {} == made({**HEX, **shared, "shop": "= doc.shop"}, "secret").signing_keys()


# -- names -------------------------------------------------------------------------------------------------------------


def test_a_delivery_is_named_by_the_expressions():
    settings = {
        **HEX,
        "id": '= headers["x-id"]',
        "topic": "= doc.type",
        "version": "= from_epoch(doc.at)",
        "time": '= local_time("2026-11-20T10:00:00", "UTC")',
        "aliases": {"name": '= "#" + text(doc.id)', "email": "= doc.mail"},
    }
    found = taken(made(settings, "s"), order(at=1795179933, mail=" Ada@Example.com"), **{"X-Id": "d-1"})
    assert ("d-1", "order.created", "order", "7") == (found.id, found.topic, found.kind, found.lane)
    assert (NOON, 10) == (found.version, found.occurred_at.hour)
    assert ("#7", "email:ada@example.com") == found.aliases
    assert {"x-id": "d-1"} == found.headers


def test_without_an_id_the_same_body_is_the_same_delivery():
    source = made(HEX, "s")
    first, again, other = (taken(source, body).id for body in (order(), order(), order(more=1)))
    assert first == again != other


def test_topics_have_kinds_and_lanes_of_their_own_and_others_are_kept():
    topics = {"order.created": {}, "refund": {"kind": "refund", "lane": "= doc.order_id"}}
    source = made({**HEX, "topic": "= doc.type", "topics": topics}, "s")
    assert {"order.created": "order", "refund": "refund"} == source.topics()
    assert {"order", "refund", "other"} == source.kinds().keys()
    assert ("order", "7") == ((found := taken(source, order())).kind, found.lane)
    assert ("refund", "9") == ((found := taken(source, order(type="refund", order_id=9))).kind, found.lane)
    assert ("other", "7") == ((found := taken(source, order(type="new"))).kind, found.lane)


def test_an_ignored_topic_is_answered_and_not_stored():
    source = made({**HEX, "topic": "= doc.type", "ignore": ["product/*", "ping"]}, "s")
    for topic in ("product/created", "ping"):
        with pytest.raises(Answered):
            taken(source, order(type=topic))
    assert "pings" == taken(source, order(type="pings")).topic


def test_what_the_query_says_is_kept_so_that_it_can_be_read_again():
    source = made({**HEX, "lane": '= query["data.id"]'}, "s")
    found = taken(source, order(), query="token=secret&data.id=7%2F8")
    assert ("7/8", {":query": "data.id=7%2F8"}) == (found.lane, found.headers)


@pytest.mark.parametrize("body", [b"[1]", b"null", b"{", b'{"id": {}}', b'{"x": 1}', b'{"id": "a\\nb"}', b'"7"'])
def test_what_names_no_order_is_malformed(body):
    with pytest.raises(Malformed):
        taken(made(HEX, "s"), body)


# -- what is refused at the start --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "how deliveries are authenticated"),
        ({**HEX, "token": {}}, "in one way"),
        ({**HEX, "open": True}, "in one way"),
        ({"open": True}, "take `secrets` away"),
        ({**HEX, "shops": {"a": {}}}, "`secrets:` is missing"),
        ({**HEX, **TWO}, "several shops"),
        ({"preset": "shopfy"}, "there is no preset shopfy; there are: bigcommerce"),
        ({"signature": {"header": "X", "signed": "{ts}.{body}"}}, "say with `timestamp:`"),
        ({"signature": {"header": "X", "timestamp": {}}}, "nobody signed the time"),
        ({"signature": {"header": "X", "signed": "{url}{body}"}}, "say the public address"),
        ({"signature": {"header": "X", "signed": "{bdy}"}}, "parts of what is signed"),
        ({"signature": {"header": "X", "key": "hex"}}, "secret 1 is no hex"),
        ({"signature": {"header": "X", "key": "base64"}}, "is no base64"),
        ({"token": {}}, "could be guessed"),
        ({**HEX, "ping": "("}, "no regular expression"),
        ({**HEX, "lane": "= order.id"}, "nothing is named order"),
        ({**HEX, "answer": {"status": 302}}, "less than or equal to 299"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(settings, said):
    with pytest.raises(ValidationError, match=said):
        made(settings, "secret", "other")


RULES = """
rules:
  placed:
    for: order
    at: = received_at
    give:
      action: order.placed
      person?: {{email?: = doc.email}}
      object_parameters: {{reference: = text(doc.id), source: own}}
"""

OPEN = (
    """
sources: {{hook: {{connector: webhook, open: true, shops: {{a: {{}}}}, lane: = doc.id}}}}
destinations: {{api: {{connector: hellotext, token: env:TOKEN}}}}
door: {{host: {host}}}
"""
    + RULES
)


def test_an_open_source_is_refused_unless_the_door_is_at_this_machine():
    with pytest.raises(ConfigurationError, match=r"sources\.hook\.open: whoever reaches the door"):
        read(OPEN.format(host="0.0.0.0"), environ={"TOKEN": "t"})
    settings = read(OPEN.format(host="127.0.0.1"), environ={"TOKEN": "t"})
    assert "7" == taken(settings.sources["hook"], order()).lane


# -- at the door -------------------------------------------------------------------------------------------------------

RUNNING = (
    """
sources:
  hook:
    connector: webhook
    preset: standard-webhooks
    shops: {{a: {{secrets: [env:SECRET]}}}}
    lane: = doc.data.id
    ignore: [product.*]
    ping: hello
    answer: {{status: 202, text: '{{"ok": true}}'}}
destinations: {{api: {{connector: hellotext, token: env:TOKEN, url: "http://127.0.0.1:9"}}}}
journal: {{path: "{path}", min_free: 0, ballast: 0}}
door: {{host: 127.0.0.1, port: 0, fast: {fast}}}
private: {{port: 0}}
"""
    + RULES
)


@pytest.mark.parametrize("fast", ["true", "false"])
async def test_the_door_answers_as_the_platform_wants(running, tmp_path, fast):
    text = RUNNING.format(path=tmp_path / "journal.db", fast=fast)
    settings = read(text, environ={"SECRET": "whsec_" + "A" * 32, "TOKEN": "t"})
    source = settings.sources["hook"]
    async with running(settings) as bridge:
        url = bridge.door.replace("shop", "hook")

        async def post(body, *, signed=True, query=""):
            headers = source.sign(body, topic="", tenant=None, delivery_id="msg_1") if signed else {}
            async with bridge.session.post(url + query, data=body, headers=headers) as answer:
                return answer.status, (await answer.text()).strip(), answer.headers.get("Content-Type")

        stored = (202, '{"ok": true}', "application/json")
        assert stored == await post(b'{"type": "order.created", "data": {"id": 7}}')
        assert stored == await post(b'{"type": "order.created", "data": {"id": 8}}', query="?a=b")
        assert stored == await post(b'{"type": "product.created"}')
        assert stored == await post(b"hello", signed=False)
        assert 401 == (await post(b'{"type": "order.created", "data": {"id": 9}}', signed=False))[0]
        assert 1 == len((await bridge.story("7")).documents)
        assert 1 == len((await bridge.story("8")).documents)
