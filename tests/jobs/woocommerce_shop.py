"""A shop on this machine that answers as WooCommerce's REST API v3 does, and posts its webhooks.

Strict where the real one is: the key, `dates_are_gmt`, `force`, the limits of a span, which it leaves out. It answers a
page of the list as it is at that moment. What it is told to do wrong it does for the next requests, in order: see
`Fault` of `shop.py`.
"""

import base64
import hmac
import itertools
import json
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import aiohttp
from aiohttp import web

from tests.jobs.shop import Fault

_MOST_FAILURES = 7


@dataclass(kw_only=True)
class Shop:
    """What one shop holds. Made by `serving`. between: called after each page of orders that it gave."""

    name: str
    secret: str
    port: int = 0
    key: tuple = ("ck_1", "cs_1")
    permissions: str = "read_write"
    takes_header: bool = True
    ignores_spans: bool = False
    headers_lost: bool = False
    skew: timedelta = timedelta()
    orders: dict = field(default_factory=dict)
    webhooks: dict = field(default_factory=dict)
    faults: list = field(default_factory=list)
    asked: list = field(default_factory=list)
    pings: list = field(default_factory=list)
    between: object = lambda: None
    numbers: object = field(default_factory=lambda: itertools.count(15))

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def put(self, order, *, at=None):
        """A new state of an order, changed at this time."""
        when = (at or datetime.now(UTC)).replace(microsecond=0, tzinfo=None)
        self.orders[order["id"]] = {**order, "date_modified_gmt": when.isoformat()}
        return self.orders[order["id"]]

    def subscribe(self, topic, url, *, name="attribution-bridge", status="active", secret=None):
        """As somebody made it."""
        number = next(self.numbers)
        made = {"id": number, "name": name, "topic": topic, "status": status, "delivery_url": url}
        self.webhooks[number] = made | {"secret": secret or self.secret, "failures": 0}
        return number

    async def deliver(self, session, topic, document):
        """To every active webhook of the topic, once; the statuses of the answers."""
        body = json.dumps(document, separators=(",", ":")).replace("/", "\\/").encode()
        active = [each for each in self.webhooks.values() if (each["topic"], each["status"]) == (topic, "active")]
        return [await self._posted(session, webhook, topic, body) for webhook in active]

    async def _posted(self, session, webhook, topic, body):
        signature = base64.b64encode(hmac.digest(webhook["secret"].encode(), body, "sha256")).decode()
        headers = {
            "Content-Type": "application/json",
            "X-WC-Webhook-Source": f"https://{self.name}/",
            "X-WC-Webhook-Topic": topic,
            "X-WC-Webhook-ID": str(webhook["id"]),
            "X-WC-Webhook-Delivery-ID": uuid.uuid4().hex,
            "X-WC-Webhook-Signature": signature,
        }
        async with session.post(webhook["delivery_url"], data=body, headers=headers) as answer:
            webhook["failures"] = 0 if answer.status <= 302 else webhook["failures"] + 1
            if webhook["failures"] >= _MOST_FAILURES:
                webhook["status"] = "disabled"
            return answer.status

    # -- answering -----------------------------------------------------------------------------------------------------

    async def answer(self, request):
        body = await request.read()
        self.asked.append((request.method, request.path_qs, body))
        for fault in self.faults:
            if fault.only in request.path:
                self.faults.remove(fault)
                return _faulty(request, fault)
        _, _, rest = request.path.partition("/wp-json/wc/v3/")
        if not rest:
            return self._refused("rest_no_route", 404)
        if (refusal := self._entered(request)) is not None:
            return refusal
        if rest == "orders":
            return self._orders(request)
        return await self._webhooks(request, rest, json.loads(body) if body else {})

    def _entered(self, request):
        given = request.headers.get("Authorization", "") if self.takes_header else ""
        expected = "Basic " + base64.b64encode(":".join(self.key).encode()).decode()
        named = (request.query.get("consumer_key"), request.query.get("consumer_secret"))
        if given != expected and named != self.key:
            wrong = bool(given) or named[0] is not None
            return self._refused(
                "woocommerce_rest_authentication_error" if wrong else "woocommerce_rest_cannot_view", 401
            )
        if request.method != "GET" and self.permissions == "read":
            return self._refused("woocommerce_rest_authentication_error", 401)
        return None

    def _refused(self, code, status):
        return self._json({"code": code, "message": "Sorry.", "data": {"status": status}}, status=status)

    def _json(self, document, *, status=200, **headers):
        date = format_datetime(datetime.now(UTC) + self.skew, usegmt=True)
        return web.json_response(document, status=status, headers={"Date": date, **headers})

    def _page(self, request, found):
        limit, number = int(request.query.get("per_page", 10)), int(request.query.get("page", 1))
        if limit > 100:
            return self._refused("rest_invalid_param", 400)
        total = {"X-WP-Total": str(len(found)), "X-WP-TotalPages": str(-(-len(found) // limit))}
        given = found[(number - 1) * limit : number * limit]
        return self._json(given, **({} if self.headers_lost else total))

    def _orders(self, request):
        asked = request.query
        # Without dates_are_gmt the limits are by the site's clock: here two hours ahead.
        ahead = timedelta() if asked.get("dates_are_gmt") == "true" else timedelta(hours=2)
        first = datetime.fromisoformat(asked.get("modified_after", "0001-01-03T00:00:00")) - ahead
        last = datetime.fromisoformat(asked.get("modified_before", "9999-01-01T00:00:00")) - ahead
        found = [o for o in self.orders.values() if self.ignores_spans or first < _at(o) < last]
        found = [order for order in found if order["status"] != "trash"]
        found.sort(key=lambda order: order["id"], reverse=asked.get("order", "desc") == "desc")
        answer = self._page(request, found)
        self.between()
        return answer

    async def _webhooks(self, request, rest, into):
        number = int(rest.partition("/")[2] or 0)
        if number and number not in self.webhooks:
            return self._refused("woocommerce_rest_shop_webhook_invalid_id", 404)
        match request.method:
            case "GET":
                return self._page(request, [_shown(each) for each in self.webhooks.values()])
            case "POST":
                number = self.subscribe(into["topic"], into["delivery_url"], name=into["name"], secret=into["secret"])
                await self._ping(self.webhooks[number])
                return self._json(_shown(self.webhooks[number]), status=201)
            case "PUT":
                self.webhooks[number] |= into
                return self._json(_shown(self.webhooks[number]))
        if request.query.get("force") != "true":
            return self._refused("woocommerce_rest_trash_not_supported", 501)
        return self._json(_shown(self.webhooks.pop(number)))

    async def _ping(self, webhook):
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.post(webhook["delivery_url"], data={"webhook_id": str(webhook["id"])}) as answer,
            ):
                self.pings.append(answer.status)
        except aiohttp.ClientError:
            self.pings.append(None)


def _shown(webhook):
    return {name: value for name, value in webhook.items() if name not in ("secret", "failures")}


def _at(order):
    return datetime.fromisoformat(order["date_modified_gmt"])


def _faulty(request, fault: Fault):
    if fault.reset:
        request.transport.abort()
    return web.Response(status=fault.status, headers=fault.headers, body=fault.body)


@asynccontextmanager
async def serving(name="shop.example.com", secret="wc-test-secret-0042"):
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
