"""What YAML does to expressions, and the sentence that the user reads."""

# ruff: noqa: E501, ISC004 - what the user reads stands in one piece

import pytest

from bridge.errors import ConfigurationError
from bridge.mapping.loader import load
from tests.mapping.rules_of import problems


def said(text):
    with pytest.raises(ConfigurationError) as caught:
        load(text, "f.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_an_expression_that_is_none_is_not_answered_with_a_shorter_one():
    assert {"a": "= order.id +"} == load("{a: = order.id +}\n", "f.yaml").value


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "a: = replace(order.name, ' #', '')\n",
            "f.yaml:1:4: a: YAML takes what follows ` #` for a comment and cuts the expression: quote it: "
            "\"= replace(order.name, ' #', '')\"",
        ),
        (
            'when: = order.note == "a: b"\n',
            "f.yaml:1:7: YAML reads braces, brackets, commas and `: ` in an expression as its own: quote it: "
            "'= order.note == \"a: b\"'",
        ),
        (
            "x: {a: = default(b, c), d: 1}\n",
            'f.yaml:1:8: x.a: YAML ends an unquoted expression at ,: quote it: "= default(b, c)"',
        ),
        (
            "x: {a: = b[0], d: 1}\n",
            'f.yaml:1:8: YAML reads braces, brackets, commas and `: ` in an expression as its own: quote it: "= b[0]"',
        ),
        (
            "x: {a: = b, c: = d['e']}\n",
            "f.yaml:1:16: YAML reads braces, brackets, commas and `: ` in an expression as its own: quote it: \"= d['e']\"",
        ),
        (
            "a:\n  - = b: c\n",
            'f.yaml:2:5: a.0: YAML takes what stands before `: ` for a key: quote the expression: "= b: c"',
        ),
        (
            "a: {{ order.name }}\n",
            "f.yaml:1:5: a: a key must be a word; braces { } or brackets [ ] that belong to a text must be quoted",
        ),
        ("a: it: is\n", "f.yaml:1:6: not YAML: a second `: ` stands in this line: quote the text that holds it"),
        (
            "\ta: 1\n",
            "f.yaml:1:1: not YAML: a text cannot begin with this sign, and lines are not indented with tabs: quote the text",
        ),
    ],
)
def test_what_yaml_breaks_is_answered_with_the_cure(text, sentence):
    assert [sentence] == said(text)


def test_the_quoted_form_that_is_offered_gives_the_expression_back():
    (told,) = said("a: = f(x, ' # \"y\"')\n")
    offered = told.partition("quote it: ")[2]
    assert {"a": "= f(x, ' # \"y\"')"} == load(f"a: {offered}\n", "f").value


def test_a_comment_behind_a_whole_expression_is_a_comment():
    assert {"a": "= order.name"} == load("a: = order.name  # its name (of the order\n", "f").value


def _rule(line):
    return problems(f"r:\n  for: order\n  at: = order.created_at\n  give:\n    action: order.placed\n    {line}\n")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "note: order.name",
            "this is a text, not the field: write `= order.name`, or `= 'order.name'` if the text is meant",
        ),
        (
            "note: text(order.id)",
            "this is a text, not the field: write `= text(order.id)`, or `= 'text(order.id)'` if the text is meant",
        ),
        ("note: = order.return", "return is a word of Python: write order['return']"),
        (
            "note: = order.emial",
            "order has no field emial: did you mean email? or declare it under fields: {order.emial: text}",
        ),
        ("flag: = order.total_price > '5'", "'5' is text, and > orders numbers and times: write number('5')"),
        (
            "flag: = order.total_price == '5'",
            "order.total_price is money and '5' is text: they are never the same: write text(order.total_price), or 5 without quotes",
        ),
        ("flag: = order.name > 5", "order.name is text, and > orders numbers and times: write number(order.name)"),
        (
            "flag: = order.email == None",
            "a comparison with empty is empty: write has(order.email) or not has(order.email)",
        ),
        ("flag: = order.name = 'x'", "a single = compares nothing: write =="),
        ("flag: = order.test && order.name", "&& is not in this language: write and"),
        ("flag: = order.test == true", "nothing is named true here: write True"),
        ("when: = now", "nothing is named now here: write received_at: a rule gives the same whenever it is run"),
        ("note:", "has no value: write one, or leave the key out"),
        ("amount: free", "is text, and should be money: write = number('free')"),
        ("note: NO1", ""),
        ("flag: on", "is text, and should be a boolean"),
        ("note: 5", "is an integer, and should be text: write = text(5)"),
        ("note: = order.id", "is an integer, and should be text: write = text(order.id)"),
        ("count: = order.created_at", "is a time, and should be an integer: write = epoch(order.created_at)"),
    ],
)
def test_a_slip_of_the_first_hour_is_answered_with_the_cure(line, sentence):
    assert ([sentence] if sentence else []) == [message for _, message in _rule(line)]
