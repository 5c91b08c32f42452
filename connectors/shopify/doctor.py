"""A look at everything that must be right for a shop's orders to come, each with its cure (`shopify doctor`). Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bridge.contract import EXAMINATION, Json, Request, Response
from bridge.errand import Errand, Finding, FindingState
from bridge.errors import ErrandFailed, NoAnswer
from connectors.shopify import Shopify, subscriptions
from connectors.shopify.admin_api import Asking

_SKEW = timedelta(seconds=30)
_PROBE = """query Probe { shop { id myshopifyDomain currencyCode ianaTimezone }
  currentAppInstallation { accessScopes { handle } } publicApiVersions { handle supported } }"""
_SCOPES = {"fulfillment": "read_fulfillments", "customer": "read_customers", "draft_order": "read_draft_orders"}
"""The scope that a topic needs, by the topic's family. All others need read_orders."""


@dataclass(slots=True, kw_only=True)
class Examination:
    """The examination of one shop."""

    shopify: Shopify
    asking: Asking
    topics: Sequence[str]
    now: datetime
    findings: list[Finding] = field(default_factory=list)

    def made(self) -> Errand[Sequence[Finding]]:
        """What the shop says, what the door says, and the subscriptions between them."""
        if (data := (yield from self._entered())) is not None:
            self.findings += [*self._said(data), *self._clock()]
            yield from self._subscribed()
        yield from self._reached()
        self.findings += self._secrets()
        return self.findings

    def _entered(self) -> Errand[Json | None]:
        try:
            answer = yield from self.asking.graphql(_PROBE, {})
        except NoAnswer as problem:
            cure = "look at the shop's name, and at this machine's way to it: DNS, proxy, firewall"
            self.findings.append(Finding(subject="shop", state="wrong", detail=str(problem), cure=cure))
            return None
        except ErrandFailed as problem:
            cure = "look at `access:` of this shop, and at `upkeep.version`"
            self.findings.append(Finding(subject="token", state="wrong", detail=str(problem), cure=cure))
            return None
        return answer.data

    def _said(self, data: Json) -> Iterator[Finding]:
        shop = (data.get("shop") or {}).get("myshopifyDomain")
        if shop == self.asking.shop:
            yield Finding(subject="token", state="well", detail=f"it is of {shop}")
        else:
            cure = "put each shop's own token under its own name"
            yield Finding(
                subject="token", state="wrong", detail=f"it is of {shop}, not of {self.asking.shop}", cure=cure
            )
        yield from self._scopes(data)
        yield self._version(data)

    def _scopes(self, data: Json) -> Iterator[Finding]:
        installation = data.get("currentAppInstallation") or {}
        granted = {scope["handle"] for scope in installation.get("accessScopes") or ()}
        families = {topic.partition("/")[0] for topic in self.topics} - {"app", "shop"}
        needed = {"read_orders"} | {
            scope for family in families for start, scope in _SCOPES.items() if family.startswith(start)
        }
        if missing := needed - granted:
            cure = "grant them in the app's settings, and install the app again"
            yield Finding(subject="scopes", state="wrong", detail=f"missing: {', '.join(sorted(missing))}", cure=cure)
        else:
            yield Finding(subject="scopes", state="well", detail=", ".join(sorted(needed)))
        if "read_all_orders" not in granted:
            detail = "without read_all_orders, orders older than 60 days are silently missing when the shop is asked"
            yield Finding(subject="older orders", state="other", detail=detail)

    def _version(self, data: Json) -> Finding:
        living = sorted(v["handle"] for v in data.get("publicApiVersions") or () if v.get("supported"))
        if self.asking.version in living or self.asking.version == "unstable":
            return Finding(subject="API version", state="well", detail=self.asking.version)
        return Finding(
            subject="API version",
            state="wrong",
            detail=f"{self.asking.version} is answered by the oldest living one",
            cure=f"set upkeep.version to one of: {', '.join(living)}",
        )

    def _subscribed(self) -> Errand[None]:
        if self.shopify.address is None:
            detail = "not looked at: `address:` is not written, they are made in the app's file or by hand"
            self.findings.append(Finding(subject="subscriptions", state="other", detail=detail))
            return
        try:
            there = yield from subscriptions.listed(self.asking)
        except ErrandFailed as problem:
            self.findings.append(Finding(subject="subscriptions", state="wrong", detail=str(problem)))
            return
        changes = list(subscriptions.plan(there, self.topics, self.shopify.address, self.asking.version))
        detail = "; ".join(f"{change.topic}: {change.why}" for change in changes) or ", ".join(self.topics)
        cure = "attribution-bridge shopify subscribe" if changes else ""
        state: FindingState = "wrong" if changes else "well"
        self.findings.append(Finding(subject="subscriptions", state=state, detail=detail, cure=cure))

    # -- the door at its public address --------------------------------------------------------------------------------

    def _reached(self) -> Errand[None]:
        """A signed delivery that says what it is is answered 422 by our door, a forged one 401: nothing is stored."""
        if self.shopify.address is None:
            return
        signed = self.shopify.sign(
            EXAMINATION, topic="orders/updated", tenant=self.asking.shop, delivery_id="examination"
        )
        forged = {**signed, "X-Shopify-Hmac-Sha256": "Zm9yZ2Vk"}
        try:
            right: Response = yield self._posted(signed)
            wrong: Response = yield self._posted(forged)
        except NoAnswer as problem:
            cure = "Shopify must reach it over https from the internet: look at DNS, certificate, proxy, and the bridge"
            self.findings.append(Finding(subject="address", state="wrong", detail=str(problem), cure=cure))
            return
        self.findings += self._door(right.status, wrong.status)

    def _posted(self, headers: Mapping[str, str]) -> Request:
        return Request(
            method="POST", url=self.shopify.address or "", headers=headers, body=EXAMINATION, repeatable=True
        )

    def _door(self, right: int, wrong: int) -> Iterator[Finding]:
        address = self.shopify.address
        if wrong != 401:  # noqa: PLR2004
            cure = "something else answers there, or a proxy before the bridge: let it pass POSTs through untouched"
            detail = f"{address} answers {wrong} to a forged signature, not 401"
            yield Finding(subject="address", state="wrong", detail=detail, cure=cure)
            return
        yield Finding(subject="address", state="well", detail=f"the bridge answers at {address}")
        if right == 422:  # noqa: PLR2004
            yield Finding(subject="secret", state="well", detail="a signed delivery passes the door")
        else:
            cure = "the running bridge has other secrets, or a proxy changes bodies: see README, connecting a shop"
            detail = f"a delivery signed with the first secret is answered {right}"
            yield Finding(subject="secret", state="wrong", detail=detail, cure=cure)

    def _clock(self) -> Iterator[Finding]:
        """Compare this machine's clock with Shopify's."""
        theirs = self.asking.clock
        if theirs is None:
            return
        skew = abs(theirs - self.now)
        if skew <= _SKEW:
            yield Finding(subject="clock", state="well", detail=f"within {_SKEW.seconds} s")
        else:
            yield Finding(
                subject="clock", state="wrong", detail=f"{skew} apart", cure="let NTP set this machine's clock"
            )

    def _secrets(self) -> Iterator[Finding]:
        """Check the secret: subscriptions made through the API are signed with the app's client secret."""
        shop = self.shopify.shops[self.asking.shop]
        own = shop.access.client_secret if shop.access is not None else None
        if own is not None and own.reveal() not in {secret.reveal() for secret in shop.secrets}:
            yield Finding(
                subject="client secret",
                state="wrong",
                detail="webhooks of this app are signed with access.client_secret, which is not among `secrets:`",
                cure="add it to `secrets:` of the shop",
            )
