"""The values that rules work with: text, int, Decimal, bool, aware datetime, list, dict, and None, the one empty value.

Whatever comes from a document is checked when it is looked at. No text made here holds a value of a document.
"""

import json
import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final, TypeAlias

Value: TypeAlias = Any
"""str, int, Decimal, bool, aware datetime, list, dict or None. Never a float."""

DIGITS: Final = 40
LONGEST_TEXT: Final = 100_000
STEPS: Final = 100_000

_NUMBER: Final = re.compile(r"[-+]?[0-9]{1,40}(\.[0-9]{1,40})?")


class Failed(Exception):
    """A rule cannot go on with this document. The text says why, without a value of the document."""


WHAT_DATA_CAN_RAISE: Final = (
    Failed,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What generated code lets out when a document is not as it should be. The slow way then says what it was."""


def named_kind(value: Value) -> str:
    """Say what kind of value it is, never which."""
    names = {bool: "a boolean", str: "text", int: "a number", Decimal: "a number", datetime: "a time", list: "a list"}
    return "empty" if value is None else names.get(type(value), "a mapping")


# -- typed access ------------------------------------------------------------------------------------------------------


def exact(written: str) -> Decimal | str:
    """A JSON number with a fraction or exponent, exactly. Beyond 40 digits on either side of the point it stays text.

    So every Decimal that a rule sees is small: its text, its products and its hash end soon.
    """
    if len(written) > 2 * DIGITS:
        return written
    try:
        number = Decimal(written)
    except InvalidOperation:
        return written
    exponent = number.as_tuple().exponent if "e" in written or "E" in written else 0
    return number if isinstance(exponent, int) and -DIGITS <= exponent <= DIGITS else written


@lru_cache(maxsize=4096)
def number_from_text(written: str) -> Decimal:
    """Read plain digits with an optional point: `99.00`. No exponent, no thousands, no spaces."""
    if _NUMBER.fullmatch(written) is None:
        raise Failed("is text that is not a number")
    return Decimal(written)


def as_number(value: Value) -> Value:
    """A number from JSON number or text; int stays int."""
    if value is None:
        return None
    if type(value) is str:
        return number_from_text(value)
    if type(value) is int or type(value) is Decimal:
        return value
    raise Failed(f"is {named_kind(value)}, not a number")


def as_integer(value: Value) -> Value:
    """A whole number, without a fraction."""
    number = as_number(value)
    if number is None or type(number) is int:
        return number
    if number != number.to_integral_value():
        raise Failed("is a number with a fraction, not an integer")
    return int(number)


def as_text(value: Value) -> Value:
    """Text as it is; a number that came where text was described, in its canonical form."""
    if value is None or type(value) is str:
        return value
    if type(value) is int or type(value) is Decimal:
        return canonical(value)
    raise Failed(f"is {named_kind(value)}, not text")


def as_time(value: Value) -> Value:
    """An aware time from ISO 8601 text with its zone."""
    if value is None or type(value) is datetime:
        return value
    if type(value) is not str:
        raise Failed(f"is {named_kind(value)}, not a time: see from_epoch() for seconds since 1970")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise Failed("is text that is not an ISO 8601 time") from None
    if moment.tzinfo is None:
        raise Failed("is a time without a zone: see local_time()")
    return moment


def as_boolean(value: Value) -> Value:
    """True, false or empty."""
    if value is None or value is True or value is False:
        return value
    raise Failed(f"is {named_kind(value)}, not a boolean")


def as_list(value: Value) -> Value:
    """A list or empty."""
    if value is None or type(value) is list:
        return value
    raise Failed(f"is {named_kind(value)}, not a list")


def as_mapping(value: Value) -> Value:
    """A mapping or empty."""
    if value is None or type(value) is dict:
        return value
    raise Failed(f"is {named_kind(value)} and has no fields")


# -- bounds ------------------------------------------------------------------------------------------------------------


def spent(value: Value, steps: list[int], weight: int = 1) -> Value:
    """The value itself, after its size was taken from the steps that a rule may take on one document."""
    if type(value) is list or type(value) is dict:
        weight += len(value)
    elif type(value) is str:
        weight += len(value) >> 6
    steps[0] -= weight
    if steps[0] < 0:
        raise Failed(f"takes more than {STEPS} steps on this document")
    return value


def walk(value: Value, steps: list[int]) -> Sequence[Value]:
    """The elements of a list; none if it is empty."""
    if type(value) is list:
        steps[0] -= len(value)
        if steps[0] < 0:
            raise Failed(f"takes more than {STEPS} steps on this document")
        return value
    if value is None:
        return ()
    raise Failed(f"is {named_kind(value)}, not a list")


def short(text: str) -> str:
    """Refuse texts that grew beyond the bound."""
    if len(text) > LONGEST_TEXT:
        raise Failed(f"makes a text of more than {LONGEST_TEXT} characters")
    return text


# -- fields and elements -----------------------------------------------------------------------------------------------


def field(value: Value, key: str) -> Value:
    """The field of a mapping; empty if there is no such field, or no mapping."""
    return None if value is None else as_mapping(value).get(key)


def element(value: Value, index: Value) -> Value:
    """The element of a list (the last is -1), or the field of a mapping; empty if there is none."""
    if value is None or index is None:
        return None
    if type(value) is dict and type(index) is str:
        return value.get(index)
    if type(index) is not int:
        raise Failed(f"takes an element of {named_kind(value)} by {named_kind(index)}")
    items = as_list(value)
    return items[index] if -len(items) <= index < len(items) else None


def part(value: Value, start: Value, stop: Value) -> Value:
    """The elements of a list from start up to, not including, stop."""
    return None if value is None else as_list(value)[as_integer(start) : as_integer(stop)]


# -- writing out -------------------------------------------------------------------------------------------------------


def iso(moment: datetime) -> str:
    """A time as UTC text: `2026-11-20T13:05:33Z`, with a fraction only if there is one."""
    try:
        plain = moment.astimezone(UTC).replace(tzinfo=None).isoformat()
    except OverflowError:
        raise Failed("is a time outside the years 1 to 9999") from None
    return (plain.rstrip("0") if "." in plain else plain) + "Z"


def canonical(value: Value) -> str:
    """The one text of a scalar: 6042, 6042.0 and "6042" are the same; times in UTC; text in Unicode form NFC."""
    if type(value) is str:
        return value if value.isascii() else unicodedata.normalize("NFC", value)
    if type(value) is int:
        return str(value)
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is datetime:
        return iso(value)
    if type(value) is Decimal:
        plain = format(value, "f")
        plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
        return "0" if plain == "-0" else plain
    raise Failed(f"is {named_kind(value)}, not a single value")


def plain(value: Value) -> Value:
    """A value as it may stand in an event: times as text, empty keys and elements left out."""
    if type(value) is dict:
        return {key: plain(each) for key, each in value.items() if each is not None}
    if type(value) is list:
        return [plain(each) for each in value if each is not None]
    return iso(value) if type(value) is datetime else value


def utc(moment: datetime) -> datetime:
    """The same instant in UTC."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise Failed("is a time outside the years 1 to 9999") from None


def once_key(parts: Sequence[Value]) -> str:
    """The canonical key: a JSON array of texts."""
    if None in parts:
        raise Failed("has an empty part")
    return json.dumps([canonical(each) for each in parts], ensure_ascii=False, separators=(",", ":"))


def flat(parts: Sequence[Value]) -> list[Value]:
    """The parts of a key, where a list gives several; an empty list is an empty part."""
    lists = [(each or [None]) if type(each) is list else [each] for each in parts]
    return [part for several in lists for part in several]
