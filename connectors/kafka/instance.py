"""The name of a static member of a group: written as it is, or one that the environment gives each bridge."""

import os
import re
from collections.abc import Mapping
from typing import Annotated, Final, NamedTuple

from pydantic import PlainValidator, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

_ENV: Final = "env:"
_NAME: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}")
_NO_NAME: Final = (
    "is a name of letters, digits, '.', '_' and '-', at most 249 of them, or the variable that has it: env:HOSTNAME"
)


class Named(NamedTuple):
    """The name of a static member. is_literal: all bridges with the same configuration have the same name."""

    name: str
    is_literal: bool


def _named(given: object, info: ValidationInfo) -> Named:
    if isinstance(given, Named):
        return given
    name, is_literal = given, True
    if isinstance(given, str) and given.startswith(_ENV):
        variable, is_literal = given.removeprefix(_ENV), False
        environ: Mapping[str, str] = (info.context or {}).get("environ", os.environ)
        name = environ.get(variable)
        if name is None:
            raise PydanticCustomError("instance", "environment variable {name} is not set", {"name": variable})
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise PydanticCustomError("instance", "{complaint}", {"complaint": _NO_NAME})
    return Named(name, is_literal)


Instance = Annotated[
    Named, PlainValidator(_named), WithJsonSchema({"type": "string", "description": "A name, or env:NAME."})
]
