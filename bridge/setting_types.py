"""Types of settings that a connector may use: secrets, spans of time, and expressions over a record.

Each setting is checked when the configuration is read. The error says what to write instead.
"""

import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import (
    BeforeValidator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from bridge.texts import NoText, text_of

_LINE_END = re.compile(r"\r?\n\Z")
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories of Unicode that show nothing."""

_COMPLAINTS: tuple[tuple[Callable[[str], bool], str], ...] = (
    (lambda value: not value.strip(), "is empty"),
    (lambda value: value.startswith("\ufeff"), "begins with a byte order mark: write it without one"),
    (
        lambda value: "\r" in value,
        "holds a carriage return: its file has the line ends of Windows; write it with those of Unix",
    ),
    (lambda value: "\n" in value, "has more than one line: a secret is one line"),
    (lambda value: value != value.strip(), "begins or ends with a blank: take it away"),
    (
        lambda value: value[0] == value[-1] and value[0] in "\"'" and len(value) > 1,
        "stands in quotes, which are taken as a part of it: write it without (an env file is no shell)",
    ),
    (
        lambda value: any(unicodedata.category(sign) in _UNSEEN for sign in value),
        "holds a sign that nobody sees (a control character, a zero-width space): type it anew",
    ),
)
"""The invisible parts that a secret may have, each with what to do. None shows anything of the secret itself."""

_LARGEST_SECRET = 65_536
"""The most bytes of a file that holds a secret."""


class MadeUp(Mapping[str, str]):
    """An environment in which every variable is set. No real secret is needed, and none can show."""

    def __getitem__(self, name: str) -> str:
        return name

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class Secret:
    """A secret from the environment (`env:NAME`) or from a file (`file:PATH`); its value never shows in text.

    It is resolved when the configuration is read. The line end with which editors end a file is not part of it.
    Invisible parts are refused: blanks around it, control characters, byte order marks, or quotes that a shell would
    have taken away. With them every signature or login would fail, and nothing would say why.
    """

    __slots__ = ("_value", "origin")

    def __init__(self, value: str, origin: str = "") -> None:
        self._value = value
        self.origin = origin

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return f"Secret({self.origin or '...'})"

    @classmethod
    def _parse(cls, given: object, info: ValidationInfo) -> "Secret":
        if isinstance(given, Secret):
            return given
        kind, _, name = given.partition(":") if isinstance(given, str) else ("", "", "")
        environ: Mapping[str, str] = (info.context or {}).get("environ", os.environ)
        if kind == "env" and name:
            value = environ.get(name)
            if value is None:
                raise PydanticCustomError("secret", "environment variable {name} is not set", {"name": name})
        elif kind == "file" and name:
            try:
                value = _LINE_END.sub("", text_of(Path(name), _LARGEST_SECRET), count=1)
            except NoText as problem:
                told = {"name": name, "reason": str(problem)}
                raise PydanticCustomError("secret", "cannot read {name}: {reason}", told) from None
        else:
            raise PydanticCustomError("secret", "a secret is written env:NAME or file:PATH, never as itself")
        if complaint := next((complaint for is_so, complaint in _COMPLAINTS if is_so(value)), None):
            told = {"kind": kind, "name": name, "complaint": complaint}
            raise PydanticCustomError("secret", "{kind}:{name} {complaint}", told)
        return cls(value, f"{kind}:{name}")

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(cls._parse)

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": "^(env|file):.+$", "description": "A secret: env:NAME or file:PATH."}


_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|s|m|h|d)")
_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}


_LONGEST = timedelta(days=36_500)


def _duration(given: object) -> timedelta:
    if isinstance(given, timedelta):
        return given
    match = _DURATION.fullmatch(given) if isinstance(given, str) else None
    if match is None:
        raise PydanticCustomError("duration", "a duration is written as a number and a unit: 500ms, 10s, 5m, 2h or 30d")
    number, unit = float(match["number"]), _UNITS[match["unit"]]
    if number * unit.total_seconds() > _LONGEST.total_seconds():
        # Added to now or taken from it, it would be a time that no calendar has.
        raise PydanticCustomError("duration", "is too large: write 36500d, which is a hundred years, or less")
    return number * unit


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?(ms|s|m|h|d)$"}),
]
"""A span of time: `500ms`, `10s`, `5m`, `2h`, `30d`; a hundred years at most."""


@dataclass(frozen=True)
class Bounds:
    """Bounds of a Duration, as they are written in a file. The JSON Schema has them as `x-minimum` and `x-maximum`."""

    least: str
    most: str

    def _checked(self, span: timedelta) -> timedelta:
        if span < _duration(self.least):
            raise PydanticCustomError("duration", f"is too small: write {self.least} or more")
        if span > _duration(self.most):
            raise PydanticCustomError("duration", f"is too large: write {self.most} or less")
        return span

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "x-minimum": self.least, "x-maximum": self.most}


def between(least: str, most: str) -> Bounds:
    """Bounds of a Duration, as they are written in a file: both are allowed."""
    return Bounds(least, most)


Every = Annotated[Duration, between("10ms", "1d")]
"""The time between two tries of the same thing. Without a lower bound it could become a loop that does nothing else."""


EXPRESSIONS = "expressions"
"""The key, in the context of validation, of what compiles an expression over a record. The core puts it there."""

Compiled: TypeAlias = Callable[[Mapping[str, Any]], Any]


_NAMES: Mapping[str, str] = {
    "record": "doc, key, headers, topic and vars",
    "delivery": "doc, headers, query and vars",
    "answer": "answer (what the body holds as JSON), status, headers and vars",
    "event": "give, found, fact, rule and vars",
}
"""The names that expressions may read, by what they are over."""


class Expression:
    """An expression (`= doc.number`) over a record. Call it with doc, key, headers and topic to get its value.

    It may read `vars` too. The core compiles it when the configuration is read. Raises Malformed, which names no value
    of the document.
    """

    gives: ClassVar[Literal["text", "time", "value", "truth"]] = "text"
    of: ClassVar[Literal["record", "delivery", "answer", "event"]] = "record"
    __slots__ = ("_compiled", "source")

    def __init__(self, source: str, compiled: Compiled) -> None:
        self.source = source
        self._compiled = compiled

    def __call__(self, scope: Mapping[str, Any]) -> Any:  # noqa: ANN401 - text or time, by its class; None: empty
        return self._compiled(scope)

    def __repr__(self) -> str:
        return f"Expression({self.source})"

    @classmethod
    def _parse(cls, given: object, info: ValidationInfo) -> "Expression":
        if isinstance(given, cls):
            return given
        if not isinstance(given, str) or not given.startswith("="):
            raise PydanticCustomError("expression", "an expression starts with `=`, such as `= doc.number`")
        return cls(given, (info.context or {})[EXPRESSIONS](given, cls.gives, cls.of))

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(cls._parse)

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {
            "type": "string",
            "pattern": "^=",
            "description": f"An expression over {_NAMES[cls.of]}.",
        }


class TimeExpression(Expression):
    """An expression that gives an instant."""

    gives: ClassVar[Literal["text", "time", "value", "truth"]] = "time"
    __slots__ = ()


class AnswerExpression(Expression):
    """An expression over an answer to a request: answer, status, headers and vars."""

    of: ClassVar[Literal["record", "delivery", "answer", "event"]] = "answer"
    __slots__ = ()


class AnswerValue(AnswerExpression):
    """An expression over an answer that gives any value of JSON."""

    gives: ClassVar[Literal["text", "time", "value", "truth"]] = "value"
    __slots__ = ()


class EventCondition(Expression):
    """A condition over an event that is to be sent: give, found (what steps found), fact, rule and vars."""

    gives: ClassVar[Literal["text", "time", "value", "truth"]] = "truth"
    of: ClassVar[Literal["record", "delivery", "answer", "event"]] = "event"
    __slots__ = ()


class DeliveryExpression(Expression):
    """An expression over a webhook's delivery: doc, headers, query and vars."""

    of: ClassVar[Literal["record", "delivery", "answer", "event"]] = "delivery"
    __slots__ = ()

    @property
    def headers(self) -> frozenset[str]:
        """The headers that it reads, in small letters."""
        return self._read("headers")

    @property
    def parameters(self) -> frozenset[str]:
        """The parameters of the query that it reads."""
        return self._read("query")

    @property
    def is_of_document(self) -> bool:
        """Whether it reads the document."""
        return bool(self._compiled.reads_document)  # type: ignore[attr-defined]  # made for deliveries

    @property
    def alone(self) -> str:
        """The header that it is, and nothing else. Empty: it is another expression."""
        return str(self._compiled.alone)  # type: ignore[attr-defined]  # ditto

    def _read(self, of: str) -> frozenset[str]:
        found: frozenset[str] = self._compiled.names[of]  # type: ignore[attr-defined]  # ditto
        return found

    @staticmethod
    def decoder(expressions: "Sequence[DeliveryExpression]") -> Callable[[bytes], Any]:
        """Make a decoder of as much of a document as these expressions read: at least one. It raises ValueError,
        ArithmeticError and RecursionError for what is no JSON."""
        compiled: list[Any] = [one._compiled for one in expressions]  # noqa: SLF001  its own
        made: Callable[[bytes], Any] = compiled[0].decoder(compiled)
        return made


class DeliveryTime(DeliveryExpression):
    """An expression over a webhook's delivery that gives an instant."""

    gives: ClassVar[Literal["text", "time", "value", "truth"]] = "time"
    __slots__ = ()
