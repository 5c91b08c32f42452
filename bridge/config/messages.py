"""Say what pydantic finds wrong in a section in the words of the person who wrote it."""

import difflib
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel

_SAID: Final = {
    "missing": "this key is missing",
    "union_tag_invalid": "kind is {expected_tags}",
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "a mapping is expected here"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type"), "a list is expected here"),
    **dict.fromkeys(("string_type", "is_instance_of"), "a text is expected here"),
    "int_type": "a whole number is expected here",
    "bool_type": "true or false is expected here",
    "literal_error": "write {expected}",
    "too_short": "is empty: at least {min_length} is needed here",
    "greater_than_equal": "is too small: write {ge} or more",
    "less_than_equal": "is too large: write {le} or less",
}


def complaint(model: type[BaseModel], error: Mapping[str, Any], loc: Sequence[str | int]) -> str:
    """One error of `ValidationError.errors()` about what stands at `loc` in a section."""
    if error["type"] == "extra_forbidden":
        return _unknown_key(model, loc)
    said = _SAID.get(error["type"], "")
    if not said:
        return str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "should be")
    context = {name: _alternatives(text) for name, text in error.get("ctx", {}).items()}
    return said.format(**context)


def _alternatives(text: object) -> object:
    """`'a', 'b' or 'c'` without the quotes."""
    return text.replace("', '", " or ").replace("'", "") if isinstance(text, str) else text


def _unknown_key(model: type[BaseModel], loc: Sequence[str | int]) -> str:
    known = _keys(model, loc[:-1])
    near = difflib.get_close_matches(str(loc[-1]), known, n=1)
    return f"unknown key; did you mean `{near[0]}`?" if near else f"unknown key; there are: {', '.join(known)}"


def _keys(annotation: object, path: Sequence[str | int]) -> list[str]:
    """The keys that a model has at a path."""
    while get_origin(annotation) in (Annotated, Union, types.UnionType):
        annotation = get_args(annotation)[0]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields
        if not path:
            return sorted(info.alias or name for name, info in fields.items())
        return _keys(fields[str(path[0])].annotation, path[1:]) if str(path[0]) in fields else []
    inner = get_args(annotation)
    return _keys(inner[-1], path[1:]) if inner and path else []
