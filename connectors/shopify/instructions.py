"""Topics that tell the bridge itself to do something: the three of compliance, and that the app is gone.

See docs/contracts/shopify.md 2 and 9.5.
Ids and contacts may be absent: the customer may be only an e-mail address. Pure.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeAlias

import msgspec

from bridge.contract import Envelope
from bridge.errand import Instruction, Task
from bridge.surrogates import decoded
from connectors.shopify.identity import Compliance

TASKS: Mapping[str, Task] = {
    "customers/data_request": "disclose",
    "customers/redact": "erase",
    "shop/redact": "erase all",
    "app/uninstalled": "pause",
}
_WITHIN = timedelta(days=30)
_Ids: TypeAlias = Any


_request = msgspec.json.Decoder(Compliance).decode


def instruction(document: Envelope) -> Instruction | None:
    """The instruction of the document. None: it has none, or its body is gone."""
    task = TASKS.get(document.topic)
    if task is None or (task in ("disclose", "erase") and not document.raw):
        return None
    if task in ("erase all", "pause"):
        return Instruction(task=task, within=_WITHIN)
    request = decoded(_request, document.raw)
    return Instruction(
        task=task,
        aliases=request.name(document.kind, document.raw).aliases,
        orders=_orders(request.orders_requested) + _orders(request.orders_to_redact),
        within=_WITHIN,
    )


def _orders(ids: _Ids) -> tuple[str, ...]:
    return tuple(str(one) for one in ids if type(one) in (int, str)) if isinstance(ids, list) else ()


def of_shop(body: bytes, shop: str) -> bytes:
    """Address a request for compliance to this shop. Any other document names its shop in the header only, and is left
    as it is."""
    document = decoded(msgspec.json.decode, body)
    named = document.get("shop_domain") if isinstance(document, dict) else None
    return body.replace(named.encode(), shop.encode()) if isinstance(named, str) and named else body
