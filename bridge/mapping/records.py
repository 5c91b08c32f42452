"""Expressions over a record, by which a stream source names its documents: doc, key, headers, topic."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic_core import PydanticCustomError

from bridge.contract import Compiled, Json
from bridge.errors import Malformed
from bridge.mapping import values
from bridge.mapping.checking import NotAllowed
from bridge.mapping.expressions import Names, compile_expression
from bridge.mapping.fields import HEADERS
from bridge.mapping.values import WHAT_DATA_CAN_RAISE, Failed

_NAMES: Final = Names(
    shapes={"doc": "any", "key": "text", "headers": HEADERS, "topic": "text"}, sure=frozenset({"headers", "topic"})
)


def compiled(written: str, gives: Literal["text", "time"]) -> Compiled:
    """A function of the scope: the canonical text, or the time in UTC; None where it is empty."""
    try:
        expression = compile_expression(written, _NAMES)
    except NotAllowed as problem:
        raise PydanticCustomError("expression", "{complaint}", {"complaint": str(problem)}) from None
    convert: Any = _text if gives == "text" else _time

    def evaluated(scope: Mapping[str, Json]) -> Json:
        try:
            return convert(expression.evaluate(scope))
        except Failed as failure:
            raise Malformed(f"{expression.source}: {failure}") from None
        except WHAT_DATA_CAN_RAISE as failure:
            raise Malformed(f"{expression.source}: cannot be worked out ({type(failure).__name__})") from None

    return evaluated


def _text(value: Json) -> str | None:
    return None if value is None else values.canonical(value)


def _time(value: Json) -> Json:
    return None if value is None else values.utc(values.as_time(value))
