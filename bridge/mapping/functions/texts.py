"""Functions on text."""

from typing import Final

import msgspec

from bridge.mapping import values
from bridge.mapping.functions.registry import function
from bridge.mapping.values import Failed, Value, exact, short

_decode: Final = msgspec.json.Decoder(float_hook=exact).decode


@function("text(x: any) -> text", makes=True)
def _text(x: Value) -> Value:
    """The canonical text: 6042 for 6042 and 6042.0, `true`, a time in UTC."""
    return None if x is None else values.canonical(x)


@function("lower(x: text) -> text", makes=True)
def _lower(x: Value) -> Value:
    return None if x is None else short(short(x).lower())


@function("upper(x: text) -> text", makes=True)
def _upper(x: Value) -> Value:
    return None if x is None else short(short(x).upper())


@function("strip(x: text) -> text")
def _strip(x: Value) -> Value:
    """Strip white space at both ends."""
    return None if x is None else x.strip()


@function("replace(x: text, old: text, new: text) -> text", makes=True)
def _replace(x: Value, old: Value, new: Value) -> Value:
    if x is None or not old or new is None:
        return x
    if len(x) + x.count(old) * (len(new) - len(old)) > values.LONGEST_TEXT:
        values.too_long()
    return x.replace(old, new)


@function("split(x: text, separator: text) -> list", makes=True)
def _split(x: Value, separator: Value) -> Value:
    """The parts, stripped, without empty ones: split('a, b', ',') is ['a', 'b']."""
    if x is None or not separator:
        return None
    return [part for each in short(x).split(separator) if (part := each.strip())]


@function("starts_with(x: text, beginning: text) -> boolean")
def _starts_with(x: Value, beginning: Value) -> Value:
    return None if x is None or beginning is None else x.startswith(beginning)


@function("ends_with(x: text, end: text) -> boolean")
def _ends_with(x: Value, end: Value) -> Value:
    return None if x is None or end is None else x.endswith(end)


@function("length(x: text) -> integer")
def _length(x: Value) -> Value:
    return None if x is None else len(x)


@function("nonblank(x: text) -> text")
def _nonblank(x: Value) -> Value:
    """The text stripped; empty if nothing is left."""
    return None if x is None else x.strip() or None


@function("json(x: text) -> any", unfolds=True)
def _json(x: Value) -> Value:
    """What JSON inside a text says: a mapping, a list or a single value, numbers exactly. Empty for a blank text."""
    if x is None or not x.strip():
        return None
    try:
        return _decode(x)
    except RecursionError:
        raise Failed("is given JSON that is nested too deeply") from None
    except (ValueError, ArithmeticError):
        raise Failed("is given text that is not JSON") from None
