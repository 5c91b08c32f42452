# ruff: noqa: E501, ISC004 - what the user reads stands in one piece
import itertools
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from bridge.mapping.expressions import compile_expression
from bridge.mapping.type_check import NotAllowed
from bridge.mapping.values import STEPS, Failed, exact
from tests.mapping.rules_of import DOCUMENT, decoded, given, names, one, order, value


def refused(text, known=None):
    with pytest.raises(NotAllowed) as caught:
        compile_expression(text, known or names())
    return str(caught.value)


def failed(text, document=None):
    with pytest.raises(Failed) as caught:
        value(text, document)
    return str(caught.value)


def both(text, document=None):
    """The value by its meaning and by the generated Python, which must be the same."""
    meant = value(text, document)
    done = one(f'data: "= [{text}]"' if '"' not in text else f"data: '= [{text}]'", document)
    by_python = done.give.get("data", [None]) if hasattr(done, "give") else [None]
    assert by_python == ([meant] if meant is not None else []) or isinstance(meant, datetime | list | dict)
    return meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("order.id", 6042),
        ("order.total_price", Decimal("99.00")),
        ("order.created_at", datetime(2026, 11, 20, 13, 5, 33, tzinfo=UTC)),
        ("order['name']", "#1042"),
        ("order.rate * 3", Decimal("3.30")),
        ("order.total_price - order.line_items[0].price * 2", Decimal("19.00")),
        ("-order.id", -6042),
        ("1 + 2 * 3", 7),
        ("7 / 2", Decimal("3.5")),
        ("0.1 + 0.2 == 0.3", True),
        ("order.name + '!'", "#1042!"),
        ("0 < order.id <= 6042", True),
        ("order.id not in [1, 2]", True),
        ("'vip' in 'a vip'", True),
        ("order.test or order.name", "#1042"),
        ("order.id and order.name", "#1042"),
        ("'yes' if order.id > 1 else 'no'", "yes"),
        ("order.line_items[-1].name", "Wrap"),
        ("order.line_items[5].name", None),
        ("order.codes[:1]", ["A"]),
        ("doc.extra.deep[1]", "2"),
        ("order.name[1:]", "1042"),
        ("order.name[:3] + order.name[-1:]", "#102"),
        ("doc.name[1:3]", "10"),
        ("order.name[7:9]", ""),
        ("order.email[:3]", "Ada"),
        ("flat([order.codes, order.codes])", ["A", "B", "A", "B"]),
        ("flat([order.codes, doc.extra.nothing])", ["A", "B"]),
        ("flat(doc.extra.nothing)", None),
        ("flat(flat([[order.codes], [order.codes]]))", ["A", "B", "A", "B"]),
        ("flat([l.name, l.sku] for l in order.line_items)", ["Shirt", "S-1", "Wrap"]),
        ("join(flat([c] for c in order.codes), '+')", "A+B"),
        ("count(p for l in order.line_items for c in order.codes for p in [l.name, c])", 8),
        ("json(doc.extra.nothing)", None),
        ("sum(l.price * l.quantity for l in order.line_items)", Decimal("80.00")),
        ("count(l for l in order.line_items if l.quantity > 0)", 1),
        ("any(l.sku == 'S-1' for l in order.line_items)", True),
        ("all(l.quantity > 0 for l in order.line_items)", False),
        ("first(l.sku for l in order.line_items)", "S-1"),
        ("list(l.sku for l in order.line_items)", ["S-1"]),
        ("join((l.name for l in order.line_items), ', ')", "Shirt, Wrap"),
        ("max(l.price for l in order.line_items)", Decimal("40.00")),
        ("count(p for l in order.line_items for p in l.properties)", 0),
    ],
)
def test_an_expression_has_the_value_that_python_would_give_it_exactly(text, meant):
    assert meant == both(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("sum(i.qty * i.price for i in json(order.tags))", Decimal("75.30")),
        ("json(order.tags)[0].sku", "S-1"),
        ("list(i.sku for i in json(order.tags))", ["S-1", "S-2"]),
        ("has(json(order.tags)[0].none)", False),
        ("count(json(doc.tags))", 2),
    ],
)
def test_json_inside_a_text_is_looked_into(text, meant):
    items = '[{"sku": "S-1", "qty": 1, "price": 42.10, "none": null}, {"sku": "S-2", "qty": 2, "price": 16.60}]'
    assert meant == both(text, order(tags=items))


EMPTIES = {"null": order(email=None), "absent": {key: each for key, each in DOCUMENT.items() if key != "email"}}


@pytest.mark.parametrize("document", EMPTIES.values(), ids=EMPTIES.keys())
@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("order.email", None),
        ("order.customer.email", None),
        ("order.email == 'a'", None),
        ("order.email != 'a'", None),
        ("order.email in ['a']", None),
        ("order.email not in ['a']", None),
        ("not order.email", True),
        ("not (order.email == 'a')", True),
        ("has(order.email)", False),
        ("default(order.email, 'x')", "x"),
        ("order.email or 'x'", "x"),
        ("order.email and 'x'", None),
        ("order.email + 'x'", None),
        ("lower(order.email)", None),
        ("1 if order.email else 2", 2),
        ("sum(t.amount for t in doc.extra.nothing)", None),
        ("any(t.amount for t in doc.extra.nothing)", None),
        ("count(doc.extra.nothing)", None),
    ],
)
def test_null_and_absent_are_the_same_one_empty_value(text, meant, document):
    assert meant == both(text, document)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("default(doc.extra.zero, 5)", 0),
        ("doc.extra.zero or 5", 5),
        ("default(doc.extra.blank, 'x')", ""),
        ("doc.extra.blank or 'x'", "x"),
        ("has(doc.extra.blank)", True),
        ("not doc.extra.zero", True),
        ("default(doc.extra.no, True)", False),
    ],
)
def test_zero_and_blank_and_false_are_not_empty_but_not_true(text, meant):
    assert meant == both(text, order(extra={"zero": 0, "blank": "", "no": False}))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("doc.extra.deep[1] < 3", "doc.extra.deep[1] < 3 compares text with a number"),
        ("doc.extra.deep[1] == 2", "doc.extra.deep[1] == 2 compares text with a number"),
        ("doc.name.first", "doc.name is text and has no fields"),
        ("doc.extra.deep[1] + 1", "doc.extra.deep[1] + 1 calculates with text: write number(...)"),
        (
            "order.total_price / 7",
            "order.total_price / 7 does not end: write round(... / ..., digits) or round_money(... / ..., currency)",
        ),
        ("order.id / 0", "order.id / 0 divides by zero"),
        ("sum(x.y for x in doc.name)", "doc.name is text, not a list"),
        ("flat(l.name for l in doc.line_items)", "l.name is text, not a list"),
        ("flat([order.codes, doc.id])", "an element of [order.codes, doc.id] is a number, not a list"),
        ("doc.id[1:]", "doc.id[1:] is a number, and slices are of lists and texts"),
        ("json(order.name)", "json(order.name) is given text that is not JSON"),
        ("json(doc.id)", "json(doc.id) is given a number where text is needed: write text(...)"),
        (
            "local_time(order.name, 'UTC', 'YYYYMMDD')",
            "local_time(order.name, 'UTC', 'YYYYMMDD') is given text that is not a date in this shape",
        ),
        ("lower(doc.id)", "lower(doc.id) is given a number where text is needed: write text(...)"),
    ],
)
def test_what_cannot_be_worked_out_names_the_part_and_no_value(text, sentence):
    assert sentence == failed(text)


def test_shares_that_do_not_end_are_added_where_the_sum_is_rounded_by_name():
    thirds = "sum(x / 3 for x in [100, 2, 4])"
    assert Decimal("35.33") == value(f"round({thirds}, 2)") == value(f"round_money(default({thirds}, 0), 'EUR')")
    assert "does not end" in failed(thirds)


TALLY = "tally(order.line_items, 'sku', 'quantity')"


def test_a_tally_has_the_sum_of_each_and_is_looked_up():
    lines = [{"sku": "a", "quantity": 2}, {"sku": "b", "quantity": "1"}, {"quantity": 9}, {"sku": "a", "quantity": 3}]
    document = order(line_items=[*lines, {"sku": "c"}, {"sku": 7, "quantity": 4}])
    expected = {"'a'": 5, "'b'": 1, "'c'": None, "'d'": None, "7": 4, "'7'": 4}
    assert expected == {key: value(f"lookup({TALLY}, {key})", document) for key in expected}
    assert value(f"lookup({TALLY}, 'a')", order(line_items=None)) is None
    assert value(f"lookup({TALLY}, 'a')", order(line_items=[])) is None
    assert "is text that is not a number" in failed(TALLY, order(line_items=[{"sku": "a", "quantity": "x"}]))
    assert "is text and has no fields" in failed(TALLY, order(line_items=["a"]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "tally(order.line_items, order.name, 'quantity')",
            "takes the names of fields as fixed texts: order.name is none",
        ),
        ("tally(order.line_items, 'sku', 'quantty')", "has no field quantty: did you mean quantity?"),
        (
            "tally(order.name, 'a', 'b')",
            "order.name is text, and tally(list: list, by: text, of: text) -> any takes a list",
        ),
    ],
)
def test_a_tally_of_what_is_not_there_is_refused(text, said):
    assert said in refused(text)


@pytest.mark.parametrize(
    ("field", "wrong", "sentence"),
    [
        ("total_price", "free", "order.total_price is text that is not a number"),
        ("total_price", "1e5", "order.total_price is text that is not a number"),
        ("total_price", "NaN", "order.total_price is text that is not a number"),
        ("total_price", "1_000", "order.total_price is text that is not a number"),
        ("total_price", True, "order.total_price is a boolean, not a number"),
        ("id", "x", "order.id is text that is not a number"),
        ("id", 1.5, "order.id is a number with a fraction, not an integer"),
        ("created_at", "2026-11-20", "order.created_at is a time without a zone: see local_time()"),
        ("created_at", "soon", "order.created_at is text that is not an ISO 8601 time"),
        ("created_at", 5, "order.created_at is a number, not a time: see from_epoch() for seconds since 1970"),
        ("test", "yes", "order.test is text, not a boolean"),
        ("name", [1], "order.name is a list, not text"),
    ],
)
def test_a_field_that_is_not_as_described_says_what_it_is(field, wrong, sentence):
    assert sentence == failed(f"order.{field}", order(**{field: wrong}))


@pytest.mark.parametrize(
    ("field", "came", "meant"),
    [("id", "6042", 6042), ("id", 6042.0, 6042), ("name", 1042, "1042"), ("total_price", 5, 5)],
)
def test_a_number_may_come_as_text_and_text_as_a_number(field, came, meant):
    assert meant == value(f"order.{field}", order(**{field: came}))


def test_a_quotient_may_be_rounded_by_name():
    assert Decimal("33.33") == both("round(100 / 3, 2)")
    assert Decimal("14.14") == both("round_money(order.total_price / 7, order.currency)")


def test_numbers_beyond_forty_digits_stay_text():
    raw = msgspec.json.Decoder(float_hook=exact).decode(b"[1e999999999, 1.%s, 1e99999999999999999999]" % (b"0" * 200))
    assert [str, str, str] == [type(each) for each in raw]


def test_products_stay_within_bounds():
    tower = "order.total_price" + " * order.total_price" * 30
    assert failed(tower, order(total_price="9" * 40 + "." + "9" * 40))


@pytest.mark.parametrize(
    "text",
    [
        "().__class__",
        "order.__class__.__mro__",
        "__import__('os')",
        "open('/etc/passwd')",
        "eval('1')",
        "getattr(order, 'x')",
        "lambda: 1",
        "[x for x in order.codes]",
        "{x for x in order.codes}",
        "{'a': 1}",
        "(x := 1)",
        "f'{order}'",
        "'{0.__class__}'.format(order)",
        "order.name.upper()",
        "order.name % 1",
        "2 ** 9999",
        "1 << 9999",
        "~order.id",
        "order.id // 2",
        "'a' * 9",
        "order.codes * 9",
        "order is None",
        "await order",
        "(yield)",
        "*order.codes",
        "print(order)",
        "order.codes[::2]",
        "order[order.name:1]",
        "1j",
        "b'a'",
        "...",
        "any(x for w in order.codes for x in order.codes for y in order.codes for z in order.codes)",
        "any(any(any(any(w for w in order.codes) for x in order.codes) for y in order.codes) for z in order.codes)",
        "order.id[0:1]",
        "order.customer[0:1]",
        "order.name[0]",
        "order.name[::2]",
        "flat(order.codes)",
        "flat(order.name)",
        "local_time(order.name, 'Mars/Olympus')",
        "local_time(order.name, 'UTC', 'yyyy-mm-dd')",
        "time(order.name, 'YYYYMMDD')",
        "time_text(order.created_at, 'YYYY')",
        "time_text(order.name, 'YYYYMMDD')",
        "time_text(order.created_at, order.name)",
        "time(order.name, doc.shape + 'Z')",
        "local_time(order.name, 'UTC', default(doc.shape, 'YYYYMMDD'))",
        "round_money(order.total_price, 'euro')",
        "number(order.name, ';')",
        "any(order for order in order.codes)",
        "any(lower for lower in order.codes)",
        "any(x for x, y in order.codes)",
        "any(x.y for x in order.name)",
        "(x for x in order.codes)",
        "lower((x for x in order.codes))",
        "lower()",
        "lower(order.name, 1)",
        "lower(x=order.name)",
        "has()",
        "default(1)",
        "steps",
        "t1",
        "v_order",
        "Event",
        "order.name; 1",
        "order.name\n1",
        "'\\ud800'",
        "1e999",
        "9" * 50,
        "not " * 400 + "1",
        "-" * 1000 + "1",
        "(" * 150 + "1" + ")" * 150 + "+" * 3,
        "order" + ".extra" * 200,
        "order.extra" + "[0]" * 100,
        "+".join(["1"] * 200),
        "'" + "a" * 3000 + "'",
        "\0",
        "",
        "==",
        "import os",
        "print",
        "order.lines.append(1)",
        "headers[order.name]",
    ],
)
def test_what_is_not_in_the_language_is_refused_with_a_reason(text):
    assert refused(text, names(headers="headers"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("oder.name", "nothing is named oder here: did you mean order?"),
        ("order.name.upper()", "a dot calls nothing here: write upper(order.name)"),
        ("uper(order.name)", "there is no function uper: did you mean upper?"),
        ("order.line_items.price", "order.line_items is a list, and has no field price: write order.line_items[0].price, "
         "or first(x.price for x in order.line_items)"),
        ("order.note_attributes.gift", "order.note_attributes is a list of names and values: write named(order.note_attributes, 'gift')"),
        ("doc.extra.x.y + order.line_items.prise", "order.line_items is a list, and an element of it has no field prise: did you mean price?"),
        ("order.id.x", "order.id is an integer, and has no field x"),
        ("order.codes['a']", "order.codes is a list: an element has a number; by name it is named(order.codes, 'a')"),
        ("order.created_at - order.created_at", "times are subtracted as seconds: write epoch(order.created_at) - epoch(order.created_at)"),
        ("order.name + 1", "1 is an integer, and is added to text: write text(1)"),
        ("order.name * 2", "order.name is text, and + - * / take numbers: write number(order.name)"),
        ("order.codes * 2", "order.codes is a list, and + - * / take numbers: write count(order.codes)"),
        ("order.line_items - 1", "order.line_items is a list, and + - * / take numbers: write sum(x.price for x in order.line_items)"),
        ("list(l.id for l in order.line_items) / 2", "list(l.id for l in order.line_items) is a list, and + - * / take numbers: write sum(list(l.id for l in order.line_items))"),
        ("order.codes + order.line_items", "+ joins no lists: write flat([order.codes, order.line_items])"),
        ("order.codes + doc.extra", "+ joins no lists: write flat([order.codes, doc.extra])"),
        ("order.name + order.codes", "order.codes is a list, and is added to text: write join(order.codes, ' ')"),
        ("order.test + order.name", "order.test is a boolean, and is added to text: write text(order.test)"),
        ("order.created_at + 60", "order.created_at is a time, and + - * / take numbers: write epoch(order.created_at), which counts seconds"),
        ("-order.test", "order.test is a boolean, and + - * / take numbers: write (1 if order.test else 0)"),
        ("order.name[0]", "order.name is text, and has no elements: a part of a text is order.name[0:1]"),
        ("order.id[0:2]", "order.id is an integer, and slices are of lists and texts: write text(order.id)[...]"),
        ("jsn(order.name)", "there is no function jsn: did you mean json?"),
        ("substring(order.name, 0, 4)", "there is no function substring: write a part of a text so: x[0:4], x[-2:]"),
        ("strptime(order.name, 'x')", "there is no function strptime: write time(x) for ISO 8601 with a zone, local_time(x, 'Europe/Berlin', 'YYYYMMDD') for a date in any shape"),
        ("flatten(order.codes)", "there is no function flatten: write flat(x.parts for x in list)"),
        ("local_time(order.name, 'Berlin')", "local_time is given an unknown time zone: write one such as 'Europe/Berlin'"),
        ("time(order.name, 'YYYYMMDD')", "time takes a shape with the zone in it (Z): else write local_time(x, 'Europe/Berlin', shape)"),
        ("any(w for v in order.codes for w in order.codes for x in order.codes for y in order.codes)", "`for` is nested deeper than 3: put the inner lists together, flat(x.parts for x in list), and go through that"),
        ("flat(order.codes)", "flat goes over list, and these are text"),
        ("join(list(l.id for l in order.line_items), '')", "join goes over text, and these are an integer: write join((text(x) for x in list(l.id for l in order.line_items)), ' ')"),
        ("max(l.name for l in order.line_items)", "max goes over number or time, and these are text: write number(l.name) for ..."),
        ("order.id in ['1']", "order.id is an integer, and ['1'] holds text: it is never in it"),
        ("lower(order.id)", "order.id is an integer, and lower(x: text) -> text takes text: write text(order.id)"),
        ("sum(order.codes)", "sum goes over number, and these are text: write sum(number(x) for x in order.codes)"),
        ("order.customer == order.customer", "order.customer is a mapping: only single values are compared"),
        ("2 ** 3", "2 ** 3: there are + - * and /"),
        ("order.id is 1", "is asks for a Python object: write == or has(...)"),
        ("text(order.customer)", "order.customer is a mapping, and has no single text"),
        ("lower", "lower is a function: write lower(...)"),
    ],
)  # fmt: skip
def test_types_and_names_are_checked_when_an_expression_is_read(text, sentence):
    assert sentence == refused(text)


def test_the_deepest_expression_that_is_allowed_can_be_compiled():
    deep = "order.extra"
    while True:
        wider = f"(default({deep}, 1) if not has({deep[:60]}) else 1)" if len(deep) < 60 else f"default(-({deep}), 1)"
        try:
            compile_expression(wider, names())
        except NotAllowed:
            break
        deep = wider
    assert given(f"data: '= {deep}'")


def test_a_list_of_a_hundred_thousand_cannot_be_walked_within_itself():
    failure = one('count: "= count(1 for a in doc.extra for b in doc.extra)"', order(extra=list(range(1000))))
    assert failure.message == f"rule placed: takes more than {STEPS} steps on this document"


def test_text_cannot_be_made_to_explode():
    bomb = "doc.extra"
    for _ in range(10):
        bomb = f"replace({bomb}, 'a', 'aaaaaaaaaaaaaaaaaaaa')"
    assert "more than 100000 characters" in failed(bomb, order(extra="a"))


def test_an_expression_can_be_used_by_itself():
    found = compile_expression("= order.total_price > 50", names())
    assert (True, "boolean", frozenset({"order"})) == (found.evaluate({"order": decoded()}), found.shape, found.names())


SIDES = [
    "order.id", "order.name", "order.total_price", "order.test", "order.created_at", "order.customer", "order.line_items",
    "order.line_items[0]", "order.codes", "doc.extra", "1", "'a'", "True", "[1]", "[order.codes]", "(order.test or order.test)",
]  # fmt: skip
WAYS = [
    "{} + {}", "{} - {}", "-{}", "{} == {}", "{} < {}", "{} in {}", "{}[{}]", "{}[{}:]", "{}.foo", "{}['foo']", "lower({})", "abs({})",
    "epoch({})", "sum({})", "min({})", "join({}, {})", "flat({})", "sum({} for x in {})", "max({} for x in {})", "split({}, {})",
    "round({}, {})", "from_minor({}, {})", "time_text({}, 'YYYYMMDD')", "local_time({}, {}, {})", "text({})", "named({}, {})",
]  # fmt: skip


def cures(sentence):
    """The expressions that a refusal says to write, with what it leaves open filled in."""
    said = sentence.partition(": write ")[2].partition(", which ")[0].replace("for ...", "for x in order.codes")
    return [each.replace("[...]", "[0:1]") for each in said.split(", or ") if said]


@pytest.mark.parametrize(
    "shape",
    ["vars.shape", "lookup(vars.shapes, order.name)", "vars.sites[order.name].shape", "default(vars.shape, 'YYYYMMDD')",
     "('YYYYMMDD' if order.test else vars.shape)"],
)  # fmt: skip
def test_a_shape_of_dates_is_fixed_or_chosen_among_those_of_the_configuration(shape):
    known = names(vars={"shape": "text", "shapes": {"a": "text"}, "sites": {"a": {"shape": "text"}}})
    assert "time" == compile_expression(f"local_time(order.name, 'UTC', {shape})", known).shape


@pytest.mark.parametrize("way", WAYS)
def test_what_a_refusal_says_to_write_can_be_written(way):
    for sides in itertools.product(SIDES, repeat=way.count("{}")):
        try:
            compile_expression(way.format(*sides), names())
        except NotAllowed as refusal:
            for cure in cures(str(refusal)):
                assert cure.startswith("one such as") or cure.endswith("without quotes") or can_be_written(cure), (
                    sides,
                    cure,
                )


def can_be_written(cure):
    """Whether it is an expression, or the inside of a walk."""
    for text in (cure, f"list({cure})"):
        try:
            return compile_expression(text, names())
        except NotAllowed:
            continue
    return False
