"""Connections to a real door, spoken by hand: good orders among whatever strangers send, in whatever pieces.

A conversation is a list of messages, each with the answers that it may be given. A broken conversation is bytes of
which nothing is known but what they may not do.
"""

import asyncio
import json
import re
import socket
import struct
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

from bridge.intake.unreadable import KIND
from bridge.signatures import digest
from tests.fuzz.child import SHOP, all_settled, serving
from tests.fuzz.mutations import mutated, shown, shrunk

TOPICS = ("orders/create", "orders/updated", "orders/paid", "orders/cancelled")
CHOSEN = "chosen-by-a-stranger"
STATUSES = {200, 400, 401, 404, 405, 408, 413, 417, 431, 503}
"""What the door may answer at all (README.md)."""
AT_ONCE = 64
"""Conversations at once."""
SILENCE = 0.25
"""Seconds after which nothing more is expected from a conversation of which nothing is known."""
PATIENCE = 20
"""Seconds that an answer may take which must come."""
HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) [A-Za-z -]+\r\n((?:[A-Za-z-]+: [^\r\n]*\r\n)+)\r\n")


@dataclass(frozen=True)
class Message:
    """A part of a conversation.

    may   statuses of its answer
    ends  whether the connection ends with it; None: it may
    id    of the good order that it brings
    """

    name: str
    data: bytes
    may: tuple[int, ...]
    ends: bool | None = False
    id: str = ""


@dataclass
class Conversation:
    messages: list[Message]
    pieces: list[int] = field(default_factory=list)
    end: str = "wait"
    is_known: bool = True
    """Whether the answers of its messages are."""

    @property
    def data(self):
        return b"".join(message.data for message in self.messages)

    def __repr__(self):
        told = [(message.name, message.data) for message in self.messages]
        return f"{told}, cut at {self.pieces}, then {self.end}"


class Strangers:
    """Draws conversations. It remembers which documents were signed, and what must be stored."""

    def __init__(self, chance, child):
        self.chance, self.child = chance, child
        self.count = 0
        self.place = chance.randrange(10**9)
        self.topics = {}
        """The topics of good orders by their ids."""
        self.bodies = {}
        """The ids of all orders that were signed, by the names of their lanes."""
        self.examples = [self.order(delivery=f"broken-{n}-of-four")[0] for n in range(4)]

    def draw(self):
        chance = self.chance
        if chance.random() < 0.4:
            return self._broken()
        messages = [self._good() if chance.random() < 0.5 else self._strange() for _ in range(chance.randint(1, 6))]
        if chance.random() < 0.3:
            messages.append(self._last())
        found = Conversation(self._with_one_upgrade(messages))
        found.pieces = self._pieces(found.data)
        found.end = chance.choices(("wait", "half-close", "reset", "close"), (20, 2, 1, 1))[0]
        return found

    @staticmethod
    def _with_one_upgrade(messages):
        """aiohttp drops what comes in one piece behind two of them: nobody answers it."""
        first = next((message for message in messages if message.name in UPGRADES), None)
        return [message for message in messages if message.name not in UPGRADES or message is first]

    def _pieces(self, data):
        count = self.chance.choice((0, 0, 0, 1, 2, 5, 40))
        return sorted({self.chance.randrange(len(data)) for _ in range(count)}) if data else []

    def _broken(self):
        data = self._good(is_known=False).data
        if self.chance.random() < 0.3:
            data += self._strange().data + self._good(is_known=False).data
        data = mutated(data, self.chance, others=self.examples)
        made = Conversation([Message("broken", data, tuple(STATUSES), None)], self._pieces(data), is_known=False)
        made.end = self.chance.choices(("wait", "half-close", "reset"), (1, 8, 1))[0]
        return made

    # -- good ones -----------------------------------------------------------------------------------------------------

    def order(self, *, delivery=None, more=()):
        """A whole good request, its id, and its body."""
        self.count += 1
        number = self.place * 10**6 + self.count
        delivery = delivery or f"good-{number}"
        topic = self.chance.choice(TOPICS)
        body = json.dumps({"id": number, "name": f"#{number}", "note": "x" * self.chance.choice((0, 5, 500))}).encode()
        self.topics[delivery] = topic
        self.bodies |= {str(number): delivery, f"{KIND}:{digest(body)}": delivery}
        self.bodies[f"body:{digest(body)}"] = delivery
        signed = self.child.signed(body, topic=topic, delivery=delivery)
        lines = [f"{name}: {text}" for name, text in ({"Host": "x", "Content-Length": len(body)} | signed).items()]
        head = "\r\n".join(["POST /webhooks/shop HTTP/1.1", *lines, *more])
        return f"{head}\r\n\r\n".encode() + body, delivery, body

    def _good(self, *, is_known=True):
        whole, delivery, body = self.order(delivery=None if is_known else f"broken-{self.count}")
        name = self.chance.choice(list(GOOD))
        data, may, ends = GOOD[name](self, whole, body)
        return Message(name, data, may, ends, delivery if 200 in may else "")

    # -- strange ones --------------------------------------------------------------------------------------------------

    def _strange(self):
        name = self.chance.choice(list(STRANGE))
        data, may, ends = STRANGE[name]
        return Message(name, data, may, ends)

    def _last(self):
        name = self.chance.choice(list(LAST))
        data, may, _ = LAST[name]
        return Message(name, data, may, ends=True)


def _lines(whole, *lines, line=b"POST /webhooks/shop HTTP/1.1", without=()):
    """The same request with other lines in its head."""
    head, _, body = whole.partition(b"\r\n\r\n")
    _, *kept = head.split(b"\r\n")
    kept = [each for each in kept if not each.lower().startswith(tuple(without))]
    return b"\r\n".join([line, *kept, *lines]) + b"\r\n\r\n" + body


def _chunked(strangers, whole, body, *, trailers=b"", extension=b""):
    head = _lines(whole, b"Transfer-Encoding: chunked", without=(b"content-length",))[: -len(body)]
    cut = strangers.chance.randrange(len(body))
    parts = [part for part in (body[:cut], body[cut:]) if part]
    chunks = b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts)
    return head + chunks + b"0\r\n" + trailers + b"\r\n"


TRAILERS = (
    f"X-Shopify-Webhook-Id: {CHOSEN}\r\nX-Shopify-Topic: customers/update\r\n"
    "X-Shopify-Shop-Domain: evil.myshopify.com\r\nX-Shopify-Triggered-At: 2001-01-01T00:00:00Z\r\n"
).encode()

GOOD = {
    "good": lambda s, whole, body: (whole, (200,), False),
    "good again": lambda s, whole, body: (whole, (200,), False),
    "empty line before": lambda s, whole, body: (b"\r\n" + whole, (200,), None),
    "names in capitals": lambda s, whole, body: (_upper(whole), (200,), False),
    "many headers": lambda s, whole, body: (_lines(whole, *[b"X-%d: y" % n for n in range(90)]), (200,), False),
    "a long header": lambda s, whole, body: (_lines(whole, b"Cookie: " + b"c" * 30_000), (200,), False),
    "bytes above 127": lambda s, whole, body: (_lines(whole, b"X-Odd: \xff\xc3\x28\xe2\x80\xa8"), (200,), False),
    "blanks around": lambda s, whole, body: (_spaced(whole), (200,), False),
    "packed, it says": lambda s, whole, body: (_lines(whole, b"Content-Encoding: gzip"), (200,), None),
    "closing": lambda s, whole, body: (_lines(whole, b"Connection: close"), (200,), True),
    "1.0": lambda s, whole, body: (_lines(whole, line=b"POST /webhooks/shop HTTP/1.0"), (200,), True),
    "upgrade": lambda s, whole, body: (_lines(whole, b"Connection: upgrade", b"Upgrade: websocket"), (200,), None),
    "h2c": lambda s, w, body: (_lines(w, b"Connection: upgrade, HTTP2-Settings", b"Upgrade: h2c"), (200,), None),
    "100": lambda s, whole, body: (_lines(whole, b"Expect: 100-continue"), (200,), None),
    "another 417": lambda s, whole, body: (_lines(whole, b"Expect: a miracle"), (200, 417), None),
    "chunked": lambda s, whole, body: (_chunked(s, whole, body), (200,), True),
    "extension": lambda s, w, body: (_chunked(s, w, body, extension=b';a="b"'), (200,), True),
    "trailers": lambda s, w, body: (_chunked(s, w, body, trailers=TRAILERS), (200,), True),
    "absolute": lambda s, w, body: (_lines(w, line=b"POST http://x/webhooks/shop HTTP/1.1"), (200, 404), False),
    "question": lambda s, w, body: (_lines(w, line=b"POST /webhooks/shop?a=b HTTP/1.1"), (200, 404), False),
    "quoted path": lambda s, w, body: (_lines(w, line=b"POST /webhooks/%73hop HTTP/1.1"), (200, 404), False),
    "forged": lambda s, w, body: (
        _lines(w, b"X-Shopify-Hmac-Sha256: AAAA", without=(b"x-shopify-hmac",)), (401,), False,
    ),
    "without": lambda s, w, body: (_lines(w, without=(b"x-shopify-hmac",)), (401,), None),
    "other shop": lambda s, w, body: (
        _lines(w, b"X-Shopify-Shop-Domain: evil.myshopify.com", without=(b"x-shopify-shop",)), (401,), None,
    ),
    "other body": lambda s, w, body: (w[:-1] + b" ", (401,), False),
    "signature of bytes": lambda s, w, body: (
        _lines(w, b"X-Shopify-Hmac-Sha256: \xff\xfe\xe9", without=(b"x-shopify-hmac",)), (401,), False,
    ),
}  # fmt: skip
"""Requests made of a good one: the bytes, the statuses, whether the connection ends."""


UPGRADES = ("upgrade", "h2c")


def _upper(whole):
    head, _, body = whole.partition(b"\r\n\r\n")
    line, *lines = head.split(b"\r\n")
    upper = [name.upper() + b":" + text for name, _, text in (each.partition(b":") for each in lines)]
    return b"\r\n".join([line, *upper]) + b"\r\n\r\n" + body


def _spaced(whole):
    head, _, body = whole.partition(b"\r\n\r\n")
    return head.replace(b": ", b":  \t") + b" \t\r\n\r\n" + body


_POST = b"POST /webhooks/shop HTTP/1.1\r\n"
_SHOP = f"X-Shopify-Shop-Domain: {SHOP}\r\n".encode()
_WITH_SIGNATURE = b"Host: x\r\n" + _SHOP + b"X-Shopify-Hmac-Sha256: AAAA\r\n"
_CHUNKED = b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"

STRANGE = {
    "GET": (b"GET /webhooks/shop HTTP/1.1\r\nHost: x\r\n\r\n", (405,), False),
    "PUT": (b"PUT /webhooks/shop HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", (405,), None),
    "PRI": (b"PROPFIND /webhooks/shop HTTP/1.1\r\nHost: x\r\n\r\n", (405,), False),
    "nowhere": (b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", (404,), None),
    "up": (b"GET /webhooks/../webhooks/shop/../../etc HTTP/1.1\r\nHost: x\r\n\r\n", (404, 400), None),
    "odd path": (b"GET /%00%ff%c3%28 HTTP/1.1\r\nHost: x\r\n\r\n", (404, 400), None),
    "star": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", (404,), False),
    "nothing said": (_POST + b"Host: x\r\n\r\n", (401,), False),
    "chunked nowhere": (b"POST /nowhere HTTP/1.1\r\n" + _CHUNKED + b"\r\n", (404,), True),
    "trailers nowhere": (b"POST /nowhere HTTP/1.1\r\n" + _CHUNKED + TRAILERS + b"\r\n", (404,), True),
    "trailers, not posted": (b"PUT /webhooks/shop HTTP/1.1\r\n" + _CHUNKED + TRAILERS + b"\r\n", (405,), True),
    "trailers, no signature": (_POST + _CHUNKED + TRAILERS + b"\r\n", (401,), True),
    "trailers, forged": (
        _POST + _SHOP + b"X-Shopify-Hmac-Sha256: AAAA\r\n" + _CHUNKED + TRAILERS + b"\r\n",
        (401,), True,
    ),
}  # fmt: skip
"""Whole requests of strangers: after some of them a connection may go on."""

LAST = {
    "words": (b"hello\r\n\r\n", (400,), True),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", (400,), True),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400,), True),
    "HTTP/9.9": (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", (400, 404), True),
    "no colon": (_POST + b"Host x\r\n\r\n", (400,), True),
    "NUL": (_POST + b"Host: x\r\nA: b\x00c\r\n\r\n", (400,), True),
    "two lengths": (
        _POST + _WITH_SIGNATURE + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        (400,), True,
    ),
    "length and chunks": (
        _POST + _WITH_SIGNATURE
        + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        (400,), True,
    ),
    "negative length": (_POST + b"Host: x\r\nContent-Length: -1\r\n\r\n", (400,), True),
    "length with a plus": (_POST + b"Host: x\r\nContent-Length: +3\r\n\r\nabc", (400,), True),
    "hexadecimal length": (_POST + b"Host: x\r\nContent-Length: 0x3\r\n\r\nabc", (400,), True),
    "huge length": (
        _POST + _WITH_SIGNATURE + b"Content-Length: 99999999999\r\n\r\nabc", (413,), True,
    ),
    "length beyond all": (
        _POST + _WITH_SIGNATURE + b"Content-Length: " + b"9" * 40 + b"\r\n\r\nabc",
        (400, 413), True,
    ),
    "folded": (_POST + b"Host: x\r\nA: b\r\n c\r\n\r\n", (400,), True),
    "blank before colon": (_POST + b"Host : x\r\n\r\n", (400,), True),
    "odd coding": (
        _POST + _WITH_SIGNATURE + b"Transfer-Encoding: gzip\r\n\r\nabc", (400, 401), True,
    ),
    "chunked twice": (
        _POST + _WITH_SIGNATURE + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        (400, 401), True,
    ),
    "no chunk": (
        _POST + _WITH_SIGNATURE + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
        (400, 408), True,
    ),
    "huge chunk": (
        _POST + _WITH_SIGNATURE + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 17 + b"\r\na",
        (400, 408), True,
    ),
    "too short": (_POST + _WITH_SIGNATURE + b"Content-Length: 30\r\n\r\nabc", (408,), True),
    "a long line": (_POST + b"Host: x\r\nCookie: " + b"c" * 66_000 + b"\r\n\r\n", (431, 400), True),
    "a long path": (b"POST /" + b"x" * 66_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", (431, 400), True),
    "many lines": (_POST + b"Host: x\r\n" + b"A: b\r\n" * 400 + b"\r\n", (400, 431), True),
}  # fmt: skip
"""What ends a connection, whatever came before."""


# -- talking -----------------------------------------------------------------------------------------------------------


async def talked(port, conversation):
    """All that came back; and how it ended: `open`, `closed` or `reset`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        with suppress(OSError):
            await _sent(writer, conversation)
            return await _heard(reader, conversation)
        return b"", "reset"
    finally:
        if conversation.end == "reset" and not writer.is_closing():
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()


async def _sent(writer, conversation):
    data, start = conversation.data, 0
    for stop in (*conversation.pieces, len(data)):
        writer.write(data[start:stop])
        await writer.drain()
        await asyncio.sleep(0)
        start = stop
    if conversation.end == "half-close":
        writer.write_eof()


async def _heard(reader, conversation):
    heard = b""
    wanted = len(conversation.messages) if conversation.is_known else 10**9
    if conversation.end in ("reset", "close"):
        return heard, "closed"
    patience = PATIENCE if conversation.is_known else SILENCE
    must_close = conversation.end == "half-close" or conversation.messages[-1].ends
    while True:
        try:
            piece = await asyncio.wait_for(reader.read(65536), patience)
        except TimeoutError:
            return heard, "open"
        except ConnectionError:
            return heard, "reset"
        heard += piece
        if not piece:
            return heard, "closed"
        if not must_close and _count(heard) >= wanted:
            return heard, "open"


def _count(heard):
    return len([1 for status, _ in answers(heard) if status != 100])


def answers(heard):
    """The statuses of whole answers, and whether each says that the connection ends."""
    found = []
    while heard:
        if heard.startswith(b"HTTP/1.1 100 Continue\r\n\r\n"):
            found.append((100, False))
            heard = heard[25:]
            continue
        head = HEAD.match(heard)
        length = head and re.search(rb"Content-Length: (\d+)\r\n", head[2])
        if not length or len(heard) < head.end() + int(length[1]):
            return [*found, (0, True)]
        found.append((int(head[1]), b"Connection: close" in head[2]))
        heard = heard[head.end() + int(length[1]) :]
    return found


# -- judging -----------------------------------------------------------------------------------------------------------


def judged(conversation, heard, how):
    """What was wrong with the answers, if anything; and the ids of the orders that were answered 200."""
    said = [(status, ends) for status, ends in answers(heard) if status != 100]
    if odd := [status for status, _ in said if status not in STATUSES]:
        return f"statuses {odd} in {heard!r}", []
    if not conversation.is_known:
        return None, []
    return _in_turn(conversation, said, must=conversation.end == "wait" and not _is_lost(conversation, how))


def _is_lost(conversation, how):
    """Whether answers may be lost because the door closed, and more was on its way to it: TCP resets then."""
    return how == "reset" and any(message.ends is not False for message in conversation.messages)


def _in_turn(conversation, said, *, must):
    stored = []
    for number, message in enumerate(conversation.messages):
        if not said:
            return (f"no answer to message {number}" if must else None), stored
        (status, ends), *said = said
        if status in (400, 431) and ends and _is_behind_an_upgrade(conversation, number):
            return None, stored
        if status not in message.may:
            return f"message {number} ({message.name}) was answered {status} instead of {message.may}", stored
        if status == 200:
            stored.append(message.id)
        if message.ends is not None and conversation.end != "half-close" and ends != message.ends:
            return f"message {number} ({message.name}): the connection {'ends' if ends else 'stays'}", stored
        if ends:
            return (f"answers after the end: {said}" if said else None), stored
    return (f"too many answers: {said}" if said else None), stored


def _is_behind_an_upgrade(conversation, number):
    """aiohttp keeps what comes behind a request for another protocol, and parses it in one piece: a mistake in it is
    also the answer to what came before the mistake."""
    return any(message.name in UPGRADES for message in conversation.messages[:number])


class Round:
    """A number of conversations with one door, and what followed from them."""

    def __init__(self, child, chance):
        self.child = child
        self.strangers = Strangers(chance, child)
        self.answered: set[str] = set()
        self.done: Counter[str] = Counter()

    async def talk(self, count):
        limit = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            for number in range(count):
                await limit.acquire()
                task = tasks.create_task(self._one(self.strangers.draw()))
                task.add_done_callback(lambda _: limit.release())
                if number % 200 == 199:
                    await self.see()

    async def _one(self, conversation):
        heard, how = await talked(self.child.port, conversation)
        problem, stored = judged(conversation, heard, how)
        if problem:
            shorter = await shrunk(conversation.messages, lambda less: self._fails(conversation, less))
            raise AssertionError(f"{problem}; it is enough to send {shown(Conversation(list(shorter)))}; "
                                 f"of {shown(conversation)}; answered {shown(heard)}")  # fmt: skip
        self.answered.update(stored)
        self.done["inputs"] += 1
        for status, _ in answers(heard):
            self.done[f"answers {status}"] += 1

    async def _fails(self, conversation, messages):
        if not messages:
            return False
        less = Conversation(list(messages), [], conversation.end, conversation.is_known)
        return judged(less, *await talked(self.child.port, less))[0] is not None

    async def see(self):
        """A good order passes, and the process shows no problem."""
        whole, delivery, _ = self.strangers.order()
        good = Conversation([Message("good", whole, (200,), id=delivery)])
        heard, how = await talked(self.child.port, good)
        problem, stored = judged(good, heard, how)
        assert problem is None, f"a good order does not pass any more: {problem}"
        self.answered.update(stored)
        assert (problem := self.child.problems()) is None, problem

    async def judge_journal(self):
        """What was answered 200 is there under its own names, and nothing that was not signed."""
        await all_settled(self.child)
        rows = self.child.rows("SELECT e.id, e.topic, l.name FROM envelope e JOIN lane l ON l.n = e.lane")
        stored = {delivery: topic for delivery, topic, _ in rows}
        missing = [delivery for delivery in self.answered if delivery not in stored]
        assert [] == missing, f"answered 200 and not stored: {missing}"
        strange = [row for row in rows if row[2] not in self.strangers.bodies or CHOSEN in row[0]]
        assert [] == strange, f"stored and not signed: {strange}"
        for delivery, topic, lane in rows:
            if delivery.startswith("good-"):
                wanted = (self.strangers.bodies[lane], self.strangers.topics[delivery])
                assert wanted == (delivery, topic), (
                    f"{delivery} of {lane} was stored with the words of another: {topic}"
                )
        self.done["orders stored"] += len(rows)


async def tried(chance, count, *, fast):
    """Talk to a door in a process of its own; what was done."""
    async with serving(fast=fast) as child:
        found = Round(child, chance)
        await found.talk(min(200, count))
        child.is_warm()
        await found.talk(count - min(200, count))
        await found.see()
        await found.judge_journal()
        return found.done
