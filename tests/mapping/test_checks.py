"""What is found before traffic: each with file, line, path and what to write instead."""

# ruff: noqa: E501 - what the user reads stands in one piece

from dataclasses import replace

import pytest

from bridge.errors import ConfigurationError
from tests.mapping.rules_of import SHAPE, problems, rules

RULE = """\
placed:
  for: order
  at: = order.created_at
  give: {action: order.placed}
"""
EACH = RULE.replace("  at:", "  each: = order.refunds\n  as: refund\n  at:")


@pytest.mark.parametrize(
    ("text", "path", "sentence"),
    [
        ("placed: 5", "rules.placed", "a rule is a mapping with the keys for, to, when, each, as, let, at, once, fact, give, show, stale, max_age, since, uncertain, formerly"),
        ("placed: {}", "rules.placed", "say for which kind of document it is: for: order"),
        (RULE + "  wehn: true\n", "rules.placed.wehn", "a rule has no key wehn: did you mean when?"),
        (RULE.replace("for: order", "for: oder"), "rules.placed.for", "no source brings oder documents: did you mean order?"),
        (RULE.replace("for: order", "for: []"), "rules.placed.for", "name at least one kind of document"),
        (RULE.replace("  at: = order.created_at\n", ""), "rules.placed", "say when the fact became true: at: = order.created_at"),
        (RULE.replace("  give: {action: order.placed}\n", ""), "rules.placed", "say what it gives: give: {...}"),
        (RULE.replace("= order.created_at", "order.created_at"), "rules.placed.at", "this is a text, not the field: write `= order.created_at`, or `= 'order.created_at'` if the text is meant"),
        (RULE.replace("= order.created_at", "now"), "rules.placed.at", "write an expression, beginning with =: at: = ..."),
        (RULE.replace("created_at", "name"), "rules.placed.at", "is text, and should be a time: write = time(order.name)"),
        (RULE.replace("created_at", "updated_at"), "rules.placed.at", "order.updated_at changes with every update: take the time at which the fact became true, or write at: {assumed: = order.updated_at} to take it all the same"),
        (RULE.replace("= order.created_at", "{}"), "rules.placed.at", "write the time, or {assumed: = ...} where none is known for sure"),
        (RULE.replace("= order.created_at", "{assumed: now}"), "rules.placed.at.assumed", "write an expression, beginning with =: assumed: = ..."),
        (RULE.replace("= order.created_at", "{assumed: = order.name}"), "rules.placed.at.assumed", "is text, and should be a time: write = time(order.name)"),
        (RULE + "  show: x\n", "rules.placed.show", "write labels, each with its expression: {items: = count(given.items)}"),
        (RULE + "  show: {paid: order.total_price}\n", "rules.placed.show.paid", "this is a text, not the field: write `= order.total_price`, or `= 'order.total_price'` if the text is meant"),
        (RULE + "  let: [x]\n", "rules.placed.let.0", "write names, each with its expression: {paid: = order.total_price}"),
        (RULE + "  let: [{a: = order.id}, {a: = order.id}]\n", "rules.placed.let.1.a", "a is the name of something else already"),
        (RULE + "  let: {order: = order.id}\n", "rules.placed.let.order", "order is the name of something else already"),
        (RULE + "  let: {sum: = order.id}\n", "rules.placed.let.sum", "sum is the name of a function"),
        (RULE + "  let: {a: 5}\n", "rules.placed.let.a", "write an expression, beginning with =: a: = ..."),
        (RULE + "  let: {a: = b, b: = order.id}\n", "rules.placed.let.a", "nothing is named b here: there are doc, headers, key, order, received_at, shop, source, told, topic, vars; a text is quoted: 'b'"),
        (RULE.replace("= order.created_at", "= late") + "  let: {late: = order.updated_at}\n", "rules.placed.at", "order.updated_at changes with every update: take the time at which the fact became true, or write at: {assumed: = late} to take it all the same"),
        (RULE + "  to: ap\n", "rules.placed.to", "there is no destination ap: did you mean api?"),
        (RULE + "  when: order.test\n", "rules.placed.when", "this is a text, not the field: write `= order.test`, or `= 'order.test'` if the text is meant"),
        (RULE + "  when: on\n", "rules.placed.when", "write an expression, beginning with =: when: = ..."),
        (RULE + "  stale: maybe\n", "rules.placed.stale", "write skip or use"),
        (RULE + "  uncertain: maybe\n", "rules.placed.uncertain", "write park or resend"),
        (RULE + "  max_age: 30\n", "rules.placed.max_age", "write a number and a unit: 12h or 30d"),
        (RULE + "  since: 2026-11-01\n", "rules.placed.since", "write an instant with its zone: 2026-11-01T00:00:00Z"),
        (RULE + "  formerly: [5]\n", "rules.placed.formerly", "write the fact's former name, or a list of them"),
        (RULE + "  fact: = order.name\n", "rules.placed.fact", "the name of a fact is a fixed text of at most 200 characters"),
        (RULE + "  once: order.id\n", "rules.placed.once", "this is a text, not the field: write `= order.id`, or `= 'order.id'` if the text is meant"),
        (RULE + "  once: = 'x'\n", "rules.placed.once", "is the same for every document: leave it out for once per order"),
        (RULE + "  once: = order.email\n", "rules.placed.once", "order.email is personal data, and keys are kept for years: write sha256(order.email), or an id"),
        (RULE + "  once: = order.customer\n", "rules.placed.once", "order.customer is a mapping: a key is made of single values"),
        (RULE + "  as: x\n", "rules.placed.as", "as names the elements of each: write each as well, or leave it out"),
        (EACH, "rules.placed.each", "say what makes each element one fact: once: = refund.id"),
        (EACH + "  once: = order.id\n", "rules.placed.once", "is the same for every refund: write = refund.id, or what tells them apart"),
        (EACH.replace("  as: refund\n", ""), "rules.placed.each", "name its elements: as: refund"),
        (RULE + "  when: = topic == 'orders/create'\n", "rules.placed.when", "it reads topic, which an older document may have too: say stale: skip (most often right) or stale: use"),
        (RULE + "  stale: skip\n  when: = topic == 'orders/craete'\n", "rules.placed.when", "no source brings the topic orders/craete: did you mean orders/create?"),
        (RULE + "  stale: skip\n  when: = topic in ['orders/create', 'x']\n", "rules.placed.when", "no source brings the topic x"),
        (RULE.replace("order.placed", "order.plcaed"), "rules.placed.give.action", "action cannot be 'order.plcaed': did you mean order.placed?"),
        (RULE.replace("action:", "action?:"), "rules.placed.give", "action must be given, and not be optional"),
        (RULE.replace("action: order.placed", "note: x") + "  fact: f\n", "rules.placed.give", "action must be given"),
        (RULE.replace("{action: order.placed}", "x"), "rules.placed.give", "write a mapping: the keys of the event, each with its value"),
        (RULE + RULE.replace("placed:", "again:", 1), "rules.again", "makes the fact order.placed of order documents, as rule placed does: one would hold the other's key. Merge them, or give one a fact: of its own"),
    ],
)  # fmt: skip
def test_a_wrong_rule_is_refused_with_its_path_and_the_cure(text, path, sentence):
    assert (path, sentence) in problems(text)


def test_every_problem_is_told_at_once_with_its_place():
    text = RULE.replace("created_at", "craeted_at") + "  max_age: x\n  when: = order.tset\n"
    with pytest.raises(ConfigurationError) as caught:
        rules(text)
    assert [("bridge.yaml", 3, 7), ("bridge.yaml", 5, 12), ("bridge.yaml", 6, 9)] == sorted(
        (problem.file, problem.line, problem.column) for problem in caught.value.problems
    )


def test_the_nearest_field_is_named_with_the_way_to_declare_a_new_one():
    (told,) = problems(RULE + "  when: = order.totl_price\n")
    cure = "did you mean total_price? or declare it under fields: {order.totl_price: text}"
    assert ("rules.placed.when", f"order has no field totl_price: {cure}") == told


@pytest.mark.parametrize(
    ("written", "declared"),
    [
        ("order.tip", "order.tip"),
        ("doc.tip", "order.tip"),
        ("order.customer.tip", "order.customer.tip"),
        ("order.line_items[0].tip", "order.line_items.tip"),
        ("order.line_items[1:][0].tip", "order.line_items.tip"),
        ("any(l.tip for l in order.line_items)", "order.line_items.tip"),
        ("any(t.tip for r in order.refunds for t in r.transactions)", "order.refunds.transactions.tip"),
        ("any(t.tip for t in flat(r.transactions for r in order.refunds))", "order.refunds.transactions.tip"),
        ("any(l.tip for l in flat([order.line_items]))", "order.line_items.tip"),
        ("first(l for l in order.line_items if l.quantity > 0).tip", "order.line_items.tip"),
        ("default(order.customer.default_address, order.billing_address).tip", "order.customer.default_address.tip"),
        ("line.tip", "order.line_items.tip"),
        ("any(l.tip for l in lines)", "order.line_items.tip"),
    ],
)
def test_the_way_to_declare_a_new_field_is_one_that_is_taken(written, declared):
    text = (
        "placed:\n  for: order\n  let: {lines: = order.line_items, line: '= order.line_items[0]'}\n"
        f"  at: = order.created_at\n  when: '= has({written})'\n  give: {{action: order.placed}}\n"
    )
    ((_, told),) = problems(text)
    assert f"declare it under fields: {{{declared}: text}}" in told
    assert [] == problems(text, fields={declared: "text"})


@pytest.mark.parametrize(
    ("give", "declared"),
    [
        ("items: {each: = order.line_items, as: line, give: {name: = line.tip}}", "order.line_items.tip"),
        ("items: {each: = order.line_items, as: line, by: = line.id, group: all_, give: {name: '= all_[0].tip'}}",
         "order.line_items.tip"),
        ("data: {each: = order.refunds, as: r, give: {all: {each: = r.transactions, as: t, give: {x: = t.tip}}}}",
         "order.refunds.transactions.tip"),
    ],
)  # fmt: skip
def test_so_is_the_way_to_declare_a_field_of_an_element(give, declared):
    text = RULE.replace("}", f", {give}}}")
    ((_, told),) = problems(text.replace("all_", "same"))
    assert f"declare it under fields: {{{declared}: text}}" in told
    assert [] == problems(text.replace("all_", "same"), fields={declared: "text"})


def test_what_is_no_part_of_a_document_is_not_to_be_declared_as_one():
    (told,) = problems(RULE + "  when: = vars.shosp\n", variables={"shops": "a"})
    assert told[1] == "vars has no field shosp: did you mean shops?"
    (told,) = problems(RULE + "  when: = vars.x\n", variables={"shops": "a", "more": "b"})
    assert told[1] == "vars has no field x: there are shops, more"


WRONG_NAME = """\
placed:
  for: order
  let: &names
    paid: = order.totl_price
    twice: = paid * 2
    many: = count(x for x in order.line_items if x.price > twice)
  when: = paid > 5
  at: = order.created_at
  give: {action: order.placed, amount: = twice, note: '= text(many) + order.name'}
confirmed:
  for: order
  let: *names
  when: = twice > 5
  at: = order.created_at
  give: {action: order.confirmed, amount: = paid}
"""


def test_one_mistake_in_a_name_is_one_problem_however_often_it_is_used():
    (told,) = problems(WRONG_NAME)
    assert told[0] == "rules.placed.let.paid"
    assert "did you mean total_price?" in told[1]


@pytest.mark.parametrize("wrong", ["sum", "first name"])
def test_a_name_that_cannot_be_one_is_one_problem(wrong):
    text = RULE + f"  let: {{{wrong}: = order.id, b: = order.id}}\n  when: = b > 1 and sum > 1\n"
    assert [f"rules.placed.let.{wrong}"] == [path for path, _ in problems(text) if path.startswith("rules.placed.let")]


def test_one_mistake_in_each_is_one_problem():
    text = EACH.replace("order.refunds", "order.refnds") + "  once: = refund.id\n  when: = refund.amount > 5\n"
    assert [("rules.placed.each", "rules.placed.each")] == [(path, path) for path, _ in problems(text)]


def test_what_rules_share_is_wrong_once():
    text = RULE.replace("{action: order.placed}", "&give {action: order.placed, note: = order.nmae}")
    text += RULE.replace("placed:", "again:", 1).replace("{action: order.placed}", "*give") + "  fact: again\n"
    assert ["rules.placed.give.note"] == [path for path, _ in problems(text)]


def test_each_goes_through_no_name_that_needs_its_element():
    text = EACH + "  once: = refund.id\n  let: {moved: = refund.transactions}\n"
    (told,) = problems(text.replace("= order.refunds", "= moved"))
    cure = "moved in let reads refund, an element: in each, use a name that needs none"
    assert ("rules.placed.each", cure) == told


def test_a_declared_field_is_known():
    fields = {"order.gift": "boolean", "order.line_items.weight": "number", "order.customer.vip": "any"}
    text = RULE + "  when: = order.gift and order.line_items[0].weight > 5 and order.customer.vip\n"
    assert [] == problems(text, fields=fields)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"order.gift": "bool"},
            "write one of any, boolean, integer, money, number, text, time, a mapping of fields, or [element]",
        ),
        ({"oder.gift": "text"}, "no source brings oder documents: did you mean order?"),
        (
            {"order": "text"},
            "write its fields, a file that describes them (.yaml, .json), or one field of it: order.new_field",
        ),
        ({"order.": "text"}, "write the kind of document and the field: order.new_field"),
        ({"order.name.x": "text"}, "name is text, and has no fields"),
        ({"order.gift": ["text", "text"]}, "a list is written with one element, its type: [text]"),
    ],
)
def test_a_wrong_declaration_is_refused(fields, sentence):
    assert [(f"fields.{next(iter(fields))}", sentence)] == problems(RULE, fields=fields)


def test_declaring_a_field_changes_no_description_of_a_source():
    kinds = {"order": {"created_at": "time"}}
    rules(RULE, kinds=kinds, fields={"order.gift": "text"})
    assert {"order": {"created_at": "time"}} == kinds


def test_one_of_several_keys_must_be_given_and_some_exclude_each_other():
    shape = replace(SHAPE, one_of=(frozenset(("person", "session")),), at_most_one=(frozenset(("amount", "count")),))
    told = [
        message for _, message in problems(RULE.replace("}", ", amount: 1, count: 2}"), destinations={"api": shape})
    ]
    assert ["one of person, session must be given", "amount and count exclude each other: give one"] == told
    fine = RULE.replace("}", ", session?: = order.name}")
    assert [] == problems(fine, destinations={"api": shape})


def test_the_destination_must_be_said_where_there_are_two():
    assert [("rules.placed", "say where it goes: to: api or other")] == problems(
        RULE, destinations={"api": SHAPE, "other": SHAPE}
    )


def test_a_document_without_a_description_may_hold_anything():
    assert [] == problems(RULE.replace("= order.created_at", "= order.any.thing"), kinds={"order": {}})


def test_an_action_that_looks_like_a_field_is_an_action():
    assert [] == problems(RULE, kinds={"order": {"created_at": "time", "placed": "time"}})


def test_a_variable_that_is_not_there_is_named():
    (told,) = problems(RULE + "  when: = shop in vars.shosp\n", variables={"shops": ["a"]})
    assert "vars has no field shosp: did you mean shops?" in told[1]
