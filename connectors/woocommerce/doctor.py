"""A look at everything that must be right for a shop's orders to come, each with its cure (`woocommerce doctor`).
Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from bridge.contract import EXAMINATION, Request, Response
from bridge.errand import Errand, Finding, FindingState
from bridge.errors import ErrandFailed, NoAnswer
from connectors.woocommerce import Woocommerce, subscriptions
from connectors.woocommerce.rest_api import Asking

_SKEW: Final = timedelta(seconds=30)
_PING: Final = b"webhook_id=1"
_REFUSED, _EXAMINED, _PONG = 401, 422, 200


@dataclass(slots=True, kw_only=True)
class Examination:
    """The examination of one shop."""

    woocommerce: Woocommerce
    asking: Asking
    topics: Sequence[str]
    now: datetime
    findings: list[Finding] = field(default_factory=list)

    def made(self) -> Errand[Sequence[Finding]]:
        """What the shop says, what the door says, and the webhooks between them."""
        if (yield from self._entered()):
            self.findings += self._clock()
            yield from self._subscribed()
        yield from self._reached()
        return self.findings

    def _add(self, subject: str, state: FindingState, detail: str, cure: str = "") -> None:
        self.findings.append(Finding(subject=subject, state=state, detail=detail, cure=cure))

    def _entered(self) -> Errand[bool]:
        try:
            listing = yield from self.asking.page("orders", 1, orderby="id", order="desc")
        except NoAnswer as problem:
            cure = "look at the shop's name, and at this machine's way to it: DNS, proxy, firewall"
            self._add("shop", "wrong", str(problem), cure)
            return False
        except ErrandFailed as problem:
            self._add("key", "wrong", str(problem), "look at `access:` of this shop")
            return False
        self._add("key", "well", f"it reads {listing.total} orders")
        return True

    def _clock(self) -> Iterator[Finding]:
        """Compare this machine's clock with the shop's: spans are asked for by the clock here."""
        theirs = self.asking.clock
        if theirs is None:
            return
        skew = abs(theirs - self.now)
        if skew <= _SKEW:
            yield Finding(subject="clock", state="well", detail=f"within {_SKEW.seconds} s")
        else:
            cure = "let NTP set the clock of this machine, and that of the shop's server"
            yield Finding(subject="clock", state="wrong", detail=f"{skew} apart", cure=cure)

    def _subscribed(self) -> Errand[None]:
        url = self.woocommerce.address
        if url is None:
            self._add("webhooks", "other", "not looked at: `address:` is not written, they are made by hand")
            return
        try:
            there = yield from subscriptions.listed(self.asking)
        except ErrandFailed as problem:
            self._add("webhooks", "wrong", str(problem), "give the key the permission Read/Write")
            return
        stopped = subscriptions.paused(there, self.topics, url)
        changes = list(subscriptions.plan(there, self.topics, url))
        if changes:
            detail = "; ".join(f"{change.topic}: {change.why}" for change in changes)
            self._add("webhooks", "wrong", detail, "attribution-bridge woocommerce subscribe")
        elif stopped:
            detail = f"somebody paused {', '.join(each.topic for each in stopped)}"
            self._add("webhooks", "wrong", detail, "set them to Active (WooCommerce, Settings, Advanced, Webhooks)")
        else:
            self._add("webhooks", "well", ", ".join(self.topics))

    # -- the door at its public address --------------------------------------------------------------------------------

    def _reached(self) -> Errand[None]:
        """A ping is answered 200 by our door, a signed delivery that says what it is 422, a forged one 401. Nothing is
        stored."""
        if self.woocommerce.address is None:
            return
        signed = self.woocommerce.sign(
            EXAMINATION, topic="order.updated", tenant=self.asking.shop, delivery_id="examination"
        )
        forged = {**signed, "X-WC-Webhook-Signature": "Zm9yZ2Vk"}
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            right: Response = yield self._posted(signed, EXAMINATION)
            wrong: Response = yield self._posted(forged, EXAMINATION)
            ping: Response = yield self._posted(form, _PING)
        except NoAnswer as problem:
            cure = "the shop's server must reach it over https: look at DNS, certificate, proxy, and the bridge"
            self._add("address", "wrong", str(problem), cure)
            return
        self._door(right.status, wrong.status, ping.status)

    def _posted(self, headers: Mapping[str, str], body: bytes) -> Request:
        return Request(method="POST", url=self.woocommerce.address or "", headers=headers, body=body, repeatable=True)

    def _door(self, right: int, wrong: int, ping: int) -> None:
        address = self.woocommerce.address
        if wrong != _REFUSED:
            cure = (
                "something else answers there, or a proxy before the bridge: let it pass POSTs through untouched, and "
                "never redirect"
            )
            self._add("address", "wrong", f"{address} answers {wrong} to a forged signature, not 401", cure)
            return
        self._add("address", "well", f"the bridge answers at {address}")
        if ping != _PONG:
            cure = "let the proxy before the bridge pass forms too: the shop's admin shows an error else"
            self._add("ping", "wrong", f"a ping is answered {ping}", cure)
        if right == _EXAMINED:
            self._add("secret", "well", "a signed delivery passes the door")
        else:
            cure = "the running bridge has other secrets, or a proxy changes bodies: see README, connecting a shop"
            self._add("secret", "wrong", f"a delivery signed with the first secret is answered {right}", cure)
