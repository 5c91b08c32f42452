"""Translate for the stand-in the legacy form of an event into the names of now. No I/O."""

from collections.abc import Mapping

from bridge.contract import Json
from connectors.hellotext.actions import BUILT_IN

_NOT_YET = ("object", "object_parameters", "object_type")
_IDENTITY = {"profile": "profile", "profile_id": "profile", "session": "session", "session_id": "session"}


def in_current_names(body: dict[str, Json]) -> tuple[dict[str, Json], Mapping[str, str], list[tuple[str, str]]]:
    """The event, the legacy name of each name that was translated, and what is wrong with it already."""
    kind = _kind(body)
    names = {**_IDENTITY, kind: "object", f"{kind}_id": "object", f"{kind}_parameters": "object_parameters"}
    found = [(name, names[name]) for name in body if name in names]
    problems = [("invalid", name) for name in _NOT_YET if name in body]
    if len({name for _, name in found}) < len(found):
        problems.append(("ambiguous_parameter", found[-1][0]))
    whose = [given for given, name in found if name in ("profile", "session")]
    if len(whose) > 1:
        problems.append(("ambiguous_parameter", whose[-1]))
    current = {names.get(name, name): value for name, value in body.items()}
    if kind and body.get("action") not in BUILT_IN:
        current["object_type"] = kind
    return current, {name: given for given, name in found}, problems


def _kind(body: Mapping[str, Json]) -> str:
    """The type of its object: the first word of a built-in action, else as the name of the parameters says."""
    action = str(body.get("action"))
    if action in BUILT_IN:
        return action.partition(".")[0]
    return next((name.removesuffix("_parameters") for name in body if name.endswith("_parameters")), "")


def in_legacy_names(answer: Json, names: Mapping[str, str]) -> Json:
    """The errors of an answer, about the names that were sent."""
    told = [{**error, "parameter": names.get(error["parameter"], error["parameter"])} for error in answer["errors"]]
    return {"errors": told}
