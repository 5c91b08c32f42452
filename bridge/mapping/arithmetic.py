"""Compare and calculate: exact, bounded, and empty if a side is empty."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import (
    ROUND_HALF_UP,
    Clamped,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
    Underflow,
)
from typing import Final

from bridge.mapping.values import DIGITS, LONGEST_TEXT, Budget, Failed, Value, as_list, named_kind, spent, too_long

_PRECISION: Final = 2 * DIGITS + 10
_TRAPS: Final = [InvalidOperation, DivisionByZero, Overflow, Underflow, Clamped]
EXACT: Final = Context(prec=_PRECISION, rounding=ROUND_HALF_UP, Emax=999, Emin=-999, traps=[*_TRAPS, Inexact])
"""The context that raises rather than round."""
ROUNDED: Final = Context(prec=_PRECISION, rounding=ROUND_HALF_UP, Emax=999, Emin=-999, traps=_TRAPS)
"""The context for values that are rounded by name a moment later."""

_LIMIT: Final = 10**_PRECISION


# -- comparing ---------------------------------------------------------------------------------------------------------

_SORTS: Final = {Decimal: "number", int: "number", str: "text", bool: "boolean", datetime: "time"}


def _comparable(left: Value, right: Value) -> None:
    sort = _SORTS.get(type(left))
    if sort is None or sort != _SORTS.get(type(right)):
        raise Failed(f"compares {named_kind(left)} with {named_kind(right)}")


def equal(left: Value, right: Value) -> Value:
    """Whether they are the same; empty if either is."""
    if left is None or right is None:
        return None
    _comparable(left, right)
    return left == right


def unequal(left: Value, right: Value) -> Value:
    """Whether they differ; empty if either is empty."""
    same = equal(left, right)
    return None if same is None else not same


def less(left: Value, right: Value) -> Value:
    """Whether left comes before right. Text and booleans have no order here."""
    if left is None or right is None:
        return None
    _comparable(left, right)
    if type(left) is str or type(left) is bool:
        raise Failed(f"orders {named_kind(left)}: see number() and time()")
    return left < right


def at_most(left: Value, right: Value) -> Value:
    """Whether left comes before right or is the same."""
    after = less(right, left)
    return None if after is None else not after


def greater(left: Value, right: Value) -> Value:
    """Whether left comes after right."""
    return less(right, left)


def at_least(left: Value, right: Value) -> Value:
    """Whether left comes after right or is the same."""
    before = less(left, right)
    return None if before is None else not before


def within(item: Value, container: Value) -> Value:
    """Whether a list holds the item, or a text the text; empty if either is empty."""
    if item is None or container is None:
        return None
    if type(container) is str:
        if type(item) is not str:
            raise Failed(f"looks for {named_kind(item)} in text")
        return item in container
    return any(equal(item, each) for each in as_list(container))


def not_within(item: Value, container: Value) -> Value:
    """The opposite of `within`; empty if either is empty."""
    inside = within(item, container)
    return None if inside is None else not inside


COMPARISONS: Final = {
    "==": equal,
    "!=": unequal,
    "<": less,
    "<=": at_most,
    ">": greater,
    ">=": at_least,
    "in": within,
    "not in": not_within,
}


def compared(operators: Sequence[str], values: Sequence[Value], budget: Budget) -> Value:
    """A chain such as `0 < x <= 5`: false if one link is false, else empty if one is empty, else true."""
    for value in values:
        if type(value) is str or type(value) is list:
            spent(value, budget)
    links = [COMPARISONS[each](*values[at : at + 2]) for at, each in enumerate(operators)]
    return False if False in links else None if None in links else True


# -- reckoning ---------------------------------------------------------------------------------------------------------


def bounded(number: int) -> int:
    """Refuse integers that no document means."""
    if -_LIMIT < number < _LIMIT:
        return number
    raise Failed(f"is a number of more than {_PRECISION} digits")


_HINTS: Final[Mapping[type, str]] = {
    str: ": write number(...)",
    list: ": write sum(...), or flat([...]) to join lists",
}


def _whole(left: Value, right: Value) -> bool:
    """Whether both are integers; fails if one is no number."""
    for each in (left, right):
        if type(each) is not int and type(each) is not Decimal:
            raise Failed(f"calculates with {named_kind(each)}{_HINTS.get(type(each), '')}")
    return type(left) is int and type(right) is int


def add(left: Value, right: Value, context: Context = EXACT) -> Value:
    """The exact sum of two numbers, or two texts in a row; empty if either is empty."""
    if left is None or right is None:
        return None
    if type(left) is str and type(right) is str:
        return left + right if len(left) + len(right) <= LONGEST_TEXT else too_long()
    return bounded(left + right) if _whole(left, right) else context.add(left, right)


def subtract(left: Value, right: Value, context: Context = EXACT) -> Value:
    """The exact difference of two numbers; empty if either is empty."""
    if left is None or right is None:
        return None
    return bounded(left - right) if _whole(left, right) else context.subtract(left, right)


def multiply(left: Value, right: Value, context: Context = EXACT) -> Value:
    """The exact product of two numbers; empty if either is empty."""
    if left is None or right is None:
        return None
    return bounded(left * right) if _whole(left, right) else context.multiply(left, right)


def divide(left: Value, right: Value, context: Context = EXACT) -> Value:
    """The quotient of two numbers; fails if it does not end and nobody rounds it by name."""
    if left is None or right is None:
        return None
    _whole(left, right)
    try:
        return context.divide(left, right)
    except Inexact:
        raise Failed("does not end: write round(... / ..., digits) or round_money(... / ..., currency)") from None
    except (DivisionByZero, InvalidOperation):
        raise Failed("divides by zero") from None


def negative(value: Value) -> Value:
    """The number with its sign turned."""
    return None if value is None else subtract(0, value)


def total(values: Iterable[Value], context: Context = EXACT) -> Value:
    """The exact sum; empty as soon as one element is, since a sum without it would be silently wrong."""
    result: Value = 0
    for value in values:
        if type(value) is Decimal:
            result = context.add(result, value)
        elif value is None:
            return None
        else:
            result = add(result, value, context)
    return result
