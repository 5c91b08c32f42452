# ruff: noqa: E501 - what the user reads stands in one piece
from decimal import Decimal

import pytest

from tests.mapping.rules_of import given, one, order, problems


def failed(give, document=None):
    return one(give, document).message


def test_a_literal_is_given_as_it_stands():
    assert {"note": "x", "amount": Decimal("10.10"), "flag": True, "data": [1, {"a": "b"}]} == given(
        "note: x\namount: 10.10\nflag: true\ndata: [1, {a: b}]"
    )


def test_a_text_that_begins_with_an_equals_sign_is_written_as_an_expression():
    assert {"note": "=1"} == given("note: = '=1'")


def test_an_optional_key_is_left_out_when_empty():
    assert {} == given("note?: = order.phone")
    assert {"note": ""} == given("note?: = order.phone", order(phone=""))


def test_a_key_that_must_have_a_value_fails_with_rule_path_expression_and_field():
    assert "rule placed: give.note: = order.phone: order.phone is absent" == failed("note: = order.phone")
    assert "rule placed: give.note: = order.phone: order.phone is null" == failed(
        "note: = order.phone", order(phone=None)
    )


def test_the_field_that_is_named_is_the_first_that_is_missing():
    assert "order.customer is null" in failed("note: = lower(order.customer.email)")
    assert "order.phone is absent, order.customer is null" in failed(
        "note: = default(order.phone, order.customer.phone)"
    )


def test_a_function_that_finds_nothing_is_named():
    message = failed("note: = phone(order.name)")
    assert "rule placed: give.note: = phone(order.name): phone(order.name) gives nothing" == message


def test_no_message_holds_a_value_of_the_document():
    message = failed("note: = phone(order.name)", order(name="ada.sample@example.com"))
    assert "ada" not in message


PERSON = "person?:\n  email?: = email(order.email)\n  phone?: = phone(order.phone)"


def test_an_optional_mapping_whose_keys_are_all_empty_is_left_out():
    assert {"person": {"email": "ada@example.com"}} == given(PERSON)
    assert {} == given(PERSON, order(email=None))


def test_a_mapping_that_must_be_there_fails_when_all_its_keys_are_empty():
    assert "give.person: all its keys are empty" in failed(PERSON.replace("person?", "person"), order(email=None))


ITEM = "data?:\n  amount: = order.extra.amount\n  currency: = order.extra.currency"


def test_a_mapping_with_a_value_and_a_missing_key_fails_also_when_optional():
    assert {} == given(ITEM, order(extra=None))
    assert "give.data?.currency: = order.extra.currency: order.extra.currency is absent" in failed(
        ITEM, order(extra={"amount": 1})
    )


ITEMS = """
items{}:
  each: = order.line_items
  as: line
  when: = line.quantity > 0
  give: {{name: = line.name, quantity: = line.quantity, price: {{amount: = line.price, currency: = order.currency}}}}
"""


def test_each_gives_one_element_for_each_that_when_lets_through():
    (item,) = given(ITEMS.format(""))["items"]
    assert {"name": "Shirt", "quantity": 2, "price": {"amount": Decimal("40.00"), "currency": "EUR"}} == item


def test_an_empty_list_is_given_and_left_out_under_an_optional_key():
    assert {"items": []} == given(ITEMS.format(""), order(line_items=[]))
    assert {} == given(ITEMS.format("?"), order(line_items=[]))
    assert {} == given(ITEMS.format("?"), order(line_items=None))


def test_a_list_that_is_not_there_fails_under_a_key_that_must_be():
    message = failed(ITEMS.format(""), order(line_items=None))
    assert "give.items.each: = order.line_items: order.line_items is null" in message


def test_an_element_that_lacks_something_fails():
    lines = [{"name": None, "quantity": 1, "price": "1.00"}]
    assert "give.items.give.name: = line.name: line.name is null" in failed(ITEMS.format(""), order(line_items=lines))


@pytest.mark.parametrize("lines", [["x"], "lines", 5, {"a": 1}, [1, 2], [[1]]])
def test_lists_of_another_shape_fail_and_raise_nothing(lines):
    assert "rule placed: give.items" in failed(ITEMS.format(""), order(line_items=lines))


@pytest.mark.parametrize("nothing", [{}, "", False])
def test_where_a_list_or_a_mapping_is_what_holds_nothing_is_an_empty_one(nothing):
    assert {"items": []} == given(ITEMS.format(""), order(line_items=nothing))
    assert {"count": 0} == given("count: = count(order.line_items)", order(line_items=nothing))
    assert {"amount": 0} == given("amount: = sum(line.price for line in order.line_items)", order(line_items=nothing))
    assert {"names": []} == given("names: = order.codes[1:]", order(codes=nothing))
    assert {"note": "none"} == given("note: = default(order.customer.email, 'none')", order(customer=nothing))
    assert {"note": "none"} == given("note: = default(order.line_items[0].name, 'none')", order(line_items=nothing))


@pytest.mark.parametrize("nothing", [{}, [], False])
def test_where_a_text_or_a_time_is_what_holds_nothing_is_empty(nothing):
    assert {} == given("note?: = order.name", order(name=nothing))
    assert {} == given("when?: = order.updated_at", order(updated_at=nothing))
    assert "order.name is null" in failed("note: = lower(order.name)", order(name=nothing))


@pytest.mark.parametrize(
    ("give", "odd"),
    [
        ("note?: = order.name", {"name": ["x"]}),
        ("note?: = order.name", {"name": True}),
        ("note?: = order.customer.email", {"customer": "Ada"}),
        ("note?: = order.line_items[0].name", {"line_items": 5}),
        ("note?: = join(order.codes, ' ')", {"codes": "a b"}),
        ("note?: = lower(doc.extra)", {"extra": [1]}),
        ("note?: = order.codes[1:][0]", {"codes": 5}),
        ("when?: = order.updated_at", {"updated_at": 5}),
        ("flag?: = order.test", {"test": "yes"}),
        ("person?: {email: = order.email, phone?: = order.phone}", {"email": ["x"], "phone": "1"}),
        (
            "names?: {each: = order.line_items, as: line, give: = line.sku}",
            {"line_items": [{"sku": "a"}, {"sku": [1]}]},
        ),
        ("data?: [= order.name, = order.email]", {"name": ["x"]}),
    ],
)
def test_an_optional_key_whose_value_has_another_shape_is_left_out(give, odd):
    assert {"session": "s"} == given(f"session: s\n{give}", order(**odd))
    assert "rule placed: give." in failed(f"session: s\n{give.replace('?:', ':', 1)}", order(**odd))


@pytest.mark.parametrize(
    ("give", "odd", "sentence"),
    [
        (
            "amount?: = order.total_price",
            {"total_price": {"amount": "5"}},
            "order.total_price is a mapping, not a number",
        ),
        ("amount?: = order.total_price", {"total_price": "5 EUR"}, "order.total_price is text that is not a number"),
        ("amount?: = doc.extra.price", {"extra": "5"}, "doc.extra is text and has no fields"),
        (
            "amount?: = sum(line.price for line in order.line_items)",
            {"line_items": "5"},
            "order.line_items is text, not a list",
        ),
        (
            "data?: {price: '= order.line_items[0].price'}",
            {"line_items": ["5"]},
            "order.line_items[0] is text and has no fields",
        ),
        (
            "amount?:\n  first_of: [= doc.extra.price, = order.total_price]",
            {"extra": "5"},
            "doc.extra is text and has no fields",
        ),
        ("when?: = order.updated_at", {"updated_at": "soon"}, "order.updated_at is text that is not an ISO 8601 time"),
    ],
)
def test_a_number_or_a_wrong_value_is_never_left_out(give, odd, sentence):
    assert sentence in failed(f"session: s\n{give}", order(**odd))


def test_an_event_says_what_was_left_out_of_it_and_why():
    give = "person?: {email?: = order.email, phone?: = order.phone}\nnote?: = order.name\nsession: s"
    event = one(give, order(email=["ada@example.com"], phone="1", name={"a": 1}))
    assert {"person": {"phone": "1"}, "session": "s"} == {key: event.give[key] for key in ("person", "session")}
    assert event.left_out == (
        "give.person?.email?: = order.email: order.email is a list, not text",
        "give.note?: = order.name: order.name is a mapping, not text",
    )
    assert () == one(give).left_out


def test_first_of_passes_over_another_shape_under_an_optional_key_only():
    odd, give = order(name=["x"], email="e"), "note{}:\n  first_of: [= order.name, = order.email]"
    assert {"note": "e"} == given(give.format("?"), odd)
    assert {"session": "s"} == given("session: s\n" + give.format("?"), order(name=["x"], email=None))
    assert "give.note.first_of.0: = order.name: order.name is a list, not text" in failed(give.format(""), odd)


FIRST = "note:\n  first_of: ['= order.phone', '= order.customer.phone', none]"


def test_first_of_takes_the_first_that_is_not_empty():
    assert {"note": "none"} == given(FIRST)
    assert {"note": "1"} == given(FIRST, order(phone="1"))
    assert {"note": "2"} == given(FIRST, order(customer={"phone": "2"}))


def test_first_of_may_hold_structures():
    give = "data:\n  first_of:\n    - {a?: = order.phone}\n    - {b: = order.name}"
    assert {"data": {"b": "#1042"}} == given(give)


def test_first_of_that_finds_nothing_says_all_that_it_tried():
    message = failed("note:\n  first_of: ['= order.phone', '= order.customer.phone']")
    assert "order.phone is absent" in message
    assert "order.customer is null" in message


def test_a_written_list_needs_all_its_elements():
    assert {"names": ["#1042", "x"]} == given("names: ['= order.name', x]")
    assert "give.names.1: = order.phone: order.phone is absent" in failed("names: ['= order.name', '= order.phone']")
    assert {} == given("names?: ['= order.phone']")


def test_a_time_is_given_as_text_in_utc():
    assert {"when": "2026-11-20T13:05:33Z"} == given("when: = order.created_at")


def test_what_is_copied_whole_holds_no_nulls():
    assert {"data": {"deep": [1, "2"]}} == given("data: = order.extra")


def test_numbers_are_never_floats():
    assert {"amount": Decimal("1.1"), "data": Decimal("1.1")} == given("amount: = order.rate\ndata: = doc.rate")


def said(give):
    return [message for _, message in problems(
        "placed:\n  for: order\n  at: = order.created_at\n  give:\n    action: order.placed\n" + give
    )]  # fmt: skip


@pytest.mark.parametrize(
    ("give", "sentence"),
    [
        ("    emial: x", "the destination knows no emial here: there are action, person, session, amount, currency, count, flag, when, note, items, names, data"),
        ("    amuont: 5", "the destination knows no amuont here: did you mean amount?"),
        ("    person: x", "is text, and should be a mapping"),
        ("    person: {email: x, emial?: y}", "the destination knows no emial here: did you mean email?"),
        ("    note: {a: b}", "is a mapping, and should be text"),
        ("    note: [a]", "is a list, and should be text"),
        ("    names: x", "is text, and should be a list"),
        ("    names: [5]", "is an integer, and should be text: write = text(5)"),
        ("    names: = list(l.quantity for l in order.line_items)", "is an integer, and should be text: write = text(list(l.quantity for l in order.line_items))"),
        ("    data: {}", "has no keys"),
        ("    note: x\n    note?: y", "note is written twice, once as note?: keep one"),
        ("    items: {each: = order.line_items, give: {}}", "as is missing: a list is written with each, as and give"),
        ("    items: {each: = order.name, as: line, give: {name: x}}", "is text, and each goes through lists"),
        ("    items: {each: order.line_items, as: line, give: {name: x}}", "this is a text, not the field: write `= order.line_items`, or `= 'order.line_items'` if the text is meant"),
        ("    items: {each: = order.line_items, as: order, give: {name: x}}", "order is the name of something else already"),
        ("    items: {each: = order.line_items, as: 'a b', give: {name: x}}", "a b cannot be a name: letters, digits and _ make one"),
        ("    items: {each: = order.line_items, as: lower, give: {name: x}}", "lower is the name of a function"),
        ("    items: {each: = order.line_items, as: class, give: {name: x}}", "class cannot be a name: letters, digits and _ make one"),
        ("    items: {each: = order.line_items, as: line, wen: true, give: {name: x}}", "stands beside each, as, when, by, group and give: did you mean when?"),
        ("    note: {first_of: x}", "write a list: the first that is not empty is taken"),
        ("    note: {first_of: [x], also: y}", "first_of stands alone"),
    ],
)  # fmt: skip
def test_what_is_given_is_checked_against_what_the_destination_takes(give, sentence):
    assert sentence in said(give)


def test_deep_structures_are_refused():
    assert "nested deeper than 12 levels" in said("    data: " + "{a: " * 15 + "1" + "}" * 15)


GROUPED = """
items:
  each: = order.line_items
  as: line
  when: = line.quantity > 0
  by: = line.sku
  group: lines
  give:
    name: = line.name
    quantity: = sum(each.quantity for each in lines)
    price: {amount: = sum(each.price * each.quantity for each in lines), currency: = order.currency}
"""


def lines(*told):
    return [{"name": name, "sku": sku, "quantity": quantity, "price": "1.50"} for name, sku, quantity in told]


def test_elements_that_are_one_by_a_value_give_one_in_the_order_of_their_first():
    items = lines(("a", "A", 1), ("b", 7, 2), ("c", "A", 3), ("off", "A", 0), ("d", "7", 1))
    found = given(GROUPED.replace("= line.sku", "= doc.line_items[0].sku and line.sku"), order(line_items=items))
    assert [("a", 4, Decimal("6.00")), ("b", 3, Decimal("4.50"))] == [
        (item["name"], item["quantity"], item["price"]["amount"]) for item in found["items"]
    ]


def test_without_a_name_for_the_group_the_first_of_each_stands_for_it():
    text = "items: {each: = order.line_items, as: line, by: = line.sku, give: {name: = line.name}}"
    found = given(text, order(line_items=lines(("a", "A", 1), ("b", "B", 1), ("c", "A", 1))))
    assert [{"name": "a"}, {"name": "b"}] == found["items"]


def test_an_element_that_says_nothing_of_what_makes_it_one_fails_the_rule():
    message = failed(GROUPED, order(line_items=lines(("a", None, 1))))
    assert "rule placed: give.items.by: = line.sku: line.sku is null" == message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "items: {each: = order.line_items, as: line, group: x, give: {name: x}}",
            "say by what, by: = line.product_id",
        ),
        ("items: {each: = order.line_items, as: line, by: = line.properties, give: {name: x}}", "by a single value"),
        ("items: {each: = order.line_items, as: line, by: = line.sku, group: order, give: {name: x}}", "already"),
        ("items: {each: = order.line_items, as: line, by: = line.sku, group: g, give: {name: = g.sku}}", "is a list"),
    ],
)
def test_a_group_is_checked_when_it_is_read(text, said):
    head = "placed:\n  for: order\n  at: = order.created_at\n  give:\n    action: order.placed\n    "
    assert any(said in message for _, message in problems(head + text + "\n"))


def test_where_a_sum_is_empty_the_field_is_named_that_made_it_so():
    lines = [{"price": "1.00"}, {"price": None}]
    assert "line.price is null" in failed(
        "amount: = sum(line.price for line in order.line_items)", order(line_items=lines)
    )
    refunds = [{"transactions": [{"amount": "1.00"}, {}]}]
    give = "amount: = sum(t.amount for r in order.refunds for t in r.transactions)"
    assert "t.amount is absent" in failed(give, order(refunds=refunds))
    assert "order.line_items is null" in failed(
        "amount: = sum(l.price for l in order.line_items)", order(line_items=None)
    )
    assert "gives nothing" in failed("note: = first(line.name for line in order.line_items)", order(line_items=[]))
