"""What one document may cost: steps, bytes, facts, and the search for the reason of a failure are bounded."""

import tracemalloc
from decimal import Decimal

import pytest

from bridge.contract import Event
from bridge.mapping import values
from bridge.mapping.functions import people
from bridge.mapping.rules import Failure
from tests.mapping.rules_of import applied, envelope, given, one, order, rules, value

LONG = "n" * 99_000
LINES = [{"id": n, "name": "x", "quantity": 1} for n in range(1_000)]
TOO_MUCH = (
    f"rule placed: makes more than {values.BYTES} bytes of this document",
    f"rule placed: gives an event of more than {values.BYTES} bytes",
    f"rule placed: takes more than {values.STEPS} steps on this document",
)


def beside_each_line(said):
    return f"data: {{each: = order.line_items, as: line, give: {{all: '= {said}', of: = line.id}}}}"


@pytest.mark.parametrize(
    "said",
    [
        "order.name",
        "order.name + line.name",
        "order.extra",
        "order.line_items",
        "default(order.email, order.name)",
        "[order.name, order.name]",
        'replace(line.name, "x", order.name)',
        'join([order.name, line.name], ",")',
        "text(order.id)",
        "order.id",
        "upper(order.name)",
        "order",
    ],
)
def test_what_a_document_says_beside_each_of_its_lines_is_bounded_in_all(said):
    document = order(name=LONG, email=None, line_items=LINES, extra={"long": [LONG] * 2}, id=10**4000)
    wide = [*LINES, *({"id": n, "name": "x", "quantity": 1} for n in range(2_000))]
    document = {**document, "line_items": wide} if said in ("text(order.id)", "order.id") else document
    raw = envelope(document)
    made = rules(f"""
placed:
  for: order
  at: = order.created_at
  give:
    action: order.placed
    {beside_each_line(said)}
""")
    tracemalloc.start()
    (step,) = made.apply(raw, "api")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(step, Failure)
    assert step.message in TOO_MUCH
    assert most < 60_000_000


@pytest.mark.parametrize(
    "made",
    [
        "list(order.name + line.name for line in order.line_items)",
        'list(split(order.tags, ",") for line in order.line_items)',
        "list(upper(order.name) for line in order.line_items)",
        'list(replace(line.name, "x", order.name) for line in order.line_items)',
        'count(join([order.name, line.name], "") for line in order.line_items)',
        "list(order.line_items[0:] for line in order.line_items)",
        "list(order.name[1:] for line in order.line_items)",
        "flat(order.line_items for line in order.line_items)",
        "flat([order.line_items, order.line_items] for line in order.line_items)",
        "list(json(order.email) for line in order.line_items)",
    ],
)
def test_what_is_made_on_the_way_is_bounded_in_all(made):
    tracemalloc.start()
    lists = "[" + ",".join(["[]"] * 33_000) + "]"
    step = one(f"data: '= {made}'", order(name=LONG, email=lists, tags="a," * 40_000, line_items=LINES))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(step, Failure)
    assert most < 60_000_000


def test_an_event_is_measured_as_it_is_written():
    """A sign that JSON writes with six bytes is one character."""
    controls = "\u0001" * 2_000_000
    assert isinstance(one("note: = order.name", order(name=controls)), Failure)
    assert {"note": LONG} == given("note: = order.name", order(name=LONG))


def test_what_rules_share_counts_for_each_of_them():
    """One of them works it out, and all give it."""
    text = """
placed:
  for: order
  at: = order.created_at
  give: {action: order.placed, data?: &data {long: = order.name, again: = order.name}}
confirmed:
  for: order
  at: = order.created_at
  give: {action: order.confirmed, data?: *data}
"""
    steps = applied(text, order(name="\u0001" * 800_000))
    assert ["placed", "confirmed"] == [step.rule for step in steps if isinstance(step, Failure)]


def test_json_that_would_take_too_much_room_is_not_read():
    lists = "[" + ",".join(["[]"] * 1_000_000) + "]"
    raw = envelope(order(tags=lists))
    made = rules(
        "placed: {for: order, at: = order.created_at, give: {action: order.placed, count: = count(json(order.tags))}}"
    )
    tracemalloc.start()
    (step,) = made.apply(raw, "api")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert step.message == f"rule placed: makes more than {values.BYTES} bytes of this document"
    assert most < 20_000_000


def test_texts_that_are_looked_at_for_each_line_take_steps():
    for said in ("order.name == order.email", "order.name in order.tags", "line.name in order.codes"):
        document = order(name=LONG, email=LONG + "m", tags=LONG, line_items=LINES, codes=["y"] * 1_000)
        step = one(f"count: '= count(line for line in order.line_items if {said})'", document)
        assert step.message == f"rule placed: takes more than {values.STEPS} steps on this document"


REFUNDED = """
refunded:
  for: order
  each: = order.refunds
  as: refund
  at: = refund.created_at
  once: = refund.id
  give: {action: refund.received, amount: = sum(t.amount for t in refund.transactions)}
"""


def refunds(count, **changed):
    refund = {"created_at": "2026-11-20T13:30:00Z", "transactions": [{"amount": "5.00"}], **changed}
    return [{"id": n, **refund} for n in range(count)]


def test_a_document_beyond_the_bound_of_facts_is_one_fact_that_says_so():
    steps = applied(REFUNDED, order(refunds=refunds(values.FACTS)))
    assert values.FACTS == sum(isinstance(step, Event) for step in steps)
    (failure,) = applied(REFUNDED, order(refunds=refunds(values.FACTS + 1)))
    assert (f"rule refunded: makes more than {values.FACTS} facts of this document", None) == (
        failure.message,
        failure.once,
    )


def test_facts_that_fail_count_as_facts():
    (failure,) = applied(REFUNDED, order(refunds=refunds(50_000, transactions=[{"amount": "x"}])))
    assert failure.message == f"rule refunded: makes more than {values.FACTS} facts of this document"


def test_elements_that_give_no_fact_do_not_count():
    quiet = REFUNDED.replace("  at: ", "  when: = refund.id == 7\n  at: ", 1)
    (event,) = applied(quiet, order(refunds=refunds(5_000)))
    assert event.once == '["7"]'


def test_an_element_that_fails_does_not_make_the_others_fail():
    broken = refunds(3)
    broken[1]["transactions"] = [{"amount": "x"}]
    assert [Event, Failure, Event] == [type(step) for step in applied(REFUNDED, order(refunds=broken))]
    failure = applied(REFUNDED, order(refunds=broken))[1]
    assert failure.once == '["1"]'
    assert "give.amount" in failure.message


@pytest.fixture
def looked(monkeypatch):
    """How often a part of an expression was looked at to explain something."""
    seen = [0]
    look = values.look

    def counted(count, budget):
        seen[0] += count
        look(count, budget)

    monkeypatch.setattr(values, "look", counted)
    return seen


def test_the_reason_of_a_failure_is_looked_for_within_a_bound(looked):
    text = REFUNDED.replace("refunded:", "again:").replace("refund.received", "order.placed")
    document = order(refunds=refunds(900, transactions=[{"amount": "1"}] * 20 + [{"amount": "x"}]))
    steps = applied(REFUNDED + text, document)
    assert 1_800 == len(steps)
    assert all(isinstance(step, Failure) for step in steps)
    assert {f'["{n}"]' for n in range(900)} == {step.once for step in steps}
    assert "transactions" in steps[0].message
    assert steps[-1].message == (
        "rule again: cannot be calculated (is text that is not a number); "
        "the document is too large to look for the place"
    )
    assert looked[0] < values.TERMS + 1_800 * 20


def test_what_rules_share_is_explained_once(looked):
    shared = """
placed:
  for: order
  at: = order.created_at
  give:
    action: order.placed
    items: &items
      each: = order.line_items
      as: line
      give: {name: = line.name, quantity: = line.quantity, price: {amount: = line.price, currency: = order.currency}}
confirmed:
  for: order
  at: = order.created_at
  give: {action: order.confirmed, items: *items}
"""
    lines = [{"name": "n", "quantity": 1, "price": "1"} for _ in range(100)]
    lines[-1]["price"] = "x"
    alone, _, both = shared.partition("confirmed:")
    applied(alone, order(line_items=lines))
    once, looked[0] = looked[0], 0
    first, second = applied(alone + "confirmed:" + both, order(line_items=lines))
    assert looked[0] < once * 1.2
    assert first.message.removeprefix("rule placed") == second.message.removeprefix("rule confirmed")
    assert "line.price is text that is not a number" in first.message


def test_a_message_is_bounded():
    step = one("data: {first_of: [" + ", ".join(f'"= order.extra.{"a" * 90}{n}"' for n in range(100)) + "]}")
    assert isinstance(step, Failure)
    assert len(step.message) < 1_100


@pytest.mark.parametrize("problem", [MemoryError, RecursionError, AssertionError, StopIteration, KeyError])
def test_whatever_generated_code_raises_fails_its_rule_alone(monkeypatch, problem):
    made = rules(REFUNDED + "placed:\n  for: order\n  at: = order.created_at\n  give: {action: order.placed}\n")
    group = made._groups["order", "api"]

    def breaks(*_):
        raise problem("a value of the document")

    monkeypatch.setattr(group, "_runs", [(group.rules[0], breaks), group._runs[1]])
    monkeypatch.setattr(type(group.rules[0].each), "scopes", breaks)
    failure, event = made.apply(envelope(), "api")
    assert isinstance(event, Event)
    assert (failure.message, failure.fact) == (
        f"rule refunded: cannot be calculated ({problem.__name__})",
        "refund.received",
    )


def test_a_body_that_memory_does_not_suffice_for_fails_all_rules(monkeypatch):
    made = rules(REFUNDED)

    def breaks(_):
        raise MemoryError

    monkeypatch.setattr(made._groups["order", "api"], "decode", breaks)
    (failure,) = made.apply(envelope(), "api")
    assert failure.message == "rule refunded: there is not enough memory to read the body"


def test_a_key_is_bounded():
    keyed = REFUNDED.replace("once: = refund.id", "once: = text(refund.id) + order.name")
    for long in (
        "n" * values.LONGEST_KEY,
        "\u4e2d" * (values.LONGEST_KEY // 3),
        "\U0001f600" * (values.LONGEST_KEY // 4),
    ):
        (failure,) = applied(keyed, order(refunds=refunds(1), name=long))
        assert failure.message == (
            "rule refunded: once: = text(refund.id) + order.name: "
            "makes a key of more than 1000 bytes: write sha256(...), or an id"
        )
        assert failure.once is None
    (event,) = applied(keyed, order(refunds=refunds(1), name="n" * 990))
    assert isinstance(event, Event)


def test_no_text_of_a_document_is_remembered_as_a_country():
    before = people._e164.cache_info().misses
    assert {} == given("note?: = phone('020 7946 0000', order.name)", order(name=LONG))
    assert {} == given("note?: = phone('020 7946 0000', order.name)", order(name=LONG + "x"))
    assert people._e164.cache_info().misses <= before + 1


def test_a_table_costs_no_more_than_its_entry():
    table = {str(n): "x" for n in range(90_000)}
    rule = (
        "placed:\n  for: order\n  at: = order.created_at\n  give: {action: order.placed, note: '= lookup(vars.t, 7)'}\n"
    )
    (event,) = applied(
        rule.replace("lookup(vars.t, 7)", "lookup(vars.t, 7) + lookup(vars.t, 8)"), variables={"t": table}
    )
    assert event.give["note"] == "xx"


def test_an_element_may_have_any_name():
    steps = (
        "data: {each: = order.line_items, as: steps, give: {all: = text(steps.id), price: = steps.price * order.rate}}"
    )
    assert one(steps, order(line_items=[{"id": 1, "price": "x"}])).message.endswith(
        "steps.price is text that is not a number"
    )


# -- the fast way says what the slow way means ------------------------------------------------------------------------


def test_a_mapping_whose_only_list_is_empty_is_empty():
    assert one("data: {z?: '= []'}").message == "rule placed: give.data: all its keys are empty"
    assert {} == given("data?: {z?: '= []'}")


def test_a_left_side_that_fails_is_looked_at_where_the_right_one_is_empty():
    step = one("flag?: = (not number(order.name)) == order.test", order(test=None))
    assert step.message.startswith("rule placed: give.flag?: = (not number(order.name)) == order.test: ")
    assert step.message.endswith("number(order.name) is text that is not a number")


def test_a_product_of_whole_numbers_is_of_one_kind():
    for rate in (2, 2.0):
        for price in (3, "3", 3.0):
            document = order(total_price=price, rate=rate)
            fast = given("amount: = order.total_price * order.rate", document)["amount"]
            slow = value("order.total_price * order.rate", document)
            assert [Decimal, Decimal] == [type(fast), type(slow)]
