"""The values that rules work with: text, int, Decimal, bool, aware datetime, list, dict, and None, the one empty value.

A value that comes from a document is checked when it is looked at. No text made here holds a value of a document. Only
one function names the code of a currency.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final, TypeAlias

Value: TypeAlias = Any
"""str, int, Decimal, bool, aware datetime, list, dict or None. Never a float."""

DIGITS: Final = 40  # digits of a number
LONGEST_TEXT: Final = 100_000  # characters
LONGEST_KEY: Final = 1_000
"""The most bytes of a canonical `once`: it is part of an index, and kept for years."""

STEPS: Final = 100_000  # steps for one document
BYTES: Final = 8_000_000  # bytes of what rules make of one document
FACTS: Final = 1_000  # facts of one document
TERMS: Final = 50_000
"""The most parts of expressions that are looked at one by one to explain the failures of one document: some 50
milliseconds."""

Budget: TypeAlias = list[Any]
"""What a rule may still spend on a document: steps, bytes that it makes, and terms looked at to explain failures.

The fourth is what was paid for already: the values of names that stand for the same in the whole document.
"""

_NUMBER: Final = re.compile(r"[-+]?[0-9]{1,40}(\.[0-9]{1,40})?")


class Failed(Exception):
    """A rule cannot go on with this document. The text says why, without a value of the document.

    of_shape  a value is of another kind than its place in the document has: a list where text is
    """

    def __init__(self, reason: str = "", *, of_shape: bool = False) -> None:
        super().__init__(reason)
        self.of_shape = of_shape


class Beyond(Failed):
    """A bound was reached. The rule as a whole fails for this document."""


class Unexplained(Beyond):
    """The reason of a failure was looked for long enough."""


WHAT_DATA_CAN_RAISE: Final = (
    Failed,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)
"""Errors that generated code lets out when a document is not as it should be. The slow way then says what it was."""


def is_left_out(problem: Exception) -> bool:
    """Whether an optional key is left out for this error. Python says of what has no fields that it has no `get`."""
    return problem.of_shape if isinstance(problem, Failed) else True


def is_void(value: Value) -> bool:
    """Whether nothing is in it. Other languages write it for what is not there: `false`, `[]`, `{}`, and "" for no
    text."""
    return not value and type(value) is not int and type(value) is not Decimal


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


def as_whole(value: Value) -> Value:
    """A whole number as a field has it: ids and counts, where nothing may be written as "" or []."""
    return None if type(value) is not int and is_void(value) else as_integer(value)


def as_text(value: Value) -> Value:
    """Text as it is; a number that came where text was described, in its canonical form."""
    if value is None or type(value) is str:
        return value
    if type(value) is int or type(value) is Decimal:
        return canonical(value)
    if is_void(value):
        return None
    raise Failed(f"is {named_kind(value)}, not text", of_shape=True)


def as_time(value: Value) -> Value:
    """An aware time from ISO 8601 text with its zone."""
    if value is None or type(value) is datetime:
        return value
    if is_void(value):
        return None
    if type(value) is not str:
        raise Failed(f"is {named_kind(value)}, not a time: see from_epoch() for seconds since 1970", of_shape=True)
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
    if is_void(value):
        return None
    raise Failed(f"is {named_kind(value)}, not a boolean", of_shape=True)


def as_list(value: Value) -> Value:
    """A list, None, or an empty list where nothing is in what stands there."""
    if value is None or type(value) is list:
        return value
    if not value:
        return []
    raise Failed(f"is {named_kind(value)}, not a list", of_shape=True)


# -- bounds ------------------------------------------------------------------------------------------------------------


def whole_budget(kept: dict[int | str, Value] | None = None) -> Budget:
    """The budget that a rule may spend on one document.

    kept: the values that other rules calculated of names that stand for the same in the whole document
    """
    return [STEPS, BYTES, TERMS, {} if kept is None else kept]


def refuse(budget: Budget) -> None:
    """Raise where a bound was passed."""
    if budget[0] < 0:
        raise Beyond(f"takes more than {STEPS} steps on this document")
    if budget[1] < 0:
        raise Beyond(f"makes more than {BYTES} bytes of this document")


def too_many_facts() -> None:
    """Say that a rule makes more facts of one document than any may."""
    raise Beyond(f"makes more than {FACTS} facts of this document")


def spent(value: Value, budget: Budget, weight: int = 1) -> Value:
    """The value itself, after its size was taken from the steps that a rule may take on one document.

    A mapping costs as little as a number: only a key of it is looked up.
    """
    if type(value) is list:
        weight += len(value)
    elif type(value) is str:
        weight += len(value) >> 6
    budget[0] -= weight
    if budget[0] < 0:
        refuse(budget)
    return value


def walk(value: Value, budget: Budget, weight: int = 1) -> Sequence[Value]:
    """The elements of a list; none if it is empty. weight: the steps that each of them costs."""
    if type(value) is list:
        budget[0] -= len(value) * weight
        if budget[0] < 0:
            refuse(budget)
        return value
    if not value:
        return ()
    raise Failed(f"is {named_kind(value)}, not a list", of_shape=True)


def weighed(value: Value, budget: Budget, size: int = 0) -> Value:
    """The value itself, after the bytes that it takes in an event were taken from those that a rule may make."""
    budget[1] -= size
    if type(value) is str:
        budget[1] -= len(value)
    elif type(value) is int or type(value) is Decimal:
        budget[1] -= value.__sizeof__()
    if budget[1] < 0:
        refuse(budget)
    return value


def made(value: Value, budget: Budget) -> Value:
    """Weigh what a function made of its arguments, as `weighed` does: a text, or a new list of texts."""
    if type(value) is list:
        budget[1] -= size_of(value)
    return weighed(value, budget)


def unfolded(text: Value, budget: Budget) -> Value:
    """The text itself, after what it may make was taken from the bytes: JSON of it takes many times its memory."""
    if text is not None:
        budget[1] -= len(text) * _OF_A_CHARACTER
        if budget[1] < 0:
            refuse(budget)
    return text


_OF_A_CHARACTER: Final = 24
"""Bytes that a character of JSON can become: `[],[],` makes a list of every third."""


def size_of(texts: Iterable[str]) -> int:
    """The bytes that texts of their own take, or the keys of a mapping with their places."""
    return sum(len(text) + _OF_AN_OBJECT for text in texts)


def look(count: int, budget: Budget) -> None:
    """Take what is to be looked at from what may be looked at to explain a failure."""
    budget[2] -= count
    if budget[2] < 0:
        raise Unexplained("was not looked into any further")


_OF_AN_OBJECT: Final = 32
"""Bytes that an object takes in memory beside its content, at the least."""


def short(text: str) -> str:
    """Refuse texts beyond the bound."""
    if len(text) > LONGEST_TEXT:
        too_long()
    return text


def too_long() -> None:
    """Say that a text would be too long."""
    raise Failed(f"makes a text of more than {LONGEST_TEXT} characters")


# -- fields and elements -----------------------------------------------------------------------------------------------


def field(value: Value, key: str) -> Value:
    """The field of a mapping; empty if there is no such field, or nothing is in what stands there."""
    if not value:
        return None
    if type(value) is not dict:
        raise Failed(f"is {named_kind(value)} and has no fields", of_shape=True)
    return value.get(key)


def element(value: Value, index: Value) -> Value:
    """The element of a list (the last is -1), or the field of a mapping; empty if there is none."""
    if not value or index is None:
        return None
    if type(value) is dict and type(index) is str:
        return value.get(index)
    if type(index) is not int:
        raise Failed(f"takes an element of {named_kind(value)} by {named_kind(index)}", of_shape=True)
    items = as_list(value)
    return items[index] if -len(items) <= index < len(items) else None


def part(value: Value, start: Value, stop: Value, budget: Budget) -> Value:
    """The elements of a list, or the characters of a text, from start up to, not including, stop."""
    if value is None:
        return None
    bounds = slice(as_integer(start), as_integer(stop))
    if type(value) is str:
        return spent(made(value[bounds], budget), budget)
    if value and type(value) is not list:
        raise Failed(f"is {named_kind(value)}, and slices are of lists and texts", of_shape=True)
    return spent(value[bounds], budget) if value else []


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


def plain(value: Value, budget: Budget) -> Value:
    """A value as it may stand in an event: times as text, empty keys and elements left out. Weighed as it is copied."""
    if type(value) is dict:
        weighed(value, budget, size_of(value))
        return {key: plain(each, budget) for key, each in value.items() if each is not None}
    if type(value) is list:
        weighed(value, budget, _OF_A_PLACE * len(value))
        return [plain(each, budget) for each in value if each is not None]
    return iso(value) if type(value) is datetime else weighed(value, budget)


_OF_A_PLACE: Final = 8
"""Bytes of an element's place in a list."""


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
    texts = [canonical(each) for each in parts]
    if sum(map(len, texts)) > LONGEST_KEY:
        _key_too_long()
    key = json.dumps(texts, ensure_ascii=False, separators=(",", ":"))
    if len(key) * _LONGEST_CHARACTER > LONGEST_KEY and len(key.encode("utf-8", "surrogatepass")) > LONGEST_KEY:
        _key_too_long()
    return key


def once_number(key: str) -> Value:
    """The number of which alone a key is made; None: it is made of something else."""
    texts = json.loads(key)
    return number_from_text(texts[0]) if len(texts) == 1 and _NUMBER.fullmatch(texts[0]) else None


_LONGEST_CHARACTER: Final = 4  # bytes in UTF-8


def _key_too_long() -> None:
    raise Failed(f"makes a key of more than {LONGEST_KEY} bytes: write sha256(...), or an id")


def flat(parts: Sequence[Value]) -> list[Value]:
    """The parts of a key, where a list gives several; an empty list is an empty part."""
    lists = [(each or [None]) if type(each) is list else [each] for each in parts]
    return [part for several in lists for part in several]
