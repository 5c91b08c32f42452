# ruff: noqa: E501 - what the user reads stands in one piece
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bridge.mapping.functions import FUNCTIONS
from bridge.mapping.values import Failed


def call(name, *arguments):
    return FUNCTIONS[name].run(*arguments)


NOTES = [
    {"name": "a", "value": None},
    {"name": "a", "value": "1"},
    {"name": "b", "value": [1]},
    {"name": "a", "value": "2"},
    "x",
    None,
]


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [
        ("text", (6042,), "6042"),
        ("text", (Decimal("1E+3"),), "1000"),
        ("text", (Decimal("1.50"),), "1.5"),
        ("text", (Decimal("-0.0"),), "0"),
        ("text", (True,), "true"),
        ("text", ("e\u0301",), "\u00e9"),
        ("text", (datetime.fromisoformat("2026-11-20T14:05:33.500+01:00"),), "2026-11-20T13:05:33.5Z"),
        ("lower", ("ÄB",), "äb"),
        ("upper", ("äb",), "ÄB"),
        ("strip", (" a ",), "a"),
        ("nonblank", ("  ",), None),
        ("replace", ("a-b-c", "-", "+"), "a+b+c"),
        ("replace", ("abc", "", "x"), "abc"),
        ("split", ("newsletter, vip,", ","), ["newsletter", "vip"]),
        ("join", (["a", None, "b"], " "), "a b"),
        ("starts_with", ("abc", "ab"), True),
        ("ends_with", ("abc", "ab"), False),
        ("length", ("abc",), 3),
        ("number", (" 12.50 ",), Decimal("12.50")),
        ("number", ("1.234,50", ","), Decimal("1234.50")),
        ("number", ("1 234 567,5", ","), Decimal("1234567.5")),
        ("number", ("-7", ","), Decimal(-7)),
        ("number", ("79.90-",), Decimal("-79.90")),
        ("number", ("1.234,90-", ","), Decimal("-1234.90")),
        ("number", (" 5 - ",), Decimal(-5)),
        ("decimal", ("1,5", ","), Decimal("1.5")),
        ("integer", ("5",), 5),
        ("abs", (Decimal("-1.5"),), Decimal("1.5")),
        ("round", (Decimal("2.345"), 2), Decimal("2.35")),
        ("round", (Decimal("-2.345"), 2), Decimal("-2.35")),
        ("round_money", (Decimal("10.005"), "EUR"), Decimal("10.01")),
        ("round_money", (Decimal("10.5"), "JPY"), Decimal(11)),
        ("round_money", (Decimal("1.00049"), "KWD"), Decimal("1.000")),
        ("from_minor", (1999, "EUR"), Decimal("19.99")),
        ("from_minor", (1999, "JPY"), Decimal(1999)),
        ("to_minor", (Decimal("1.234"), "KWD"), 1234),
        ("known_currency", ("EUR", ["USD", None, "EUR"]), "EUR"),
        ("time", ("2026-11-20T13:05:36.877041743Z",), datetime(2026, 11, 20, 13, 5, 36, 877041, tzinfo=UTC)),
        ("epoch", (datetime(2026, 11, 20, 13, 5, 33, 999999, tzinfo=UTC),), 1795179933),
        ("epoch", (datetime(1969, 12, 31, 23, 59, 59, 500000, tzinfo=UTC),), -1),
        ("epoch_ms", (datetime(2026, 11, 20, 13, 5, 33, 999999, tzinfo=UTC),), 1795179933999),
        ("from_epoch", (1795179933,), datetime(2026, 11, 20, 13, 5, 33, tzinfo=UTC)),
        ("from_epoch", ("1795179933.5",), datetime(2026, 11, 20, 13, 5, 33, 500000, tzinfo=UTC)),
        ("from_epoch_ms", (1795179933999,), datetime(2026, 11, 20, 13, 5, 33, 999000, tzinfo=UTC)),
        ("local_time", ("2026-07-01 12:00", "Europe/Berlin"), datetime(2026, 7, 1, 10, tzinfo=UTC)),
        ("local_time", ("2026-12-01T12:00", "Europe/Berlin"), datetime(2026, 12, 1, 11, tzinfo=UTC)),
        ("local_time", ("2026-12-01T12:00Z", "Europe/Berlin"), datetime(2026, 12, 1, 12, tzinfo=UTC)),
        ("phone", ("01632 960001", "GB"), None),
        ("phone", ("020 7946 0018", "gb"), "+442079460018"),
        ("phone", ("+44 20 7946 0018", None), "+442079460018"),
        ("phone", ("020 7946 0018", None), None),
        ("phone", ("call me", "GB"), None),
        ("phone", (442079460018, "GB"), "+442079460018"),
        ("phone", ([], "GB"), None),
        ("phone", ("1" * 1000, "GB"), None),
        ("email", (" Ada@Example.COM ",), "ada@example.com"),
        ("email", ("ada@example",), None),
        ("email", ("a b@example.com",), None),
        ("email", ("",), None),
        ("email", (5,), None),
        ("session", ("5f0c7f3c-0000-4000-8000-000000001042",), "5f0c7f3c-0000-4000-8000-000000001042"),
        ("session", (" abc~._- ",), "abc~._-"),
        *(("session", (bad,), None) for bad in ("", " ", "undefined", "NULL", "Null ", "a b", "a/b", "é", "x" * 129, 5, ["a"])),
        ("sha256", ("abc",), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("query", ("/?utm=1&s=a%20b#x", "s"), "a b"),
        ("query", ("https://shop.example/p?s=1&s=2", "s"), "1"),
        ("query", ("/p", "s"), None),
        ("query", ("//[bad?s=1", "s"), "1"),
        ("named", (NOTES, "a"), "1"),
        ("named", (NOTES, "b"), [1]),
        ("named", (NOTES, "c"), None),
        ("lookup", ({"1": "one"}, Decimal("1.0")), "one"),
        ("lookup", ({"1": "one"}, "2"), None),
        ("any", ([0, None, 1],), True),
        ("all", ([],), True),
        ("sum", ([1, Decimal("0.5")],), Decimal("1.5")),
        ("sum", ([],), 0),
        ("sum", ([1, None],), None),
        ("first", ([None, 0],), 0),
        ("list", ([1, None],), [1]),
        ("count", ([1, None],), 2),
        ("flat", ([1, None],), [1]),
        ("json", ('{"a": [1.10, "x", null, 12345678901234567890]}',), {"a": [Decimal("1.10"), "x", None, 12345678901234567890]}),
        *(("json", (blank,), None) for blank in ("", " ", "null")),
        ("from_unscaled", ("HzY=", 2), Decimal("79.90")),
        ("from_unscaled", ("AA==", 0), Decimal(0)),
        ("from_unscaled", ("/w==", 4), Decimal("-0.0001")),
        ("from_unscaled", ("Zg==", -2), Decimal(10200)),
        ("from_unscaled", ("/6UiEdMQlMQzMpVAAAAB", 2), Decimal("-18429999999999999999999999999999.99")),
        ("local_time", ("20261120143005", "Europe/Berlin", "YYYYMMDDHHmmss"), datetime(2026, 11, 20, 13, 30, 5, tzinfo=UTC)),
        ("local_time", (20260701, "Europe/Berlin", "YYYYMMDD"), datetime(2026, 6, 30, 22, tzinfo=UTC)),
        ("local_time", ("1/7/2026 12:05 am", "America/New_York", "D/M/YYYY h:mm A"), datetime(2026, 7, 1, 4, 5, tzinfo=UTC)),
        ("local_time", ("12.31.26 12:05 PM", "UTC", "MM.DD.YY hh:mm A"), datetime(2026, 12, 31, 12, 5, tzinfo=UTC)),
        ("local_time", ("3. november 2026 at 07:00", "UTC", "D. MMMM YYYY [at] HH:mm"), datetime(2026, 11, 3, 7, tzinfo=UTC)),
        ("local_time", ("20 Nov 2026 10:00+0530", "UTC", "DD MMM YYYY HH:mmZ"), datetime(2026, 11, 20, 4, 30, tzinfo=UTC)),
        ("time", ("2026-11-20 14:05:33.123456789 -01:00", "YYYY-MM-DD HH:mm:ss.SSSSSSSSS Z"), datetime(2026, 11, 20, 15, 5, 33, 123456, tzinfo=UTC)),
        ("time", ("20261120Z", "YYYYMMDDZ"), datetime(2026, 11, 20, tzinfo=UTC)),
        ("time_text", (datetime(2026, 7, 1, 22, 5, 7, 45000, tzinfo=UTC), "YYYY-MM-DDTHH:mm:ss.SSSZ", "Europe/Berlin"), "2026-07-02T00:05:07.045+02:00"),
        ("time_text", (datetime(2026, 7, 1, 12, 5, tzinfo=UTC), "D/M/YY h A Z"), "1/7/26 12 PM Z"),
        ("time_text", (datetime(2026, 7, 1, 0, 5, tzinfo=UTC), "MMMM D, YYYY [at] hh:mm A"), "July 1, 2026 at 12:05 AM"),
        ("time_text", (datetime(2026, 11, 20, tzinfo=UTC), "DD MMM YYYY", "Pacific/Honolulu"), "19 Nov 2026"),
        ("min", ([3, None, Decimal("2.5")],), Decimal("2.5")),
        ("max", ([],), None),
    ],
)  # fmt: skip
def test_a_function_gives_what_it_promises(name, arguments, result):
    assert result == call(name, *arguments)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_an_empty_first_argument_gives_empty(name):
    others = {"text": "x", "number": 1, "integer": 1, "any": "x", "time": None, "list": [], "table": {}}
    function = FUNCTIONS[name]
    assert call(name, None, *(others[needed] for needed in function.takes[1 : function.least])) is None


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("number", ("abc",)),
        ("number", ("1,234.50",)),
        ("number", ("1.23,4", ",")),
        ("number", ("1", ";")),
        ("number", ("NaN",)),
        *(("number", (wrong,)) for wrong in ("-", "--", "-5-", "+5-", "5--", "")),
        ("integer", (Decimal("1.5"),)),
        ("to_minor", (Decimal("1.005"), "EUR")),
        ("known_currency", ("CAD", ["EUR", "USD"])),
        ("known_currency", ("CAD", [])),
        ("round_money", (Decimal(1), "euro")),
        ("round", (Decimal(1), 99)),
        ("time", ("2026-11-20T13:00:00",)),
        ("from_epoch", (10**30,)),
        ("local_time", ("2026-11-20T13:00:00", "Nowhere/Land")),
        ("local_time", ("2026-11-20T13:00:00", "../../etc/passwd")),
        ("local_time", ("soon", "Europe/Berlin")),
        ("text", ([],)),
        *(("json", (wrong,)) for wrong in ("{", "NaN", "{'a': 1}", '"\\ud800"', "[" * 100_000, "1 2", "9" * 5000)),
        *(("from_unscaled", (wrong, 2)) for wrong in ("", "HzY", "79.90", "H*Y=", "f" * 80, "f" * 200)),
        ("from_unscaled", ("HzY=", 41)),
        *(
            ("local_time", (wrong, "UTC", "YYYYMMDD"))
            for wrong in ("20261301", "00000000", "2026-11-20", "2026112", "\uff12\uff1061120", True, 1.5)
        ),
        *(
            ("local_time", ("20261120", "UTC", wrong))
            for wrong in ("", "YYYYMM", "yyyymmdd", "YYYYMMDDMM", "YYYYMMDD hh", "YYYYMMDD HH hh A", "[YYYY", "Y" * 200)
        ),
        ("local_time", ("20261120 00 AM", "UTC", "YYYYMMDD hh A")),
        ("time", ("20261120", "YYYYMMDD")),
        ("time_text", (datetime(1, 1, 1, tzinfo=UTC), "YYYYMMDD", "America/New_York")),
        ("sum", (["a"],)),
        ("join", ([1], " ")),
        ("min", (["a", "b"],)),
        ("replace", ("a" * 1000, "a", "b" * 1000)),
        ("join", (["a" * 1000] * 1000, " ")),
    ],
)
def test_a_function_fails_rather_than_guess(name, arguments):
    with pytest.raises(Failed):
        call(name, *arguments)


@given(some.decimals(min_value=-(10**12), max_value=10**12, places=4), some.sampled_from(["EUR", "JPY", "KWD", "CLF"]))
def test_rounded_money_is_within_half_a_minor_unit(amount, currency):
    digits = {"EUR": 2, "JPY": 0, "KWD": 3, "CLF": 4}[currency]
    rounded = call("round_money", amount, currency)
    assert -digits == rounded.as_tuple().exponent
    assert abs(rounded - amount) <= Decimal(5).scaleb(-digits - 1)


SHAPES = some.permutations(["YYYY", "MM", "DD", "HH", "mm", "ss", "SSSSSS"]).map("|".join) | some.sampled_from(
    [
        "YYYYMMDDHHmmssSSSSSS",
        "D. MMMM YYYY [at] h:mm:ss.SSSSSS A",
        "MMM/DD/YYYY hh.mm.ss SSSSSS A",
        "YYYY-M-D H:mm:ss,SSSSSS",
    ]
)


@given(
    some.datetimes(datetime(1000, 1, 2), datetime(9999, 12, 29)),  # noqa: DTZ001 - the zone is drawn
    SHAPES,
    some.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia"]),
)
def test_a_time_that_is_written_in_a_shape_is_read_by_it(moment, shape, zone):
    """But for an hour that clocks show twice, of which the first is meant."""
    written = call("time_text", moment.replace(tzinfo=UTC), shape, zone)
    read = call("local_time", written, zone, shape)
    assert written == call("time_text", read, shape, zone)
    assert read.astimezone(UTC) <= moment.replace(tzinfo=UTC)
    with_zone = call("time_text", moment.replace(tzinfo=UTC), f"{shape} Z", zone)
    assert abs(call("time", with_zone, f"{shape} Z") - moment.replace(tzinfo=UTC)) < timedelta(minutes=1)


_JSON = some.recursive(
    some.none()
    | some.booleans()
    | some.integers()
    | some.decimals(allow_nan=False, allow_infinity=False)
    | some.text(max_size=20),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    some.sampled_from(["phone", "email", "session", "text", "number", "time", "from_epoch", "integer", "local_time"]),
    _JSON,
)
def test_a_function_that_takes_anything_gives_a_value_or_fails(name, thing):
    extra = {"local_time": ("Europe/Berlin",), "phone": ("GB",)}.get(name, ())
    try:
        result = call(name, thing, *extra)
    except (Failed, ArithmeticError):
        return
    assert not isinstance(result, float)


def test_of_an_unknown_currency_its_code_is_said_and_no_other_text():
    for code, said in (
        ("CAD", "is given CAD, and there is only EUR and USD here: write"),
        ("ada", "is given what is no currency, and"),
    ):
        with pytest.raises(Failed, match=said):
            call("known_currency", code, ["EUR", "USD", "EUR", None])
