from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from bridge.contract import Event, Reason
from bridge.mapping.rules import Failure, Passed
from tests.mapping.rules_of import RECEIVED, SHAPE, applied, envelope, order, rules

PLACED = """
placed:
  for: order
  when: = not order.test
  at: = order.created_at
  give: {action: order.placed, amount: = order.total_price}
"""
REFUNDED = """
refunded:
  for: order
  each: = order.refunds
  as: refund
  when: = any(t.kind == "refund" and t.status == "success" and t.amount > 0 for t in refund.transactions)
  at: = refund.created_at
  once: = refund.id
  give: {action: refund.received, amount: = sum(t.amount for t in refund.transactions)}
"""


def refund(number=1, **changed):
    money = {"kind": "refund", "status": "success", "amount": "5.00"}
    return {"id": number, "created_at": "2026-11-20T13:30:00Z", "transactions": [money], **changed}


def test_a_rule_states_a_fact_about_a_document():
    (event,) = applied(PLACED)
    assert ("placed", "order.placed", "[]", False) == (event.rule, event.fact, event.once, event.resend)
    assert datetime(2026, 11, 20, 13, 5, 33, tzinfo=UTC) == event.at
    assert timedelta(0) == event.at.utcoffset()


def test_when_what_is_said_is_not_true_the_rule_passes():
    assert (Passed("placed", Reason.NOT_TRUE),) == applied(PLACED, order(test=True))


def test_empty_is_not_true():
    assert (Passed("placed", Reason.NOT_TRUE),) == applied(PLACED.replace("not order.test", "order.cancelled_at"))


def test_without_a_rule_for_its_kind_a_document_is_passed():
    unknown = envelope(kind="refund")
    assert (Passed(None, Reason.NO_RULE),) == applied(PLACED, envelope_=unknown)
    assert (Passed(None, Reason.NO_RULE),) == rules(PLACED).apply(envelope(), "elsewhere")
    assert [True, False, False] == [
        rules(PLACED).knows(*pair) for pair in (("order", "api"), ("refund", "api"), ("order", "elsewhere"))
    ]


def test_each_makes_one_fact_for_each_element():
    steps = applied(REFUNDED, order(refunds=[refund(1), refund("02"), refund(3, transactions=[])]))
    assert ['["1"]', '["2"]'] == [step.once for step in steps]


def test_nothing_in_each_is_nothing_to_send():
    assert (Passed("refunded", Reason.NOTHING_TO_SEND),) == applied(REFUNDED)
    assert (Passed("refunded", Reason.NOTHING_TO_SEND),) == applied(REFUNDED, order(refunds=None))


def test_of_many_elements_that_pass_the_reason_that_came_furthest_is_told():
    old = refund(1, created_at="2020-01-01T00:00:00Z")
    assert (Passed("refunded", Reason.TOO_OLD),) == applied(REFUNDED, order(refunds=[old, refund(2, transactions=[])]))
    assert (Passed("refunded", Reason.NOT_TRUE),) == applied(REFUNDED, order(refunds=[refund(2, transactions=[])]))


def test_one_element_that_fails_holds_no_other_back():
    bad = refund(2, created_at="soon")
    first, second, third = applied(REFUNDED, order(refunds=[refund(1), bad, refund(3)]))
    assert [Event, Failure, Event] == [type(first), type(second), type(third)]
    assert '["2"]' == second.once
    assert (
        "rule refunded: at: = refund.created_at: refund.created_at is text that is not an ISO 8601 time"
        == second.message
    )


def test_a_rule_that_fails_holds_no_other_back():
    steps = applied(PLACED + REFUNDED, order(total_price=None, refunds=[refund()]))
    assert [Failure, Event] == [type(step) for step in steps]
    assert "rule placed: give.amount: = order.total_price: order.total_price is null" == steps[0].message


def test_a_failure_says_what_makes_its_fact_one_where_that_is_known():
    (known,) = applied(REFUNDED, order(refunds=[refund(7, created_at=None)]))
    (unknown,) = applied(REFUNDED, order(refunds=[refund(None)]))
    assert ('["7"]', None) == (known.once, unknown.once)
    assert "rule refunded: once: = refund.id: refund.id is null" == unknown.message


def test_a_list_that_is_none_is_one_failure():
    (failure,) = applied(REFUNDED, order(refunds="none"))
    assert "rule refunded: each: = order.refunds: is text, not a list" == failure.message


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"5", b"null", b"\xff", b'"\\ud800"', b"[" * 100_000, b'{"a":' * 5000, b"1" * 10_000]
)
def test_a_body_that_cannot_be_read_is_a_failure_of_every_rule(raw):
    steps = applied(PLACED + REFUNDED, envelope_=envelope(raw))
    assert [("placed", "order.placed", None), ("refunded", "refund.received", None)] == [
        (step.rule, step.fact, step.once) for step in steps
    ]


def test_a_stale_document_is_for_rules_that_use_it():
    assert (Passed("placed", Reason.STALE),) == applied(PLACED, stale=True)
    (event,) = applied(PLACED + "  stale: use\n", stale=True)
    assert "placed" == event.rule


@pytest.mark.parametrize(("age", "told"), [(timedelta(days=30), Event), (timedelta(days=30, seconds=1), Passed)])
def test_a_fact_is_too_old_after_thirty_days_before_it_was_received(age, told):
    (step,) = applied(PLACED, order(created_at=(RECEIVED - age).isoformat()))
    assert told is type(step)


def test_max_age_and_since_can_be_said():
    document = order(created_at=(RECEIVED - timedelta(days=100)).isoformat())
    assert (Passed("placed", Reason.TOO_OLD),) == applied(PLACED, document)
    assert Event is type(applied(PLACED + "  max_age: 200d\n", document)[0])
    since = PLACED + "  since: 2026-11-20T13:05:34Z\n"
    assert (Passed("placed", Reason.BEFORE_SINCE),) == applied(since)
    assert Event is type(applied(since.replace("34Z", "33Z"))[0])


def test_what_is_uncertain_may_be_sent_again_if_the_rule_says_so():
    assert applied(PLACED + "  uncertain: resend\n")[0].resend


def test_the_fact_may_have_a_name_of_its_own():
    assert "sale" == applied(PLACED + "  fact: sale\n")[0].fact


def test_a_rule_may_be_for_several_kinds_and_names_the_document_doc():
    text = "placed:\n  for: [order, draft]\n  at: = doc.created_at\n  give: {action: order.placed}\n"
    kinds = {"order": {"created_at": "time"}, "draft": {"created_at": "time"}}
    found = rules(text, kinds=kinds)
    assert [Event, Event] == [type(found.apply(envelope(kind=kind), "api")[0]) for kind in kinds]


def test_topic_headers_shop_and_variables_can_be_read():
    text = """
    placed:
      for: order
      at: = received_at
      stale: skip
      when: = topic == 'orders/create' and headers['X-Thing'] == 'y' and shop in vars.shops
      give: {action: order.placed, note: "= lookup(vars.names, order.id)"}
    """
    told = envelope(headers={"x-thing": "y"})
    variables = {"shops": ["a-shop"], "names": {"6042": "it"}}
    (event,) = applied(text, envelope_=told, variables=variables)
    assert ("it", RECEIVED) == (event.give["note"], event.at)
    assert (Passed("placed", Reason.NOT_TRUE),) == applied(text, envelope_=envelope(), variables=variables)


def test_a_field_of_a_name_that_python_keeps_for_itself_is_read_with_brackets():
    text = REFUNDED.replace("once: = refund.id", "once: = refund['return'].id")
    (event,) = applied(text, order(refunds=[refund(**{"return": {"id": 9}})]))
    assert '["9"]' == event.once


@pytest.mark.parametrize(
    ("once", "key"),
    [
        ("= order.id", '["6042"]'),
        ("['= order.id', '= order.name']", '["6042","#1042"]'),
        ('"= [order.id, order.name]"', '["6042","#1042"]'),
        ("= order.codes", '["A","B"]'),
        ("= order.created_at", '["2026-11-20T13:05:33Z"]'),
        ("= order.total_price", '["99"]'),
        ("= order.test", '["false"]'),
        ("= sha256(order.email)", None),
    ],
)
def test_once_is_a_canonical_array_of_texts(once, key):
    (event,) = applied(PLACED + f"  once: {once}\n")
    assert key in (None, event.once)


def test_a_missing_part_of_once_is_a_failure():
    (failure,) = applied(PLACED + "  once: ['= order.id', '= order.customer.id']\n")
    assert (None, "rule placed: once: = order.customer.id: order.customer is null") == (failure.once, failure.message)


def test_the_digest_is_of_what_the_rules_say():
    same = PLACED.replace("  for: order\n", "").replace("  at:", "  for: order\n  at:")
    assert rules(PLACED).digest == rules(same).digest
    assert rules(PLACED).digest != rules(PLACED + "  max_age: 5d\n").digest
    assert rules(PLACED).digest != rules(PLACED, variables={"a": 1}).digest


def test_names_and_facts_are_known_by_destination():
    found = rules(PLACED + REFUNDED)
    assert (("placed", "refunded"), ()) == (found.names("api"), found.names("elsewhere"))
    assert {"placed": "order.placed", "refunded": "refund.received"} == found.facts("api")


def test_former_names_of_a_fact_are_known():
    assert {("api", "order.placed"): ["sold"]} == rules(PLACED + "  formerly: sold\n").formerly


def test_one_rule_may_go_elsewhere():
    found = rules(
        PLACED + "  to: other\n" + REFUNDED + "  to: api\n", destinations={"api": SHAPE, "other": replace(SHAPE)}
    )
    assert [("refunded",), ("placed",)] == [found.names("api"), found.names("other")]


def test_rules_that_share_a_part_give_the_same_as_alone():
    text = """
    placed:
      for: order
      at: = order.created_at
      give: {action: order.placed, person?: &person {email?: = email(order.email)}, data?: &data {a?: = order.phone}}
    confirmed:
      for: order
      at: = order.created_at
      give: {action: order.confirmed, person?: *person, data?: *data}
    """
    first, second = applied(text)
    assert {"email": "ada@example.com"} == first.give["person"] == second.give["person"]
    assert "data" not in first.give | second.give


def test_times_at_the_end_of_the_calendar_raise_nothing():
    for text in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        (step,) = applied(PLACED + "  max_age: 30d\n", order(created_at=text))
        assert type(step) in (Passed, Failure)


def test_the_time_at_which_a_document_came_may_have_any_zone():
    (event,) = applied(PLACED, envelope_=envelope(received_at=RECEIVED.astimezone(timezone(timedelta(hours=9)))))
    assert "placed" == event.rule
