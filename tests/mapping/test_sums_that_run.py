"""`told`: the numbers by which a rule's own fact was sent before."""

from decimal import Decimal

import pytest

from bridge.contract import Event, Reason
from bridge.mapping.rule import Passed, scope_of
from tests.mapping.rules_of import decoded, envelope, order, problems, rules

RULE = """
refunded:
  for: order
  let:
    now: = order.total_price
    before: = default(max(n for n in told if n < now), 0)
  when: = now > 0 and not any(n > now for n in told)
  at: = order.created_at
  once: = now
  give: {action: refund.received, amount: = now - before, data: {before: = before}}
"""
OTHER = RULE.replace("refunded:", "other:").replace("  once", "  fact: refund.other\n  once")


def _steps(text, total, *sent):
    return list(rules(text).apply(envelope(order(total_price=total)), "api", sent=sent))


def _sums(*numbers, fact="refund.received"):
    return [(fact, f'["{number}"]') for number in numbers]


@pytest.mark.parametrize(
    ("total", "told", "amount"),
    [
        ("30.00", (), "30.00"),
        ("45.00", ("30",), "15.00"),
        ("45.00", ("30", "45"), "15.00"),
        ("60.5", ("30", "45"), "15.5"),
        ("30.00", ("45",), None),
        ("0", (), None),
    ],
)
def test_what_is_new_of_a_sum_is_told(total, told, amount):
    (step,) = _steps(RULE, total, *_sums(*told))
    if amount is None:
        assert Passed("refunded", Reason.NOT_TRUE) == step
    else:
        assert (Decimal(amount), f'["{Decimal(total).normalize():f}"]') == (step.give["amount"], step.once)


def test_each_rule_is_told_of_its_own_fact_and_of_numbers_only():
    sent = [*_sums(30), *_sums(40, fact="refund.other"), ("refund.received", "[]"), ("refund.received", '["a"]')]
    amounts = {step.rule: step.give["amount"] for step in _steps(RULE + OTHER, "50", *sent)}
    assert {"refunded": Decimal(20), "other": Decimal(10)} == amounts


def test_what_rules_share_by_an_alias_is_worked_out_for_each():
    text = RULE.replace("data: {", "data: &data {") + OTHER.replace("data: {before: = before}", "data: *data")
    sent = [*_sums(30), *_sums(40, fact="refund.other")]
    befores = {step.rule: step.give["data"]["before"] for step in _steps(text, "50", *sent)}
    assert {"refunded": Decimal(30), "other": Decimal(40)} == befores


def test_the_slow_way_says_the_same():
    made = rules(RULE)
    (rule,) = made._groups["order", "api"].rules
    document = order(total_price="45")
    told = envelope(document)
    for sent in ((), _sums(30), _sums(50)):
        scope = scope_of(rule, decoded(document), told, rule.told_before(sent))
        assert list(made.apply(told, "api", sent=sent)) == list(rule.explained(scope))


@pytest.mark.parametrize("once", ["", "  once: [= now, = order.id]\n", "  once: = order.name\n"])
def test_a_rule_that_asks_says_what_runs(once):
    (problem,) = problems(RULE.replace("  once: = now\n", once))
    assert "told holds the numbers that `once` was: write once: = order.total_refunded, or what runs" in problem[1]


def test_a_rule_that_does_not_ask_is_given_nothing():
    made = rules(RULE.replace("told", "[1]"))
    assert not made.reads_told
    assert rules(RULE).reads_told
    (step,) = made.apply(envelope(order(total_price="5")), "api", sent=_sums(3))
    assert isinstance(step, Event)
    assert Decimal(4) == step.give["amount"]
