"""Which facts may have been sent by a journal that was lost: by when they happened, as far as anybody knows."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from bridge.config import read
from bridge.contract import Envelope
from bridge.delivery.doubt import doubted
from bridge.journal import Claim

SERVED = datetime(2026, 11, 20, 12, tzinfo=UTC)
RULES = read(
    """
sources: {shop: {connector: shopify, shops: {a.myshopify.com: {secrets: [env:S]}}}}
destinations: {api: {connector: hellotext, token: env:T}}
rules:
  placed: {for: order, when: = order.created_at, at: = order.created_at, give: {action: order.placed, session: s}}
  paid: {for: order, when: = order.processed_at, at: {assumed: = order.processed_at}, give: {action: order.confirmed, session: s}}
  noticed: {for: order, when: = order.note, at: = received_at, fact: noticed, give: {action: order.delivered, session: s}}
  due: {for: order, when: = order.closed_at, at: = order.closed_at, fact: due, give: {action: order.cancelled, session: s}}
""",  # noqa: E501  one rule a line
    environ={"S": "s", "T": "t"},
).rules


def _at(hours):
    return (SERVED + timedelta(hours=hours)).isoformat()


def _doubted(hours=1, *, waited=False, restored=SERVED, **document):
    envelope = Envelope(
        source="shop", id="1", topic="orders/updated", kind="order", tenant="a.myshopify.com", lane="1",
        received_at=SERVED + timedelta(hours=hours), raw=json.dumps(document).encode(),
    )  # fmt: skip
    claim = Claim(
        dest="api", lane=1, seq=1, attempt=0, first_tried_at=None, envelope=envelope, held={}, own=frozenset(),
        newest=None, asked=0, doubtful=waited, restored=restored,
    )  # fmt: skip
    return {fact for fact, _ in doubted(claim, RULES, RULES.apply(envelope, "api"))}


def test_what_happened_before_is_in_doubt_and_what_happened_after_is_not():
    assert {"order.placed"} == _doubted(created_at=_at(-1))
    assert {"order.placed"} == _doubted(created_at=_at(0))
    assert set() == _doubted(created_at=_at(0.5))


UNSURE = {"assumed": {"processed_at": _at(0.5)}, "received": {"note": "x"}, "to come": {"closed_at": _at(48)}}


@pytest.mark.parametrize("document", UNSURE.values(), ids=UNSURE)
def test_a_time_at_which_nothing_happened_says_nothing(document):
    (fact,) = _doubted(**document)
    assert {"order.placed", fact} == _doubted(created_at=_at(-1), **document)
    assert set() == _doubted(created_at=_at(0.2), **document), "the order is younger"


def test_an_order_of_which_facts_are_too_old_is_not_young():
    assert {"order.confirmed"} == _doubted(created_at=_at(-24 * 40), processed_at=_at(0.5))


def test_a_platform_whose_clock_is_ahead_tells_no_time_to_come():
    assert set() == _doubted(hours=1, created_at=_at(1.01))


def test_what_waited_in_the_backup_is_in_doubt_whenever_it_happened():
    assert {"order.placed"} == _doubted(created_at=_at(0.5), waited=True)
    assert {"order.placed"} == _doubted(created_at=_at(-1), waited=True, restored=None)
    assert {"order.placed"} == _doubted(hours=24 * 40, created_at=_at(24 * 40), waited=True)


def test_doubt_ends_when_all_that_happened_before_is_too_old():
    assert set() == _doubted(hours=24 * 31, note="x")


def test_a_journal_that_was_never_put_back_doubts_nothing():
    assert set() == _doubted(created_at=_at(-1), restored=None)
