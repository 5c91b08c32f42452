"""The errands of a Shopify source: its orders read again, its subscriptions, a look at all that must be right. Pure."""

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from urllib.parse import urlencode

import msgspec

from bridge.contract import Envelope, Response
from bridge.errand import Errand, Finding, Note, Offer, Page, Schedule
from bridge.errors import ErrandFailed, Malformed
from bridge.surrogates import decoded
from connectors.shopify import Shopify, graphql_order, subscriptions
from connectors.shopify.admin_api import Asking, next_page
from connectors.shopify.doctor import Examination

_REST_PAGE = 100  # orders
_IDS_PAGE = 250  # orders

_IDS = """query OrderIds($first: Int!, $after: String, $query: String!) {
  orders(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {
    nodes { id legacyResourceId updatedAt } pageInfo { hasNextPage endCursor } } }"""


class _Orders(msgspec.Struct):
    orders: list[msgspec.Raw]


_orders = msgspec.json.Decoder(_Orders).decode


class ShopifyErrands:
    """Implements bridge.errand.Admin. get: one GET of the REST API, blocking: URL and token to the answer."""

    def __init__(self, source: str, shopify: Shopify, get: Callable[[str, str], Response]) -> None:
        self._source = source
        self._shopify = shopify
        self._get = get

    @property
    def schedule(self) -> Schedule:
        upkeep = self._shopify.upkeep
        return Schedule(
            check=upkeep.check_every if upkeep.subscriptions != "leave" else None,
            repair=upkeep.subscriptions == "repair",
            reconcile=upkeep.reconcile_every if upkeep.reconcile else None,
            overlap=upkeep.overlap,
            first=upkeep.first,
        )

    def tenants(self) -> Sequence[str]:
        known = map(self._shopify.known, self._shopify.shops)
        return [shop.tenant for shop in known if shop is not None and shop.shop.access is not None]

    def documents(self, tenant: str, *, since: datetime, until: datetime, now: datetime) -> Errand[None]:
        """Read the orders again. Changes at most a page behind `until` may come too: a page is whole."""
        asking = self._asking(tenant)
        if self._shopify.upkeep.orders == "rest":
            return self._by_rest(asking, since, until, now)
        return self._by_graphql(asking, since, until, now)

    def _by_rest(self, asking: Asking, since: datetime, until: datetime, now: datetime) -> Errand[None]:
        asked = {
            "status": "any",
            "limit": _REST_PAGE,
            "order": "updated_at asc",
            "updated_at_min": _iso(since),
            "updated_at_max": _iso(until),
        }
        url: str | None = f"{asking.base}/admin/api/{asking.version}/orders.json?{urlencode(asked)}"
        while url is not None:
            response = yield from asking.rest(url)
            try:
                orders = decoded(_orders, response.body).orders
            except (msgspec.DecodeError, UnicodeDecodeError):
                raise ErrandFailed(f"shop {asking.shop}: the answer is not a list of orders") from None
            found = yield from self._named(asking.shop, [bytes(order) for order in orders], now)
            url = next_page(response)
            versions = [envelope.version for envelope in found if envelope.version is not None]
            yield Page(documents=found, upto=_by_then(asking, until) if url is None else max(versions, default=since))

    def _by_graphql(self, asking: Asking, since: datetime, until: datetime, now: datetime) -> Errand[None]:
        query = f"updated_at:>='{_iso(since)}' AND updated_at:<='{_iso(until)}'"
        after: str | None = None
        while True:
            answer = yield from asking.graphql(_IDS, {"first": _IDS_PAGE, "after": after, "query": query})
            page = answer.data["orders"]
            nodes = [node for node in page["nodes"] if node is not None]
            if len(nodes) < len(page["nodes"]):
                yield Note(text=f"shop {asking.shop}: orders that this app may not see are not read")
            versions = {node["legacyResourceId"]: _instant(node["updatedAt"]) for node in nodes}
            ids = {node["legacyResourceId"]: node["id"] for node in nodes}
            chosen: Collection[str] = yield Offer(kind="order", versions=versions)
            raw: list[bytes] = []
            for order in versions:
                if order in chosen:
                    document = yield from graphql_order.fetched(asking, ids[order])
                    raw += [] if document is None else [msgspec.json.encode(document)]
            found = yield from self._named(asking.shop, raw, now)
            is_last = not page["pageInfo"]["hasNextPage"]
            upto = _by_then(asking, until) if is_last else max(versions.values(), default=since)
            yield Page(documents=found, upto=upto)
            if is_last:
                return
            before, after = after, page["pageInfo"]["endCursor"]
            if after in (None, before):
                raise ErrandFailed(f"shop {asking.shop}: the list of orders has a next page and no way to it")

    def _named(self, tenant: str, orders: Sequence[bytes], now: datetime) -> Errand[Sequence[Envelope]]:
        found: list[Envelope] = []
        for raw in orders:
            try:
                found.append(self._shopify.found(raw, source=self._source, tenant=tenant, now=now))
            except Malformed as problem:
                yield Note(text=f"shop {tenant}: an order that Shopify lists cannot be read: {problem}")
        return found

    def subscribe(
        self, tenant: str, *, kinds: Collection[str], dry_run: bool, elsewhere: bool = True
    ) -> Errand[Sequence[Finding]]:
        if self._shopify.address is None:
            raise ErrandFailed("write `address:` in the source: the public https address that Shopify posts to")
        topics = self._topics(kinds)
        return subscriptions.brought_in_line(
            self._asking(tenant), topics, self._shopify.address, dry_run=dry_run, elsewhere=elsewhere
        )

    def examine(self, tenant: str, *, kinds: Collection[str], now: datetime) -> Errand[Sequence[Finding]]:
        examination = Examination(
            shopify=self._shopify, asking=self._asking(tenant), topics=self._topics(kinds), now=now
        )
        return examination.made()

    def _topics(self, kinds: Collection[str]) -> Sequence[str]:
        return tuple(dict.fromkeys((*subscriptions.wanted(kinds), *self._shopify.upkeep.topics)))

    def _asking(self, tenant: str) -> Asking:
        known = self._shopify.known(tenant)
        if known is None or known.shop.access is None:
            raise ErrandFailed(f"shop {tenant} has no `access:`; with it: {', '.join(self.tenants()) or 'none'}")
        return Asking(
            shop=known.name,
            access=known.shop.access,
            base=self._shopify.upkeep.url or f"https://{known.name}",
            version=self._shopify.upkeep.version,
            get=self._get,
        )


def _by_then(asking: Asking, until: datetime) -> datetime:
    """The time up to which an answer is complete. If the clock here is ahead, what changes until then is not in the
    answer yet."""
    theirs = asking.clock
    return until if theirs is None else min(until, theirs)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
