"""Signed documents that are odd in every way, at a real door, mapped and sent by a real worker to a real local API."""

# ruff: noqa: E501 - what is drawn from reads best in long lines

import asyncio
import gzip
import io
import json
from collections import Counter

import aiohttp

from bridge import registry
from bridge.config.sections import Door
from tests.fuzz.child import all_settled, serving
from tests.fuzz.mutations import ODD, mutated, shown, shrunk
from tests.processes import ROOT

EXAMPLES = ROOT / "connectors" / "shopify" / "examples"
_TOPICS = {
    "order.json": ("orders/create", "orders/updated", "orders/paid", "orders/cancelled"),
    "refund.json": ("refunds/create",),
    "fulfillment.json": ("fulfillments/create", "fulfillments/update"),
    "fulfillment_event.json": ("fulfillment_events/create",),
    "draft_order.json": ("draft_orders/create",),
    "orders_edited.json": ("orders/edited",),
    "customers_data_request.json": ("customers/data_request",),
}
BODIES = [(topics, json.loads((EXAMPLES / name).read_text())) for name, topics in _TOPICS.items()]
"""Topics, and a document of them."""
BODIES += [(("customers/update", "customers/create"), BODIES[0][1]["customer"])] + [BODIES[0]] * 8

SCALARS = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**30, 1.5, -0.0, 1e308, 5e-324, "", " ", "0", "-0", "1e400",
    "-1", "NaN", "99.00", "99,00", "1" * 400, "0." + "0" * 400 + "1", "x" * 10_000, "\0", "a\0b", "\ud83d", "\ude00\ud83d",
    "\ufffe", "\uffff", "\ufdd0", "\u2028", "\u202e", "\x7f", "\x1b[31m", "é", "e\u0301", "ﷺ" * 40, "😀", "true", "null", "[]", "{}",
    "2026-11-20T14:05:33+01:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-02-30T00:00:00Z", "٣",
    "+442079460018", "tel:1", "a@b", "@", "EUR", "eur", "XXX", "gid://shopify/Order/1", "'; DROP TABLE fact; --", "%s%n", "${x}",
]  # fmt: skip
"""What may stand where something else should."""


def odd(chance):
    """A value of the wrong sort."""
    kind = chance.random()
    if kind < 0.75:
        return chance.choice(SCALARS)
    if kind < 0.85:
        return [chance.choice(SCALARS) for _ in range(chance.choice((0, 1, 3, 300)))]
    if kind < 0.95:
        return {str(chance.choice(SCALARS)): chance.choice(SCALARS) for _ in range(chance.choice((0, 1, 3)))}
    value = chance.choice(SCALARS)
    for _ in range(chance.choice((2, 30, 400))):
        value = [value] if chance.random() < 0.5 else {"a": value}
    return value


def changed(document, chance, *, most=6):
    """The document with other values at a few places, or without them. The rest of it is shared."""
    for _ in range(chance.randint(1, most)):
        document = _changed(document, chance)
    return document


def _changed(value, chance):
    if not value or not isinstance(value, dict | list) or chance.random() < 0.1:
        return odd(chance)
    if isinstance(value, dict):
        key = chance.choice([*value])
        if chance.random() < 0.05:
            return {each: inner for each, inner in value.items() if each != key}
        return {**value, key: _changed(value[key], chance)}
    at = chance.randrange(len(value))
    if chance.random() < 0.1:
        return value[:at] + [value[at]] * chance.choice((0, 2, 30)) + value[at + 1 :]
    return [*value[:at], _changed(value[at], chance), *value[at + 1 :]]


# -- documents as bytes ------------------------------------------------------------------------------------------------

CANARIES = {
    "email": "canary.bird@example.com", "contact_email": "canary.bird@example.com", "phone": "+4915112345678",
    "first_name": "Tweety", "last_name": "Canarybird", "address1": "Vogelweg 7", "address2": "Canaryhouse", "note": "canarynote",
    "browser_ip": "198.51.100.77", "company": "Canarycompany", "landing_site": "/?canaryvisit=1", "user_agent": "Canarybrowser",
}  # fmt: skip
"""Words that no log may have, by the names of the fields that they stand in."""
TOLD = frozenset(("canary", "Canary", "15112345678", "Tweety", "Vogelweg", "198.51.100.77"))

WHOLE = [
    b"", b" \r\n", b"[]", b'[{"id": 1}]', b'"x"', b"7", b"null", b"{}", b'{"id": 1}{"id": 2}', b'\xef\xbb\xbf{"id": 1}', b"\0" * 999,
    '{"id": 1}'.encode("utf-16"), '{"id": 1}'.encode("utf-32"), b'{"id": 1, "note": "\xff"}', b'{"id": NaN}', b"<!doctype html><p>502</p>",
    gzip.compress(b'{"id": 1}', mtime=0), b'{"id": 1, "note": ' + b"[" * 50_000, b'{"a":' * 50_000, b"webhook_id=15&a=%00",
    b'{"id": 1, "note": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", b'{"id": 1e400}', b'{"id": ' + b"9" * 5000 + b"}",
]  # fmt: skip
HEAVY = ("line_items", "refunds", "note_attributes", "discount_codes", "fulfillments", "tax_lines")


def with_canaries(value):
    """The document with a canary in each field that is a person's."""
    if isinstance(value, dict):
        return {key: CANARIES[key] if key in CANARIES else with_canaries(inner) for key, inner in value.items()}
    return [with_canaries(each) for each in value] if isinstance(value, list) else value


SEEDS = [(topics, with_canaries(body)) for topics, body in BODIES]


def drawn(number, chance):
    """The topic and the bytes of a document."""
    topics, document = chance.choice(SEEDS)
    topic = chance.choice(topics)
    if chance.random() < 0.9:
        document = {**document, "id": number, "order_id": number}
    if chance.random() < 0.02:
        key = chance.choice(HEAVY)
        document = {**document, key: (document.get(key) or [odd(chance)]) * chance.choice((50, 500, 2000))}
    document = changed(document, chance)
    raw = json.dumps(document, ensure_ascii=chance.random() < 0.7).encode(errors="surrogatepass")
    kind = chance.random()
    if kind < 0.25:
        raw = mutated(raw, chance)
    elif kind < 0.3:
        raw = _again(raw, chance)
    elif kind < 0.34:
        raw = chance.choice(WHOLE)
    return topic, raw


def _again(raw, chance):
    """With a key for a second time, in another encoding, or with something before or behind."""
    text = raw.decode(errors="replace")
    return chance.choice((
        raw[:-1] + b', "id": ' + chance.choice((b"1", b'"x"', b"[]", b"{}")) + b"}",
        b"\xef\xbb\xbf" + raw, text.encode("utf-16"), text.encode("latin-1", errors="replace"), raw + chance.choice(ODD),
        raw.replace(b'"', b"'"), raw.replace(b": null", b": undefined"), raw.replace(b": ", b": -"), b"[" + raw + b"]",
    ))  # fmt: skip


# -- at a door ---------------------------------------------------------------------------------------------------------

MAY = {200, 503}
"""Answers to what is signed: 503 if the journal is slow for a moment, and then it is sent again."""
SENDERS = 24
LARGEST = Door().max_body
"""Bytes of the largest body that the door takes."""


class Round:
    """Documents that were posted, and what became of them."""

    def __init__(self, child, session, chance):
        self.child, self.session, self.chance = child, session, chance
        self.place = chance.randrange(1, 10**8) * 10**7
        self.count = 0
        self.stored: dict[str, tuple[str, bytes]] = {}
        self.done: Counter[str] = Counter()

    async def post(self, topic, body, delivery):
        """The status; again as long as it is 503, as a platform does."""
        headers = self.child.signed(body, topic=topic, delivery=delivery)
        for _ in range(100):
            url = f"http://127.0.0.1:{self.child.port}/webhooks/shop"
            async with self.session.post(url, data=io.BytesIO(body), headers=headers) as answer:
                await answer.read()
                self.done[f"answers {answer.status}"] += 1
            if answer.status != 503:
                return answer.status
            await asyncio.sleep(0.1)
        return 503

    async def one(self):
        self.count += 1
        number = self.place + self.count
        topic, body = drawn(number, self.chance)
        delivery = f"fuzz-{number}"
        status = await self.post(topic, body, delivery)
        if len(body) > LARGEST:
            assert status == 413, f"{len(body)} bytes of {topic} were answered {status}"
            self.done["inputs"] += 1
            return
        if status != 200:
            less = await shrunk(body, lambda part: self._fails(topic, part, status))
            raise AssertionError(f"a signed document of {topic} was answered {status}: {shown(less)}, of {shown(body)}")
        self.stored[delivery] = topic, body
        self.done["inputs"] += 1

    async def _fails(self, topic, body, status):
        return await self.post(topic, body, f"less-{len(body)}") == status

    async def flood(self, count):
        left = iter(range(count))

        async def sender():
            for _ in left:
                await self.one()

        async with asyncio.TaskGroup() as tasks:
            for _ in range(SENDERS):
                tasks.create_task(sender())

    async def see(self, *, seconds=300):
        """All is in a state, nothing was logged that must not be, and a good order passes."""
        self.count += 1
        good = {**BODIES[0][1], "id": self.place + self.count}
        assert await self.post("orders/create", json.dumps(good).encode(), f"fuzz-{good['id']}") == 200
        self.stored[f"fuzz-{good['id']}"] = "orders/create", b""
        await all_settled(self.child, seconds=seconds)
        problem = self.child.problems()
        if problem is not None:
            raise AssertionError(f"{problem}; {await self._culprit()}")
        states = await self.child.states(str(good["id"]))
        assert states, f"a good order has no fact any more: {good['id']}"
        assert set(states) <= {"delivered", "dead"}, states
        assert "delivered" in states, states

    async def _culprit(self):
        """The document that makes the log tell of a bug, if one of the last does so alone."""
        for topic, body in list(self.stored.values())[-600:]:
            await self.post(topic, body, f"again-{self.count}")
            self.count += 1
            if self.count % 20 == 0 and self.child.problems() is not None:
                return f"among the last twenty before this one of {topic}: {shown(body)}"
        return "no single one of the last does it again"

    async def judge_journal(self):
        kept = await self.child.deliveries()
        missing = [delivery for delivery in self.stored if delivery not in kept]
        assert missing == [], (
            f"answered 200 and not in the journal: {shown([self.stored[each] for each in missing[:3]])}"
        )
        for path in ("metrics", "status"):
            async with self.session.get(f"http://127.0.0.1:{self.child.private}/{path}") as answer:
                text = await answer.text()
            assert not [word for word in TOLD if word in text], f"/{path} has personal data"


async def tried(chance, count, *, postgres=None):
    """Post documents to a bridge in a process of its own; what was done. postgres: the address of a server."""
    async with (
        registry.sandbox("hellotext").serving() as url,
        aiohttp.ClientSession() as session,
        serving(url=url, mode="live", within="4s", postgres=postgres) as child,
    ):
        child.canaries |= TOLD
        found = Round(child, session, chance)
        for number, share in enumerate(_shares(count)):
            await found.flood(share)
            await found.see()
            if number == 0:
                child.is_warm()
        await found.judge_journal()
        return found.done + Counter({"facts " + state: times for state, times in (await child.facts()).items()})


def _shares(count, size=500):
    return [size] * (count // size) + [count % size] * bool(count % size)
