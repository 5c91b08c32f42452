"""What types may meet: every call, comparison and sum is checked when a rule is loaded, as far as types are known."""

from collections.abc import Sequence

from bridge.mapping.fields import NUMERIC, Shape, element_of, is_mapping, joined, sort_of, spoken
from bridge.mapping.functions import Function
from bridge.mapping.terms import Literal, Term
from bridge.mapping.values import Failed


class NotAllowed(Exception):
    """An expression that the language does not have, with the cure."""


def must_be_number(term: Term) -> None:
    if sort_of(term.shape) not in ("number", "any"):
        raise NotAllowed(f"{term.text} is {spoken(term.shape)}, and is reckoned with{_cure(term, 'number')}")


def _cure(term: Term, needed: str) -> str:
    if needed in NUMERIC and term.shape == "text":
        return f": write number({term.text})"
    cures = {"text": "text", "time": "time", "integer": "integer"}
    return f": write {cures[needed]}({term.text})" if needed in cures and isinstance(term.shape, str) else ""


def shape_reckoned(operator: str, left: Term, right: Term) -> Shape:
    if operator == "+" and left.shape == right.shape == "text":
        return "text"
    if operator == "-" and left.shape == right.shape == "time":
        raise NotAllowed(f"times are subtracted as seconds: write epoch({left.text}) - epoch({right.text})")
    for each in (left, right):
        if operator != "+" or sort_of(each.shape) != "text" or sort_of(left.shape) == sort_of(right.shape):
            must_be_number(each) if not (operator == "+" and each.shape == "text") else None
    if operator == "+" and "text" in (left.shape, right.shape) and "any" not in (left.shape, right.shape):
        other = right if left.shape == "text" else left
        raise NotAllowed(f"{other.text} is {spoken(other.shape)}, and is added to text: write text({other.text})")
    if "any" in (left.shape, right.shape):
        return "any" if operator == "+" else "number"
    return "integer" if left.shape == right.shape == "integer" and operator != "/" else "number"


def check_comparable(sign: str, left: Term, right: Term) -> None:
    for each in (left, right):
        if isinstance(each, Literal) and each.constant is None:
            other = right if each is left else left
            raise NotAllowed(f"a comparison with empty is empty: write has({other.text}) or not has({other.text})")
    if sign in ("in", "not in"):
        _containable(left, right)
        return
    sorts = sort_of(left.shape), sort_of(right.shape)
    for term, sort in zip((left, right), sorts, strict=True):
        if sort in ("list", "mapping"):
            raise NotAllowed(f"{term.text} is {spoken(term.shape)}: only single values are compared")
        if sign not in ("==", "!=") and sort in ("text", "boolean"):
            raise NotAllowed(
                f"{term.text} is {spoken(term.shape)}, and {sign} orders numbers and times{_cure(term, 'number')}"
            )
    if "any" not in sorts and sorts[0] != sorts[1]:
        raise NotAllowed(f"{left.text} is {spoken(left.shape)} and {right.text} is {spoken(right.shape)}: "
                         f"they are never the same{_bridged(left, right)}")  # fmt: skip


def _bridged(left: Term, right: Term) -> str:
    text, other = (left, right) if left.shape == "text" else (right, left)
    if text.shape != "text":
        return ""
    needed = "time" if other.shape == "time" else "number"
    if isinstance(text, Literal):
        return f": write text({other.text}), or {text.constant if needed == 'number' else 'time(...)'} without quotes"
    return f": write {needed}({text.text})"


def _containable(left: Term, right: Term) -> None:
    sort = sort_of(right.shape)
    if sort not in ("list", "text", "any"):
        raise NotAllowed(f"{right.text} is {spoken(right.shape)}, and `in` looks into lists and texts")
    inside = sort_of(element_of(right.shape)) if sort == "list" else sort
    if "any" not in (inside, sort_of(left.shape)) and inside != sort_of(left.shape):
        raise NotAllowed(f"{left.text} is {spoken(left.shape)}, and {right.text} holds {inside}: it is never in it")


def check_argument(function: Function, needed: str, term: Term) -> None:
    sort = sort_of(term.shape)
    wanted = {"integer": "number", "table": "mapping"}.get(needed, needed)
    if needed == "any" or sort in ("any", wanted):
        if needed == "integer" and term.shape not in ("integer", "any"):
            raise NotAllowed(
                f"{term.text} is {spoken(term.shape)}, and {function.name} takes an integer: {function.signature}"
            )
        if function.name == "text" and sort in ("list", "mapping"):
            raise NotAllowed(f"{term.text} is {spoken(term.shape)}, and has no single text")
        return
    if isinstance(term, Literal) and term.constant is None:
        return
    raise NotAllowed(
        f"{term.text} is {spoken(term.shape)}, and {function.signature} takes {spoken(needed)}{_cure(term, needed)}"
    )


def check_constants(function: Function, given: Sequence[Term]) -> None:
    """Refuse a fixed argument with which the call could never succeed."""
    for place, check in function.checks.items():
        term = given[place] if place < len(given) else None
        if isinstance(term, Literal) and term.constant is not None:
            try:
                check(term.constant)
            except Failed as failure:
                raise NotAllowed(f"{function.name} {failure}") from None


def check_elements(function: Function, element: Shape) -> None:
    wanted = {
        "flat": ("list", "any"),
        "sum": ("number", "any"),
        "join": ("text", "any"),
        "min": ("number", "time", "any"),
        "max": ("number", "time", "any"),
    }
    if function.name in wanted and sort_of(element) not in wanted[function.name]:
        raise NotAllowed(
            f"{function.name} goes over {' or '.join(wanted[function.name][:-1])}, and these are {spoken(element)}"
        )


def shape_over(function: Function, element: Shape) -> Shape:
    if function.name in ("list", "flat"):
        return [element]
    return (
        element
        if function.name in ("first", "min", "max") or (function.name == "sum" and element in NUMERIC)
        else function.gives
    )


def shape_given(function: Function, given: Sequence[Term]) -> Shape:
    if function.name == "split":
        return ["text"]
    if function.name == "abs":
        return given[0].shape
    if function.name == "lookup" and is_mapping(given[0].shape) and given[0].shape:
        return joined(given[0].shape.values())
    return function.gives
