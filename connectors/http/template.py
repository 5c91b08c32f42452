"""Texts and structures with places, such as `/orders/{give.id}`, that are filled from one event and from
what steps found."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias

import msgspec
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from bridge.contract import Event, Json

_PART: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_GIVEN: Final = re.compile(r"give(\.[^.{}\s]+)*|found(\.[^.{}\s]+)+")
_DEEPEST: Final = 12  # levels
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PLACES: Final = (
    "places are {give}, {give.NAME}, {found.NAME}, {fact}, {rule}, {key}, {at}, {at:seconds}, {at:milliseconds} and "
    "{at:microseconds}; a brace is written {{ or }}"
)


class Unfilled(Exception):
    """A place cannot be filled by this event. The message names the place, and no value."""


class Filling(msgspec.Struct, frozen=True):
    """The things that fill places.

    key    names the fact
    found  what steps found, by name
    """

    event: Event
    key: str
    found: Mapping[str, Json] = {}

    def scope(self) -> Mapping[str, Json]:
        """What conditions read."""
        event = self.event
        return {"give": event.give, "found": self.found, "fact": event.fact, "rule": event.rule}


Found: TypeAlias = Callable[[Filling], Json]
"""Finds the value of a place. None: it has none."""


def _since_epoch(unit: int) -> Found:
    """The whole units since 1970. unit: how many of them make a second."""
    return lambda filling: (filling.event.at - _EPOCH) // _MICROSECOND * unit // 1_000_000


_MICROSECOND: Final = datetime.resolution
_NAMED: Final[Mapping[str, Found]] = {
    "give": lambda filling: filling.event.give,
    "fact": lambda filling: filling.event.fact,
    "rule": lambda filling: filling.event.rule,
    "key": lambda filling: filling.key,
    "at": lambda filling: filling.event.at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
    "at:seconds": _since_epoch(1),
    "at:milliseconds": _since_epoch(1_000),
    "at:microseconds": _since_epoch(1_000_000),
}


class Text:
    """A text with places. Raises ValueError with what is wrong with it."""

    __slots__ = ("_parts", "written")

    def __init__(self, written: str) -> None:
        self.written = written
        self._parts: Sequence[str | tuple[str, Found]] = [part for part in _parted(written) if part != ""]

    @property
    def is_constant(self) -> bool:
        """Whether it has no places."""
        return all(isinstance(part, str) for part in self._parts)

    @property
    def places(self) -> Sequence[str]:
        """The names of its places."""
        return [part[0] for part in self._parts if not isinstance(part, str)]

    def value(self, filling: Filling) -> Json:
        """The value of its place, if it is one place and nothing else; otherwise the text. None: the place is empty."""
        if len(self._parts) == 1 and not isinstance(self._parts[0], str):
            return self._parts[0][1](filling)
        return self.text(filling)

    def text(self, filling: Filling, *, escaped: Callable[[str], str] = str) -> str:
        """The text. escaped: is applied to what fills a place. Raises Unfilled for a place that is empty, or that is a
        list or a mapping."""
        return "".join(
            part if isinstance(part, str) else escaped(scalar(part[0], part[1](filling))) for part in self._parts
        )

    def name(self, filling: Filling) -> str:
        """The text where empty places are left out. Raises Unfilled for a place that is a list or a mapping."""
        found = [part if isinstance(part, str) else part[1](filling) for part in self._parts]
        return "".join(scalar(self.written, one) for one in found if one is not None)

    @classmethod
    def _parse(cls, given: object) -> "Text":
        if isinstance(given, Text):
            return given
        if isinstance(given, bool | int):
            given = scalar("", given)
        if not isinstance(given, str):
            raise PydanticCustomError("text", "write a text")
        try:
            return cls(given)
        except ValueError as problem:
            raise PydanticCustomError("text", "{problem}", {"problem": str(problem)}) from None

    def __repr__(self) -> str:
        return f"Text({self.written!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls._parse)

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": ["string", "integer", "boolean"]}


def _parted(written: str) -> Iterator[str | tuple[str, Found]]:
    end = 0
    for match in _PART.finditer(written):
        yield written[end : match.start()]
        yield _part(match)
        end = match.end()
    yield written[end:]


def _part(match: re.Match[str]) -> str | tuple[str, Found]:
    name = match[1]
    if name is None and len(match[0]) == len("{{"):
        return match[0][0]
    if name in _NAMED:
        return name, _NAMED[name]
    if name is None or not _GIVEN.fullmatch(name):
        raise ValueError(f"{match[0]} is no place: {_PLACES}")
    of, *steps = name.split(".")
    return name, _walk(steps, is_given=of == "give")


def _walk(steps: Sequence[str], *, is_given: bool) -> Found:
    def found(filling: Filling) -> Json:
        value: Json = filling.event.give if is_given else filling.found
        for step in steps:
            value = value.get(step) if isinstance(value, Mapping) else None
        return value

    return found


def scalar(name: str, value: Json) -> str:
    """A single value as text. Raises Unfilled."""
    match value:
        case bool():
            return "true" if value else "false"
        case Decimal() if value.is_finite():
            return format(value, "f")
        case str() | int():
            return str(value)
        case None:
            raise Unfilled(f"{{{name}}} is empty")
        case _:
            raise Unfilled(f"{{{name}}} is no single value")


Filled: TypeAlias = Callable[[Filling], Json]


def structure(written: Json, path: str, level: int = 0) -> Filled:
    """Compile a structure: texts have places, and a key that ends with `?` is left out where its value is empty.

    Raises ValueError with the path of what is wrong.
    """
    if level > _DEEPEST:
        raise ValueError(f"{path}: nested deeper than {_DEEPEST} levels")
    match written:
        case str():
            return _leaf(written, path)
        case dict():
            return _mapping(written, path, level)
        case list():
            items = [structure(one, f"{path}[{index}]", level + 1) for index, one in enumerate(written)]
            return lambda filling: [_full(f"{path}[{index}]", item(filling)) for index, item in enumerate(items)]
        case bool() | int() | Decimal():
            return lambda _: written
        case float():
            exact = Decimal(str(written))
            return lambda _: exact
        case _:
            raise ValueError(f"{path}: has no value: write one, or leave the key out")


def places(written: Json) -> Iterator[str]:
    """The names of the places in a structure that compiles."""
    match written:
        case str():
            yield from Text(written).places
        case dict() | list():
            for one in written.values() if isinstance(written, dict) else written:
                yield from places(one)


def _leaf(written: str, path: str) -> Filled:
    try:
        return Text(written).value
    except ValueError as problem:
        raise ValueError(f"{path}: {problem}") from None


def _mapping(written: Mapping[str, Json], path: str, level: int) -> Filled:
    inner = [
        (str(name).removesuffix("?"), str(name).endswith("?"), structure(value, f"{path}.{name}", level + 1))
        for name, value in written.items()
    ]

    def filled(filling: Filling) -> Json:
        made = {}
        for name, is_optional, value in inner:
            if (found := _tried(value, filling) if is_optional else value(filling)) is not None:
                made[name] = found
            elif not is_optional:
                raise Unfilled(f"{path}.{name} is empty")
        return made

    return filled


def _tried(value: Filled, filling: Filling) -> Json:
    """The value; None where a place in it is empty."""
    try:
        return value(filling)
    except Unfilled:
        return None


def _full(path: str, value: Json) -> Json:
    if value is None:
        raise Unfilled(f"{path} is empty")
    return value
