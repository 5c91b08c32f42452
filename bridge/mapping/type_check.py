"""Check which types may meet: every call, comparison and sum is checked when a rule is loaded, as far as types are
known."""

from collections.abc import Mapping, Sequence
from typing import Final

from bridge.mapping.calls import Call, Default, Walk
from bridge.mapping.fields import NUMERIC, Shape, element_of, is_mapping, joined, nearest, sort_of, spoken
from bridge.mapping.functions import FUNCTIONS, SPECIAL, Function
from bridge.mapping.operations import Choice
from bridge.mapping.terms import Defined, Element, Field, Literal, Name, Term
from bridge.mapping.values import Failed


class NotAllowed(Exception):
    """An expression that the language does not have, with the cure."""


def must_be_number(term: Term) -> None:
    sort = sort_of(term.shape)
    if sort in ("number", "any"):
        return
    cures = {
        "list": f": write {_number_of_list(term)}",
        "boolean": f": write (1 if {_closed(term.text)} else 0)",
        "time": f": write epoch({term.text}), which counts seconds",
        "text": f": write number({term.text})",
    }
    raise NotAllowed(f"{term.text} is {spoken(term.shape)}, and + - * / take numbers{cures.get(sort, '')}")


def _closed(text: str) -> str:
    return f"({text})" if " " in text else text


def _number_of_list(term: Term) -> str:
    element = element_of(term.shape)
    if sort_of(element) == "number":
        return f"sum({term.text})"
    fields = element if is_mapping(element) else {}
    sums = [key for sort in ("money", "number", "integer") for key, shape in fields.items() if shape == sort]
    sums = [key for key in sums if key != "id" and not key.endswith("_id")]
    return f"sum(x.{sums[0]} for x in {term.text})" if sums else f"count({term.text})"


_OTHERWISE: Final[Mapping[str, str]] = {
    **dict.fromkeys(("len", "size"), "length(text), or count(list)"),
    **dict.fromkeys(("substr", "substring", "slice", "mid", "left", "right"), "a part of a text so: x[0:4], x[-2:]"),
    **dict.fromkeys(("trim", "rtrim", "ltrim"), "strip(x)"),
    **dict.fromkeys(("str", "string", "to_string", "tostring"), "text(x)"),
    **dict.fromkeys(("int", "to_int", "parse_int", "parseInt"), "integer(x)"),
    **dict.fromkeys(("float", "to_number", "parse_float", "parseFloat", "numeric"), "number(x)"),
    **dict.fromkeys(("floor", "ceil", "trunc"), "round(x, 0), which is half up"),
    **dict.fromkeys(("lowercase", "to_lower", "tolower", "lcase", "downcase"), "lower(x)"),
    **dict.fromkeys(("uppercase", "to_upper", "toupper", "ucase", "upcase"), "upper(x)"),
    **dict.fromkeys(("concat", "append", "extend", "chain"), "a + b for texts, flat([a, b]) for lists"),
    **dict.fromkeys(("flatten", "flat_map", "flatmap"), "flat(x.parts for x in list)"),
    **dict.fromkeys(("map", "filter", "select", "where"), "list(x.name for x in list if x.quantity > 0)"),
    **dict.fromkeys(("unique", "distinct", "set", "group_by"), "each with by and group, in give"),
    **dict.fromkeys(("last", "get", "nth", "at"), "x[0] for an element, x[-1] for the last, x['name'] for a field"),
    **dict.fromkeys(("coalesce", "ifnull", "nvl", "isnull"), "default(x, y), or has(x)"),
    **dict.fromkeys(("exists", "present", "defined", "is_empty", "empty", "is_null"), "has(x), or not has(x)"),
    **dict.fromkeys(("contains", "includes", "index_of", "find"), "'part' in x"),
    **dict.fromkeys(("iif", "ifelse", "case", "choose", "when"), "x if condition else y"),
    **dict.fromkeys(("parse_json", "json_parse", "from_json", "fromjson", "loads"), "json(text)"),
    **dict.fromkeys(
        ("date", "datetime", "to_date", "parse_date", "strptime", "to_time", "to_timestamp", "fromisoformat"),
        "time(x) for ISO 8601 with a zone, local_time(x, 'Europe/Berlin', 'YYYYMMDD') for a date in any shape",
    ),
    **dict.fromkeys(
        ("strftime", "format", "date_format", "format_date", "to_char"),
        "time_text(x, 'DD.MM.YYYY', 'Europe/Berlin') for a time, text(x) for the rest",
    ),
    **dict.fromkeys(("timestamp", "unix", "to_epoch", "unix_timestamp"), "epoch(time), or from_epoch(seconds)"),
    **dict.fromkeys(("now", "today", "utcnow"), "received_at: a rule gives the same whenever it is run"),
    **dict.fromkeys(("base64", "b64decode", "from_base64", "decode"), "from_unscaled(x, scale), for numbers in base64"),
    **dict.fromkeys(("md5", "sha1", "hash", "digest"), "sha256(x)"),
    **dict.fromkeys(("pow", "sqrt", "mod"), "it with + - * / and round"),
    **dict.fromkeys(("avg", "mean", "average"), "round(sum(list) / count(list), 2)"),
}
"""Functions of other languages, each with what to write here."""

_NEAR: Final = 0.8
"""The least likeness of a misspelt function. Functions have short names: what is less alike is another word, and not a
slip."""


def no_function(name: str) -> str:
    """Say that there is no function of that name, and what to write instead."""
    cure = _OTHERWISE.get(name)
    if cure:
        return f"there is no function {name}: write {cure}"
    known = (*FUNCTIONS, *SPECIAL)
    hint = nearest(name, known, _NEAR) or f": there are {', '.join(sorted(known))}"
    return f"there is no function {name}{hint}"


def _cure(term: Term, needed: str) -> str:
    """The call that makes what is needed of the term, if one can."""
    sort = sort_of(term.shape)
    calls = {
        ("text", "number"): "number",
        ("text", "integer"): "integer",
        ("number", "integer"): "integer",
        ("text", "time"): "time",
        ("number", "time"): "from_epoch",
        **dict.fromkeys([(each, "text") for each in ("number", "time", "boolean")], "text"),
    }
    call = calls.get((sort, "number" if needed in NUMERIC and needed != "integer" else needed))
    return f": write {call}({term.text})" if call else ""


def shape_reckoned(operator: str, left: Term, right: Term) -> Shape:
    if operator == "+" and left.shape == right.shape == "text":
        return "text"
    if operator == "-" and left.shape == right.shape == "time":
        raise NotAllowed(f"times are subtracted as seconds: write epoch({left.text}) - epoch({right.text})")
    if operator == "+":
        _check_joined(left, right)
    for each in (left, right):
        if operator != "+" or each.shape != "text":
            must_be_number(each)
    if "any" in (left.shape, right.shape):
        return "any" if operator == "+" else "number"
    return "integer" if left.shape == right.shape == "integer" and operator != "/" else "number"


def _check_joined(left: Term, right: Term) -> None:
    """Check `+` between a text and something else, or between lists: there is another way to write what was meant."""
    sorts = [sort_of(left.shape), sort_of(right.shape)]
    if "list" in sorts and set(sorts) <= {"list", "any"}:
        raise NotAllowed(f"+ joins no lists: write flat([{left.text}, {right.text}])")
    if "text" in sorts and not set(sorts) <= {"text", "any"}:
        other = right if sorts[0] == "text" else left
        cure = f": write {_joined(other)}" if sort_of(other.shape) == "list" else _cure(other, "text")
        raise NotAllowed(f"{other.text} is {spoken(other.shape)}, and is added to text{cure}")


def _joined(term: Term) -> str:
    """The call that makes one text of a list."""
    element = element_of(term.shape)
    sort = sort_of(element)
    if is_mapping(element):
        texts = [key for key, shape in element.items() if shape == "text"] or list(element) or ["name"]
        return f"join((text(x.{texts[0]}) for x in {term.text}), ' ')"
    if sort == "list":
        return f"join(flat({term.text}), ' ')"
    return f"join({term.text}, ' ')" if sort in ("text", "any") else f"join((text(x) for x in {term.text}), ' ')"


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
    if needed == "any" or sort in ("any", wanted) or (needed == "pairs" and sort in ("list", "mapping")):
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
    """Refuse a fixed argument with which the call could never succeed, and one that had to be fixed and is not."""
    if function.fixed is not None and function.fixed < len(given) and not _is_fixed(given[function.fixed]):
        raise NotAllowed(
            f"{function.name} takes a fixed shape, or one in vars: {given[function.fixed].text} is neither"
        )
    for place, check in function.checks.items():
        term = given[place] if place < len(given) else None
        if isinstance(term, Literal) and term.constant is not None:
            try:
                check(term.constant)
            except Failed as failure:
                raise NotAllowed(f"{function.name} {failure}") from None


def check_tally(given: Sequence[Term]) -> None:
    """Refuse fields that are not fixed texts, or that the elements do not have."""
    over, *fields = given
    element = element_of(over.shape)
    for term in fields:
        if not isinstance(term, Literal) or not isinstance(term.constant, str):
            raise NotAllowed(f"tally takes the names of fields as fixed texts: {term.text} is none")
        if is_mapping(element) and term.constant not in element:
            hint = nearest(term.constant, element) or f": there are {', '.join(element)}"
            raise NotAllowed(f"an element of {over.text} has no field {term.constant}{hint}")


def _is_fixed(term: Term) -> bool:
    """Whether it is written in the configuration, though a document may choose which."""
    match term:
        case Field() | Element() | Defined():
            return _is_fixed(term.of)
        case Call() if term.function.name == "lookup":
            return _is_fixed(term.given[0])
        case Default() | Choice():
            options = term.options if isinstance(term, Default) else (term.yes, term.no)
            return all(map(_is_fixed, options))
    return isinstance(term, Literal) or (isinstance(term, Name) and term.name == "vars")


def check_elements(function: Function, over: Term) -> None:
    element = element_of(over.shape)
    wanted = {
        "flat": ("list", "any"),
        "sum": ("number", "any"),
        "join": ("text", "any"),
        "min": ("number", "time", "any"),
        "max": ("number", "time", "any"),
    }
    if function.name in wanted and sort_of(element) not in wanted[function.name]:
        kinds = " or ".join(wanted[function.name][:-1])
        raise NotAllowed(f"{function.name} goes over {kinds}, and these are {spoken(element)}"
                         f"{_element_cure(function, over)}")  # fmt: skip


def _element_cure(function: Function, over: Term) -> str:
    """The call with each element made what it goes over."""
    sort = sort_of(element_of(over.shape))
    if function.name == "join" and sort in ("number", "time", "boolean"):
        turned = "text"
    elif function.name in ("sum", "min", "max") and sort == "text":
        turned = "number"
    else:
        return ""
    if isinstance(over, Walk):
        return f": write {turned}({over.each.text}) for ..."
    walk = f"{turned}(x) for x in {over.text}"
    return f": write join(({walk}), ' ')" if turned == "text" else f": write {function.name}({walk})"


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
