"""The memory of the stand-in API for one business, and its strict checks of what it is sent. No I/O: see sandbox.py."""

import re
from collections import OrderedDict
from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Generic, TypeAlias, TypeVar

from bridge import clock
from bridge.contract import Json
from connectors.hellotext.actions import BUILT_IN, CONSENT
from connectors.hellotext.legacy import in_current_names, in_legacy_names

Answer: TypeAlias = tuple[int, Json]
Problem: TypeAlias = tuple[str, str]
"""Type and parameter of an error."""
V = TypeVar("V")

_MILLISECONDS_FROM = 100_000_000_000  # a larger number is milliseconds, not seconds
_PAGE = 25  # profiles
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "order": ("reference", "source", "delivery"),
    "checkout": ("reference", "source", "delivery"),
    "product": ("name",),
    "cart": ("items",),
    "coupon": ("code",),
    "app": ("name",),
    "refund": ("reference", "source"),
    "form": (),
}
"""The keys that object_parameters must have, by the type of the object, which is the first word of the action."""


class Last(OrderedDict[str, V], Generic[V]):
    """The last so many things of a kind."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, key: str, value: V) -> None:
        super().__setitem__(key, value)
        if len(self) > self._most:
            self.popitem(last=False)


class Business:
    """What the API knows of one business: profiles, sessions, orders, events. No I/O."""

    def __init__(self, *, unknown_sessions: Collection[str], actions: Collection[str], remember: int) -> None:
        self.contract = "current"
        self.unknown_sessions = set(unknown_sessions)
        self.actions = {*BUILT_IN, *CONSENT, *actions}
        self.profiles: Last[dict[str, Json]] = Last(remember)
        self.orders: Last[dict[str, Json]] = Last(remember)
        self.events: Last[dict[str, Json]] = Last(remember)
        self._contacts: Last[str] = Last(2 * remember)
        self._owners: Last[str] = Last(remember)
        self._kept: Last[bool] = Last(remember)
        self._made = 0

    def save_profile(self, body: dict[str, Json]) -> Answer:
        """Create a profile, or find it by e-mail or phone."""
        contacts = {kind: _contact(body, kind) for kind in ("email", "phone")}
        if problems := _contact_problems(contacts):
            return refused(*problems)
        keys = [f"{kind}:{value.lower()}" for kind, value in contacts.items() if value]
        known = next((self._contacts[key] for key in keys if self._contacts.get(key) in self.profiles), None)
        profile = self.profiles[known] if known else self._created(self.profiles, "profile")
        for key in keys:
            if self._contacts.get(key) not in self.profiles:
                self._contacts[key] = profile["id"]
        for name, value in body.items():
            profile.setdefault(name, value)
        return (200 if known else 201), profile

    def update_profile(self, profile: str, body: dict[str, Json]) -> Answer:
        if profile not in self.profiles:
            return 404, errors(("not_found", "id"))
        self.profiles[profile].update({name: value for name, value in body.items() if name != "id"})
        return 200, self.profiles[profile]

    def forget_profiles(self) -> None:
        """Forget all profiles, as if they had been deleted. Their sessions are nobody's."""
        self.profiles.clear()
        self._owners.clear()

    def attach(self, session: str, body: dict[str, Json]) -> Answer:
        """Attach a session. The answer is 200 also if the session is another's and stays so; `profile` is then
        somebody's internal number."""
        return (404, errors(("not_found", ""))) if self.contract == "legacy" else self._attached(session, body)

    def attach_as_before(self, session: str, body: dict[str, Json]) -> Answer:
        """Attach a session in the legacy form: POST with `profile_id`, answered 201."""
        if self.contract == "current":
            return 404, errors(("not_found", ""))
        profile = body.get("profile_id")
        status, answer = self._attached(session, {"profile": profile})
        if status != 200:  # noqa: PLR2004
            return status, in_legacy_names(answer, {"profile": "profile_id"})
        return 201, {"id": session, "type": "session", "profile_id": profile, "created_at": _now()}

    def _attached(self, session: str, body: dict[str, Json]) -> Answer:
        if session in self.unknown_sessions:
            return 404, errors(("not_found", "session"))
        profile = body.get("profile")
        if not isinstance(profile, str):
            return refused(("parameter_missing", "profile"))
        if profile not in self.profiles:
            return refused(("not_found", "profile"))
        self._owners.setdefault(session, profile)
        return 200, {"id": session, "type": "session", "profile": 1, "created_at": _now()}

    def record(self, body: dict[str, Json]) -> Answer:
        """Take an event in the form of its contract, or say why not."""
        if self.contract == "current":
            return self._recorded(body)
        body, names, problems = in_current_names(body)
        if problems:
            return refused(*problems)
        status, answer = self._recorded(body)
        return (201, {"state": "ok"}) if status == 200 else (status, in_legacy_names(answer, names))  # noqa: PLR2004

    def _recorded(self, body: dict[str, Json]) -> Answer:
        action = body.get("action")
        if not isinstance(action, str) or not action:
            return refused(("parameter_missing", "action"))
        if action not in self.actions:
            return 404, errors(("not_found", "action"))
        problems = [
            *self._identity_problems(body),
            *self._object_problems(action, body),
            *_value_problems(action, body),
        ]
        if problems:
            return refused(*problems)
        self._keep(action, body)
        return 200, {"status": "received"}

    def create_action(self, body: dict[str, Json]) -> Answer:
        name = body.get("name")
        if not isinstance(name, str) or not re.fullmatch(r"[a-z_]+\.[a-z_]+", name):
            return refused(("invalid" if name else "parameter_missing", "name"))
        if name in self.actions:
            return refused(("parameter_not_unique", "name"))
        self.actions.add(name)
        return 201, {"id": self._id(), "type": "action", "goal": False, "passive": True, **body}

    def _identity_problems(self, body: dict[str, Json]) -> list[Problem]:
        profile, session = body.get("profile"), body.get("session")
        if not profile and not session:
            return [("parameter_missing", "profile")]
        if profile and profile not in self.profiles:
            return [("not_found", "profile")]
        if session and session in self.unknown_sessions:
            return [("not_found", "session")]
        if profile and session and self._owners.get(session) != profile:
            return [("invalid", "session")]
        return []

    def _object_problems(self, action: str, body: dict[str, Json]) -> list[Problem]:
        kind = action.partition(".")[0]
        if "object" in body and "object_parameters" in body:
            return [("ambiguous_parameter", "object")]
        if action not in BUILT_IN:
            has_object = "object" in body or "object_parameters" in body
            return [("parameter_missing", "object_type")] if has_object and "object_type" not in body else []
        if "object" in body:
            return [("not_found", "object")] if kind == "order" and body["object"] not in self.orders else []
        if kind not in _NEEDS or action == "page.viewed":
            return []
        if action == "cart.abandoned" or "object_parameters" not in body:
            return [("parameter_missing", "object")]
        return _parameter_problems(kind, body["object_parameters"])

    def _keep(self, action: str, body: dict[str, Json]) -> None:
        """Keep one event for each order and action of a profile. Every other event is one more."""
        order = self._order(body) if action.startswith("order.") else ""
        once = f"{order} {action}"
        if body.get("profile") and order:
            if once in self._kept:
                return
            self._kept[once] = True
        event = self._created(self.events, "event")
        event.update(body)

    def _order(self, body: dict[str, Json]) -> str:
        if "object" in body:
            return str(body["object"])
        given = body["object_parameters"]
        key = f"{given['source']} {given['reference']}"
        if key not in self._contacts:
            self._contacts[key] = self._created(self.orders, "order")["id"]
            self.orders[self._contacts[key]].update({"items": [], **given})
        return self._contacts[key]

    def _created(self, kept: Last[dict[str, Json]], kind: str) -> dict[str, Json]:
        name = self._id()
        kept[name] = {"id": name, "type": kind, "created_at": _now()}
        return kept[name]

    def _id(self) -> str:
        self._made += 1
        return f"{self._made:x}".rjust(8, "S")


def refused(*problems: Problem) -> Answer:
    return 422, errors(*problems)


def page(kept: Mapping[str, dict[str, Json]], query: Mapping[str, str]) -> Answer:
    """A page, newest first. The cursors are ids and are not part of the page."""
    ids = list(kept)[::-1]
    limit = query.get("limit", str(_PAGE))
    if not limit.isascii() or not limit.isdigit() or not int(limit):
        return refused(("invalid", "limit"))
    try:
        start = ids.index(query["starting_after"]) + 1 if "starting_after" in query else 0
        end = ids.index(query["ending_before"]) if "ending_before" in query else len(ids)
    except ValueError:
        return 404, errors(("not_found", "starting_after" if "starting_after" in query else "ending_before"))
    shown = ids[start:end][-int(limit) :] if "ending_before" in query else ids[start:end][: int(limit)]
    return 200, [kept[one] for one in shown]


def one(kept: Mapping[str, dict[str, Json]], name: str) -> Answer:
    thing = kept.get(name)
    return (404, errors(("not_found", "id"))) if thing is None else (200, thing)


def errors(*problems: Problem) -> Json:
    return {
        "errors": [
            {"type": kind, "message": f"{parameter or 'The request'}: {kind}.", "parameter": parameter or None}
            for kind, parameter in problems
        ]
    }


def _contact(body: dict[str, Json], kind: str) -> Json:
    """An e-mail address or a phone number, in either way of writing the key."""
    return next((value for name, value in body.items() if re.fullmatch(rf"{kind}(\[[a-z]+\])?", name)), None)


def _contact_problems(contacts: Mapping[str, Json]) -> list[Problem]:
    patterns = {"email": _EMAIL, "phone": _PHONE}
    return [
        ("invalid", kind)
        for kind, value in contacts.items()
        if value is not None and not (isinstance(value, str) and patterns[kind].fullmatch(value))
    ]


def _parameter_problems(kind: str, given: Json) -> list[Problem]:
    if not isinstance(given, dict) or not given:
        return [("parameter_invalid_empty", "object_parameters")]
    problems: list[Problem] = [("parameter_missing", name) for name in _NEEDS[kind] if not given.get(name)]
    if given.get("delivery") not in (None, "deliver", "collect"):
        problems.append(("invalid", "delivery"))
    items = given.get("items", [])
    if not isinstance(items, list) or not all(_is_item(item) for item in items):
        problems.append(("object_invalid", "items"))
    return problems


def _is_item(item: Json) -> bool:
    if not isinstance(item, dict) or not item.get("product") or type(item.get("quantity")) is not int:
        return False
    price = item.get("price", {"amount": 0, "currency": "EUR"})
    product = item["product"]
    is_product = isinstance(product, str) or (isinstance(product, dict) and bool(product.get("name")))
    return item["quantity"] > 0 and is_product and isinstance(price, dict) and {"amount", "currency"} <= price.keys()


def _value_problems(action: str, body: dict[str, Json]) -> list[Problem]:
    checks = {
        "amount": "amount" not in body or type(body["amount"]) in (int, Decimal),
        "currency": "currency" not in body or bool(_CURRENCY.fullmatch(str(body["currency"]))),
        "tracked_at": "tracked_at" not in body or _is_instant(body["tracked_at"]),
        "metadata": "metadata" not in body or _is_flat(body["metadata"]),
    }
    problems: list[Problem] = [("invalid", name) for name, is_right in checks.items() if not is_right]
    if "currency" in body and "amount" not in body:
        problems.append(("parameter_missing", "amount"))
    if action == "page.viewed" and not body.get("url"):
        problems.append(("parameter_missing", "url"))
    return problems


def _is_instant(given: Json) -> bool:
    """Whether it is Unix seconds (milliseconds are a mistake), or ISO 8601 with a time zone."""
    if type(given) in (int, Decimal):
        return bool(0 <= given < _MILLISECONDS_FROM)
    try:
        return datetime.fromisoformat(given).tzinfo is not None
    except (TypeError, ValueError):
        return False


def _is_flat(given: Json) -> bool:
    return isinstance(given, dict) and not any(isinstance(value, dict | list) for value in given.values())


def _now() -> int:
    return int(clock.now().timestamp())
