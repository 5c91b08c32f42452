"""What a rule may call. A function's signature says what it takes and gives; calls are checked against it at load.

An empty first argument gives empty, unless the function says otherwise. No function reads a clock, a file or the net.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers

from bridge.mapping import reckoning, values
from bridge.mapping.values import Failed, Value, named_kind, short

FUNCTIONS: Final[dict[str, "Function"]] = {}
OVER_WALKS: Final = frozenset(("any", "all", "sum", "first", "list", "count", "join", "min", "max"))


@dataclass(frozen=True, kw_only=True)
class Function:
    """A named function: the types it takes (the last ones may be left out), what it gives, and what it costs."""

    name: str
    signature: str
    takes: Sequence[str]
    least: int
    gives: str
    cost: int
    run: Callable[..., Value]

    def needs(self, count: int) -> Sequence[str]:
        return self.takes[:count]


_SIGNATURE: Final = re.compile(r"(?P<name>\w+)\((?P<takes>.*)\) -> (?P<gives>\w+)")


def _function(signature: str, cost: int = 1) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
    """Register under a signature such as `phone(x: any, country?: text) -> text`."""
    match = _SIGNATURE.fullmatch(signature)
    assert match is not None, signature  # noqa: S101 - a slip of ours, seen at import
    parameters = [each.split(": ") for each in match["takes"].split(", ")]

    def registered(run: Callable[..., Value]) -> Callable[..., Value]:
        FUNCTIONS[match["name"]] = Function(
            name=match["name"],
            signature=signature,
            takes=[needed for _, needed in parameters],
            least=sum(not name.endswith("?") for name, _ in parameters),
            gives=match["gives"],
            cost=cost,
            run=run,
        )
        return run

    return registered


# -- what arguments must be --------------------------------------------------------------------------------------------


def _need(wanted: str, kinds: tuple[type, ...], cure: str) -> Callable[[Value], Value]:
    def checked(value: Value) -> Value:
        if value is None or type(value) in kinds:
            return value
        raise Failed(f"is given {named_kind(value)} where {wanted} is needed{cure}")

    return checked


NEEDS: Final[Mapping[str, Callable[[Value], Value]]] = {
    "any": lambda value: value,
    "text": _need("text", (str,), ": write text(...)"),
    "number": _need("a number", (int, Decimal), ": write number(...)"),
    "integer": _need("an integer", (int,), ": write integer(...)"),
    "time": _need("a time", (datetime,), ": write time(...)"),
    "list": _need("a list", (list,), ""),
    "table": _need("a table", (dict,), ""),
}


# -- text --------------------------------------------------------------------------------------------------------------


@_function("text(x: any) -> text")
def _text(x: Value) -> Value:
    """The canonical text: 6042 for 6042 and 6042.0, `true`, a time in UTC."""
    return None if x is None else values.canonical(x)


@_function("lower(x: text) -> text")
def _lower(x: Value) -> Value:
    return None if x is None else short(x.lower())


@_function("upper(x: text) -> text")
def _upper(x: Value) -> Value:
    return None if x is None else short(x.upper())


@_function("strip(x: text) -> text")
def _strip(x: Value) -> Value:
    """Without white space at both ends."""
    return None if x is None else x.strip()


@_function("replace(x: text, old: text, new: text) -> text")
def _replace(x: Value, old: Value, new: Value) -> Value:
    if x is None or not old or new is None:
        return x
    if len(x) + x.count(old) * (len(new) - len(old)) > values.LONGEST_TEXT:
        return short(" " * (values.LONGEST_TEXT + 1))
    return x.replace(old, new)


@_function("split(x: text, separator: text) -> list")
def _split(x: Value, separator: Value) -> Value:
    """The parts, stripped, without empty ones: split('a, b', ',') is ['a', 'b']."""
    if x is None or not separator:
        return None
    return [part for each in x.split(separator) if (part := each.strip())]


@_function("starts_with(x: text, beginning: text) -> boolean")
def _starts_with(x: Value, beginning: Value) -> Value:
    return None if x is None or beginning is None else x.startswith(beginning)


@_function("ends_with(x: text, end: text) -> boolean")
def _ends_with(x: Value, end: Value) -> Value:
    return None if x is None or end is None else x.endswith(end)


@_function("length(x: text) -> integer")
def _length(x: Value) -> Value:
    return None if x is None else len(x)


@_function("nonblank(x: text) -> text")
def _nonblank(x: Value) -> Value:
    """The text stripped; empty if nothing is left."""
    return None if x is None else x.strip() or None


# -- numbers and money -------------------------------------------------------------------------------------------------

_MARKS: Final = {",": ".", ".": ","}
_THREE_OR_NONE: Final = dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3) | dict.fromkeys(
    [
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "UYI",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    ],
    0,
)
_EXPONENTS: Final = _THREE_OR_NONE | {"CLF": 4, "UYW": 4}
"""ISO 4217, list one: currencies whose minor unit is not a hundredth."""
_CURRENCY: Final = re.compile(r"[A-Z]{3}")


@_function("number(x: any, decimal_mark?: text) -> number")
def _number(x: Value, decimal_mark: Value = ".") -> Value:
    """The exact number in a text: number('1.234,50', ',') is 1234.50. The other mark, blanks and ' group digits."""
    if type(x) is not str or decimal_mark == ".":
        return values.as_number(x.strip() if type(x) is str else x)
    if decimal_mark != ",":
        raise Failed("knows the decimal marks '.' and ',' only")
    return values.number_from_text(_ungrouped(x.strip()))


_GROUPED: Final = re.compile(r"[-+]?([0-9]{1,40}|[0-9]{1,3}([.' \u00a0\u202f\u2019][0-9]{3}){1,12})(,[0-9]{1,40})?")


def _ungrouped(written: str) -> str:
    if _GROUPED.fullmatch(written) is None:
        raise Failed("is given text that is not a number with a decimal comma")
    return re.sub(r"[^-+0-9,]", "", written).replace(",", ".")


@_function("decimal(x: any, decimal_mark?: text) -> number")
def _decimal(x: Value, decimal_mark: Value = ".") -> Value:
    """The same as number."""
    return _number(x, decimal_mark)


@_function("integer(x: any) -> integer")
def _integer(x: Value) -> Value:
    """A whole number; fails on a fraction."""
    return values.as_integer(x)


@_function("abs(x: number) -> number")
def _abs(x: Value) -> Value:
    return None if x is None else reckoning.negative(x) if x < 0 else x


def _exponent(currency: str) -> int:
    if _CURRENCY.fullmatch(currency) is None:
        raise Failed("is given a currency that is not three capital letters")
    return _EXPONENTS.get(currency, 2)


_UNITS: Final = [Decimal(1).scaleb(-digits) for digits in range(values.DIGITS + 1)]


def _quantized(x: Value, digits: int) -> Decimal:
    try:
        exact = x if type(x) is Decimal else Decimal(x)
        return exact.quantize(_UNITS[digits], ROUND_HALF_UP, reckoning.ROUNDED)
    except InvalidOperation:
        raise Failed("is given a number with too many digits") from None


@_function("round(x: number, digits: integer) -> number")
def _round(x: Value, digits: Value) -> Value:
    """Half up, away from zero: round(2.345, 2) is 2.35."""
    if x is None or digits is None:
        return None
    if not 0 <= digits <= values.DIGITS:
        raise Failed(f"takes 0 to {values.DIGITS} digits")
    return _quantized(x, digits)


@_function("round_money(x: number, currency: text) -> money")
def _round_money(x: Value, currency: Value) -> Value:
    """Half up to the currency's minor unit: JPY has none, KWD three digits."""
    return None if x is None or currency is None else _quantized(x, _exponent(currency))


@_function("from_minor(x: number, currency: text) -> money")
def _from_minor(x: Value, currency: Value) -> Value:
    """Money from minor units: from_minor(1999, 'EUR') is 19.99."""
    if x is None or currency is None:
        return None
    return reckoning.multiply(x, _UNITS[_exponent(currency)])


@_function("to_minor(x: number, currency: text) -> integer")
def _to_minor(x: Value, currency: Value) -> Value:
    """Minor units of money; fails if there is a fraction of one, which must be rounded by name."""
    if x is None or currency is None:
        return None
    return values.as_integer(reckoning.multiply(x, Decimal(10) ** _exponent(currency)))


# -- time --------------------------------------------------------------------------------------------------------------

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_MILLISECOND: Final = timedelta(milliseconds=1)


@_function("time(x: any) -> time")
def _time(x: Value) -> Value:
    """A time from ISO 8601 text with a zone."""
    return values.as_time(x)


@_function("epoch(x: time) -> integer")
def _epoch(x: Value) -> Value:
    """Whole seconds since 1970."""
    return None if x is None else (x - _EPOCH) // _SECOND


@_function("epoch_ms(x: time) -> integer")
def _epoch_ms(x: Value) -> Value:
    """Whole milliseconds since 1970."""
    return None if x is None else (x - _EPOCH) // _MILLISECOND


def _since_epoch(x: Value, unit: int) -> Value:
    if x is None:
        return None
    try:
        microseconds = values.as_integer(reckoning.multiply(values.as_number(x), unit))
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        raise Failed("is given a time outside the years 1 to 9999") from None


@_function("from_epoch(x: any) -> time")
def _from_epoch(x: Value) -> Value:
    """A time from seconds since 1970."""
    return _since_epoch(x, 1_000_000)


@_function("from_epoch_ms(x: any) -> time")
def _from_epoch_ms(x: Value) -> Value:
    """A time from milliseconds since 1970."""
    return _since_epoch(x, 1_000)


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Failed("is given an unknown time zone: write one such as 'Europe/Berlin'") from None


@_function("local_time(x: any, zone: text) -> time")
def _local_time(x: Value, zone: Value) -> Value:
    """A time from ISO 8601 text without a zone, as clocks showed it there; of two that are the same, the first."""
    if x is None or zone is None:
        return None
    if type(x) is not str:
        raise Failed(f"is given {named_kind(x)} where text is needed")
    try:
        moment = datetime.fromisoformat(x.strip())
    except ValueError:
        raise Failed("is given text that is not an ISO 8601 time") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=_zone(zone))


# -- people ------------------------------------------------------------------------------------------------------------

_EMAIL: Final = re.compile(r"[^@\s,;<>]+@[^@\s.,;<>]+(\.[^@\s.,;<>]+)+")
_LONGEST_EMAIL: Final = 254
_LONGEST_PHONE: Final = 60
_SESSION: Final = re.compile(r"[A-Za-z0-9._~-]{1,128}")
_NO_SESSION: Final = frozenset(("undefined", "null"))


@lru_cache(maxsize=8192)
def _e164(written: str, country: str | None) -> str | None:
    try:
        number = phonenumbers.parse(written, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    formatted: str = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return formatted


@_function("phone(x: any, country?: text) -> text", cost=500)
def _phone(x: Value, country: Value = None) -> Value:
    """The number as E.164 (`+441632960001`); empty if it is not a valid one. The country is where it is dialled."""
    if x.__class__ is int:
        x = str(x)
    if x.__class__ is not str or not x or len(x) > _LONGEST_PHONE:
        return None
    return _e164(x, country.upper() if country else None)


@_function("email(x: any) -> text")
def _email(x: Value) -> Value:
    """The address without blanks around it, in lower case; empty if it cannot be one."""
    if x.__class__ is not str or len(x) > _LONGEST_EMAIL:
        return None
    address = x.strip().lower()
    return address if _EMAIL.fullmatch(address) else None


@_function("session(x: any) -> text")
def _session(x: Value) -> Value:
    """A browser session's id; empty for what a broken script leaves there: "", "undefined", "null", other signs."""
    if x.__class__ is not str:
        return None
    found = x.strip()
    return found if _SESSION.fullmatch(found) and found.lower() not in _NO_SESSION else None


@_function("sha256(x: text) -> text")
def _sha256(x: Value) -> Value:
    """The hexadecimal digest of the UTF-8 text."""
    return None if x is None else hashlib.sha256(x.encode()).hexdigest()


# -- looking things up -------------------------------------------------------------------------------------------------


@_function("query(url: text, name: text) -> text")
def _query(url: Value, name: Value) -> Value:
    """The first parameter of that name in a URL, which may be a path alone."""
    if url is None or name is None or name not in url:
        return None
    parameters = short(url).partition("#")[0].partition("?")[2]
    return next((value for key, value in parse_qsl(parameters, keep_blank_values=True) if key == name), None)


@_function("named(list: list, name: text) -> any")
def _named(items: Value, name: Value) -> Value:
    """The `value` of the first `{name, value}` of that name that has one."""
    if items is None or name is None:
        return None
    for item in items:
        if item.__class__ is dict and item.get("name") == name and (value := item.get("value")) is not None:
            return value
    return None


@_function("lookup(table: table, key: any) -> any")
def _lookup(table: Value, key: Value) -> Value:
    """The entry of a table in `vars`; empty if it has none."""
    return None if table is None or key is None else table.get(values.canonical(key))


# -- over lists --------------------------------------------------------------------------------------------------------


def _filled(items: Iterable[Value]) -> list[Value]:
    return [item for item in items if item is not None]


@_function("any(list: list) -> boolean")
def _any(items: Value) -> Value:
    return None if items is None else any(items)


@_function("all(list: list) -> boolean")
def _all(items: Value) -> Value:
    return None if items is None else all(items)


@_function("sum(list: list) -> number")
def _sum(items: Value) -> Value:
    """The exact sum; empty if an element is."""
    return None if items is None else reckoning.total(items)


@_function("first(list: list) -> any")
def _first(items: Value) -> Value:
    """The first element that is not empty."""
    return None if items is None else next((item for item in items if item is not None), None)


@_function("list(list: list) -> list")
def _list(items: Value) -> Value:
    """The elements that are not empty."""
    return None if items is None else _filled(items)


@_function("count(list: list) -> integer")
def _count(items: Value) -> Value:
    """How many elements there are, empty ones included."""
    return None if items is None else sum(1 for _ in items)


@_function("join(list: list, separator: text) -> text")
def _join(items: Value, separator: Value) -> Value:
    """The texts in a row; empty ones are left out."""
    if items is None or separator is None:
        return None
    parts: list[str] = []
    size = 0
    for item in items:
        part = NEEDS["text"](item)
        size += len(separator) + len(part or "")
        if size > values.LONGEST_TEXT:
            raise Failed(f"makes a text of more than {values.LONGEST_TEXT} characters")
        if part is not None:
            parts.append(part)
    return separator.join(parts)


def _furthest(items: Value, further: Callable[[Value, Value], Value]) -> Value:
    found: Value = None
    for item in items or ():
        if item is not None and (found is None or further(item, found)):
            found = item
    return found


@_function("min(list: list) -> any")
def _min(items: Value) -> Value:
    """The least number or earliest time; empty ones are left out."""
    return _furthest(items, reckoning.less)


@_function("max(list: list) -> any")
def _max(items: Value) -> Value:
    """The greatest number or latest time; empty ones are left out."""
    return _furthest(items, reckoning.greater)


SPECIAL: Final = {"has": "has(x: any) -> boolean", "default": "default(x: any, y: any, ...) -> any"}
"""Said in terms.py, since their arguments are looked at one by one."""
