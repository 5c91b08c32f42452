"""A shop on this machine that answers as Shopify's Admin API does, and posts its webhooks.

See docs/contracts/shopify.md 8.
Strict where the real one is: the token, `status`, parameters beside page_info, the names of inputs. What it is told to
do wrong it does for the next requests, in order: see `Fault`.
"""

import asyncio
import base64
import hmac
import itertools
import json
import re
import secrets
import time
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import urlencode

from aiohttp import web

VERSION = "2026-10"
_OPERATION = re.compile(r"\s*(?:query|mutation)\s+(\w+)")
_SPAN = re.compile(r"updated_at:>='([^']+)' AND updated_at:<='([^']+)'")
_SCOPES = ("read_orders", "read_all_orders", "read_fulfillments")


@dataclass(kw_only=True)
class Fault:
    """How one request is answered instead: by a status, late, in drips, broken off, or by a body of its own."""

    status: int = 200
    headers: dict = field(default_factory=dict)
    body: bytes = b'{"errors": "a fault"}'
    delay: float = 0.0
    drip: float = 0.0
    reset: bool = False
    only: str = ""
    """A part of the path that it waits for."""


@dataclass(kw_only=True)
class Shop:
    """What one shop holds. Made by `serving`."""

    name: str
    secret: str
    port: int = 0
    tokens: set = field(default_factory=lambda: {"shpat_lasting"})
    clients: dict = field(default_factory=dict)
    orders: dict = field(default_factory=dict)
    subscriptions: dict = field(default_factory=dict)
    scopes: tuple = _SCOPES
    supported: tuple = ("2026-01", "2026-04", "2026-07", "2026-10")
    answers_in: str = ""
    page: int = 250
    available: float = 2000.0
    faults: list = field(default_factory=list)
    asked: list = field(default_factory=list)
    skew: timedelta = timedelta()
    hidden: tuple = ()
    numbers: object = field(default_factory=lambda: itertools.count(1042))
    silent_changes: int = 0
    """So many mutations are carried out, and then not answered."""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def put(self, order, *, at=None):
        """A new state of an order, changed at this time."""
        when = (at or datetime.now(UTC)).replace(microsecond=0)
        self.orders[order["id"]] = {**order, "updated_at": when.isoformat()}
        return self.orders[order["id"]]

    def subscribe(self, topic, uri, *, name="bridge", **more):
        """As somebody made it."""
        gid = f"gid://shopify/WebhookSubscription/{next(self.numbers)}"
        made = {
            "id": gid,
            "topic": topic,
            "uri": uri,
            "name": name,
            "format": "JSON",
            "includeFields": [],
            "filter": None,
        }
        self.subscriptions[gid] = made | {"apiVersion": {"handle": VERSION}} | more
        return gid

    async def deliver(self, session, topic, document):
        """To every subscription of the topic; the statuses of the answers."""
        body = json.dumps(document).encode()
        enum = topic.upper().replace("/", "_")
        statuses = []
        for subscription in list(self.subscriptions.values()):
            if subscription["topic"] != enum:
                continue
            signature = base64.b64encode(hmac.digest(self.secret.encode(), body, "sha256")).decode()
            headers = {
                "Content-Type": "application/json",
                "X-Shopify-Topic": topic,
                "X-Shopify-Shop-Domain": self.name,
                "X-Shopify-API-Version": VERSION,
                "X-Shopify-Webhook-Id": str(uuid.uuid4()),
                "X-Shopify-Hmac-Sha256": signature,
            }
            async with session.post(subscription["uri"], data=body, headers=headers) as answer:
                statuses.append(answer.status)
        return statuses

    # -- answering -----------------------------------------------------------------------------------------------------

    async def answer(self, request):
        body = await request.read()
        self.asked.append((request.method, request.path_qs, body))
        for fault in self.faults:
            if fault.only in request.path:
                self.faults.remove(fault)
                return await _faulty(request, fault)
        if request.path == "/admin/oauth/access_token":
            return self._granted(json.loads(body))
        match = re.fullmatch(r"/admin/api/([^/]+)/(.+)\.json", request.path)
        if match is None or request.headers.get("X-Shopify-Access-Token") not in self.tokens:
            status = 404 if match is None else 401
            return self._json({"errors": "[API] Invalid API key or access token"}, status=status)
        self._version = match[1]
        if match[2] == "graphql":
            answer = self._graphql(json.loads(body))
            if b"mutation" in body and self.silent_changes:
                self.silent_changes -= 1
                request.transport.abort()
            return answer
        return self._orders(request) if match[2] == "orders" else self._json({"errors": "Not Found"}, status=404)

    def _json(self, document, *, status=200, **headers):
        version = self.answers_in or getattr(self, "_version", VERSION)
        date = format_datetime(datetime.now(UTC) + self.skew, usegmt=True)
        return web.json_response(
            document, status=status, headers={"X-Shopify-API-Version": version, "Date": date, **headers}
        )

    def _granted(self, asked):
        if (
            asked.get("grant_type") != "client_credentials"
            or self.clients.get(asked["client_id"]) != asked["client_secret"]
        ):
            return self._json({"error": "application_cannot_be_found"}, status=400)
        token = f"shpat_{secrets.token_hex(8)}"
        self.tokens.add(token)
        return self._json({"access_token": token, "scope": ",".join(self.scopes), "expires_in": 86399})

    # -- REST ----------------------------------------------------------------------------------------------------------

    def _orders(self, request):
        asked = dict(request.query)
        if "page_info" in asked:
            if not set(asked) <= {"page_info", "limit", "fields"}:
                return self._json({"errors": {"page_info": ["only limit and fields may stand beside it"]}}, status=400)
            asked = json.loads(base64.urlsafe_b64decode(asked["page_info"]))
        found = self._changed(asked.get("updated_at_min"), asked.get("updated_at_max"))
        if asked.get("status", "open") == "open":
            found = [order for order in found if not (order.get("closed_at") or order.get("cancelled_at"))]
        start, limit = int(asked.get("start", 0)), min(int(asked.get("limit", 50)), self.page)
        headers = {"X-Shopify-Shop-Api-Call-Limit": "1/40"}
        if start + limit < len(found):
            info = base64.urlsafe_b64encode(json.dumps({**asked, "start": start + limit}).encode()).decode()
            following = f"{self.url}{request.path}?{urlencode({'limit': limit, 'page_info': info})}"
            headers["Link"] = f'<{self.url}/previous>; rel="previous", <{following}>; rel="next"'
        return self._json({"orders": found[start : start + limit]}, **headers)

    def _changed(self, since, until):
        first = datetime.fromisoformat(since) if since else datetime.min.replace(tzinfo=UTC)
        last = datetime.fromisoformat(until) if until else datetime.max.replace(tzinfo=UTC)
        found = [order for order in self.orders.values() if first <= _at(order) <= last]
        return sorted(found, key=_at)

    # -- GraphQL -------------------------------------------------------------------------------------------------------

    def _graphql(self, asked):
        variables = asked.get("variables") or {}
        operation = _OPERATION.match(asked["query"])[1]
        cost = {"OrderById": 120, "OrderIds": 30}.get(operation, 10)
        status = {"maximumAvailable": 2000.0, "currentlyAvailable": self.available, "restoreRate": 1000.0}
        told = {"cost": {"requestedQueryCost": cost, "actualQueryCost": cost, "throttleStatus": status}}
        if cost > self.available:
            told["cost"]["actualQueryCost"] = None
            self.available += 1000.0
            return self._json(
                {"errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}], "extensions": told}
            )
        self.available -= cost
        answer = getattr(self, f"_{operation.lower()}")(variables)
        self.available = min(2000.0, self.available + cost)
        return self._json(
            {**answer, "extensions": told} if "errors" in answer else {"data": answer, "extensions": told}
        )

    def _probe(self, _variables):
        return {
            "shop": {"id": "gid://shopify/Shop/1", "myshopifyDomain": self.name, "currencyCode": "EUR"},
            "currentAppInstallation": {"accessScopes": [{"handle": scope} for scope in self.scopes]},
            "publicApiVersions": [
                *({"handle": version, "supported": True} for version in self.supported),
                {"handle": "2025-10", "supported": False},
            ],
        }

    def _webhooks(self, variables):
        found = list(self.subscriptions.values())
        start = int(variables["after"] or 0)
        end = start + min(variables["first"], 2)
        page = {"hasNextPage": end < len(found), "endCursor": str(end)}
        return {"webhookSubscriptions": {"nodes": found[start:end], "pageInfo": page}}

    def _webhookcreate(self, variables):
        uri, topic = variables["input"]["uri"], variables["topic"]
        if any((made["topic"], made["uri"]) == (topic, uri) for made in self.subscriptions.values()):
            error = {
                "field": ["webhookSubscription", "uri"],
                "message": "Address for this topic has already been taken",
            }
            return {"webhookSubscriptionCreate": {"webhookSubscription": None, "userErrors": [error]}}
        version = {"apiVersion": {"handle": self._version}}
        gid = self.subscribe(topic, uri, name=variables["input"].get("name"), **version)
        return {"webhookSubscriptionCreate": {"webhookSubscription": {"id": gid, "topic": topic}, "userErrors": []}}

    def _webhookupdate(self, variables):
        self.subscriptions[variables["id"]] |= variables["input"]
        return {"webhookSubscriptionUpdate": {"webhookSubscription": {"id": variables["id"]}, "userErrors": []}}

    def _webhookdelete(self, variables):
        del self.subscriptions[variables["id"]]
        return {"webhookSubscriptionDelete": {"deletedWebhookSubscriptionId": variables["id"], "userErrors": []}}

    def _orderids(self, variables):
        found = self._changed(*_SPAN.fullmatch(variables["query"]).groups())
        start = int(variables["after"] or 0)
        end = start + min(variables["first"], self.page)
        nodes = [
            {
                "id": f"gid://shopify/Order/{o['id']}",
                "legacyResourceId": str(o["id"]),
                "updatedAt": _utc(o["updated_at"]),
            }
            for o in found[start:end]
        ]
        return {"orders": {"nodes": nodes, "pageInfo": {"hasNextPage": end < len(found), "endCursor": str(end)}}}

    def _orderbyid(self, variables):
        order = self.orders.get(int(variables["id"].rpartition("/")[2]))
        if order is None:
            return {"order": None}
        start = int(variables["after"] or 0)
        end = start + min(variables["lines"], 2)
        node = as_node(order)
        lines = node["lineItems"]["nodes"]
        page = {"hasNextPage": end < len(lines), "endCursor": str(end)}
        node["lineItems"] = {"nodes": lines[start:end], "pageInfo": page}
        for name in self.hidden:
            node[name] = None
        if not self.hidden:
            return {"order": node}
        errors = [
            {"message": f"Access denied for {name}", "path": ["order", name], "extensions": {"code": "ACCESS_DENIED"}}
            for name in self.hidden
        ]
        return {"data": {"order": node}, "errors": errors}


async def _faulty(request, fault):
    await asyncio.sleep(fault.delay)
    if fault.reset:
        request.transport.abort()
        return web.Response()
    if not fault.drip:
        return web.Response(status=fault.status, headers=fault.headers, body=fault.body)
    response = web.StreamResponse(status=fault.status, headers={**fault.headers, "Content-Length": "100000"})
    await response.prepare(request)
    until = time.monotonic() + fault.drip
    try:
        while time.monotonic() < until:
            await response.write(b" ")
            await asyncio.sleep(0.05)
    except ConnectionError:
        pass
    request.transport.abort()
    return response


def _at(order):
    return datetime.fromisoformat(order["updated_at"])


def _utc(text):
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _utc_or_none(text):
    return None if text is None else _utc(text)


def _bag(found):
    if found is None:
        return None
    return {
        f"{side}Money": {
            "amount": found[f"{side}_money"]["amount"],
            "currencyCode": found[f"{side}_money"]["currency_code"],
        }
        for side in ("shop", "presentment")
    }


def _upper(text):
    return None if text is None else text.upper()


def as_node(order):
    """A webhook's order as GraphQL would give it.

    See docs/contracts/shopify.md 8, "From GraphQL to the webhook's shape".
    """
    customer = order.get("customer")
    rate = float(order["total_price_set"]["presentment_money"]["amount"] or 1) / (float(order["total_price"]) or 1)
    return {
        "id": order["admin_graphql_api_id"],
        "legacyResourceId": str(order["id"]),
        "name": order["name"],
        "number": order["order_number"],
        "test": order["test"],
        "createdAt": _utc(order["created_at"]),
        "processedAt": _utc(order["processed_at"]),
        "updatedAt": _utc(order["updated_at"]),
        "cancelledAt": _utc_or_none(order["cancelled_at"]),
        "cancelReason": _upper(order["cancel_reason"]),
        "closedAt": _utc_or_none(order["closed_at"]),
        "currencyCode": order["currency"],
        "presentmentCurrencyCode": order["presentment_currency"],
        "email": order.get("email"),
        "phone": order.get("phone"),
        "customerLocale": order["customer_locale"],
        "sourceName": order["source_name"],
        "checkoutToken": order["checkout_token"],
        "displayFinancialStatus": _upper(order["financial_status"]),
        "displayFulfillmentStatus": {None: "UNFULFILLED", "partial": "PARTIALLY_FULFILLED"}.get(
            order["fulfillment_status"], _upper(order["fulfillment_status"])
        ),
        "taxesIncluded": order["taxes_included"],
        "discountCodes": [code["code"] for code in order["discount_codes"]],
        "tags": [tag for tag in order["tags"].split(", ") if tag],
        "customAttributes": [{"key": one["name"], "value": one["value"]} for one in order["note_attributes"]],
        "app": {"id": f"gid://shopify/App/{order['app_id']}"},
        **{
            f"{graphql}Set": _bag(order[f"{name}_set"])
            for name, graphql in (
                ("total_price", "totalPrice"),
                ("subtotal_price", "subtotalPrice"),
                ("total_tax", "totalTax"),
                ("total_discounts", "totalDiscounts"),
                ("total_shipping_price", "totalShippingPrice"),
                ("current_total_price", "currentTotalPrice"),
            )
        },
        "customer": customer
        and {
            "id": customer["admin_graphql_api_id"],
            "legacyResourceId": str(customer["id"]),
            "firstName": customer["first_name"],
            "lastName": customer["last_name"],
            "state": _upper(customer["state"]),
            "defaultEmailAddress": {"emailAddress": customer["email"]},
            "defaultPhoneNumber": {"phoneNumber": customer["phone"]},
        },
        "billingAddress": _address(order.get("billing_address")),
        "shippingAddress": _address(order.get("shipping_address")),
        "customerJourneySummary": {"ready": True, "lastVisit": {"landingPage": order["landing_site"]}},
        "lineItems": {"nodes": [_line(line) for line in order["line_items"]]},
        "refunds": [_refund(refund, rate) for refund in order["refunds"]],
        "fulfillments": [
            {
                "legacyResourceId": str(parcel["id"]),
                "name": parcel["name"],
                "status": _upper(parcel["status"]),
                "createdAt": _utc(parcel["created_at"]),
                "updatedAt": _utc(parcel["updated_at"]),
                "trackingInfo": [
                    {"company": parcel["tracking_company"], "number": parcel["tracking_number"], "url": None}
                ],
            }
            for parcel in order["fulfillments"]
        ],
    }


def _address(found):
    if found is None:
        return None
    return {
        "firstName": found.get("first_name"),
        "lastName": found.get("last_name"),
        "city": found.get("city"),
        "countryCodeV2": found.get("country_code"),
        "phone": found.get("phone"),
    }


def _line(line):
    return {
        "id": line["admin_graphql_api_id"],
        "title": line["title"],
        "variantTitle": line["variant_title"],
        "name": line["name"],
        "sku": line["sku"],
        "vendor": line["vendor"],
        "quantity": line["quantity"],
        "currentQuantity": line["current_quantity"],
        "isGiftCard": line["gift_card"],
        "requiresShipping": line["requires_shipping"],
        "taxable": line["taxable"],
        "product": line["product_id"] and {"legacyResourceId": str(line["product_id"])},
        "variant": line["variant_id"] and {"legacyResourceId": str(line["variant_id"])},
        "customAttributes": [{"key": one["name"], "value": one["value"]} for one in line["properties"]],
        "originalUnitPriceSet": _bag(line["price_set"]),
        "totalDiscountSet": _bag(line["total_discount_set"]),
        "discountAllocations": [
            {
                "allocatedAmountSet": _bag(one["amount_set"]),
                "discountApplication": {"index": one["discount_application_index"]},
            }
            for one in line["discount_allocations"]
        ],
    }


def _refund(refund, rate):
    nodes = []
    for one in refund["transactions"]:
        paid = {"amount": one["amount"], "currencyCode": one["currency"]}
        shop = {"amount": f"{float(one['amount']) / rate:.2f}", "currencyCode": "EUR"}
        nodes.append(
            {
                "kind": _upper(one["kind"]),
                "status": _upper(one["status"]),
                "amountSet": {"shopMoney": shop, "presentmentMoney": paid},
                "processedAt": _utc_or_none(one["processed_at"]),
            }
        )
    return {
        "id": refund["admin_graphql_api_id"],
        "legacyResourceId": str(refund["id"]),
        "createdAt": _utc(refund["created_at"]),
        "note": refund["note"],
        "transactions": {"nodes": nodes},
    }


@asynccontextmanager
async def serving(name="example.myshopify.com", secret="shhh"):
    """A shop at a port of its own."""
    shop = Shop(name=name, secret=secret)
    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{rest:.*}", shop.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        shop.port = site._server.sockets[0].getsockname()[1]
        yield shop
    finally:
        await runner.cleanup()
