"""The configuration as a JSON Schema: what editors complete and the chart checks.

It says what a section may hold; whether names, expressions and secrets are right is said by `check` alone.
"""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from bridge import registry
from bridge.config.sections import File, OwnDelivery
from bridge.contract import Json

_ID = "https://json-schema.org/draft/2020-12/schema"
_TEXT = {"type": "string"}
_ISO = re.compile(r"P(?:(\d+)Y)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_LITERAL_OR_EXPRESSION = {
    "type": ["string", "boolean"],
    "description": "an expression begins with `=`; true and false are themselves",
}
_RULE: Mapping[str, Json] = {
    "for": {"type": ["string", "array"], "description": "the kind of document, such as order"},
    "to": {**_TEXT, "description": "a destination. Default: the only one"},
    "when": {**_LITERAL_OR_EXPRESSION, "description": "what must be true"},
    "each": {
        "type": ["string", "array"],
        "items": _TEXT,
        "description": "a list, one fact for each element; or several lists, each inside the one before",
    },
    "as": {
        "type": ["string", "array"],
        "items": _TEXT,
        "description": "the name of the element; with several lists, a name for each",
    },
    "let": {
        "type": ["object", "array"],
        "additionalProperties": _TEXT,
        "items": {"type": "object", "additionalProperties": _TEXT},
        "description": "names for expressions, used in the keys below; a list adds names to shared ones",
    },
    "at": {
        "type": ["string", "object"],
        "properties": {"assumed": _TEXT},
        "additionalProperties": False,
        "description": "when it happened; {assumed: ...} is a time that may change with a later document",
    },
    "once": {"type": ["string", "array"], "description": "what tells two facts of an order apart"},
    "fact": {**_TEXT, "description": "the stable name of the fact. Default: the action"},
    "formerly": {"type": ["string", "array"], "items": _TEXT, "description": "names that the fact had before"},
    "give": {"type": "object", "description": "what is sent; a key that ends with ? is left out where it is empty"},
    "show": {
        "type": "object",
        "additionalProperties": _TEXT,
        "description": "labels with expressions that preview shows beside the event (given); nothing of it is sent",
    },
    "stale": {"enum": ["use", "skip"], "description": "whether a document that is older than the newest one is used"},
    "uncertain": {
        "enum": ["park", "resend"],
        "description": "what becomes of an unrepeatable fact that was not answered",
    },
    "max_age": {**_TEXT, "description": "older facts are not sent: 30d"},
    "since": {**_TEXT, "description": "earlier facts are not sent: an instant"},
}
_OWN = {
    "sources": {},
    "destinations": {
        "mode": {"enum": ["live", "shadow"]},
        "delivery": OwnDelivery.model_json_schema(),
        "formerly": {"type": "array", "maxItems": 0, "description": "[]: it is another destination, not a renamed one"},
    },
}


def schema() -> dict[str, Json]:
    """Of the whole file, with every connector that is installed."""
    made = File.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
    definitions: dict[str, Json] = made.setdefault("$defs", {})
    for section, own in _OWN.items():
        connectors = {name: model for name, model in _connectors().items() if _fits(section, model)}
        made["properties"][section] |= {
            "additionalProperties": {"oneOf": [_section(name, model, own) for name, model in connectors.items()]}
        }
    definitions["Rule"] = {"type": "object", "properties": dict(_RULE), "additionalProperties": False}
    made["properties"]["rules"] |= {
        "additionalProperties": {"anyOf": [{"type": "boolean"}, {"$ref": "#/$defs/Rule"}]},
        "description": "`false` switches an included rule off, `true` one that is off by default on; "
        "a rule with the name of an included one replaces its keys",
    }
    whole: dict[str, Json] = _plain({**made, "title": None})
    return {"$schema": _ID, "title": "attribution-bridge configuration", **whole}


def _plain(node: Any) -> Any:  # noqa: ANN401  any JSON
    """Without titles that repeat the name, and with durations as they are written."""
    if isinstance(node, dict):
        plain = {key: _plain(value) for key, value in node.items() if key != "title" or isinstance(value, dict)}
        default = plain.get("default")
        if isinstance(default, dict):
            del plain["default"]
        elif isinstance(default, str) and (iso := _ISO.fullmatch(default)):
            plain["default"] = _written(*(int(part or 0) for part in iso.groups()))
        return plain
    return [_plain(one) for one in node] if isinstance(node, list) else node


def _written(years: int, days: int, hours: int, minutes: int, seconds: int) -> str:
    """A duration as a person writes it, in the largest unit that it is whole in."""
    total = (years * 365 + days) * 86_400 + hours * 3_600 + minutes * 60 + seconds
    unit, size = next((unit, size) for unit, size in _UNITS if total % size == 0)
    return f"{total // size}{unit}"


def _connectors() -> Mapping[str, type[BaseModel]]:
    return {name: registry.connector(name) for name in sorted(registry.names())}


def _fits(section: str, model: type[BaseModel]) -> bool:
    return hasattr(model, "kinds") if section == "sources" else hasattr(model, "converse")


def _section(name: str, model: type[BaseModel], own: Mapping[str, Json]) -> dict[str, Json]:
    """A connector's settings with what the core keeps beside them; definitions are written where they are used."""
    found = model.model_json_schema(by_alias=True)
    settings = _resolved(found, found.get("$defs", {}))
    properties = {"connector": {"const": name}, **own, **settings.get("properties", {})}
    return {
        "type": "object",
        "description": settings.get("description", ""),
        "properties": properties,
        "required": ["connector", *settings.get("required", [])],
        "additionalProperties": False,
    }


def _resolved(node: Any, definitions: Mapping[str, Json]) -> Any:  # noqa: ANN401  any JSON
    if isinstance(node, dict):
        if "$ref" in node:
            return _resolved(definitions[node["$ref"].rpartition("/")[2]], definitions)
        return {key: _resolved(value, definitions) for key, value in node.items() if key != "$defs"}
    return [_resolved(one, definitions) for one in node] if isinstance(node, list) else node
