"""Lists within lists: `each` goes through several, and what is worked out for an element sees all that it stands in."""

# ruff: noqa: E501 - what the user reads stands in one piece

import pytest

from bridge.contract import Event, Reason
from bridge.mapping import values
from bridge.mapping.rule import scope_of
from bridge.mapping.rules import Failure, Passed
from tests.mapping.rules_of import applied, decoded, envelope, given, one, order, problems, rules

AT = "2026-11-20T13:30:00Z"
REFUNDS = [
    {"id": 1, "created_at": AT, "transactions": [{"kind": "a", "amount": "1"}, {"kind": "b", "amount": "2"}]},
    {"id": 2, "created_at": AT, "transactions": None},
    {"id": 3, "created_at": AT},
    {"id": 4, "created_at": AT, "transactions": [{"kind": "c", "amount": "4"}]},
]
WITHIN = "data: {each: [= order.refunds, = r.transactions], as: [r, t], give: {of: = r.id, kind: = t.kind}}"
RULE = """
moved:
  for: order
  let: {known: = order.refunds, share: = moved.amount / 4 * refund.id}
  each: [= known, = refund.transactions]
  as: [refund, moved]
  at: = refund.created_at
  once: [= refund.id, = moved.kind]
  give: {action: refund.received, amount: = share, count: = refund.id}
"""


def test_lists_in_a_list_give_one_list_whose_elements_see_what_they_stand_in():
    found = given(WITHIN, order(refunds=REFUNDS))["data"]
    assert [(1, "a"), (1, "b"), (4, "c")] == [(each["of"], each["kind"]) for each in found]
    some = given(WITHIN.replace("give:", "when: = t.amount * r.id > 1, give:"), order(refunds=REFUNDS))["data"]
    assert [(1, "b"), (4, "c")] == [(each["of"], each["kind"]) for each in some]


def test_only_the_outermost_list_makes_it_empty():
    assert {} == given(WITHIN.replace("data:", "data?:"), order(refunds=None))
    assert {"data": []} == given(WITHIN, order(refunds=REFUNDS[1:3]))
    assert one(WITHIN, order(refunds=None)).message == (
        "rule placed: give.data.each.0: = order.refunds: order.refunds is null"
    )


def test_lists_may_be_three_deep():
    extra = [{"ps": [{"id": 1, "rs": [{"n": "x"}]}, {"id": 2, "rs": [{"n": "y"}, {"n": "z"}]}]}, {"ps": []}, {}]
    text = "data: {each: [= order.extra, = c.ps, = p.rs], as: [c, p, r], give: {p: = p.id, n: = r.n}}"
    found = given(text, order(extra=extra))["data"]
    assert [(1, "x"), (2, "y"), (2, "z")] == [(each["p"], each["n"]) for each in found]


def test_a_rule_makes_a_fact_of_each_element_of_the_innermost_list():
    events = applied(RULE, order(refunds=REFUNDS))
    assert [('["1","a"]', 1), ('["1","b"]', 1), ('["4","c"]', 4)] == [
        (each.once, each.give["count"]) for each in events
    ]
    assert ["0.25", "0.5", "4"] == [values.canonical(each.give["amount"]) for each in events]
    (passed,) = applied(RULE, order(refunds=[]))
    assert passed == Passed("moved", Reason.NOTHING_TO_SEND)


def test_what_a_rule_shows_is_of_the_element_that_gave_the_event():
    made = rules(RULE + "  show: {of: = refund.id, kind: = moved.kind}\n")
    told = envelope(order(refunds=REFUNDS))
    shown = [made.shown(told, "api", event) for event in made.apply(told, "api")]
    assert [{"of": 1, "kind": "a"}, {"of": 1, "kind": "b"}, {"of": 4, "kind": "c"}] == shown


def test_why_no_fact_came_of_it_is_said_of_each_element():
    made = rules(RULE.replace("  at:", "  when: = moved.amount > refund.id * 9\n  at:"))
    told = envelope(order(refunds=REFUNDS))
    assert made.why_not(told, "api", "moved") == "moved.amount > refund.id * 9 is not true"


def test_an_element_that_fails_holds_no_other_back():
    refunds = [*REFUNDS, {"id": 5, "created_at": AT, "transactions": [{"kind": "d", "amount": "x"}]}]
    steps = applied(RULE, order(refunds=refunds))
    assert [Event, Event, Event, Failure] == [type(each) for each in steps]
    assert ('["5","d"]', "moved.amount is text that is not a number") == (steps[3].once, steps[3].message[-41:])


WRONG = {
    "inner": [*REFUNDS, {"id": 5, "created_at": AT, "transactions": "x"}],
    "outer": 7,
    "element": [*REFUNDS, 7],
    "time": [*REFUNDS, {"id": 5, "transactions": [{"kind": "d", "amount": "1"}]}],
}


@pytest.mark.parametrize("refunds", WRONG.values(), ids=WRONG.keys())
def test_the_fast_way_and_the_slow_way_say_the_same_of_lists_in_lists(refunds):
    for text in (
        RULE,
        f"placed:\n  for: order\n  at: = order.created_at\n  give: {{action: order.placed, {WITHIN}}}\n",
    ):
        made = rules(text)
        (rule,) = made._groups["order", "api"].rules
        told = envelope(order(refunds=refunds))
        slow = rule.explained(scope_of(rule, decoded(order(refunds=refunds)), told))
        assert list(made.apply(told, "api")) == list(slow)


def test_what_is_wrong_names_its_list():
    step = one(WITHIN, order(refunds=WRONG["inner"]))
    assert step.message == "rule placed: give.data.each.1: = r.transactions: is text, not a list"


def test_lists_in_lists_cost_steps_as_any_walk_does():
    refunds = [{"id": n, "created_at": AT, "transactions": [{"kind": "a", "amount": "1"}] * 500} for n in range(500)]
    (failure,) = applied(RULE.replace("  at:", "  when: = moved.kind == 'b'\n  at:"), order(refunds=refunds))
    assert failure.message == f"rule moved: takes more than {values.STEPS} steps on this document"
    assert " more than " in one(WITHIN, order(refunds=refunds)).message


LISTS = "name the elements of each list: each: [= order.payments, = payment.refunds], as: [payment, refund]"


@pytest.mark.parametrize(
    ("text", "path", "sentence"),
    [
        (RULE.replace("as: [refund, moved]", "as: refund"), "rules.moved.as", LISTS),
        (RULE.replace("as: [refund, moved]", "as: [refund]"), "rules.moved.as", LISTS),
        (RULE.replace("[= known, = refund.transactions]", "[]").replace("[refund, moved]", "[]"), "rules.moved.as", LISTS),
        (RULE.replace("= refund.transactions]", "= refund.transactons]"), "rules.moved.each.1",
         "refund has no field transactons: did you mean transactions? or declare it under fields: {order.refunds.transactons: text}"),
        (RULE.replace("as: [refund, moved]", "as: [refund, order]"), "rules.moved.as.1", "order is the name of something else already"),
        (RULE.replace("as: [refund, moved]", "as: [refund, refund]"), "rules.moved.as.1", "refund is the name of something else already"),
        (RULE.replace("once: [= refund.id, = moved.kind]", "once: = refund.id"), "rules.moved.once",
         "is the same for every moved: write = moved.id, or what tells them apart"),
        (RULE.replace("= refund.transactions]", "= refund.id]"), "rules.moved.each.1", "is an integer, and each goes through lists"),
    ],
)  # fmt: skip
def test_a_wrong_list_in_a_list_is_refused_with_its_path(text, path, sentence):
    assert (path, sentence) in problems(text)


def test_elements_of_lists_in_lists_are_not_made_one():
    said = WITHIN.replace("give:", "by: = t.kind, give:")
    ((path, told),) = problems(
        f"placed:\n  for: order\n  at: = order.created_at\n  give: {{action: order.placed, {said}}}\n"
    )
    cure = "by goes over one list: put the lists together, each: = flat(x.parts for x in list)"
    assert ("rules.placed.give.data.by", cure) == (path, told)
