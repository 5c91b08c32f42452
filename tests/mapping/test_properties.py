"""What must hold for every document and every expression, searched for by Hypothesis."""

# ruff: noqa: E501 - strategies and forms read best in one line each

import copy
import json
import unicodedata
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from hypothesis import assume, example, given, settings
from hypothesis import strategies as some

from bridge.config import read
from bridge.contract import Event, Reason
from bridge.mapping import arithmetic, values
from bridge.mapping.codegen import PythonSource, compiled, namespace
from bridge.mapping.expressions import compile_expression
from bridge.mapping.rule import scope_of
from bridge.mapping.rules import Failure, Passed
from bridge.mapping.type_check import NotAllowed
from bridge.mapping.values import WHAT_DATA_CAN_RAISE, Failed, exact
from tests.mapping import by_hand
from tests.mapping.rules_of import DOCUMENT, ORDER, decoded, envelope, names, rules

SHOPIFY = Path("connectors/shopify")
EXAMPLE = json.loads((SHOPIFY / "examples/order.json").read_text())

EVERYTHING = """
placed:
  for: order
  when: = not order.test
  at: = default(order.created_at, time(doc.extra))
  once: = [order.id, order.name]
  give:
    action: order.placed
    person?: &person
      email?: = email(default(order.email, order.customer.email))
      phone?:
        first_of:
          - = phone(order.phone, order.billing_address.country_code)
          - = phone(order.customer.phone, order.customer.default_address.country_code)
    session?: = session(named(order.note_attributes, "s"))
    amount: = order.total_price * order.rate
    note?: = join(split(order.tags, ","), " ") + order.name
    when: = order.created_at
    items?: &items
      each: = order.line_items
      as: line
      when: = line.quantity > 0
      by: = default(line.sku, line.id)
      group: same
      give: {name: = line.name, quantity: = sum(each.quantity for each in same), price: {amount: = line.price, currency: = order.currency}}
    names?: = order.codes
    data?: = order.extra
confirmed:
  for: order
  when: = order.total_price >= 5 or doc.extra.deep[0] > 2
  at: = order.created_at
  give:
    action: order.confirmed
    person?: *person
    items?: *items
    data?: {a: = order.id, b: = order.extra.deep}
looked_into:
  for: order
  let: {sold: = list(line for line in order.line_items if line.quantity > 0)}
  at: = order.created_at
  give:
    action: order.cancelled
    flag: = has(order.billing_address) and has(order.extra)
    data?:
      country?: = default(order.customer.default_address, order.billing_address).country_code
      second?: = order.line_items[1:][0].name
      sold?: {each: = sold, as: piece, give: {name: = piece.name, of: = count(sold)}}
      tags?: {each: = order.note_attributes, as: note, give: {all: = note, name?: = note.name}}
refunded:
  for: order
  each: = order.refunds
  as: refund
  when: = any(t.kind == "refund" and t.amount > 0 for t in refund.transactions)
  at: = refund.created_at
  once: = refund.id
  give: {action: refund.received, amount: = sum(t.amount for t in refund.transactions), count: "= refund['return'].id"}
"""
RULES = rules(
    EVERYTHING
    + """
moved:
  for: order
  fact: moved
  let: {sum_: = refund.id, known: = order.refunds}
  each: [= known, = refund.transactions]
  as: [refund, moved]
  when: = moved.amount > 0
  at: = refund.created_at
  once: [= refund.id, = moved.kind]
  give:
    action: refund.received
    amount: = moved.amount
    count: = sum_
    data?:
      all: {each: [= order.refunds, = r.transactions], as: [r, t], when: = t.amount != 1, give: {of: = r.id, kind: = t.kind}}
"""
)

SCALARS = (
    some.none()
    | some.booleans()
    | some.integers(-(10**50), 10**50)
    | some.floats(allow_nan=False, allow_infinity=False)
    | some.text(max_size=8)
    | some.sampled_from(["99.00", "1e5", "NaN", "2026-11-20T14:05:33+01:00", "0001-01-01T00:00:00+14:00", "+442079460018", "EUR", "", "\0", "٣"])
)  # fmt: skip
KEYS = some.sampled_from([*ORDER, *ORDER["line_items"][0], "created_at", "transactions", "amount", "kind", "value"])
JSON = some.recursive(
    SCALARS, lambda inner: some.lists(inner, max_size=3) | some.dictionaries(KEYS, inner, max_size=4), max_leaves=8
)


def places(value, path=()):
    """Every place in a document."""
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from places(inner, (*path, key))


@some.composite
def changed(draw, document):
    """A document in which a few places hold something else."""
    result = copy.deepcopy(document)
    for _ in range(draw(some.integers(0, 3))):
        path = draw(some.sampled_from([each for each in places(result) if each]))
        place = result
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = draw(JSON)
    return result


def floats(value):
    if isinstance(value, dict):
        return any(map(floats, value.values()))
    return any(map(floats, value)) if isinstance(value, list) else isinstance(value, float)


def nothing(value):
    """Whether a None stands anywhere in it."""
    if isinstance(value, dict):
        return any(map(nothing, value.values()))
    return any(map(nothing, value)) if isinstance(value, list) else value is None


FULL = {
    **DOCUMENT,
    "refunds": [
        {
            "id": 1,
            "created_at": "2026-11-20T13:30:00Z",
            "return": {"id": 5},
            "transactions": [{"kind": "refund", "status": "success", "amount": "5.00"}],
        }
    ],
}


@given(changed(FULL) | JSON | some.dictionaries(KEYS, JSON, max_size=6))
@settings(max_examples=150)
def test_applying_rules_never_raises_and_gives_no_float_and_no_null(document):
    steps = RULES.apply(envelope(json.dumps(document).encode()), "api")
    assert steps
    for step in steps:
        assert isinstance(step, Event | Failure | Passed)
        if isinstance(step, Event):
            assert not floats(step.give)
            assert not nothing(step.give)
            assert isinstance(json.loads(step.once), list)
            assert step.at.utcoffset() == timedelta(0)


@given(some.binary(max_size=40))
def test_no_bytes_make_it_raise(raw):
    assert RULES.apply(envelope(raw), "api")


TWO_FAILURES = [{"id": 1, "quantity": 1, "sku": [1]}, {"id": 2, "quantity": []}]
"""Of two lines: which failure is met first decides whether an optional list is left out or the rule fails."""


@given(changed(FULL))
@example({**FULL, "line_items": TWO_FAILURES})
@example({**FULL, "line_items": TWO_FAILURES[::-1]})
@settings(max_examples=150)
def test_the_fast_way_and_the_slow_way_say_the_same(document):
    told = envelope(json.dumps(document).encode())
    fast = RULES.apply(told, "api")
    slow = [
        step
        for rule in RULES._groups["order", "api"].rules
        for step in rule.explained(scope_of(rule, decoded(document), told))
    ]
    assert list(fast) == slow
    assert [repr(getattr(step, "give", None)) for step in fast] == [repr(getattr(step, "give", None)) for step in slow]


@given(changed(FULL), some.text(min_size=6, max_size=12, alphabet="qxzQXZ"))
@settings(max_examples=200)
def test_no_failure_tells_a_value_of_the_document(document, secret):
    poisoned = json.loads(json.dumps(document))
    for path in places(document):
        place = poisoned
        for key in path[:-1]:
            place = place[key]
        if path and isinstance(place[path[-1]], str) and path[-1] != "created_at":
            place[path[-1]] = secret
    for step in RULES.apply(envelope(json.dumps(poisoned).encode()), "api"):
        assert not isinstance(step, Failure) or secret not in step.message


# -- expressions -------------------------------------------------------------------------------------------------------

ATOMS = some.sampled_from(
    [
        "order.id",
        "order.name",
        "order.email",
        "order.total_price",
        "order.rate",
        "order.test",
        "order.created_at",
        "order.customer.email",
        "order.line_items",
        "order.line_items[0].price",
        "order.line_items[0]",
        "order.codes",
        "order.extra",
        "order.extra.deep",
        "doc.extra",
        "order.extra.deep[1]",
        "1",
        "0",
        "2.5",
        "-3",
        "'a'",
        "''",
        "True",
        "None",
        "x",
        "x.price",
        "order.note_attributes",
    ]
)
FORMS = some.sampled_from(
    [
        "{} + {}", "{} - {}", "{} * {}", "{} / {}", "{} == {}", "{} != {}", "{} < {}", "{} >= {}", "{} < {} <= {}",
        "{} in {}", "{} not in {}", "{} and {}", "{} or {}", "not {}", "-{}", "{} if {} else {}", "{}[{}]", "{}[{}:{}]",
        "[{}, {}]", "has({})", "default({}, {})", "text({})", "number({})", "round({}, 2)", "round({} / {}, 1)", "lower({})",
        "sum({})", "any({})", "count({})", "first({})", "max({})", "list({})", "join({}, ',')", "split({}, ',')",
        "sum({} for x in {})", "any({} for x in {} if {})", "list({} for x in {} for y in {})", "epoch({})", "time({})",
        "email({})", "named({}, 'gift')", "replace({}, 'a', 'b')", "integer({})", "lookup({}, {})", "({}).price", "sha256({})",
        "flat({})", "flat([{}, {}])", "flat({} for x in {})", "list({} for x in {} for y in x.properties for z in {})", "json({})",
        "time_text({}, 'YYYY-MM-DD')", "local_time({}, 'UTC', 'YYYYMMDD')", "from_unscaled({}, 2)", "({})[1:]", "({})[:-1]",
        "tally({}, 'name', 'amount')", "lookup(tally({}, 'sku', 'quantity'), {})", "round(sum({} / 3 for x in {}), 2)",
        "min({} for x in order.line_items)", "count({} for x in order.line_items)",
    ]
)  # fmt: skip
TEXTS = some.recursive(
    ATOMS,
    lambda inner: some.builds(
        lambda form, a, b, c: form.format(f"({a})", f"({b})", f"({c})"), FORMS, inner, inner, inner
    ),
    max_leaves=10,
)


def _read(text):
    try:
        return compile_expression(text, names())
    except NotAllowed:
        return None


def outcome(function):
    try:
        return function()
    except WHAT_DATA_CAN_RAISE as failure:
        return type(failure)


@given(TEXTS, changed(FULL))
@settings(max_examples=500)
def test_an_expression_means_what_its_python_does(text, document):
    expression = _read(text)
    assume(expression is not None)
    scope = {"order": decoded(document), "doc": decoded(document)}
    assume(isinstance(scope["order"], dict))
    space = namespace()
    writer = PythonSource(space)
    writer.line(f"return {expression.term.python(writer)}")
    run = compiled("def run(budget, v_order, v_doc):", writer, space)
    fast = outcome(lambda: run(values.whole_budget(), scope["order"], scope["doc"]))
    slow = outcome(lambda: expression.evaluate(scope))
    if isinstance(slow, type):
        assert issubclass(slow, Failed)
    # Where one fails the other does, and what they give is the same in kind too: 6 is not Decimal("6").
    assert isinstance(fast, type) == isinstance(slow, type), (fast, slow)
    if not isinstance(fast, type):
        assert repr(read_out(fast)) == repr(read_out(slow))
        assert not floats(fast)


def read_out(value):
    """A walk is a generator, and is only worth what it yields."""
    return list(value) if isinstance(value, Iterator) else value


@given(some.text(max_size=40) | some.lists(some.sampled_from(["order", ".", "(", ")", "[", "]", "name", "x", "for", "in", "if", "else", "not", "and", "or", "==", "<", "+", "-", "*", "/", ",", "'", '"', "1", "__class__", "lambda", ":"]), max_size=14).map(" ".join))  # fmt: skip
@settings(max_examples=300)
def test_any_text_is_an_expression_or_is_refused_with_a_sentence(text):
    assert _read(text) is None or _read(text).source


# -- exactness ---------------------------------------------------------------------------------------------------------

NUMBERS = some.decimals(min_value=-(10**15), max_value=10**15, places=6) | some.integers(-(10**15), 10**15)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_sums_and_products_are_exact(a, b, c):
    result = arithmetic.subtract(arithmetic.add(a, arithmetic.multiply(b, c)), a)
    assert Fraction(b) * Fraction(c) == Fraction(result)


@given(some.integers(-(10**18), 10**18), some.integers(0, 6))
def test_the_canonical_text_does_not_depend_on_how_a_number_is_written(whole, zeros):
    texts = {
        values.canonical(whole),
        values.canonical(Decimal(whole)),
        values.canonical(Decimal(f"{whole}.{'0' * zeros}" if zeros else str(whole))),
    }
    assert {str(whole)} == texts


@given(some.text(max_size=20).filter(lambda text: text.isprintable()))
def test_the_canonical_text_does_not_depend_on_the_unicode_form(text):
    assert values.canonical(unicodedata.normalize("NFD", text)) == values.canonical(unicodedata.normalize("NFC", text))


@given(some.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)), some.timezones())  # noqa: DTZ001 - the zone is drawn
def test_the_canonical_time_does_not_depend_on_its_zone(moment, zone):
    aware = moment.replace(tzinfo=zone)
    assert values.canonical(aware) == values.canonical(values.utc(aware))


@given(some.from_regex(r"-?(0|[1-9][0-9]{0,50})(\.[0-9]{1,50})?([eE][-+]?[0-9]{1,12})?", fullmatch=True))
def test_a_number_is_read_exactly_or_stays_text(written):
    found = exact(written)
    if isinstance(found, str):
        assert written == found
    else:
        assert Decimal(written) == found
        assert len(format(found, "f")) <= 2 * values.DIGITS + 90


# -- the default rules -------------------------------------------------------------------------------------------------


DEFAULT = read(
    """
sources: {shop: {connector: shopify, shops: {example-linen.myshopify.com: {secrets: [env:S]}}}}
destinations: {hellotext: {connector: hellotext, token: env:T}}
include: [shopify/default]
""",
    file="bridge.yaml",
    environ={"S": "s", "T": "t"},
).rules
CENTS = some.decimals(min_value=0, max_value=100_000, places=2).map(str)


@some.composite
def shopify_orders(draw):
    order = copy.deepcopy(EXAMPLE)
    order["total_price"] = order["current_total_price"] = draw(CENTS)
    order["email"] = draw(some.sampled_from([None, "", " Ada@Example.com", "nobody"]))
    order["phone"] = draw(some.sampled_from([None, "", "020 7946 0018", "+1 212 555 2368", "call me"]))
    order["customer"] = draw(
        some.sampled_from([None, order["customer"], {"email": "b@example.com", "first_name": " "}])
    )
    order["note_attributes"] = draw(
        some.lists(
            some.fixed_dictionaries(
                {
                    "name": some.sampled_from(["hello_session", "_hello_session", "gift"]),
                    "value": some.sampled_from(["abc", "undefined", "", None, 5, ["x"], "a b"]),
                }
            ),
            max_size=3,
        )
    )
    order["financial_status"] = draw(some.sampled_from(["pending", "paid", "refunded", None]))
    order["cancelled_at"] = draw(some.sampled_from([None, "2026-11-20T15:00:00+01:00", "2026-01-01T00:00:00Z"]))
    order["processed_at"] = draw(
        some.sampled_from([order["created_at"], "2026-11-10T00:00:00Z", "2019-01-01T00:00:00Z"])
    )
    for line in order["line_items"]:
        line["price"], line["quantity"] = draw(CENTS), draw(some.integers(0, 7))
        line["current_quantity"] = line["quantity"]
        line["variant_id"], line["sku"] = draw(some.sampled_from([None, 5])), draw(some.sampled_from([None, "", "S"]))
        line["properties"] = draw(some.sampled_from([[], line["properties"]]))
        line["discount_allocations"] = [{"amount": draw(CENTS)} for _ in range(draw(some.integers(0, 2)))]
    return order


@given(shopify_orders())
@settings(max_examples=300)
def test_the_default_rules_do_what_python_by_hand_does(order):
    told = envelope(json.dumps(order).encode())
    events = [step for step in DEFAULT.apply(told, "hellotext") if isinstance(step, Event)]
    by_python = by_hand.mapped(told.raw, told.received_at)
    for event in by_python:
        event.give["object_parameters"].setdefault("items", [])
    assert by_python == events
    assert [event.give for event in by_python] == [event.give for event in events]


def test_the_default_rules_say_what_becomes_of_the_example():
    told = envelope(json.dumps(EXAMPLE).encode())
    reasons = [step.reason for step in DEFAULT.apply(told, "hellotext") if isinstance(step, Passed)]
    assert [*[Reason.NOT_TRUE] * 3, Reason.NOTHING_TO_SEND] == reasons
