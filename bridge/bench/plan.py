"""The configuration with which is measured: the user's rules, and nothing that leads to the user's journal or API."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from bridge.config import Settings, read
from bridge.contract import Json, Signs, WebhookSource
from bridge.errors import BridgeError
from bridge.setting_types import MadeUp

DEFAULT: Mapping[str, Json] = {
    "sources": {"shop": {"connector": "shopify", "shops": {"example.myshopify.com": {}}}},
    "destinations": {"hellotext": {"connector": "hellotext"}},
    "include": ["shopify/default"],
}
"""What is measured where there is no configuration: one shop and the default rules."""

_SECRET = "env:BENCH"  # noqa: S105  names a variable, which is made up
_SOURCE_KEYS = ("connector", "currency")
_SHOP_KEYS = ("formerly", "test_orders")
_encode = msgspec.json.Encoder(decimal_format="number").encode


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """All that a process needs to know that measures. It holds no secret, and no address but those of this machine.

    sections  the configuration, changed as `pointed_at` says
    file      the file that it came from: what it includes is looked for beside it
    source    the source whose door is posted to
    body      the order that is posted
    topic     the topic of its deliveries
    seconds   how long each part that stands alone is measured
    """

    sections: str
    file: str
    source: str
    body: str
    topic: str
    seconds: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a configuration is pointed at instead: a port of this machine, and a file in the temporary folder.

    min_free  bytes of the disk that the journal leaves free
    """

    api: int
    journal: Path
    min_free: int


def pointed_at(place: Place, sections: Mapping[str, Any], source: str) -> str:
    """Change a configuration that can be read, and return it as JSON.

    The shop keeps its name and loses its secrets, its access to the Admin API and its upkeep. Destinations are sent to
    live, at this machine, without a limit of the rate. Journal, ports and log are those of the trial.
    """
    delivery = {name: value for name, value in _mapping(sections.get("delivery")).items() if name != "rate"}
    changed = {
        **sections,
        "sources": {**sections["sources"], source: _shop(sections["sources"][source])},
        "destinations": {name: _destination(each, place.api) for name, each in sections["destinations"].items()},
        "journal": {"kind": "sqlite", "path": str(place.journal), "min_free": place.min_free},
        "door": {**_mapping(sections.get("door")), "host": "127.0.0.1", "port": 0},
        "private": {"port": 0},
        "delivery": delivery,
        "logs": {"level": "info", "style": "json"},
    }
    return _encode(changed).decode()


def settings_of(plan: Plan) -> Settings:
    """The settings of a plan: every other source than the one that is posted to is left out, with its rules in force.
    Raises ConfigurationError."""
    found = read(plan.sections, file=plan.file, environ=MadeUp())
    return replace(found, sources={plan.source: found.sources[plan.source]})


def concurrency_of(settings: Settings) -> int:
    """The orders on their way at once that the settings allow at every destination."""
    return min(settings.delivery.of(each.delivery).concurrency for each in settings.destinations.values())


def source_of(settings: Settings, file: str) -> str:
    """The source whose orders can be made. Raises BridgeError if there is none."""
    for name, source in settings.sources.items():
        if settings.connectors[name] == "shopify" and isinstance(source, WebhookSource) and isinstance(source, Signs):
            return name
    raise BridgeError(f"{file} has no shop of Shopify, and bench makes no other orders: name another with --config")


def _shop(source: Mapping[str, Any]) -> Mapping[str, Any]:
    kept = {name: source[name] for name in _SOURCE_KEYS if name in source}
    shops = {
        shop: {"secrets": [_SECRET], **{name: _mapping(each)[name] for name in _SHOP_KEYS if name in _mapping(each)}}
        for shop, each in source["shops"].items()
    }
    return {**kept, "shops": shops}


def _destination(outlet: Mapping[str, Any], api: int) -> Mapping[str, Any]:
    own = {name: value for name, value in _mapping(outlet.get("delivery")).items() if name != "rate"}
    changed = {"token": _SECRET, "url": f"http://127.0.0.1:{api}", "mode": "live"}
    return {**outlet, **changed, **({"delivery": own} if own else {})}


def _mapping(value: Any) -> Mapping[str, Any]:  # noqa: ANN401  a section may be empty in the file
    return value if isinstance(value, dict) else {}
