"""How a function is registered, and what its arguments must be."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from bridge.mapping.values import Failed, Value, is_void, named_kind

FUNCTIONS: Final[dict[str, "Function"]] = {}


@dataclass(frozen=True, kw_only=True)
class Function:
    """A named function: the types it takes (the last ones may be left out), what it gives, and what it costs.

    cost     steps of a call, besides those for the size of what it is given
    makes    what it gives may take more room than what it was given: it is weighed
    unfolds  its text becomes many values: the room for them is taken from the bytes before it is called
    checks   by place, what raises Failed for an argument that can never be right; of fixed ones it is asked at load
    fixed    the place of an argument that no document may say, since it takes long to be taken apart
    """

    name: str
    signature: str
    takes: Sequence[str]
    least: int
    gives: str
    cost: int
    makes: bool
    unfolds: bool
    checks: Mapping[int, Callable[[Value], object]]
    fixed: int | None
    run: Callable[..., Value]

    def needs(self, count: int) -> Sequence[str]:
        return self.takes[:count]


_SIGNATURE: Final = re.compile(r"(?P<name>\w+)\((?P<takes>.*)\) -> (?P<gives>\w+)")


_NOTHING: Final[Mapping[int, Callable[[Value], object]]] = {}


def function(
    signature: str,
    *,
    cost: int = 1,
    makes: bool = False,
    unfolds: bool = False,
    checks: Mapping[int, Callable[[Value], object]] = _NOTHING,
    fixed: int | None = None,
) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
    """Register under a signature such as `phone(x: any, country?: text) -> text`."""
    match = _SIGNATURE.fullmatch(signature)
    assert match is not None, signature  # noqa: S101 - a slip of ours, seen at import
    parameters = [each.split(": ") for each in match["takes"].split(", ")]

    def registered(run: Callable[..., Value]) -> Callable[..., Value]:
        FUNCTIONS[match["name"]] = Function(
            name=match["name"],
            signature=signature,
            takes=[needed for _, needed in parameters],
            least=sum(not name.endswith("?") for name, _ in parameters),
            gives=match["gives"],
            cost=cost,
            makes=makes,
            unfolds=unfolds,
            checks=checks,
            fixed=fixed,
            run=run,
        )
        return run

    return registered


# -- what arguments must be ------------------------------------------------------------------------------------------


def _need(wanted: str, kinds: tuple[type, ...], cure: str) -> Callable[[Value], Value]:
    is_number = int in kinds

    def checked(value: Value) -> Value:
        if value is None or type(value) in kinds:
            return value
        if not is_number and is_void(value):
            return None
        raise Failed(f"is given {named_kind(value)} where {wanted} is needed{cure}", of_shape=not is_number)

    return checked


def _need_list(value: Value) -> Value:
    if value is None or type(value) is list:
        return value
    if not value:
        return []
    raise Failed(f"is given {named_kind(value)} where a list is needed", of_shape=True)


NEEDS: Final[Mapping[str, Callable[[Value], Value]]] = {
    "any": lambda value: value,
    "text": _need("text", (str,), ": write text(...)"),
    "number": _need("a number", (int, Decimal), ": write number(...)"),
    "integer": _need("an integer", (int,), ": write integer(...)"),
    "time": _need("a time", (datetime,), ": write time(...)"),
    "list": _need_list,
    "pairs": lambda value: value,
    "table": _need("a table", (dict,), ""),
}
