"""`plan`: new rules on what a journal holds, beside a running bridge, and on a file of envelopes."""

import asyncio
import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import msgspec
import pytest
from msgspec import structs
from multidict import CIMultiDict

from bridge.cli.sender import example
from bridge.config import read
from bridge.contract import HttpArrival, State, Verified
from bridge.dry_run.plan import mapped
from bridge.fact_names import check_and_remember
from bridge.journal import Done, Progress, Settled
from bridge.journal.sqlite import opened
from tests.cli.conftest import CONFIG

ENVIRON = {"SHOPIFY_SECRET": "s", "HELLOTEXT_TOKEN": "t"}
RECEIVED = datetime(2026, 11, 20, 14, tzinfo=UTC)
ORDER = json.loads(example("shopify", "order.json"), parse_float=str)


def envelope(number=1, **changes):
    raw = json.dumps({**ORDER, "id": 6042000001000 + number, **changes}).encode()
    shop = read(CONFIG, environ=ENVIRON).sources["shop"]
    headers = shop.sign(raw, topic="orders/create", tenant=None, delivery_id=f"d-{number}-{len(changes)}")
    arrival = HttpArrival(source="shop", headers=CIMultiDict(headers), body=raw, received_at=RECEIVED)
    return shop.read(arrival, Verified(tenant="example.myshopify.com", secret=0))


@pytest.fixture
def planned(configured, tmp_path):
    """Plans these rules against a file of envelopes; output and JSON."""

    def made(rules, *envelopes, words=()):
        (tmp_path / "new.yaml").write_text(CONFIG + rules)
        (tmp_path / "lines.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, envelopes)))
        asked = ("plan", "--config", "new.yaml", "--envelopes", "lines.jsonl", *words)
        told = configured(*asked)
        assert 0 == told.exit_code, told.output
        return told.output, json.loads(configured(*asked, "--json").stdout.splitlines()[-1])

    return made


def counts(found):
    return {
        entry["rule"]: {
            name: entry[name] for name in ("added", "removed", "changed", "sent", "failing") if name in entry
        }
        for entry in found["facts"]
    }


def test_the_same_rules_differ_in_nothing_and_say_what_would_be_sent(planned):
    output, found = planned("", envelope(1), envelope(2, financial_status="pending"))
    assert {"placed": {"sent": 2}, "confirmed": {"sent": 1}} == counts(found)
    assert "compared with bridge.yaml" in output


def test_added_removed_changed_and_failing_facts_are_counted_once_each(planned):
    rules = """
rules:
  placed: {at: = order.processed_at}
  confirmed: {when: = order.financial_status == "pending"}
  cancelled: {at: = order.closed_at, when: = order.total_price > 98}
"""
    several = [envelope(1), envelope(1, name="again"), envelope(2, financial_status="pending")]
    output, found = planned(rules, *several)
    assert {
        "placed": {"changed": 2, "sent": 2},
        "confirmed": {"added": 1, "removed": 1, "sent": 1},
        "cancelled": {"failing": 2},
    } == counts(found)
    assert 'at: "2026-11-20T13:05:33Z" -> "2026-11-20T13:05:31Z"' in output
    assert "order 6042000001001" in output


def test_a_late_older_document_and_a_duplicate_change_nothing():
    settings = read(CONFIG, environ=ENVIRON)
    new, old = envelope(1, updated_at="2026-11-21T10:00:00Z"), envelope(1, cancelled_at="2026-11-20T14:10:00Z")
    assert {"order.placed", "order.confirmed"} == {fact for fact, _ in mapped(settings.rules, [new, old], "hellotext")}


def test_a_body_that_retention_removed_is_counted_and_left_out(planned):
    output, found = planned("", structs.replace(envelope(1), raw=b""))
    assert (1, 1, []) == (found["documents"], found["without_body"], found["facts"])
    assert "1 of them have no body any more" in output


def test_a_span_leaves_out_what_came_before_and_after(planned):
    _, found = planned("", envelope(1), words=("--since", "2026-11-21T00:00:00Z"))
    assert 0 == found["documents"]
    _, found = planned("", envelope(1), words=("--since", "2026-11-01T00:00:00Z", "--until", "2026-11-21T00:00:00Z"))
    assert 1 == found["documents"]


def test_without_another_configuration_the_held_keys_are_compared_beside_a_running_bridge(configured, tmp_path):
    """The journal of a bridge that sent `placed` only, and is still open."""

    async def filled():
        async with opened(tmp_path / "var" / "journal.db", destinations=["hellotext"]) as journal:
            arrived = envelope(1)
            await journal.append(arrived)
            (claim,) = await journal.claim("hellotext", now=arrived.received_at.replace(year=2027), limit=1, budget=1)
            settled = Settled(fact="order.placed", once="[]", rule="placed", state=State.DELIVERED)
            await journal.record(claim, Progress(settled=(settled,), end=Done()), now=arrived.received_at)
            (tmp_path / "bridge.yaml").write_text(CONFIG + "rules: {placed: false}\n")
            return await asyncio.to_thread(configured, "plan", "--config", "bridge.yaml", "--json")

    told = asyncio.run(filled())
    found = json.loads(told.stdout.splitlines()[-1])
    assert {"confirmed": {"added": 1, "sent": 1}, "": {"removed": 1}} == counts(found)


def test_what_run_would_refuse_is_said_by_plan_and_run_refuses_it_with_2_and_the_line(configured, tmp_path):
    async def filled():
        async with opened(tmp_path / "var" / "journal.db", destinations=["hellotext"]) as journal:
            await check_and_remember(journal, read(CONFIG, environ=ENVIRON))
            arrived = envelope(1)
            await journal.append(arrived)
            (claim,) = await journal.claim("hellotext", now=arrived.received_at.replace(year=2027), limit=1, budget=1)
            settled = Settled(fact="order.placed", once="[]", rule="placed", state=State.DELIVERED)
            await journal.record(claim, Progress(settled=(settled,), end=Done()), now=arrived.received_at)

    asyncio.run(filled())
    assert (0, []) == _planned_refusals(configured)
    (tmp_path / "bridge.yaml").write_text(CONFIG + "rules: {placed: {fact: order.made}}\n")
    said = "bridge.yaml:7:24: rules.placed: order.made is new for destination hellotext"
    code, (told,) = _planned_refusals(configured)
    assert 1 == code
    assert told.startswith(said)
    assert f"`run` would refuse this: {said}" in configured("plan", "--config", "bridge.yaml").output
    ran = subprocess.run(
        [sys.executable, "-m", "bridge", "run"],
        env={**os.environ, **ENVIRON},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (2, True) == (ran.returncode, said in ran.stderr), ran.stderr
    assert "`attribution-bridge plan`" in ran.stderr


def _planned_refusals(configured):
    told = configured("plan", "--config", "bridge.yaml", "--json")
    return told.exit_code, json.loads(told.stdout.splitlines()[-1])["refused"]


def test_a_line_that_is_no_envelope_says_which(configured, tmp_path):
    (tmp_path / "lines.jsonl").write_text("{}\n")
    told = configured("plan", "--config", "bridge.yaml", "--envelopes", "lines.jsonl")
    assert (2, True) == (told.exit_code, "line 1" in told.output)


@pytest.mark.parametrize(
    "made", [lambda orders: json.dumps({"orders": orders}, indent=1), lambda orders: "\n".join(map(json.dumps, orders))]
)
def test_orders_as_the_api_answers_them_are_planned_as_if_they_had_just_come(configured, tmp_path, made):
    now = datetime.now(UTC).isoformat()
    orders = [{**ORDER, "id": number, "created_at": now, "processed_at": now} for number in (1, 2)]
    (tmp_path / "orders.json").write_text(made(orders))
    told = configured("plan", "--config", "bridge.yaml", "--envelopes", "orders.json", "--json")
    assert 0 == told.exit_code, told.output
    found = json.loads(told.stdout.splitlines()[-1])
    assert (2, 2) == (found["documents"], counts(found)["placed"]["sent"])


def test_a_document_that_is_not_known_is_no_envelope(configured, tmp_path):
    (tmp_path / "lines.jsonl").write_text('{"a": {"b": 1}}\n')
    told = configured("plan", "--config", "bridge.yaml", "--envelopes", "lines.jsonl")
    assert (2, True) == (told.exit_code, "--envelopes: line 1: Object missing required field" in told.output)
