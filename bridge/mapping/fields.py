"""The content of documents: shapes, the types of values, and the nearest right name for a wrong one."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, Final, TypeAlias, get_args

from bridge.contract import Fields, Json, Type
from bridge.errors import Problem

Shape: TypeAlias = Any
"""A type's name, a mapping of field names to shapes, or a list of one shape."""

NUMERIC: Final = frozenset(("integer", "number", "money"))
TYPES: Final = frozenset(get_args(Type))
DEEPEST_FIELD: Final = 32
"""The most names of a path to a field."""
HEADERS: Final = "headers"
"""The shape of headers: any name, always text."""


def is_mapping(shape: Shape) -> bool:
    return isinstance(shape, Mapping)


def is_list(shape: Shape) -> bool:
    return not isinstance(shape, (str, Mapping))


def element_of(shape: Shape) -> Shape:
    """The shape of a list's elements."""
    return shape[0] if is_list(shape) and shape else "any"


def sort_of(shape: Shape) -> str:
    """The sort of a shape: values of one sort may be compared and joined. Integer, number and money are one sort."""
    if is_mapping(shape) or shape == HEADERS:
        return "mapping"
    if is_list(shape):
        return "list"
    return "number" if shape in NUMERIC else str(shape)


def spoken(shape: Shape) -> str:
    """The type, as a sentence names it."""
    words = {
        "text": "text",
        "money": "money",
        "integer": "an integer",
        "time": "a time",
        "boolean": "a boolean",
        "any": "of any type",
        "pairs": "names and values",
    }
    sort = sort_of(shape)
    return words.get(shape if isinstance(shape, str) else "", f"a {shape if isinstance(shape, str) else sort}")


def joined(shapes: Iterable[Shape]) -> Shape:
    """The shape of a value that may be any of these."""
    first, *others = shapes
    for other in others:
        if other != first:
            first = "number" if {sort_of(first), sort_of(other)} == {"number"} else "any"
    return first


def shape_of(value: Json) -> Shape:
    """The shape of a value that stands in the configuration."""
    if isinstance(value, Mapping):
        return {key: shape_of(each) for key, each in value.items()}
    if isinstance(value, list):
        return [joined([shape_of(each) for each in value])] if value else ["any"]
    names = ((bool, "boolean"), (int, "integer"), (Decimal, "number"), (str, "text"))
    return next((name for kind, name in names if isinstance(value, kind)), "any")


def nearest(name: str, names: Iterable[str], alike: float = 0.6) -> str:
    """A phrase with the right name that is nearest to a wrong one, or nothing. alike: 0 to 1, how near it must be."""
    close = get_close_matches(name, list(names), n=1, cutoff=alike)
    return f": did you mean {close[0]}?" if close else ""


def merged(kinds: Mapping[str, Fields], added: Mapping[str, Json]) -> tuple[Mapping[str, Fields], Sequence[Problem]]:
    """The shapes with the fields that the configuration adds, such as `{order.gift: boolean}`, and what is wrong."""
    result: dict[str, Any] = {kind: _copied(shape) for kind, shape in kinds.items()}
    problems = []
    for path, declared in added.items():
        complaint = _add(result, path.split("."), declared)
        if complaint:
            problems.append(Problem(message=complaint, path=f"fields.{path}"))
    return result, problems


def _copied(shape: Shape) -> Shape:
    if is_mapping(shape):
        return {key: _copied(each) for key, each in shape.items()}
    return [_copied(each) for each in shape] if is_list(shape) else shape


def _add(kinds: dict[str, Any], names: Sequence[str], declared: Json) -> str:
    complaint = wrong_type(declared)
    if len(names) > DEEPEST_FIELD:
        return f"nested deeper than {DEEPEST_FIELD} levels"
    if complaint or not all(names):
        return complaint or "write the kind of document and the field: order.new_field"
    if names[0] not in kinds:
        return f"no source brings {names[0]} documents{nearest(names[0], kinds)}"
    if len(names) == 1:
        return _describe(kinds, names[0], declared)
    place = kinds[names[0]]
    for name in names[1:-1]:
        place = place.setdefault(name, {})
        place = place[0] if is_list(place) and place else place
        if not isinstance(place, dict):
            return f"{name} is {spoken(place)}, and has no fields"
    place[names[-1]] = declared
    return ""


def _describe(kinds: dict[str, Any], kind: str, declared: Json) -> str:
    """Describe a whole kind: what its source says of it, and this."""
    if not isinstance(declared, Mapping):
        return "write its fields, a file that describes them (.yaml, .json), or one field of it: order.new_field"
    kinds[kind] = {**kinds[kind], **_copied(declared)}
    return ""


def wrong_type(declared: Json) -> str:
    """Say what to write instead of something that is no shape. Empty: it is one."""
    if isinstance(declared, Mapping):
        return next(filter(None, map(wrong_type, declared.values())), "")
    if isinstance(declared, (list, tuple)):
        return wrong_type(declared[0]) if len(declared) == 1 else "a list is written with one element, its type: [text]"
    if isinstance(declared, str) and declared in TYPES:
        return ""
    return f"write one of {', '.join(sorted(TYPES))}, a mapping of fields, or [element]"
