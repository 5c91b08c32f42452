"""Functions on numbers and money: exact, and rounded by name only."""

import re
from base64 import b64decode
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Final

from bridge.mapping import arithmetic, values
from bridge.mapping.functions.registry import function
from bridge.mapping.values import Failed, Value

_MARKS: Final = frozenset((",", "."))
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


def _mark(decimal_mark: Value) -> None:
    if decimal_mark not in _MARKS:
        raise Failed("knows the decimal marks '.' and ',' only")


@function("number(x: any, decimal_mark?: text) -> number", checks={1: _mark})
def _number(x: Value, decimal_mark: Value = ".") -> Value:
    """The exact number in a text: number('1.234,50', ',') is 1234.50. The other mark, blanks and ' group digits."""
    if type(x) is not str:
        return values.as_number(x)
    _mark(decimal_mark)
    written = _signed(x.strip())
    return values.number_from_text(written if decimal_mark == "." else _ungrouped(written))


def _signed(written: str) -> str:
    """Move a minus at the end to the front: SAP writes `79.90-`."""
    return f"-{written[:-1].rstrip()}" if written.endswith("-") and written[0] not in "+-" else written


_GROUPED: Final = re.compile(r"[-+]?([0-9]{1,40}|[0-9]{1,3}([.' \u00a0\u202f\u2019][0-9]{3}){1,12})(,[0-9]{1,40})?")


def _ungrouped(written: str) -> str:
    if _GROUPED.fullmatch(written) is None:
        raise Failed("is given text that is not a number with a decimal comma")
    return re.sub(r"[^-+0-9,]", "", written).replace(",", ".")


@function("decimal(x: any, decimal_mark?: text) -> number", checks={1: _mark})
def _decimal(x: Value, decimal_mark: Value = ".") -> Value:
    """The same as number."""
    return _number(x, decimal_mark)


@function("integer(x: any) -> integer")
def _integer(x: Value) -> Value:
    """A whole number; fails on a fraction."""
    return values.as_integer(x)


@function("abs(x: number) -> number")
def _abs(x: Value) -> Value:
    return None if x is None else arithmetic.negative(x) if x < 0 else x


def _exponent(currency: str) -> int:
    if _CURRENCY.fullmatch(currency) is None:
        raise Failed("is given a currency that is not three capital letters")
    return _EXPONENTS.get(currency, 2)


_UNITS: Final = [Decimal(1).scaleb(-digits) for digits in range(values.DIGITS + 1)]


def _quantized(x: Value, digits: int) -> Decimal:
    try:
        exact = x if type(x) is Decimal else Decimal(x)
        return exact.quantize(_UNITS[digits], ROUND_HALF_UP, arithmetic.ROUNDED)
    except InvalidOperation:
        raise Failed("is given a number with too many digits") from None


@function("round(x: number, digits: integer) -> number")
def _round(x: Value, digits: Value) -> Value:
    """Half up, away from zero: round(2.345, 2) is 2.35."""
    if x is None or digits is None:
        return None
    if not 0 <= digits <= values.DIGITS:
        raise Failed(f"takes 0 to {values.DIGITS} digits")
    return _quantized(x, digits)


@function("round_money(x: number, currency: text) -> money", checks={1: _exponent})
def _round_money(x: Value, currency: Value) -> Value:
    """Half up to the currency's minor unit: JPY has none, KWD three digits."""
    return None if x is None or currency is None else _quantized(x, _exponent(currency))


@function("known_currency(code: text, known: list) -> text")
def _known_currency(code: Value, known: Value) -> Value:
    """The code, where it is one of these; fails for another one, of which nobody here knows what it is worth."""
    if code is None or known is None or code in known:
        return code
    there = " and ".join(dict.fromkeys(_said(each) for each in known if each is not None)) or "none"
    cure = "write a rule of your own that says what it is worth (with a table of rates in vars), or drop the dead fact"
    raise Failed(f"is given {_said(code)}, and there is only {there} here: {cure}")


def _said(code: Value) -> str:
    """A currency's code, and no other text of a document."""
    return code if type(code) is str and _CURRENCY.fullmatch(code) else "what is no currency"


@function("from_minor(x: number, currency: text) -> money", checks={1: _exponent})
def _from_minor(x: Value, currency: Value) -> Value:
    """Money from minor units: from_minor(1999, 'EUR') is 19.99."""
    if x is None or currency is None:
        return None
    return arithmetic.multiply(x, _UNITS[_exponent(currency)])


@function("to_minor(x: number, currency: text) -> integer", checks={1: _exponent})
def _to_minor(x: Value, currency: Value) -> Value:
    """Minor units of money; fails if there is a fraction of one, which must be rounded by name."""
    if x is None or currency is None:
        return None
    return values.as_integer(arithmetic.multiply(x, Decimal(10) ** _exponent(currency)))


_MOST_BYTES: Final = 2 * values.DIGITS


@function("from_unscaled(x: text, scale: integer) -> number")
def _from_unscaled(x: Value, scale: Value) -> Value:
    """A number from its unscaled digits, as bytes of two's complement (big-endian) in base64: Debezium's decimals."""
    if x is None or scale is None:
        return None
    try:
        unscaled = b64decode(x, validate=True) if len(x) <= _MOST_BYTES else b""
    except ValueError:
        unscaled = b""
    if not unscaled:
        raise Failed("is given text that is not a number in base64")
    if not -values.DIGITS <= scale <= values.DIGITS:
        raise Failed(f"takes a scale of at most {values.DIGITS} digits")
    number = int.from_bytes(unscaled, "big", signed=True)
    if abs(number) >= 10**values.DIGITS:
        raise Failed(f"is given a number of more than {values.DIGITS} digits")
    return arithmetic.multiply(number, _SCALES[scale])


_SCALES: Final = {digits: Decimal(1).scaleb(-digits) for digits in range(values.DIGITS + 1)} | {
    -digits: Decimal(10**digits) for digits in range(1, values.DIGITS + 1)
}
