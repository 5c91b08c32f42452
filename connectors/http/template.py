"""Texts and structures with places, such as `/orders/{give.id}`, that are filled from one event."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from bridge.contract import Event, Json

_PART: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_GIVEN: Final = re.compile(r"give(\.[^.{}\s]+)*")
_DEEPEST: Final = 12  # levels
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PLACES: Final = (
    "places are {give}, {give.NAME}, {fact}, {rule}, {key}, {at}, {at:seconds}, {at:milliseconds} and "
    "{at:microseconds}; a brace is written {{ or }}"
)


class Unfilled(Exception):
    """A place cannot be filled by this event. The message names the place, and no value."""


Found: TypeAlias = Callable[[Event, str], Json]
"""Finds the value of a place, of an event and its key. None: it has none."""


def _since_epoch(unit: int) -> Found:
    """The whole units since 1970. unit: how many of them make a second."""
    return lambda event, _: (event.at - _EPOCH) // _MICROSECOND * unit // 1_000_000


_MICROSECOND: Final = datetime.resolution
_NAMED: Final[Mapping[str, Found]] = {
    "give": lambda event, _: event.give,
    "fact": lambda event, _: event.fact,
    "rule": lambda event, _: event.rule,
    "key": lambda _, key: key,
    "at": lambda event, _: event.at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
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

    def value(self, event: Event, key: str) -> Json:
        """The value of its place, if it is one place and nothing else; otherwise the text. None: the place is empty."""
        if len(self._parts) == 1 and not isinstance(self._parts[0], str):
            return self._parts[0][1](event, key)
        return self.text(event, key)

    def text(self, event: Event, key: str, *, escaped: Callable[[str], str] = str) -> str:
        """The text. escaped: is applied to what fills a place. Raises Unfilled for a place that is empty, or that is a
        list or a mapping."""
        return "".join(
            part if isinstance(part, str) else escaped(scalar(part[0], part[1](event, key))) for part in self._parts
        )

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
    return name, _walk(name.split(".")[1:])


def _walk(steps: Sequence[str]) -> Found:
    def found(event: Event, _: str) -> Json:
        value: Json = event.give
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


Filled: TypeAlias = Callable[[Event, str], Json]


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
            return lambda event, key: [_full(f"{path}[{index}]", item(event, key)) for index, item in enumerate(items)]
        case bool() | int() | Decimal():
            return lambda _event, _key: written
        case float():
            exact = Decimal(str(written))
            return lambda _event, _key: exact
        case _:
            raise ValueError(f"{path}: has no value: write one, or leave the key out")


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

    def filled(event: Event, key: str) -> Json:
        made = {}
        for name, is_optional, value in inner:
            if (found := _tried(value, event, key) if is_optional else value(event, key)) is not None:
                made[name] = found
            elif not is_optional:
                raise Unfilled(f"{path}.{name} is empty")
        return made

    return filled


def _tried(value: Filled, event: Event, key: str) -> Json:
    """The value; None where a place in it is empty."""
    try:
        return value(event, key)
    except Unfilled:
        return None


def _full(path: str, value: Json) -> Json:
    if value is None:
        raise Unfilled(f"{path} is empty")
    return value
