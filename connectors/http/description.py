"""What rules may and must give: rules are checked against it when they are loaded."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bridge.contract import EventShape, Type

_TYPES: Final = frozenset(get_args(Type))


def _odd_types(fields: Mapping[str, Any], path: str) -> Iterator[str]:
    """A problem for each field whose type is none."""
    for name, described in fields.items():
        inner = described[0] if isinstance(described, list) and len(described) == 1 else described
        if isinstance(inner, dict):
            yield from _odd_types(inner, f"{path}.{name}")
        elif inner not in _TYPES:
            yield f"{path}.{name}: {inner!r} is no type: write one of {', '.join(sorted(_TYPES))}, a mapping or a list"


class Described(BaseModel):
    """What rules may and must give."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    fields: dict[str, Any] = Field(default_factory=dict)
    """Fields by name, each with a type (text, integer, number, money, time, boolean, any), a nested mapping, or a list
    of one of them. Default: any field is taken."""
    required: list[str] = Field(default_factory=list)
    """Fields that every event must have."""
    name: str | None = None
    """Field whose fixed text names the fact where a rule has no `fact`."""
    amount: str | None = None
    """Field with the amount that an event adds to accounts. It needs `currency`."""
    currency: str | None = None
    """Field with the currency of that amount."""

    @model_validator(mode="after")
    def _is_whole(self) -> "Described":
        if problem := next(_odd_types(self.fields, "fields"), ""):
            raise ValueError(problem)
        if (self.amount is None) != (self.currency is None):
            raise ValueError("`amount:` and `currency:` belong together: say both or neither")
        named = [*self.required, *(each for each in (self.name, self.amount, self.currency) if each is not None)]
        if unknown := [name for name in named if name not in self.fields]:
            raise ValueError(f"{unknown[0]} is not described: write it under `fields:` with its type")
        return self

    def shape(self) -> EventShape:
        worth = () if self.amount is None or self.currency is None else (self.amount, self.currency)
        return EventShape(fields=self.fields, required=frozenset(self.required), name=self.name, worth=worth)
