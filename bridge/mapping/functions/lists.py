"""Functions that look things up, and go over lists."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import unquote_plus

from bridge.mapping import arithmetic, values
from bridge.mapping.functions.registry import FUNCTIONS, NEEDS, function
from bridge.mapping.values import Value, short


@function("query(url: text, name: text) -> text")
def _query(url: Value, name: Value) -> Value:
    """The first parameter of that name in a URL, which may be a path alone."""
    if url is None or name is None or name not in url:
        return None
    for pair in short(url).partition("#")[0].partition("?")[2].split("&"):
        key, _, value = pair.partition("=")
        if unquote_plus(key) == name:
            return unquote_plus(value)
    return None


@function("named(list: pairs, name: text) -> any")
def _named(items: Value, name: Value) -> Value:
    """The `value` of the first `{name, value}` of that name that has one. A mapping holds the values by their names."""
    if not items or name is None:
        return None
    if items.__class__ is not list:
        return _named_in(items, name) if items.__class__ is dict else None
    for item in items:
        if item.__class__ is dict and item.get("name") == name and (value := item.get("value")) is not None:
            return value
    return None


def _named_in(held: Mapping[str, Value], name: str) -> Value:
    """The value of that name, or of the one pair that stands there without its list."""
    found = held.get(name)
    return held.get("value") if found is None and held.get("name") == name else found


@function("lookup(table: table, key: any) -> any")
def _lookup(table: Value, key: Value) -> Value:
    """The entry of a table in `vars`; empty if it has none."""
    return None if table is None or key is None else table.get(values.canonical(key))


@function("tally(list: list, by: text, of: text) -> any")
def _tally(items: Value, by: Value, of: Value) -> Value:
    """The sums of one field of mappings by another, as a table for `lookup`: one way through, where a sum for each of
    many elements would take as many. A sum is empty as soon as one of its parts is."""
    if items is None or by is None or of is None:
        return None
    sums: dict[str, Value] = {}
    for item in items:
        if (key := values.field(item, by)) is not None:
            key = values.canonical(key)
            sums[key] = arithmetic.total((sums.get(key, 0), values.as_number(values.field(item, of))))
    return sums


def _filled(items: Iterable[Value]) -> list[Value]:
    return [item for item in items if item is not None]


@function("any(list: list) -> boolean")
def _any(items: Value) -> Value:
    return None if items is None else any(items)


@function("all(list: list) -> boolean")
def _all(items: Value) -> Value:
    return None if items is None else all(items)


@function("sum(list: list) -> number")
def _sum(items: Value) -> Value:
    """The exact sum; empty if an element is."""
    return None if items is None else arithmetic.total(items)


ROUNDED_SUM: Final = replace(
    FUNCTIONS["sum"], run=lambda items: None if items is None else arithmetic.total(items, arithmetic.ROUNDED)
)
"""The sum for what is rounded by name a moment later: its elements may be shares that do not end."""


@function("first(list: list) -> any")
def _first(items: Value) -> Value:
    """The first element that is not empty."""
    return None if items is None else next((item for item in items if item is not None), None)


@function("list(list: list) -> list")
def _list(items: Value) -> Value:
    """The elements that are not empty."""
    return None if items is None else _filled(items)


@function("flat(list: list) -> list")
def _flat(items: Value) -> Value:
    """The elements of the lists in a list, which the walk around it goes through; empty ones are left out."""
    return None if items is None else _filled(items)


@function("count(list: list) -> integer")
def _count(items: Value) -> Value:
    """How many elements there are, empty ones included."""
    return None if items is None else sum(1 for _ in items)


@function("join(list: list, separator: text) -> text", makes=True)
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
            values.too_long()
        if part is not None:
            parts.append(part)
    return separator.join(parts)


def _furthest(items: Value, further: Callable[[Value, Value], Value]) -> Value:
    found: Value = None
    for item in items or ():
        if item is not None and (found is None or further(item, found)):
            found = item
    return found


@function("min(list: list) -> any")
def _min(items: Value) -> Value:
    """The least number or earliest time; empty ones are left out."""
    return _furthest(items, arithmetic.less)


@function("max(list: list) -> any")
def _max(items: Value) -> Value:
    """The greatest number or latest time; empty ones are left out."""
    return _furthest(items, arithmetic.greater)
