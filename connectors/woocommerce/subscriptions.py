"""The shop's webhooks, brought in line with what rules read. Pure.

WooCommerce switches a webhook off after seven failures running, and says so to nobody. Whether switching it on again
resets the count is not known, so it is made anew. The API never shows a webhook's secret.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from bridge.contract import Json
from bridge.errand import Errand, Finding, FindingState
from bridge.errors import ErrandFailed, NoAnswer
from bridge.surrogates import decoded
from connectors.woocommerce.rest_api import Asking

NAME: Final = "attribution-bridge"
"""The name of those that are ours."""
_TOPICS: Final[Mapping[str, tuple[str, ...]]] = {
    "order": ("order.created", "order.updated"),
    "order_deletion": ("order.deleted",),
}
"""Topics that bring every change of a kind of document."""


class Webhook(msgspec.Struct, frozen=True):
    """One that is there."""

    id: int
    topic: str = ""
    status: str = ""
    delivery_url: str = ""
    name: Any = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing to do. webhook None: make one for the topic; url "": delete it."""

    topic: str
    webhook: Webhook | None
    url: str
    why: str


def wanted(kinds: Collection[str]) -> tuple[str, ...]:
    """The topics that bring these kinds of documents, and no more."""
    return tuple(topic for kind in sorted(kinds) for topic in _TOPICS.get(kind, ()))


def plan(there: Sequence[Webhook], topics: Sequence[str], url: str, *, elsewhere: bool = True) -> Iterator[Change]:
    """What must be done; nothing where all is well."""
    mine = [each for each in there if is_ours(each, url, elsewhere=elsewhere)]
    for topic in topics:
        of_topic = [each for each in mine if each.topic == topic]
        if of_topic:
            yield from _corrected(topic, of_topic, url)
        else:
            yield Change(topic=topic, webhook=None, url=url, why="there is none")
    for each in mine:
        if each.topic not in topics:
            yield Change(topic=each.topic, webhook=each, url="", why="no rule reads what it brings")


def _corrected(topic: str, ours: Sequence[Webhook], url: str) -> Iterator[Change]:
    """One is kept, and is as it should be."""
    kept = min(ours, key=lambda each: (each.status == "disabled", each.delivery_url != url))
    for extra in ours:
        if extra is not kept:
            yield Change(topic=topic, webhook=extra, url="", why="a second one: every delivery comes twice")
    if kept.status == "disabled":
        why = "the shop switched it off, after seven failures"
        yield Change(topic=topic, webhook=kept, url="", why=why)
        yield Change(topic=topic, webhook=None, url=url, why=f"anew: {why}")
    elif kept.delivery_url != url:
        yield Change(topic=topic, webhook=kept, url=url, why=f"it goes to {kept.delivery_url}")


def is_ours(webhook: Webhook, url: str, *, elsewhere: bool = True) -> bool:
    """Whether it brings deliveries to our address, or bears our name."""
    return webhook.delivery_url == url or (elsewhere and webhook.name == NAME)


def paused(there: Sequence[Webhook], topics: Sequence[str], url: str) -> Sequence[Webhook]:
    """List those of ours that somebody paused in the shop's admin. A person decided that, so they stay paused."""
    return [each for each in there if each.delivery_url == url and each.topic in topics and each.status == "paused"]


def listed(asking: Asking) -> Errand[Sequence[Webhook]]:
    """All webhooks of the shop."""
    found: list[Webhook] = []
    number, pages = 1, 1
    while number <= pages:
        listing = yield from asking.page("webhooks", number, orderby="id", order="asc")
        found += [_read(asking, bytes(item)) for item in listing.items]
        number, pages = number + 1, listing.pages
    return found


_webhook: Final = msgspec.json.Decoder(Webhook).decode


def _read(asking: Asking, raw: bytes) -> Webhook:
    try:
        return decoded(_webhook, raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ErrandFailed(f"shop {asking.shop}: the answer is no webhook") from None


@dataclass(slots=True, kw_only=True)
class Alignment:
    """The webhooks of one shop brought in line. secret: what new ones sign with. elsewhere: change also those of our
    name that deliver to another address."""

    asking: Asking
    topics: Sequence[str]
    url: str
    secret: str
    dry_run: bool
    elsewhere: bool

    def made(self) -> Errand[Sequence[Finding]]:
        """Every topic that is wanted and every webhook that is there, with what was done about it.

        What the shop refuses for one keeps no other from being made.
        """
        there = yield from listed(self.asking)
        changes = list(plan(there, self.topics, self.url, elsewhere=self.elsewhere))
        findings: list[Finding] = []
        for change in changes:
            try:
                if not self.dry_run:
                    yield from self._carried_out(change)
                findings.append(self._change_made(change))
            except NoAnswer:
                raise
            except ErrandFailed as problem:
                findings.append(Finding(subject=f"webhook {change.topic}", state="wrong", detail=str(problem)))
        return [*findings, *self._unchanged(there, {change.topic for change in changes})]

    def _unchanged(self, there: Sequence[Webhook], changed: Collection[str]) -> Iterator[Finding]:
        stopped = {each.topic for each in paused(there, self.topics, self.url)}
        for topic in self.topics:
            if topic in stopped:
                cure = "set it to Active (WooCommerce, Settings, Advanced, Webhooks)"
                yield Finding(subject=f"webhook {topic}", state="wrong", detail="somebody paused it", cure=cure)
            elif topic not in changed:
                yield _finding(topic, "well", f"brings to {self.url}")
        for each in there:
            if not is_ours(each, self.url, elsewhere=self.elsewhere):
                yield _finding(each.topic, "other", f"not ours: {each.delivery_url}")

    def _change_made(self, change: Change) -> Finding:
        does = "make" if change.webhook is None else "delete" if not change.url else "correct"
        return _finding(change.topic, "would" if self.dry_run else "mended", f"{does}: {change.why}")

    def _carried_out(self, change: Change) -> Errand[None]:
        into: dict[str, Json] = {"name": NAME, "delivery_url": self.url, "secret": self.secret, "status": "active"}
        match change.webhook:
            case None:
                answer = yield from self.asking.asked("POST", "webhooks", {**into, "topic": change.topic})
            case Webhook(id=number) if not change.url:
                answer = yield from self.asking.asked("DELETE", f"webhooks/{number}?force=true")
            case Webhook(id=number):
                answer = yield from self.asking.asked("PUT", f"webhooks/{number}", into)
        _read(self.asking, answer.body)


def _finding(topic: str, state: FindingState, detail: str) -> Finding:
    return Finding(subject=f"webhook {topic}", state=state, detail=detail)
