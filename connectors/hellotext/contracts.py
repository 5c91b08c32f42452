"""The two forms of the API: as it is now, and as it was first documented. Rules are the same for both.

    current   object, object_parameters, object_type; profile with session; 200 {"status": "received"}
    legacy    product, product_id, product_parameters (the object's type names the key); profile, or session_id;
              201 {"state": "ok"}

Two whole examples of the legacy form are documented: product with profile, product_id with session_id. All else is
assumed: the other types of object, `TYPE_parameters` (as it was a little later), and the same names for amount,
currency, tracked_at, metadata and url. It is also assumed that an event names the profile alone once its session is
attached.
"""

from collections.abc import Mapping
from typing import Literal, Protocol

from bridge.contract import Json

_SAME = ("amount", "currency", "metadata", "url")


class Contract(Protocol):
    """The form in which an event and the attaching of a session are written. takes_both: an event may name profile and
    session."""

    takes_both: bool
    keeps_orders_once: bool

    def event(self, give: Mapping[str, Json], profile: str | None, session: str | None) -> dict[str, Json]:
        """Write the body without its time."""

    def attach(self, profile: str) -> tuple[Literal["PATCH", "POST"], dict[str, Json]]:
        """Give the method and body."""


class Current:
    """The API as it is now. It keeps one event for each order and action of a profile."""

    takes_both = True
    keeps_orders_once = True

    def event(self, give: Mapping[str, Json], profile: str | None, session: str | None) -> dict[str, Json]:
        body = {"action": give["action"], "profile": profile, "session": session}
        whole = {name: value for name, value in body.items() if value is not None}
        return whole | _copied(give, ("object", "object_parameters", "object_type", *_SAME))

    def attach(self, profile: str) -> tuple[Literal["PATCH", "POST"], dict[str, Json]]:
        return "PATCH", {"profile": profile}


class Legacy:
    """The API as it was first documented. Nothing says that it keeps any event once."""

    takes_both = False
    keeps_orders_once = False

    def event(self, give: Mapping[str, Json], profile: str | None, session: str | None) -> dict[str, Json]:
        kind = give.get("object_type") or str(give["action"]).partition(".")[0]
        by_profile = profile is not None
        body = {"action": give["action"], **({"profile": profile} if by_profile else {"session_id": session})}
        if "object" in give:
            body[kind if by_profile else f"{kind}_id"] = give["object"]
        if "object_parameters" in give:
            body[f"{kind}_parameters"] = give["object_parameters"]
        return body | _copied(give, _SAME)

    def attach(self, profile: str) -> tuple[Literal["PATCH", "POST"], dict[str, Json]]:
        return "POST", {"profile_id": profile}


CONTRACTS: Mapping[str, Contract] = {"current": Current(), "legacy": Legacy()}


def _copied(give: Mapping[str, Json], names: tuple[str, ...]) -> dict[str, Json]:
    return {name: give[name] for name in names if name in give}
