"""Field descriptions that no connector brings: from a JSON Schema, or inferred from sample documents."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from bridge.contract import Json
from bridge.mapping.fields import Shape, element_of, is_list, is_mapping

_DEEPEST: Final = 12  # levels
_MOST: Final = 20_000
"""The most shapes of one schema."""
_MONEY: Final = re.compile(r"-?[0-9]{1,15}\.[0-9]{2,3}")
_DECIMAL: Final = re.compile(r"-?(0|[1-9][0-9]{0,14})\.[0-9]{1,20}")
_WHOLE: Final = re.compile(r"-?(0|[1-9][0-9]{0,14})")
_SIMPLE: Final = {"string": "text", "integer": "integer", "number": "number", "boolean": "boolean"}


def from_schema(schema: Json) -> Shape:
    """The shape that a JSON Schema describes, as far as shapes go. What they cannot express is `any`."""
    return _Schema(schema).shape(schema, 0)


class _Schema:
    """A JSON Schema on its way to a shape. A schema that refers to itself has shapes without end, so their number is
    limited."""

    def __init__(self, root: Json) -> None:
        self._root = root
        self._left = _MOST

    def shape(self, schema: Json, depth: int) -> Shape:
        self._left -= 1
        if not isinstance(schema, Mapping) or depth > _DEEPEST or self._left < 0:
            return "any"
        if "$ref" in schema:
            return self.shape(_referred(str(schema["$ref"]), self._root), depth + 1)
        if isinstance(schema.get("allOf"), list):
            return _together([self.shape(each, depth + 1) for each in schema["allOf"]])
        for word in ("anyOf", "oneOf"):
            if isinstance(schema.get(word), list):
                some = [each for each in schema[word] if not (isinstance(each, Mapping) and each.get("type") == "null")]
                return self.shape(some[0], depth + 1) if len(some) == 1 else "any"
        return self._of_type(schema, depth)

    def _of_type(self, schema: Mapping[str, Json], depth: int) -> Shape:
        kinds = schema.get("type", "object" if "properties" in schema else None)
        kinds = [each for each in (kinds if isinstance(kinds, list) else [kinds]) if each != "null"]
        kind = kinds[0] if len(kinds) == 1 else None
        properties = schema.get("properties")
        if kind == "object" and isinstance(properties, Mapping) and properties:
            return {name: self.shape(each, depth + 1) for name, each in properties.items()}
        if kind == "array":
            return [self.shape(schema.get("items"), depth + 1)]
        if kind == "string" and schema.get("format") == "date-time":
            return "time"
        return _SIMPLE.get(str(kind), "any")


def _referred(reference: str, root: Json) -> Json:
    found = root
    for step in reference.removeprefix("#").strip("/").split("/") if reference.startswith("#/") else [""]:
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    return found


def _together(shapes: Iterable[Shape]) -> Shape:
    found: dict[str, Any] = {}
    for shape in shapes:
        if not is_mapping(shape):
            return "any"
        found.update(shape)
    return found


_UNSEEN: Final = "unseen"
"""The type of what was only null so far. The first other value decides."""


def inferred(samples: Iterable[Json]) -> Shape:
    """The shape that fits all samples. What was only ever null, or was of several types, is `any`."""
    found: Shape = _UNSEEN
    for sample in samples:
        found = _either(found, _seen(sample))
    return _settled(found)


def _seen(value: Json) -> Shape:
    if isinstance(value, Mapping):
        return {key: _seen(each) for key, each in value.items()}
    if isinstance(value, list):
        element: Shape = _UNSEEN
        for each in value:
            element = _either(element, _seen(each))
        return [element]
    return _single(value)


def _single(value: Json) -> Shape:
    if isinstance(value, str):
        return _written(value)
    named = ((bool, "boolean"), (int, "integer"), (Decimal, "number"))
    return next((name for kind, name in named if isinstance(value, kind)), _UNSEEN)


_TEXTS: Final = ("whole", "decimal", "money")
"""Kinds of numbers in texts, each wider than those before it: 80, 79.9000, 79.90. If all are whole, they stay text:
most are ids."""


def _written(text: str) -> str:
    """The type of a text: an instant with its zone is a time, two or three decimals are money, other numbers are a
    number."""
    found = next((name for name, form in _FORMS if form.fullmatch(text)), "")
    if found:
        return found
    try:
        return "time" if "T" in text and datetime.fromisoformat(text).tzinfo is not None else "text"
    except ValueError:
        return "text"


_FORMS: Final = (("money", _MONEY), ("decimal", _DECIMAL), ("whole", _WHOLE))
_SETTLED: Final = {_UNSEEN: "any", "whole": "text", "decimal": "number"}


def _wider(left: str, right: str) -> str:
    """The type that fits values of both types."""
    if {left, right} == {"integer", "number"}:
        return "number"
    if left in _TEXTS and right in _TEXTS:
        return max(left, right, key=_TEXTS.index)
    of_text = {*_TEXTS, "time", "text"}
    return "text" if left in of_text and right in of_text else "any"


def _either(left: Shape, right: Shape) -> Shape:
    if right in (left, _UNSEEN):
        return left
    if left == _UNSEEN:
        return right
    if is_mapping(left) and is_mapping(right):
        names = dict.fromkeys((*left, *right))
        return {name: _either(left.get(name, _UNSEEN), right.get(name, _UNSEEN)) for name in names}
    if is_list(left) and is_list(right):
        return [_either(element_of(left), element_of(right))]
    if isinstance(left, str) and isinstance(right, str):
        return _wider(left, right)
    return "any"


def _settled(shape: Shape) -> Shape:
    if is_mapping(shape):
        return {name: _settled(each) for name, each in shape.items()} or "any"
    if is_list(shape):
        return [_settled(element_of(shape))]
    return _SETTLED.get(shape, shape)
