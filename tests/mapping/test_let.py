"""Names that a rule gives to expressions, and times that it takes for want of a better one."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from bridge.contract import Event
from bridge.errors import ConfigurationError
from bridge.mapping.expressions import MOST_TERMS
from bridge.mapping.rule import scope_of
from tests.mapping.rules_of import applied, decoded, envelope, order, problems, rules

LET = """
placed:
  for: order
  let:
    paid: = order.total_price
    pieces: = sum(line.quantity for line in order.line_items)
    each_piece: = round_money(paid / pieces, order.currency)
  when: = paid > 0
  at: = order.created_at
  give:
    action: order.placed
    amount: = each_piece
    names: = list(line.name for line in order.line_items if line.price < paid and line.quantity < pieces)
"""


def test_a_name_stands_for_its_expression_wherever_it_is_written():
    (event,) = applied(LET)
    assert {"action": "order.placed", "amount": Decimal("49.50"), "names": ["Wrap"]} == event.give


ONCE = """
placed:
  for: order
  let:
    pieces: = sum(line.quantity for line in order.line_items)
    some: = list(line for line in order.line_items if line.quantity < pieces)
    several: = count(some) > 1
  at: = order.created_at
  give:
    action: order.placed
    names: {each: = order.line_items, as: item, when: = several and item.quantity < pieces, give: = item.name}
"""


def test_a_name_is_worked_out_once_for_a_document_however_many_elements_ask_for_it():
    lines = [{"id": n, "quantity": 1, "price": "1", "name": f"n{n}"} for n in range(3_000)]
    (event,) = applied(ONCE, order(line_items=lines))
    assert [f"n{n}" for n in range(3_000)] == event.give["names"]
    made = rules(ONCE)
    for document in (order(line_items=lines), order(line_items=lines[:2]), order()):
        (rule,) = made._groups["order", "api"].rules
        told = envelope(document)
        assert list(made.apply(told, "api")) == list(rule.explained(scope_of(rule, decoded(document), told)))


def test_a_name_that_is_empty_is_explained_by_its_field():
    (failure,) = applied(LET.replace("  when: = paid > 0\n", ""), order(total_price=None))
    assert failure.message == "rule placed: give.amount: = each_piece: order.total_price is null"


def test_the_fast_way_and_the_slow_way_say_the_same_of_names():
    made = rules(LET)
    for document in (order(), order(total_price="0"), order(line_items=None), order(line_items=[5])):
        (rule,) = made._groups["order", "api"].rules
        assert list(made.apply(envelope(document), "api")) == list(
            rule.explained(scope_of(rule, decoded(document), envelope(document)))
        )


def test_a_name_of_a_rule_with_each_may_use_the_element():
    text = """
refunded:
  for: order
  each: = order.refunds
  as: refund
  let: [{moved: = refund.transactions}, {back: = sum(t.amount for t in moved)}]
  when: = back > 1
  at: = refund.created_at
  once: = refund.id
  give: {action: refund.received, amount: = back}
"""
    refunds = [{"id": n, "created_at": "2026-11-20T13:30:00Z", "transactions": [{"amount": str(n)}]} for n in (1, 2)]
    (event,) = applied(text, order(refunds=refunds))
    assert Decimal(2) == event.give["amount"]


def test_each_goes_through_a_name():
    text = """
refunded:
  for: order
  let: [{known: = order.refunds}, {moved: = back.transactions, of: = list(r for r in known if r.id > 1)}]
  each: = of
  as: back
  at: = back.created_at
  once: = back.id
  give: {action: refund.received, amount: = sum(t.amount for t in moved), count: = count(of)}
"""
    refunds = [{"id": n, "created_at": "2026-11-20T13:30:00Z", "transactions": [{"amount": str(n)}]} for n in (1, 2, 3)]
    events = applied(text, order(refunds=refunds))
    assert [('["2"]', Decimal(2), 2), ('["3"]', Decimal(3), 2)] == [
        (each.once, each.give["amount"], each.give["count"]) for each in events
    ]
    made = rules(text)
    (rule,) = made._groups["order", "api"].rules
    for document in (order(refunds=refunds), order(refunds=[{"id": 2}]), order(refunds=5), order(refunds=None)):
        assert list(made.apply(envelope(document), "api")) == list(
            rule.explained(scope_of(rule, decoded(document), envelope(document)))
        )


def test_names_that_stand_for_too_much_are_refused():
    doubled = "".join(f"    a{n + 1}: = a{n} + a{n}\n" for n in range(40))
    text = LET.replace("    paid: = order.total_price\n", f"    paid: = order.total_price\n    a0: = paid\n{doubled}")
    messages = [message for _, message in problems(text)]
    assert any("stands for it is too long" in message for message in messages)
    assert MOST_TERMS < 2**40


def test_rules_share_what_they_give_alike_with_the_same_names():
    text = LET + LET.replace("placed", "confirmed")
    first, second = applied(text)
    assert first.give["amount"] == second.give["amount"]


ASSUMED = """
placed:
  for: order
  at: {assumed: = order.updated_at}
  give: {action: order.placed}
"""


def test_an_assumed_time_may_change_with_a_later_document():
    (event,) = applied(ASSUMED)
    assert isinstance(event, Event)
    assert datetime(2026, 11, 20, 13, 5, 36, tzinfo=UTC) == event.at


def test_a_time_that_changes_is_refused_where_it_is_not_said_to_be_assumed():
    with pytest.raises(ConfigurationError, match=r"order\.updated_at changes with every update"):
        rules(ASSUMED.replace("{assumed: = order.updated_at}", "= order.updated_at"))


TOLD = """
placed:
  for: order
  at: = order.created_at
  give: {action: order.placed, note?: = source.currency}
"""


def test_a_rule_reads_what_the_source_of_a_document_says_of_its_settings():
    made = rules(TOLD, told={"shop": {"currency": "buyer"}, "till": {"currency": "shop"}})
    notes = [made.apply(envelope(source=source), "api")[0].give.get("note") for source in ("shop", "till", "erp")]
    assert ["buyer", "shop", None] == notes


def test_a_setting_that_no_source_tells_is_refused():
    (problem,) = problems(
        TOLD.replace("note?: = source.currency", "note?: = source.curency"), told={"shop": {"currency": "x"}}
    )
    assert "source has no field curency: did you mean currency?" in problem[1]


def test_what_a_source_tells_is_part_of_a_rules_digest():
    digests = {rules(TOLD, told={"shop": {"currency": each}}).digest_of("placed") for each in ("shop", "buyer")}
    assert 2 == len(digests)


SHOWN = """
placed:
  for: order
  let: {paid: = order.total_price}
  at: = order.created_at
  give: {action: order.placed, amount: = paid}
  show: {the rest: "= given.amount - order.line_items[0].price", phone: = order.phone, wrong: = paid / 0}
"""


def test_what_a_rule_shows_is_for_people_and_no_part_of_the_event():
    made = rules(SHOWN)
    (event,) = made.apply(envelope(), "api")
    assert {"action": "order.placed", "amount": Decimal("99.00")} == event.give
    shown = made.shown(envelope(), "api", event)
    assert {"the rest": Decimal("59.00"), "wrong": "cannot be calculated: paid / 0 divides by zero"} == shown


def test_of_each_what_is_shown_is_of_the_element_that_gave_the_event():
    text = """
refunded:
  for: order
  each: = order.refunds
  as: refund
  at: = refund.created_at
  once: = refund.id
  give: {action: refund.received, count: = refund.id}
  show: {refund: = refund.id, given: = given.count}
"""
    document = order(refunds=[{"id": n, "created_at": "2026-11-20T13:30:00Z"} for n in (1, 2)])
    made = rules(text)
    events = made.apply(envelope(document), "api")
    assert [{"refund": n, "given": n} for n in (1, 2)] == [
        made.shown(envelope(document), "api", each) for each in events
    ]


NESTED = (
    *("-({})", "({} + 1)", "(1 - {})", "(1 if {} else 2)", "(2 if True else {})", "default({}, 1)", "default(1, {})"),
    *("({} and 1)", "(not {})", "has({})", "[{}]", "[{}][0]", "({} == True)"),
    *("(1 if 1 < {} < 3 else 2)", "(1 if {} in [1] else 2)"),
    *("text(integer({}))", "lower(text({}))", "round({}, 2)", "number(text({}))", "count([{}])", "sum([{}])"),
    *("list(x for x in [{}])", "join([text({})], ',')", "order.extra[text({})]", "first([{}])", "max([{}])"),
)


def _nested(step, names):
    """A rule whose names stand for one another, each of them the step around the one before it."""
    lines = "".join(f"    x{at}: = {step.replace('{}', f'x{at - 1}')}\n" for at in range(1, names + 1))
    return f"""
placed:
  for: order
  let:
    x0: = order.extra
{lines}
  at: = order.created_at
  give:
    action: order.placed
    data:
      each: = order.line_items
      as: line
      give: {{a: = x{names}}}
"""


@pytest.mark.parametrize("step", NESTED)
def test_python_takes_whatever_is_within_the_bounds_and_the_rest_is_refused(step):
    names = 1
    while not (found := problems(_nested(step, names))):
        names += 1
    assert "nested deeper than 60 levels" in found[0][1]
    assert names >= 10


def test_a_default_of_many_is_no_deeper_than_one_of_two():
    options = ", ".join(f"order.extra.a{at}" for at in range(90))
    (event,) = applied(LET.replace("names: =", f"note: = default({options}, 'last')\n    names: ="))
    assert "last" == event.give["note"]
