"""What its source could not read is read again by a person's word, when the source or the configuration was mended."""

import asyncio
from datetime import UTC, datetime

import pytest

from bridge.config import read
from bridge.contract import Record, State
from bridge.errors import Malformed
from bridge.journal import Selection, sqlite
from tests.cli.conftest import CONFIG

TOPICS = """
sources:
  erp:
    connector: kafka
    brokers: [127.0.0.1:9092]
    group: attribution-bridge
    topics: {{orders: {{tenant: example.myshopify.com, kind: order, lane: = doc.{name}}}}}
destinations:
  hellotext: {{connector: hellotext, token: env:HELLOTEXT_TOKEN}}
include: [shopify/default]
"""


async def _dead(journal):
    return [fact async for fact in journal.parked(Selection(state=State.DEAD))]


@pytest.fixture
def typed_beside(typed, tmp_path):
    (tmp_path / "bridge.yaml").write_text(CONFIG)

    async def invoke(*words):
        return await asyncio.to_thread(typed, *words, "--journal", tmp_path / "journal.db")

    return invoke


async def test_what_can_be_read_now_is_sent_and_its_letter_ends(running, typed_beside, order, monkeypatch):
    name, body = order(financial_status="pending")

    def broken(*_):
        raise Malformed("not yet")

    async with running() as bridge:
        kind = type(bridge.settings.sources["shop"])
        with monkeypatch.context() as patch:
            patch.setattr(kind, "read", broken)
            assert 200 == (await bridge.post(body, delivery_id="odd"))[0]
            told = await typed_beside("dead", "retry", "--all", "--yes")
            assert (1, True) == (told.exit_code, "still cannot be read: not yet" in told.stderr), told.output
        (fact,) = await _dead(bridge.house.journal)
        assert "unreadable" in (await typed_beside("dead", "show", fact.ref)).output
        assert body == (await typed_beside("dead", "show", fact.ref, "--body")).stdout_bytes
        told = await typed_beside("dead", "retry", "--all", "--yes")
        assert (0, True) == (told.exit_code, "retry: 1 of 1" in told.output), told.output
        await bridge.settled(name)
        assert {"order.placed": "delivered"} == await bridge.states(name)
        assert [] == await _dead(bridge.house.journal)
        (document,) = (await bridge.story(name)).documents
        assert ("odd", "orders/create") == (document["id"], document["topic"])
        assert 1 == (await typed_beside("dead", "retry", fact.ref, "--yes")).exit_code, "it is not dead any more"


async def test_a_half_of_a_pair_that_no_rule_reads_holds_no_order_up(running, order):
    name, body = order(financial_status="pending", note="nice PAIR", tags="PAIR")
    body = body.replace(b"PAIR", rb"\ud83d")
    async with running() as bridge:
        assert 200 == (await bridge.post(body))[0]
        story = await bridge.settled(name)
        assert {"order.placed": "delivered"} == await bridge.states(name)
        assert body == (await bridge.house.journal.document(story.documents[0]["seq"])).raw


async def test_a_half_of_a_pair_that_a_rule_reads_is_sent_as_the_sign_for_none(running, order):
    body = order(financial_status="pending", email="PAIR@example.com")[1].replace(b"PAIR", rb"ada\ud83d")
    async with running() as bridge:
        assert 200 == (await bridge.post(body))[0]

        async def profile():
            return await bridge.received("/v1/profiles")

        (made, *_) = await bridge.until(profile)
        assert "ada\ufffd@example.com" in str(made["body"])


async def test_a_record_is_read_by_the_configuration_of_now(typed, tmp_path, order):
    name, body = order()
    old = TOPICS.format(name="no_such_field")
    source = read(old, environ={"HELLOTEXT_TOKEN": "x"}).sources["erp"]
    now = datetime.now(UTC)
    record = Record(source="erp", topic="orders", partition=1, offset=7, timestamp=5, at=now, key=b"\xff", value=body,
                    headers=[("a", "ü".encode())])  # fmt: skip
    async with sqlite.opened(tmp_path / "journal.db", destinations=("hellotext",)) as journal:
        await journal.append(source.unreadable(record, "doc.no_such_field is empty: nothing names the order"))

    def retried(text):
        (tmp_path / "bridge.yaml").write_text(text)
        return typed("dead", "retry", "--all", "--yes", "--journal", tmp_path / "journal.db")

    told = await asyncio.to_thread(retried, old)
    assert (1, True) == (told.exit_code, "doc.no_such_field is empty" in told.stderr), told.output
    told = await asyncio.to_thread(retried, TOPICS.format(name="id"))
    assert (0, True) == (told.exit_code, "retry: 1 of 1" in told.output), told.output
    async with sqlite.opened(tmp_path / "journal.db", destinations=("hellotext",)) as journal:
        (claim,) = await journal.claim("hellotext", now=datetime.now(UTC), limit=9, budget=1 << 30)
        read_now = claim.envelope
        assert (name, "order", body, "0xff", "ü") == (
            read_now.lane,
            read_now.kind,
            read_now.raw,
            read_now.key,
            read_now.headers["a"],
        )
        assert read_now.id.startswith("orders/1/7/5/")
        assert [] == await _dead(journal)
