"""The shop's webhook subscriptions, brought in line with what rules read (docs/contracts/shopify.md 8). Pure.

Shopify deletes a subscription after eight failures running; one that filters silently sends nothing; two for one topic
send everything twice under two ids. Those made in an app's file or by hand in the admin are seen by no API.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bridge.contract import Json
from bridge.errand import Errand, Finding, FindingState
from bridge.errors import ErrandFailed, NoAnswer
from connectors.shopify.admin_api import Asking
from connectors.shopify.identity import TOPICS

NAME = "bridge"
"""The name of those that are ours; it exists since version 2026-04."""
_NAMED_SINCE = "2026-04"
_UNINSTALLED = "app/uninstalled"
_ENOUGH: Mapping[str, tuple[str, ...]] = {
    "order": ("orders/create", "orders/updated"),
    "refund": ("refunds/create",),
}
"""Topics that bring every change of a kind of document: the order's others only repeat what `orders/updated` brings."""
_PAGE = 100  # subscriptions

_LIST = """query Webhooks($first: Int!, $after: String) {
  webhookSubscriptions(first: $first, after: $after) {
    nodes { id topic uri format includeFields filter %s apiVersion { handle } }
    pageInfo { hasNextPage endCursor } } }"""
_CREATE = """mutation WebhookCreate($topic: WebhookSubscriptionTopic!, $input: WebhookSubscriptionInput!) {
  webhookSubscriptionCreate(topic: $topic, webhookSubscription: $input) {
    webhookSubscription { id topic uri } userErrors { field message } } }"""
_UPDATE = """mutation WebhookUpdate($id: ID!, $input: WebhookSubscriptionInput!) {
  webhookSubscriptionUpdate(id: $id, webhookSubscription: $input) {
    webhookSubscription { id topic uri } userErrors { field message } } }"""
_DELETE = """mutation WebhookDelete($id: ID!) {
  webhookSubscriptionDelete(id: $id) { deletedWebhookSubscriptionId userErrors { field message } } }"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One that is there. topic: as in the header of its deliveries."""

    id: str
    topic: str
    uri: str
    name: str
    version: str
    odd: str = ""
    """Why it does not bring whole documents as JSON; empty if it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing to do. subscription None: make one for the topic; uri "": delete it."""

    topic: str
    subscription: Subscription | None
    uri: str
    why: str


def wanted(kinds: Collection[str]) -> tuple[str, ...]:
    """The topics that bring these kinds of documents, and no more; and the one that says that the app is gone."""
    topics: dict[str, None] = {}
    for kind in sorted(kinds):
        topics.update(dict.fromkeys(_ENOUGH.get(kind) or [topic for topic, of in TOPICS.items() if of == kind]))
    return (*(topic for topic in topics if TOPICS[topic] != "compliance" and topic != _UNINSTALLED), _UNINSTALLED)


def plan(there: Sequence[Subscription], topics: Sequence[str], uri: str, version: str) -> Iterator[Change]:
    """What must be done; nothing where all is well."""
    for topic in topics:
        ours = [each for each in there if each.topic == topic and is_ours(each, uri)]
        if ours:
            yield from _corrected(topic, ours, uri, version)
        else:
            yield Change(topic=topic, subscription=None, uri=uri, why="there is none")
    for each in there:
        if is_ours(each, uri) and each.topic not in topics:
            yield Change(topic=each.topic, subscription=each, uri="", why="no rule reads what it brings")


def _corrected(topic: str, ours: Sequence[Subscription], uri: str, version: str) -> Iterator[Change]:
    """One is kept, and is as it should be."""
    kept = next((each for each in ours if each.uri == uri and not _fault(each, version)), ours[0])
    for extra in ours:
        if extra is not kept:
            yield Change(topic=topic, subscription=extra, uri="", why="a second one: every delivery comes twice")
    if fault := _fault(kept, version):
        yield Change(topic=topic, subscription=kept, uri="", why=fault)
        yield Change(topic=topic, subscription=None, uri=uri, why=f"anew: {fault}")
    elif kept.uri != uri:
        yield Change(topic=topic, subscription=kept, uri=uri, why=f"it goes to {kept.uri}")


def is_ours(subscription: Subscription, uri: str) -> bool:
    """Whether the subscription brings deliveries to our address, or bears our name."""
    return subscription.uri == uri or subscription.name == NAME


def _fault(subscription: Subscription, version: str) -> str:
    if subscription.odd:
        return subscription.odd
    return f"it is of version {subscription.version}" if subscription.version not in ("", version) else ""


def listed(asking: Asking) -> Errand[Sequence[Subscription]]:
    """All that this app can see."""
    found: list[Subscription] = []
    after: str | None = None
    while True:
        query = _LIST % ("name" if _has_names(asking.version) else "")
        answer = yield from asking.graphql(query, {"first": _PAGE, "after": after})
        page = answer.data["webhookSubscriptions"]
        found += [_read(node) for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


def _has_names(version: str) -> bool:
    return version >= _NAMED_SINCE  # "unstable" sorts behind all dates


def _read(node: Mapping[str, Json]) -> Subscription:
    odd = [
        said
        for said in (
            f"its format is {node.get('format')}" if node.get("format") not in (None, "JSON") else "",
            "it includes some fields only" if node.get("includeFields") else "",
            f"its filter is {node.get('filter')}" if node.get("filter") else "",
        )
        if said
    ]
    return Subscription(
        id=node["id"],
        topic=topic_of(node["topic"]),
        uri=node.get("uri") or "",
        name=node.get("name") or "",
        version=(node.get("apiVersion") or {}).get("handle") or "",
        odd=", ".join(odd),
    )


_BY_ENUM: Mapping[str, str] = {topic.upper().replace("/", "_"): topic for topic in TOPICS}


def topic_of(enum: str) -> str:
    """ORDERS_CREATE is orders/create; one that is not known here stays as it is."""
    return _BY_ENUM.get(enum, enum)


def brought_in_line(
    asking: Asking, topics: Sequence[str], uri: str, *, dry_run: bool, elsewhere: bool
) -> Errand[Sequence[Finding]]:
    """Every topic that is wanted and every subscription that is there, with what was done about it.

    What Shopify refuses for one keeps no other from being made. elsewhere: those of our name at other addresses too.
    """
    there = yield from listed(asking)
    if not elsewhere:
        there = [each if each.uri == uri else replace(each, name="") for each in there]
    changes = list(plan(there, topics, uri, asking.version))
    findings: list[Finding] = []
    for change in changes:
        try:
            if not dry_run:
                yield from _carried_out(asking, change)
            findings.append(_change_made(change, dry_run=dry_run))
        except NoAnswer:
            raise
        except ErrandFailed as problem:
            findings.append(Finding(subject=f"subscription {change.topic}", state="wrong", detail=str(problem)))
    changed = {change.topic for change in changes}
    return [
        *findings,
        *(_finding(topic, "well", f"brings to {uri}") for topic in topics if topic not in changed),
        *(_finding(each.topic, "other", f"not ours: {each.uri}") for each in there if not is_ours(each, uri)),
    ]


def _change_made(change: Change, *, dry_run: bool) -> Finding:
    does = "make" if change.subscription is None else "delete" if not change.uri else "correct"
    return _finding(change.topic, "would" if dry_run else "mended", f"{does}: {change.why}")


def _finding(topic: str, state: FindingState, detail: str) -> Finding:
    return Finding(subject=f"subscription {topic}", state=state, detail=detail)


def _carried_out(asking: Asking, change: Change) -> Errand[None]:
    into: dict[str, Json] = {"uri": change.uri, "format": "JSON"}
    if _has_names(asking.version):
        into["name"] = NAME
    match change.subscription:
        case None:
            topic = change.topic.upper().replace("/", "_")
            answer = yield from asking.graphql(_CREATE, {"topic": topic, "input": into}, changes=True)
        case Subscription(id=gid) if not change.uri:
            answer = yield from asking.graphql(_DELETE, {"id": gid}, changes=True)
        case Subscription(id=gid):
            answer = yield from asking.graphql(_UPDATE, {"id": gid, "input": into}, changes=True)
    (payload,) = answer.data.values()
    if errors := (payload or {}).get("userErrors"):
        said = "; ".join(str(error.get("message"))[:200] for error in errors)
        raise ErrandFailed(f"shop {asking.shop}: subscription {change.topic} to {change.uri}: Shopify says: {said}")
    if not _is_done(payload or {}):
        raise ErrandFailed(f"shop {asking.shop}: subscription {change.topic}: Shopify does not say that it was done")


def _is_done(payload: Mapping[str, Json]) -> bool:
    """What was made, changed or deleted is named; a payload without it says nothing."""
    return bool(payload.get("deletedWebhookSubscriptionId") or (payload.get("webhookSubscription") or {}).get("id"))
