"""The configuration as a JSON Schema, which editors complete by and the chart checks.

The schema says what a section may hold. Only `check` says whether names, expressions and secrets are right.
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
_RULE: Mapping[str, Json] = {
    "for": {"type": ["string", "array"], "description": "Kind of document, such as `order`, or a list of kinds."},
    "to": {**_TEXT, "description": "Destination. Default: the only one."},
    "when": {
        "type": ["string", "boolean"],
        "default": True,
        "description": "What must be true: an expression, which begins with `=`, or `true` or `false`.",
    },
    "each": {
        "type": ["string", "array"],
        "items": _TEXT,
        "description": "Expression for a list: each element gives a fact. "
        "With several lists each is inside the one before.",
    },
    "as": {
        "type": ["string", "array"],
        "items": _TEXT,
        "description": "Name of the element in expressions; with several lists, a name for each.",
    },
    "let": {
        "type": ["object", "array"],
        "additionalProperties": _TEXT,
        "items": {"type": "object", "additionalProperties": _TEXT},
        "description": "Names for expressions, used in the keys below. A list adds names to shared ones.",
    },
    "at": {
        "type": ["string", "object"],
        "properties": {"assumed": {**_TEXT, "description": "Time that may change with a later document."}},
        "additionalProperties": False,
        "description": "Time at which the fact happened: an expression, or `{assumed: ...}`.",
    },
    "once": {
        "type": ["string", "array"],
        "description": "What tells two facts of an order apart. With `each` it must be written. "
        "Default: the fact is sent once for an order.",
    },
    "fact": {
        **_TEXT,
        "description": "Name of the fact, which never changes: it is part of the fact's key. Default: the action.",
    },
    "formerly": {
        "type": ["string", "array"],
        "items": _TEXT,
        "description": "Names that the fact had before. `[]` says that it is another fact than one that is gone.",
    },
    "give": {"type": "object", "description": "What is sent. A key that ends with `?` is left out if it is empty."},
    "show": {
        "type": "object",
        "additionalProperties": _TEXT,
        "description": "Labels with expressions that `preview` shows beside the event. Nothing of it is sent.",
    },
    "stale": {
        "enum": ["use", "skip"],
        "default": "skip",
        "description": "Whether a document older than the newest one of the order is used. "
        "A rule that reads `topic` or `headers` must write it.",
    },
    "uncertain": {
        "enum": ["park", "resend"],
        "default": "park",
        "description": "What becomes of a fact that left, was not answered and may not be repeated: "
        "it waits for a person, or is sent again.",
    },
    "max_age": {
        **_TEXT,
        "default": "30d",
        "description": "Longest time from the fact to the arrival of its document. An older fact is not sent.",
    },
    "since": {**_TEXT, "description": "Instant before which facts are not sent."},
}
_OWN = {
    "sources": {},
    "destinations": {
        "mode": {
            "enum": ["live", "shadow"],
            "default": "live",
            "description": "Whether facts are sent, or kept as `shadowed` without any writing request.",
        },
        "delivery": OwnDelivery.model_json_schema(),
        "formerly": {
            "type": "array",
            "maxItems": 0,
            "description": "`[]` says that this is another destination, not one that was renamed.",
        },
    },
}


def schema() -> dict[str, Json]:
    """The JSON schema of the whole file, with every connector that is installed."""
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
    }
    whole: dict[str, Json] = _plain({**made, "title": None})
    return {"$schema": _ID, "title": "attribution-bridge configuration", **whole}


def _plain(node: Any) -> Any:  # noqa: ANN401  any JSON
    """Simplify a node: no titles that repeat the name, durations as people write them, descriptions on one line."""
    if isinstance(node, dict):
        plain = {key: _plain(value) for key, value in node.items() if key != "title" or isinstance(value, dict)}
        if isinstance(said := plain.get("description"), str):
            plain["description"] = " ".join(said.split())
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
    connector = {"const": name, "description": "Connector of this section."}
    properties = {"connector": connector, **own, **settings.get("properties", {})}
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
            beside = {key: value for key, value in node.items() if key != "$ref"}
            return {**_resolved(definitions[node["$ref"].rpartition("/")[2]], definitions), **beside}
        return {key: _resolved(value, definitions) for key, value in node.items() if key != "$defs"}
    return [_resolved(one, definitions) for one in node] if isinstance(node, list) else node
